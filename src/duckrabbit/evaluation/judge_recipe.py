"""What the recipes of judges share: one cycle over passes through the pictures, and the epoch that is kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from duckrabbit.training.objectives import Draws
from duckrabbit.training.rates import one_cycle
from duckrabbit.training.run import METRICS, read_metrics, trained
from duckrabbit.training.values import Plain


class Naming:
    """Cross entropy of what a network calls its pictures, labels smoothed by 0.1."""

    def loss(self, net: Any, x0: Tensor, labels: Tensor, draws: Draws) -> Tensor:
        """The loss of each picture (N,), for its number in `labels` (N,)."""
        return cross_entropy(net(x0), labels, label_smoothing=0.1, reduction="none")


@dataclass(frozen=True)
class JudgeRecipe(Plain, ABC):
    """How a judge is trained, by the training loop of everything else (training.trainer).

    rate: at its highest, after the first `warmup` of the steps. The last pictures of an epoch that are no whole batch
    are left out. The weights after every epoch are kept, for `best_epoch`.
    """

    noise: ClassVar[Literal["cpu", "device"]] = "cpu"
    betas: ClassVar[tuple[float, float]] = (0.9, 0.99)

    name: str
    epochs: int
    batch: int
    rate: float
    weight_decay: float = 0.0
    ema: float = 0.0
    clip: float = 0.0
    warmup: float = 0.2
    seed: int = 180

    @property
    def snapshots(self) -> tuple[int, ...]:
        """Every epoch."""
        return tuple(range(1, self.epochs + 1))

    @abstractmethod
    def build(self) -> nn.Module:
        """The network that learns."""

    def objective(self) -> Naming:
        """The loss."""
        return Naming()

    def learning_rate(self, step: int, steps_per_epoch: int) -> float:
        """A linear rise, then half a cosine."""
        return one_cycle(self.rate, step, self.epochs * steps_per_epoch, self.warmup)

    def length(self, pictures: int) -> tuple[int, int]:
        """The steps of an epoch, all of them whole batches where there are enough pictures, and of the run."""
        steps = max(1, pictures // self.batch)
        return steps, steps * self.epochs

    def rests(self, step: int, steps_per_epoch: int) -> bool:
        """After every epoch."""
        return step % steps_per_epoch == 0


def best_epoch(
    run: Path, epochs: int, score: Callable[[Mapping[str, Tensor]], float]
) -> tuple[Mapping[str, Tensor], list[dict[str, float]]]:
    """The weights of the epoch that scores best, the first of equals; and of each its number, loss and score."""
    losses = defaultdict(list)
    for row in read_metrics(run / METRICS):
        losses[row["epoch"]].append(row["loss"])
    every = {epoch: trained(run, epoch)[0] for epoch in range(1, epochs + 1)}
    scores = {epoch: score(weights) for epoch, weights in every.items()}
    log = [{"epoch": k, "loss": sum(losses[k]) / len(losses[k]), "validation": scores[k]} for k in every]
    return every[max(scores, key=lambda epoch: scores[epoch])], log
