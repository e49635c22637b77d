"""The nodes of a guidance tree.

Linear nodes act on x0 and eps alike. The learned variance is not part of the linear form: under a
view it moves by the view's own rule, means and bands average it, guidance takes the conditional
branch's (Nichol and Dhariwal 2021; DeepFloyd IF; Geng et al. 2024, visual anagrams).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import Condition, Prediction, Query, View, clip, dynamic_threshold
from duckrabbit.errors import UserError
from duckrabbit.guidance.tree import Ask, Guidance, ask_all, asked_as
from duckrabbit.values import number

Join = Callable[[Sequence[Tensor]], Tensor]
"""What makes one tensor of the answers of several children."""
ScaleAt = Callable[[NoiseLevel], float]
"""A guidance scale for each level."""


@dataclass(frozen=True)
class Prompt(Guidance):
    """The network's own estimate: W = V = I. `condition` is a prompt, a class label, or None."""

    condition: Condition = ""

    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """One question."""
        (answer,) = yield [Query(x, self.condition, views)]
        return answer


@dataclass(frozen=True)
class Through(Guidance):
    """What another model says: `model` is what `load` takes by name, `child` asks it in its own conditions.

    As CFG(Prompt(c), Through("a weaker model", Prompt(c)), 2) it is autoguidance (Karras et al. 2024, arXiv
    2406.02507, eq. 4); as one of a Mean, two models share a canvas. The model has to make pictures of the run's
    size and range; on another schedule it is asked at the level of the same signal-to-noise ratio.
    """

    model: str
    child: Guidance

    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """The child's questions, to that model; where one lies inside, it asks its own."""
        named = asked_as(self.child.ask(x, at, views), lambda q: replace(q, network=q.network or self.model))
        return (yield from named)


@dataclass(frozen=True)
class CFG(Guidance):
    """Classifier-free guidance, u + scale (c - u) (Ho and Salimans 2022, arXiv 2207.12598, eq. 6).

    scale = 1 means no guidance, and asks `conditional` alone; the paper's w is scale - 1, the
    course's gamma is scale. It may be a function of the level, as a Curve is. `interval` (low, high) guides only
    while low < sigma / alpha <= high (Kynkaanniemi et al. 2024, arXiv 2404.07724). The variance is the
    conditional branch's. Guidances that join the two in another way override `join`.
    """

    conditional: Guidance
    unconditional: Guidance
    scale: float | ScaleAt = 7.0
    interval: tuple[float, float] = (0.0, math.inf)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.scale):
            number("A guidance scale (1 means no guidance)", self.scale)
        if not _is_interval(self.interval):
            raise UserError(f"A guidance interval is (low, high) in sigma / alpha, not {self.interval}.")

    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """Two questions, or one where the guidance is off."""
        low, high = self.interval
        scale = self.scale(at) if callable(self.scale) else self.scale
        if scale == 1 or not low < at.noise_to_signal <= high:
            return (yield from self.conditional.ask(x, at, views))
        c, u = yield from ask_all([self.conditional.ask(x, at, views), self.unconditional.ask(x, at, views)])
        return self.join(c, u, scale, x, at)

    def join(self, c: Prediction, u: Prediction, scale: float, x: Tensor, at: NoiseLevel) -> Prediction:
        """The two answers about x at a level, at this level's scale."""
        return Prediction(u.x0 + scale * (c.x0 - u.x0), u.eps + scale * (c.eps - u.eps), c.var_interp)


@dataclass(frozen=True)
class Viewed(Guidance):
    """What `child` says of the picture seen through a view: V_k = V, W_k = V^-1."""

    view: View
    child: Guidance

    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """The child's questions, about V x."""
        p = yield from self.child.ask(self.view(x), at, (*views, self.view))
        var = None if p.var_interp is None else self.view.inverse_var_interp(p.var_interp)
        return Prediction(self.view.inverse(p.x0), self.view.inverse(p.eps), var)


@dataclass(frozen=True)
class Weighted(Guidance):
    """sum_k w_k eps_k with weights that sum to 1; a negative one pushes away (Liu et al. 2022).

    Composable Diffusion, arXiv 2206.01714, eq. 11 and 13. The variances are averaged evenly.
    """

    children: tuple[Guidance, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.children or len(self.children) != len(self.weights):
            raise UserError(f"{len(self.children)} guidances need as many weights, not {len(self.weights)}.")
        if not math.isclose(sum(number("A weight", w) for w in self.weights), 1, abs_tol=1e-6):
            raise UserError(f"The weights of a guidance sum to 1, not {sum(self.weights):g}; scale them.")

    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """All children's questions in one round."""
        ps = yield from ask_all([child.ask(x, at, views) for child in self.children])
        return combine(ps, lambda xs: sum((w * x for w, x in zip(self.weights, xs, strict=True)), torch.zeros(())))


@dataclass(frozen=True)
class Mean(Guidance):
    """The mean of several guidances: of viewed ones, a visual anagram (Geng et al. 2024, eq. 3).

    arXiv 2311.17919; the course's A.8.
    """

    children: tuple[Guidance, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.children:
            raise UserError("A mean needs at least one guidance.")

    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """All children's questions in one round."""
        ps = yield from ask_all([child.ask(x, at, views) for child in self.children])
        return combine(ps, _mean)


@dataclass(frozen=True)
class Bands(Guidance):
    """sum_k F_k eps_k, F linear filters that sum to I: a hybrid image (Geng et al. 2024, eq. 5).

    Factorized Diffusion, arXiv 2404.11615; the course's A.9. There is one filter less than there
    are children: the last child has the remainder, so the bands cannot fail to sum to I.
    """

    filters: tuple[Callable[[Tensor], Tensor], ...]
    children: tuple[Guidance, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.filters or len(self.filters) + 1 != len(self.children):
            raise UserError(
                f"{len(self.children)} bands need {len(self.children) - 1} filters, not {len(self.filters)}: "
                "the last band is the remainder."
            )

    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """All children's questions in one round."""
        ps = yield from ask_all([child.ask(x, at, views) for child in self.children])
        return combine(ps, self._join)

    def _join(self, parts: Sequence[Tensor]) -> Tensor:
        *bands, rest = parts
        return rest + sum((f(b - rest) for f, b in zip(self.filters, bands, strict=True)), torch.zeros(()))


@dataclass(frozen=True, eq=False)
class Masked(Guidance):
    """mask inside + (1 - mask) outside; `mask` (1, 1, H, W) in [0, 1], resized to x where needed."""

    mask: Tensor
    inside: Guidance
    outside: Guidance

    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """Both sides' questions in one round; the variance is mixed like the rest."""
        p, q = yield from ask_all([self.inside.ask(x, at, views), self.outside.ask(x, at, views)])
        mask = self.mask.to(x)
        if mask.shape[-2:] != x.shape[-2:]:
            mask = interpolate(mask, x.shape[-2:], mode="area")

        def mix(a: Tensor, b: Tensor) -> Tensor:
            return b + mask * (a - b)

        var = None
        if p.var_interp is not None and q.var_interp is not None:
            var = mix(p.var_interp, q.var_interp)
        return Prediction(mix(p.x0, q.x0), mix(p.eps, q.eps), var)


@dataclass(frozen=True)
class Clip(Guidance):
    """x0 clamped to [-limit, limit]. Not linear: put it once, at the root, after combining."""

    child: Guidance
    limit: float = 1.0

    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """The child's questions."""
        return clip((yield from self.child.ask(x, at, views)), x, at, self.limit)


@dataclass(frozen=True)
class Threshold(Guidance):
    """Dynamic thresholding of x0 (Saharia et al. 2022, section 2.3). Once, at the root."""

    child: Guidance
    ratio: float = 0.95
    max_value: float = 1.5

    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """The child's questions."""
        p = yield from self.child.ask(x, at, views)
        return dynamic_threshold(p, x, at, self.ratio, self.max_value)


def _is_interval(ends: object) -> bool:
    """Whether these are two numbers, 0 or more and rising."""
    if not isinstance(ends, tuple | list) or len(ends) != 2:
        return False
    low, high = (number("An end of a guidance interval", end, finite=False) for end in ends)
    return 0 <= low < high


def _mean(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(parts)).mean(0)


def combine(ps: Sequence[Prediction], join: Join, join_variances: Join = _mean) -> Prediction:
    """Join x0 and eps alike, and the variances, where all have one: they are averaged if nothing else is said."""
    vs = [p.var_interp for p in ps if p.var_interp is not None]
    var = join_variances(vs) if len(vs) == len(ps) else None
    return Prediction(join([p.x0 for p in ps]), join([p.eps for p in ps]), var)


def nodes_of(tree: object, model: str | None = None) -> Iterator[tuple[str | None, Guidance]]:
    """A guidance and all that are in it, found by walking its fields, each with the model that it asks.

    None is the run's own model.
    """
    if isinstance(tree, Guidance):
        yield model, tree
    if isinstance(tree, Through):
        model = tree.model
    parts: Sequence[object] = ()
    if isinstance(tree, tuple):
        parts = tree
    elif is_dataclass(tree) and not isinstance(tree, type):
        parts = [getattr(tree, f.name) for f in fields(tree)]
    for part in parts:
        yield from nodes_of(part, model)


def conditions_of(tree: object, model: str | None = None) -> set[Condition]:
    """Every condition that a tree asks a model about; None is the run's own."""
    return {node.condition for asked, node in nodes_of(tree) if asked == model and isinstance(node, Prompt)}


def models_of(tree: object) -> set[str]:
    """The models that a tree asks besides the run's own."""
    return {node.model for _, node in nodes_of(tree) if isinstance(node, Through)}
