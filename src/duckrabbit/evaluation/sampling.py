"""Digits to be judged: drawn by the engine, from a model, a guidance and numbered seeds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from duckrabbit.diffusion.plans import plan_through
from duckrabbit.diffusion.solvers import SOLVERS
from duckrabbit.diffusion.streams import Noise
from duckrabbit.diffusion.trajectory import trajectory
from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import CFG, Clip, Mean, Prompt, Viewed
from duckrabbit.guidance.tree import Guidance, lower
from duckrabbit.guidance.views import parse_view
from duckrabbit.models.model import Model

BATCH = 250

OnMove = Callable[[str], None]
"""Hears in a word what is drawn, after each move of the loop."""


def unheard(word: str) -> None:
    """What hears every move and does nothing."""


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


def draw(model: Model, guidance: Guidance, seeds: range, setting: Setting, on_move: OnMove = unheard) -> Tensor:
    """One picture for each seed, (len(seeds), 1, 28, 28), 0 black to 1 white, clipped there.

    x0 is held in the model's range at the root, as every task holds it, where the model asks for it.
    A seed gives the same noise in every setting, so that settings are compared like with like.
    """
    stage = model.stages[0]
    plan = plan_through(stage.schedule, stage.schedule.times(setting.steps, stage.spacing, stage.offset))
    if stage.limiter is not None and stage.limiter.ratio is None:
        guidance = Clip(guidance, stage.limiter.max_value)
    denoise = lower(guidance, model.network(0))
    parts = []
    for first in range(seeds.start, seeds.stop, BATCH):
        noise = Noise(tuple(range(first, min(first + BATCH, seeds.stop))))
        like = torch.empty(len(noise.seeds), stage.channels, stage.size, stage.size)
        x = plan[0].at.sigma * noise(like, "start")
        for state in trajectory(denoise, x, plan, SOLVERS[setting.solver], noise):
            x = state.x
            on_move(str(setting))
        low, high = stage.value_range
        parts.append(((x - low) / (high - low)).clamp(0, 1))
    return torch.cat(parts)


def draw_classes(
    model: Model, count: int, setting: Setting, first_seed: int = 0, on_move: OnMove = unheard
) -> tuple[Tensor, Tensor]:
    """`count` pictures, a tenth of each digit in turn, and their labels (count,)."""
    per_class = count // 10
    pictures = [
        draw(
            model,
            setting.guide(label),
            range(first_seed + label * per_class, first_seed + (label + 1) * per_class),
            setting,
            on_move,
        )
        for label in range(10)
    ]
    return torch.cat(pictures), torch.arange(10).repeat_interleave(per_class)


def draw_free(model: Model, count: int, setting: Setting, first_seed: int = 0, on_move: OnMove = unheard) -> Tensor:
    """`count` pictures of whatever the model likes."""
    return draw(model, setting.guide(None), range(first_seed, first_seed + count), setting, on_move)


def draw_anagrams(model: Model, first: int, second: int, view: str, seeds: range, setting: Setting) -> Tensor:
    """Pictures that show `first`, and `second` through `view`: the mean of two guidances (Geng et al. 2024)."""
    looks = [
        Viewed(parse_view(v, model.stages[0].size), setting.guide(d)) for v, d in (("identity", first), (view, second))
    ]
    return draw(model, Mean(tuple(looks)), seeds, setting)
