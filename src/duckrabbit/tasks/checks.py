"""Running the laws: on a view, on the filters, on a model. What a law says is told in guidance/laws.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from typing import cast

import torch
from torch import Tensor

from duckrabbit.diffusion.prediction import Network, Query, View
from duckrabbit.errors import UserError
from duckrabbit.guidance import laws
from duckrabbit.guidance.combining import Adaptive, Alternate, InWindows, Rectified
from duckrabbit.guidance.families import parts_of
from duckrabbit.guidance.filters import Colour, Filter, Grey, HighPass, LowPass
from duckrabbit.guidance.nodes import CFG, Mean, Prompt, Viewed, Weighted
from duckrabbit.guidance.views.pixels import Identity, PixelView, Rotate
from duckrabbit.guidance.views.shipped import parse_view
from duckrabbit.models.model import Model
from duckrabbit.networks.enlarge import enlarge
from duckrabbit.tasks.arguments import shown

SIZE = 64
"""The width at which views and filters are checked; resolution is checked from 4 x that."""


@dataclass(frozen=True)
class Verdict(laws.Finding):
    """A finding about something; `note` says what went wrong where the law could not even be tried."""

    subject: str = ""
    note: str = ""


def check(thing: object) -> list[Verdict]:
    """The laws that a view, a filter or a model has to keep, as values: which, how far off, whether it holds.

        assert all(row.holds for row in dr.check(MyView()))

    A view is checked by name or itself. Raises UserError for what is none of them.
    """
    if isinstance(thing, str):
        return check_view(thing, parse_view(thing, SIZE))
    if callable(getattr(thing, "inverse", None)):
        return check_view(type(thing).__name__, cast("View", thing))
    if hasattr(thing, "stages") and hasattr(thing, "network"):
        return check_model(cast("Model", thing), [], [])
    if callable(thing):
        x, y = _picture(SIZE, 0), _picture(SIZE, 1)
        return [_row(type(thing).__name__, "linearity", laws.linearity, thing, x, y)]
    raise UserError(f"What can be checked is a view, a filter or a model, not {shown(thing)}.")


def check_view(name: str, view: View) -> list[Verdict]:
    """Isometry, linearity, resolution and identity; for views that move pixels, the variance's way back."""
    x, y, large = (_picture(n, seed) for n, seed in ((SIZE, 0), (SIZE, 1), (4 * SIZE, 2)))
    rows = [
        _row(name, "hashable", _hashable, view),
        _row(name, "isometry", laws.isometry, view, x, y),
        _row(name, "linearity", laws.linearity, view, x, y),
        _row(name, "resolution", laws.resolution, view, large),
        _row(name, "identity", laws.identity, Mean((Prompt(), Viewed(view, Prompt()))), x),
    ]
    return [*rows, _row(name, "variance", _variance, view, x)] if isinstance(view, PixelView) else rows


def check_filters() -> list[Verdict]:
    """Partition of unity and linearity of the shipped bands."""
    x, y = _picture(SIZE, 0), _picture(SIZE, 1)
    families: dict[str, Sequence[Filter]] = {
        "low pass, high pass": (LowPass(), HighPass()),
        "grey, colour": (Grey(), Colour()),
        **{f"family {name}": tuple(parts_of(name).values()) for name in ("triple", "motion")},
    }
    rows = []
    for name, family in families.items():
        rows.append(_row(name, "partition of unity", laws.partition, family, x))
        rows += [_row(type(part).__name__, "linearity", laws.linearity, part, x, y) for part in family]
    return rows


def check_combinations() -> list[Verdict]:
    """Identity of the ways to combine views that keep it; unit variance of the one that keeps that instead."""
    x, half = _picture(SIZE, 0), (0.25, 0.75)
    two = (Prompt("one"), Viewed(Rotate(2), Prompt("other")))
    trees = {
        "mean": Mean(two),
        "weights": Weighted(two, half),
        "windows": InWindows(two, half, ((1.0, 0.5), (1.0, 0.0))),
        "alternate": Alternate(two, (2.0, 1.0)),
        "adaptive": Adaptive(two, lambda x0: x0.flatten(1)[:, :2]),
    }
    rows = [_row(f"views by {name}", "identity", laws.identity, tree, x) for name, tree in trees.items()]
    return [*rows, _row("views rectified", "unit variance", laws.unit_variance, Rectified(two, half), x)]


def check_model(model: Model, views: Sequence[View], prompts: Sequence[str]) -> list[Verdict]:
    """Finite output, selection, lowered = recursive; at a second stage also that views reach its picture."""
    card = model.card
    known = card.roles.get("generate")
    texts = list(prompts) or [str(p) for p in (known if isinstance(known, list) else ["a photo"])]
    conditions = [Prompt(model.condition(p)) for p in texts]
    null = Prompt(model.condition(card.null_prompt))
    model.prepare([p.condition for p in (*conditions, null)])
    looks = [Identity(), *(views or [Rotate(2)])]
    tree = Mean(tuple(Viewed(v, CFG(conditions[k % len(conditions)], null, 7.0)) for k, v in enumerate(looks)))
    eps = torch.finfo(getattr(torch, model.dtype)).eps
    loose = 64 * eps if model.dtype != "float32" else 6400 * eps
    rows = []
    for k, facts in enumerate(model.stages):
        name = f"{card.name}, stage {k + 1}"
        shape = (2, facts.channels, *facts.size)
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(model.device)
        low = None if facts.noising is None else enlarge(0.5 * x[..., ::4, ::4], facts.size)
        network = model.network(k, low, facts.noise_level)
        rows += [
            _row(name, "finite output", _finite, network, conditions[0], x),
            _row(name, "selection", laws.selection, conditions[0], null, network, x, loose=loose),
            _row(name, "lowered = recursive", laws.lowered_is_recursive, tree, network, x, loose=loose),
        ]
        if low is not None:
            rows.append(_row(name, "views reach the picture", _reach, model, k, looks[-1], x, low, loose=loose))
    return rows


def _hashable(view: View) -> laws.Finding:
    if hash(view) != hash(view) or view != view:
        raise TypeError("a view equals itself")
    return laws.Finding("hashable", 0.0, 0.0)


def _variance(view: View, x: Tensor) -> laws.Finding:
    """A variance moves with its pixel."""
    positive = x.abs() + 0.1
    far = (view.inverse_var_interp(view(positive)) - positive).abs().max() / positive.max()
    return laws.Finding("variance", far.item(), 1e-12)


def _finite(network: Network, prompt: Prompt, x: Tensor) -> laws.Finding:
    (p,) = network([Query(x, prompt.condition)], laws.AT)
    return laws.Finding("finite output", float((~torch.isfinite(p.eps)).sum()), 0.0)


def _reach(model: Model, stage: int, view: View, x: Tensor, low: Tensor) -> laws.Finding:
    """A question with a view is the question without it, about a low resolution picture that went through it."""
    level, condition = model.stages[stage].noise_level, model.condition(model.card.null_prompt)
    (asked,) = model.network(stage, low, level)([Query(x, condition, (view,))], laws.AT)
    (expected,) = model.network(stage, view(low), level)([Query(x, condition)], laws.AT)
    far = (asked.eps - expected.eps).abs().max() / expected.eps.abs().max()
    return laws.Finding("views reach the picture", far.item(), 0.0)


def _row(subject: str, law: str, measure: Callable[..., laws.Finding], *of: object, loose: float = 0.0) -> Verdict:
    """Measure; whatever the measured thing raises is a broken law, and told."""
    try:
        found = measure(*of)
    except Exception as error:  # a view or a model of the user's may raise anything
        return Verdict(law, nan, 0.0, subject, f"{type(error).__name__}: {error}")
    return Verdict(law, found.deviation, max(found.tolerance, loose), subject)


def _picture(size: int, seed: int) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
