"""Ways to combine what several guidances say of one picture, beside Mean and Weighted: for the views of an anagram.

All ask every child in one round, or fewer of them. Which laws (laws.py) each keeps:

    Alternate, InWindows    law 1: the weights that count at a level sum to 1
    Adaptive                law 1, but not linear: its weights depend on the picture
    MeanX0                  law 1 of x0; eps is what x and x0 leave
    Rectified               unit variance instead; breaks law 1, and is not linear
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import View, from_eps, from_x0
from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import Mean, Weighted, combine
from duckrabbit.guidance.tree import Ask, ask_all
from duckrabbit.values import number, shown

Scores = Callable[[Tensor], Tensor]
"""How well each child can be seen already in x0 (B, C, H, W): (B, n), 1 for perfectly."""
TINY = 1e-6
"""The least variance that a sum of noises is taken to have."""


@dataclass(frozen=True)
class Alternate(Mean):
    """One child a step, in turn: child k mod n at step k (Geng et al. 2024, visual anagrams, `alternate`).

    A guidance is told the level and no step, so `starts` are the sigma / alpha at which the steps of the plan begin,
    falling: step k is from starts[k] on to where the next begins. A solver that asks twice a step is answered by the
    child of each level that it asks at; a level that is walked again (RePaint) has its child again. One network call
    a step as ever, and the pictures of one child in it. Raises UserError for starts that do not fall.
    """

    starts: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        starts = [number("Where a step begins", start, finite=False) for start in self.starts]
        if not starts or any(not a > b for a, b in pairwise(starts)):
            raise UserError("The steps of an alternating guidance begin at levels that fall from noise to picture.")

    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """The questions of this step's child."""
        step = max(0, sum(start >= at.noise_to_signal for start in self.starts) - 1)
        return (yield from self.children[step % len(self.children)].ask(x, at, views))


@dataclass(frozen=True)
class InWindows(Weighted):
    """Weights that count in a window of the noise only: sum_k w_k eps_k / sum_k w_k, over the children that count.

    `windows` are (from, to), in shares of noise u = sigma / (alpha + sigma) from 1, noise, to 0, the picture: child k
    counts while from >= u > to, and to the end where to is 0. Who does not count is not asked. The weights sum to 1
    over all, and are scaled to sum to 1 over those that count. Raises UserError for windows that leave a level with
    none, or whose weights cannot be so scaled.
    """

    windows: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.windows) != len(self.children):
            raise UserError(f"{len(self.children)} views need as many windows, not {len(self.windows)}.")
        for window in self.windows:
            begin, end = _pair(window)
            if not 1 >= begin > end >= 0:
                raise UserError(f"A window is from a share of noise down to a smaller one, 1 to 0; not {window}.")
        for u in sorted({1.0, *(end for window in self.windows for end in window)} - {0.0}, reverse=True):
            if not sum(self.weights[k] for k in self.counting(u)) > TINY:
                raise UserError(f"At a share of noise of {u:g} no view counts; let a window reach over it.")

    def counting(self, u: float) -> list[int]:
        """The children that count at a share of noise."""
        return [k for k, (begin, end) in enumerate(self.windows) if begin >= u and (u > end or end == 0)]

    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """The questions of the children that count, in one round."""
        counting = self.counting(at.sigma / (at.alpha + at.sigma))
        total = sum(self.weights[k] for k in counting)
        some = Weighted(tuple(self.children[k] for k in counting), tuple(self.weights[k] / total for k in counting))
        return (yield from some.ask(x, at, views))


@dataclass(frozen=True)
class MeanX0(Weighted):
    """The weighted mean of the pictures, and the noise beside it: x0 = sum_k w_k x0_k, eps = (x - alpha x0) / sigma.

    Kim et al. 2024 (SyncTweedies, arXiv 2403.14370), case 5. Where views are isometries this is Weighted exactly, for
    x0 and eps of each child then belong to one x. For a view that is none, a view and its pseudoinverse, only this
    form is defined; the noise that such a view shows the network is not white, which the network was not trained on.
    """

    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """All children's questions in one round."""
        p = yield from super().ask(x, at, views)
        return from_x0(x, at, p.x0, p.var_interp)


@dataclass(frozen=True)
class Rectified(Weighted):
    """A weighted mean of noises, brought back to the variance of noise: eps = c sum_k a_k eps_k.

        c = (sum_k a_k^2 + 2 sum_{i<j} rho_ij a_i a_j)^(-1/2),    rho_ij = mean(eps_i eps_j), over each picture.

    Xu et al. 2025 (Anagram-MTL, arXiv 2412.02693): noises that disagree cancel, and the mean of n that have nothing in
    common has the variance 1 / n. Breaks law 1, since the weights c a_k do not sum to 1, and is not linear. Where
    nothing is left of the picture (alpha = 0), every child says the same noise, and the mean stays.
    """

    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """All children's questions in one round."""
        ps = yield from ask_all([child.ask(x, at, views) for child in self.children])
        p = combine(ps, self._joined)
        if at.alpha == 0:
            return p
        return from_eps(x, at, p.eps * self._correction([each.eps for each in ps]), p.var_interp)

    def _joined(self, parts: Sequence[Tensor]) -> Tensor:
        return sum((w * part for w, part in zip(self.weights, parts, strict=True)), torch.zeros(()))

    def _correction(self, noises: Sequence[Tensor]) -> Tensor:
        """c of each picture, (B, 1, 1, 1)."""
        dims = tuple(range(1, noises[0].ndim))
        variance = torch.full_like(noises[0].mean(dims, keepdim=True), sum(a * a for a in self.weights))
        for j, (a, x) in enumerate(zip(self.weights, noises, strict=True)):
            for b, y in zip(self.weights[:j], noises[:j], strict=True):
                variance = variance + 2 * a * b * (x * y).mean(dims, keepdim=True)
        return variance.clamp(min=TINY).rsqrt()


@dataclass(frozen=True)
class Adaptive(Mean):
    """What can be seen least counts most: weights softmax((1 - s_k) / temperature), of each picture.

    `scores` tells s_k, how well child k can be seen already, of the mean x0 at this level; nothing is kept from step to
    step, and no network is asked besides. The weights sum to 1, so that law 1 holds; it is not linear. Raises
    UserError for a temperature that is not above 0, and for scores of another shape than (B, n).
    """

    scores: Scores
    temperature: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.scores) or not number("A temperature", self.temperature) > 0:
            raise UserError("Adaptive weights take scores to call, of x0, and a temperature above 0.")

    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """All children's questions in one round."""
        ps = yield from ask_all([child.ask(x, at, views) for child in self.children])
        mean = combine(ps, lambda parts: torch.stack(list(parts)).mean(0))
        scores = self.scores(mean.x0).to(mean.x0)
        if scores.shape != (len(x), len(ps)):
            raise UserError(f"Scores are {len(x), len(ps)}, one of each child, not {tuple(scores.shape)}.")
        weights = ((1 - scores) / self.temperature).softmax(1).T.view(len(ps), -1, *[1] * (x.ndim - 1))
        p = combine(ps, lambda parts: sum((w * y for w, y in zip(weights, parts, strict=True)), torch.zeros(())))
        return replace(p, var_interp=mean.var_interp)


def _pair(window: object) -> tuple[float, float]:
    if not isinstance(window, tuple | list) or len(window) != 2:
        raise UserError(f"A window is a pair of shares of noise, (from, to), not {shown(window)}.")
    begin, end = (number("An end of a window", each) for each in window)
    return begin, end


def starts_of(levels: Sequence[NoiseLevel]) -> tuple[float, ...]:
    """Where steps begin, for Alternate: the levels of a plan, each once, from noise to picture, as sigma / alpha."""
    return tuple(sorted({at.noise_to_signal for at in levels if not math.isnan(at.noise_to_signal)}, reverse=True))
