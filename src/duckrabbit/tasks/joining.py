"""Joining views: how the views of an anagram are combined, from words to a node of the guidance tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from duckrabbit.diffusion.plans import Plan
from duckrabbit.diffusion.prediction import View
from duckrabbit.errors import UserError
from duckrabbit.guidance import laws
from duckrabbit.guidance.combining import Adaptive, Alternate, InWindows, MeanX0, Rectified, starts_of
from duckrabbit.guidance.nodes import Mean, Weighted
from duckrabbit.guidance.tree import Guidance
from duckrabbit.models.model import StageFacts
from duckrabbit.registry import recall
from duckrabbit.tasks.arguments import number, one_of, refuse_idle, shown

COMBINES = ("mean", "alternate", "x0", "rectified", "adaptive")
"""The ways to combine views, by name."""
Windows = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Joining:
    """A way to combine views: `combine` by its name, `weights` that sum to 1, `windows` for each view or none."""

    combine: str
    weights: tuple[float, ...]
    windows: tuple[tuple[float, float], ...] = ()

    def __call__(
        self, viewed: Sequence[tuple[View, str]], children: tuple[Guidance, ...], plan: Plan, facts: StageFacts
    ) -> Guidance:
        """The node for a stage of these facts, which walks this plan."""
        if self.combine == "alternate":
            return Alternate(children, starts_of([move.at for move in plan]))
        if self.combine == "adaptive":
            return Adaptive(children, _scores(viewed, facts))
        if self.combine == "rectified":
            return Rectified(children, self.weights)
        if self.combine == "x0":
            _refuse_isometries([view for view, _ in viewed], facts)
            return MeanX0(children, self.weights)
        if self.windows:
            return InWindows(children, self.weights, self.windows)
        return Mean(children) if len(set(self.weights)) == 1 else Weighted(children, self.weights)


def joining_of(
    count: int,
    combine: str | None = None,
    weights: Sequence[float] | None = None,
    windows: str | Windows | None = None,
) -> Joining:
    """How `count` views are combined. Raises UserError for what is no way to, and for what would change nothing."""
    name = one_of("way to combine views,", "mean" if combine is None else combine, COMBINES)
    given = {"weights": weights or None, "windows": windows or None}
    if name == "alternate":
        refuse_idle(given, ("weights",), "alternate gives each view whole steps")
    if name == "adaptive":
        refuse_idle(given, ("weights",), "adaptive weighs the views itself")
    if name != "mean":
        refuse_idle(given, ("windows",), "they are of the mean", "Leave them out, or combine by mean.")
    return Joining(name, scaled_weights(weights, count), _windows(windows, count) if windows else ())


def scaled_weights(weights: Sequence[float] | None, count: int) -> tuple[float, ...]:
    """`count` weights that sum to 1. Raises UserError for another number of them, and for a sum of 0 or less."""
    given = [number("A weight", weight) for weight in (weights or [1.0] * count)]
    if len(given) != count:
        raise UserError(f"{count} prompts take as many weights, not {len(given)}.")
    total = sum(given)
    if not total > 1e-6:
        raise UserError(f"Weights are scaled to sum to 1, which {', '.join(f'{w:g}' for w in given)} cannot be.")
    return tuple(weight / total for weight in given)


def _windows(windows: str | Windows, count: int) -> tuple[tuple[float, float], ...]:
    """A window for each view, from "1:0.3,1:0" or pairs of numbers."""
    example = "write FROM:TO for each view, in shares of noise from 1 to 0, as in 1:0.3,1:0"
    try:
        pairs = [part.split(":") for part in windows.split(",")] if isinstance(windows, str) else list(windows)
        made = tuple((float(begin), float(end)) for begin, end in cast("Any", pairs))
    except (TypeError, ValueError):
        raise UserError(f"{shown(windows)} names no windows; {example}.") from None
    if len(made) != count:
        raise UserError(f"{count} views take as many windows, not {len(made)}; {example}.")
    return made


def _refuse_isometries(views: Sequence[View], facts: StageFacts) -> None:
    """Raises UserError where the mean of pictures is the mean of noises."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, facts.channels, *facts.size)
    x, y = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    if all(laws.isometry(view, x, y).holds for view in views):
        raise UserError(
            "combine x0 would change nothing: of views that keep lengths, the mean of the pictures and that of the "
            "noises are one. Leave it out; it is for views of your own that do not."
        )


def _scores(viewed: Sequence[tuple[View, str]], facts: StageFacts) -> Any:
    """The judge of drawings, reading each prompt through its view; it stands above tasks, and is known by its name."""
    if facts.channels != 3:
        raise UserError("combine adaptive asks the judge of drawings, which reads pictures in colour.")
    views, prompts = zip(*viewed, strict=True)
    return recall("DrawingScores", None)(tuple(views), tuple(prompts), facts.value_range)
