"""What the training loop asks of a recipe and of its data. Nothing in the loop knows what is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, Self

import torch
from torch import Tensor, nn

from duckrabbit.training.objectives import Draws, Objective


class Data(Protocol):
    """Pictures in memory, with whatever belongs to them."""

    def __len__(self) -> int:
        """How many pictures there are."""

    def to(self, device: str | torch.device) -> Self:
        """The same data on a device, where it stays."""

    def identity(self) -> Mapping[str, Any]:
        """Plain values that tell whether a run goes on with the data it began with."""


class AnyRecipe(Protocol):
    """Everything that decides what a training run gives, as one value.

    ema and clip: 0 for none. noise: where random numbers are drawn. snapshots: the epochs (passes
    over the data) after which to keep the weights.
    """

    @property
    def name(self) -> str:
        """What the run is called."""

    @property
    def seed(self) -> int:
        """What all that is random follows from."""

    @property
    def batch(self) -> int:
        """Pictures in a step."""

    @property
    def betas(self) -> tuple[float, float]:
        """Adam's."""

    @property
    def weight_decay(self) -> float:
        """AdamW's."""

    @property
    def ema(self) -> float:
        """The decay of the average."""

    @property
    def clip(self) -> float:
        """The longest gradient."""

    @property
    def snapshots(self) -> tuple[int, ...]:
        """Epochs to keep."""

    @property
    def noise(self) -> Literal["cpu", "device"]:
        """Where random numbers are drawn."""

    def build(self) -> nn.Module:
        """The network, with random weights from the global generator."""

    def rates(self, module: nn.Module) -> list[tuple[list[nn.Parameter], float]]:
        """The parameters in groups, each with the factor of its learning rate."""

    def objective(self) -> Objective:
        """The loss of a batch."""

    def inputs(self, data: Any, rows: Tensor, draws: Draws) -> tuple[Tensor, Any]:
        """The pictures x0 of these rows, in the model's range, and what the objective is told beside them."""

    def learning_rate(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of step 0, 1, ...; a function of the step, so that nothing has to be kept."""

    def length(self, pictures: int) -> tuple[int, int]:
        """The steps of an epoch, and of the whole run, with so many pictures."""

    def rests(self, step: int, steps_per_epoch: int) -> bool:
        """Whether to write a checkpoint, and show samples, once `step` steps are made."""

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain values."""
