"""Digits to be judged: drawn by the engine, from a model, a guidance and numbered seeds."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from duckrabbit.diffusion.plans import plan_through
from duckrabbit.diffusion.solvers import SOLVERS
from duckrabbit.diffusion.streams import Noise
from duckrabbit.diffusion.trajectory import trajectory
from duckrabbit.evaluation import settings
from duckrabbit.evaluation.settings import Setting
from duckrabbit.guidance.nodes import Clip, Mean, Viewed
from duckrabbit.guidance.tree import Guidance, lower
from duckrabbit.guidance.views.shipped import parse_view
from duckrabbit.models.model import Model

OnMove = Callable[[str], None]
"""Hears in a word what is drawn, after each move of the loop."""


def unheard(word: str) -> None:
    """What hears every move and does nothing."""


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
    for first in range(seeds.start, seeds.stop, settings.BATCH):
        noise = Noise(tuple(range(first, min(first + settings.BATCH, seeds.stop))))
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
