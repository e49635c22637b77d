"""What the recipes of both stages of a cascade share: the levels, the rate, the length of a run."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from duckrabbit.diffusion.schedules import DiscreteSchedule, squaredcos_cap_v2
from duckrabbit.errors import UserError
from duckrabbit.training.cascade.variational_bound import HybridObjective
from duckrabbit.training.objectives import Weighting
from duckrabbit.training.rates import one_cycle
from duckrabbit.training.values import Plain

TIMES = 1000
"""T, of every noise schedule of DeepFloyd IF."""


@dataclass(frozen=True)
class CascadeRecipe(Plain, ABC):
    """How a stage is trained, but for what it is.

    size: width and height of what it draws, in pixels. channels: of the U-Net's levels. images: the
    length of the run, in pictures. rate: the learning rate at its highest, after the first `warmup`
    of the steps; it falls to 0 on a cosine. weighting: of the loss's first part, by time
    (objectives.snr_weight). bound, strides and times: the weight lambda of the variational bound,
    of which chains it is, and how times are spread (`HybridObjective`). sheets: how often in a run
    samples are drawn and a checkpoint is written. start: the digest of the weights that the run
    began with, "" for random ones. noise: where random numbers are drawn. text: the width of the text
    encoder's states. p_uncond: how often the caption is withheld. wordings: captions made of each drawing.
    """

    stage: ClassVar[str] = ""
    snapshots: ClassVar[tuple[int, ...]] = ()
    weight_decay: ClassVar[float] = 0.0

    name: str
    size: int
    channels: tuple[int, ...]
    layers: int
    prediction: Literal["epsilon", "v_prediction"]
    batch: int
    images: int
    rate: float
    betas: tuple[float, float] = (0.9, 0.99)
    warmup: float = 0.02
    ema: float = 0.999
    clip: float = 1.0
    weighting: Weighting = "min_snr"
    bound: float = 0.001
    strides: tuple[int, ...] = (1, 10, 40, 125)
    times: float = 1.0
    sheets: int = 20
    seed: int = 180
    start: str = ""
    noise: Literal["cpu", "device"] = "device"
    text: int = 256
    p_uncond: float = 0.1
    wordings: int = 32

    def __post_init__(self) -> None:
        if min(self.batch, self.images, self.sheets, self.layers) < 1 or self.rate <= 0:
            raise UserError("A recipe needs a batch, images and sheets of at least 1, and a learning rate above 0.")
        if self.times <= 0:
            raise UserError(f"Times are spread by a power above 0; {self.times:g} is none.")
        if any(c % 32 for c in self.channels) or self.size % 2 ** (len(self.channels) - 1):
            raise UserError(
                f"Channels are multiples of 32, and each level halves the {self.size} px; {self.channels} do not fit."
            )

    @abstractmethod
    def build(self) -> nn.Module:
        """The network, with random weights."""

    @property
    def schedule(self) -> DiscreteSchedule:
        """The noise levels to train on, and to sample through."""
        return squaredcos_cap_v2(TIMES)

    def objective(self) -> HybridObjective:
        """L_hybrid, for the network's 6 channels."""
        return HybridObjective(self.schedule, self.prediction, self.weighting, self.bound, self.strides, self.times)

    def learning_rate(self, step: int, steps_per_epoch: int) -> float:
        """A linear rise, then half a cosine."""
        return one_cycle(self.rate, step, math.ceil(self.images / self.batch), self.warmup)

    def length(self, pictures: int) -> tuple[int, int]:
        """The steps of an epoch, all of them whole batches where there are enough pictures, and of the run."""
        return max(1, pictures // self.batch), math.ceil(self.images / self.batch)

    def rests(self, step: int, steps_per_epoch: int) -> bool:
        """`sheets` times in a run."""
        total = math.ceil(self.images / self.batch)
        return step % max(1, total // self.sheets) == 0 or step == total

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain values, and which stage it is for."""
        return {"stage": self.stage, **super().to_json()}


def to_unit(images: Tensor) -> Tensor:
    """uint8 (N, H, W, 3) as float32 (N, 3, H, W), 0 -> -1 and 255 -> 1."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
