"""Laws: what must hold of every view, filter and guidance, measured.

Each check returns the largest deviation it saw, relative to the size of the input, and what it may
be. The tests use them on what the project ships; `duckrabbit check` on what you wrote.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import Denoiser, Network, Prediction, Query, View, from_eps
from duckrabbit.guidance.filters import LowPass
from duckrabbit.guidance.nodes import CFG
from duckrabbit.guidance.tree import Guidance, answered, lower

AT = NoiseLevel(500.0, 0.6, 0.8)
"""The level at which laws are checked; any with alpha and sigma above 0 would do."""


@dataclass(frozen=True)
class Finding:
    """What a check saw: the deviation relative to the input, and the most it may be."""

    law: str
    deviation: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the law holds; NaN breaks every law."""
        return self.deviation <= self.tolerance


def identity(guidance: Guidance, x: Tensor) -> Finding:
    """Law 1: with the network replaced by the identity, a linear guidance returns x."""

    def echo(queries: list[Query], at: NoiseLevel) -> list[Prediction]:
        return [Prediction(q.x, q.x, q.x) for q in queries]

    p = lower(guidance, echo)(x, AT)
    return Finding("identity", _worst(_distance(p.x0, x), _distance(p.eps, x)), _tolerance(x))


def unit_variance(guidance: Guidance, x: Tensor) -> Finding:
    """Instead of law 1 where noises are rectified: of noises that have nothing in common comes noise of variance 1.

    Every question is answered with a white noise of its own; of N values the variance is known to sqrt(2 / N).
    """
    generator = torch.Generator().manual_seed(len(x))

    def noisy(queries: list[Query], at: NoiseLevel) -> list[Prediction]:
        noises = [torch.randn(q.x.shape, generator=generator, dtype=q.x.dtype).to(q.x.device) for q in queries]
        return [from_eps(q.x, at, eps) for q, eps in zip(queries, noises, strict=True)]

    eps = lower(guidance, noisy)(x, AT).eps
    return Finding("unit variance", (eps.square().mean() - 1).abs().item(), 6 * math.sqrt(2 / eps.numel()))


def isometry(view: View, x: Tensor, y: Tensor) -> Finding:
    """Law 2: <Vx, Vy> = <x, y> and V^-1 V x = x; rejects blurs and bilinear rotations."""
    vx, vy = view(x), view(y)

    def turned(a: Tensor, b: Tensor, va: Tensor, vb: Tensor) -> float:
        return abs((va * vb).sum().item() - (a * b).sum().item()) / (a.norm() * b.norm()).item()

    angles = [turned(x, x, vx, vx), turned(y, y, vy, vy), turned(x, y, vx, vy)]
    return Finding("isometry", _worst(*angles, _distance(view.inverse(vx), x)), 10 * _tolerance(x))


def linearity(view: View, x: Tensor, y: Tensor) -> Finding:
    """V (2 x - 3 y) = 2 V x - 3 V y: an isometry that is not linear shifts the noise."""
    return Finding("linearity", _distance(view(2 * x - 3 * y), 2 * view(x) - 3 * view(y)), _tolerance(x))


def selection(conditional: Guidance, unconditional: Guidance, network: Network, x: Tensor) -> Finding:
    """Law 3: CFG(c, u, 1) = c and CFG(c, u, 0) = u; swapped branches break it."""

    def deviation(scale: float, branch: Guidance) -> float:
        p = lower(CFG(conditional, unconditional, scale), network)(x, AT)
        q = lower(branch, network)(x, AT)
        return _worst(_distance(p.x0, q.x0), _distance(p.eps, q.eps))

    return Finding("selection", _worst(deviation(1.0, conditional), deviation(0.0, unconditional)), _tolerance(x))


def resolution(view: View, large: Tensor, factor: int = 4) -> Finding:
    """Law 4: looking and then shrinking is shrinking and then looking; `large` (B, C, H, W).

    A view that only a large stage can do finely, a disc for instance, says in `stage_difference` how far the two may
    be apart, and is measured against that: root mean squares, of a picture without details (a Gaussian of a 32nd of
    its side).
    """

    def shrink(x: Tensor) -> Tensor:
        return interpolate(x, scale_factor=1 / factor, mode="area")

    told = float(getattr(view, "stage_difference", 0.0))
    if told:
        smooth = LowPass()(large)
        seen, expected = view(shrink(smooth)), shrink(view(smooth))
        return Finding("resolution", ((seen - expected).norm() / expected.norm()).item(), told)
    return Finding("resolution", _distance(view(shrink(large)), shrink(view(large))), _tolerance(large))


def lowered_is_recursive(guidance: Guidance, network: Network, x: Tensor) -> Finding:
    """Law 5: one batched call says what the naive recursion, a call a question, says."""
    fast, slow = lower(guidance, network)(x, AT), _recursive(guidance, network)(x, AT)
    parts = [_distance(fast.x0, slow.x0), _distance(fast.eps, slow.eps)]
    if fast.var_interp is not None and slow.var_interp is not None:
        parts.append(_distance(fast.var_interp, slow.var_interp))
    elif fast.var_interp is not slow.var_interp:
        parts.append(math.inf)
    return Finding("lowered = recursive", _worst(*parts), 100 * _tolerance(x))


def partition(filters: Sequence[Callable[[Tensor], Tensor]], x: Tensor) -> Finding:
    """Law 6: the bands of a family sum to the picture."""
    return Finding(
        "partition of unity", _distance(sum((f(x) for f in filters), torch.zeros_like(x)), x), 10 * _tolerance(x)
    )


def _recursive(guidance: Guidance, network: Network) -> Denoiser:
    """The obvious way to run a guidance: every question is its own forward, nothing is shared."""
    return lambda x, at: answered(guidance.ask(x, at), lambda queries: [network([q], at)[0] for q in queries])


def _distance(a: Tensor, b: Tensor) -> float:
    """max |a - b| / max |b|."""
    return ((a - b).abs().max() / b.abs().max().clamp_min(1e-30)).item()


def _worst(*deviations: float) -> float:
    """The largest of them; NaN if any is, which `max` would lose."""
    return math.nan if any(map(math.isnan, deviations)) else max(deviations)


def _tolerance(x: Tensor) -> float:
    return 64 * torch.finfo(x.dtype).eps
