"""How a model that is scored is sampled."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from duckrabbit.diffusion.solvers import SOLVERS
from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import CFG, Prompt
from duckrabbit.guidance.tree import Guidance

BATCH = 250
"""How many pictures are drawn at once."""


@dataclass(frozen=True)
class Setting:
    """How to sample: guidance scale (1 is none), solver by its name, number of steps.

    `interval` guides only while low < sigma / alpha <= high.
    """

    scale: float = 1.0
    solver: str = "dpm++"
    steps: int = 20
    interval: tuple[float, float] = (0.0, float("inf"))

    def __post_init__(self) -> None:
        if self.solver not in SOLVERS:
            raise UserError(f"There is no solver '{self.solver}'; choose from {', '.join(SOLVERS)}.")

    def guide(self, label: int | None) -> Guidance:
        """The guidance towards a label, or the model's own estimate for None."""
        if label is None:
            return Prompt(None)
        return CFG(Prompt(label), Prompt(None), self.scale, self.interval)

    def __str__(self) -> str:
        return f"{self.solver}, {self.steps} steps, scale {self.scale:g}"

    def to_json(self) -> dict[str, Any]:
        """The setting as plain values; JSON knows no infinity, so an interval without an end ends in None."""
        return {**asdict(self), "interval": [None if math.isinf(end) else end for end in self.interval]}

    def moves(self, count: int, classes: bool = True) -> int:
        """How many moves of the loop `count` pictures take, asked for by ten classes or not."""
        batches = 10 * math.ceil(count // 10 / BATCH) if classes else math.ceil(count / BATCH)
        return self.steps * batches
