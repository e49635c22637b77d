"""Laws: what must hold of every view, filter and guidance, measured.

Each check returns the largest deviation it saw, relative to the size of the input, and what it may
be. The tests use them on what the project ships; `duckrabbit check` on what you wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import Denoiser, Network, Prediction, Query, View
from duckrabbit.guidance.nodes import CFG
from duckrabbit.guidance.tree import Guidance, lower

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
    return Finding("identity", max(_distance(p.x0, x), _distance(p.eps, x)), _tolerance(x))


def isometry(view: View, x: Tensor, y: Tensor) -> Finding:
    """Law 2: <Vx, Vy> = <x, y> and V^-1 V x = x; rejects blurs and bilinear rotations."""
    vx, vy = view(x), view(y)
    scale = (x.norm() * y.norm()).item()
    turned = abs((vx * vy).sum().item() - (x * y).sum().item()) / scale
    return Finding("isometry", max(turned, _distance(view.inverse(vx), x)), 10 * _tolerance(x))


def linearity(view: View, x: Tensor, y: Tensor) -> Finding:
    """V (2 x - 3 y) = 2 V x - 3 V y: an isometry that is not linear shifts the noise."""
    return Finding("linearity", _distance(view(2 * x - 3 * y), 2 * view(x) - 3 * view(y)), _tolerance(x))


def selection(conditional: Guidance, unconditional: Guidance, network: Network, x: Tensor) -> Finding:
    """Law 3: CFG(c, u, 1) = c and CFG(c, u, 0) = u; swapped branches break it."""

    def eps(guidance: Guidance) -> Tensor:
        return lower(guidance, network)(x, AT).eps

    at_one = _distance(eps(CFG(conditional, unconditional, 1.0)), eps(conditional))
    at_zero = _distance(eps(CFG(conditional, unconditional, 0.0)), eps(unconditional))
    return Finding("selection", max(at_one, at_zero), _tolerance(x))


def resolution(view: View, large: Tensor, factor: int = 4) -> Finding:
    """Law 4: looking and then shrinking is shrinking and then looking; `large` (B, C, H, W)."""

    def shrink(x: Tensor) -> Tensor:
        return interpolate(x, scale_factor=1 / factor, mode="area")

    return Finding("resolution", _distance(view(shrink(large)), shrink(view(large))), _tolerance(large))


def lowered_is_recursive(guidance: Guidance, network: Network, x: Tensor) -> Finding:
    """Law 5: one batched call says what the naive recursion, a call a question, says."""
    fast, slow = lower(guidance, network)(x, AT), _recursive(guidance, network)(x, AT)
    deviation = max(_distance(fast.x0, slow.x0), _distance(fast.eps, slow.eps))
    if fast.var_interp is not None and slow.var_interp is not None:
        deviation = max(deviation, _distance(fast.var_interp, slow.var_interp))
    return Finding("lowered = recursive", deviation, 100 * _tolerance(x))


def partition(filters: Sequence[Callable[[Tensor], Tensor]], x: Tensor) -> Finding:
    """Law 6: the bands of a family sum to the picture."""
    return Finding(
        "partition of unity", _distance(sum((f(x) for f in filters), torch.zeros_like(x)), x), 10 * _tolerance(x)
    )


def _recursive(guidance: Guidance, network: Network) -> Denoiser:
    """The obvious way to run a guidance: every question is its own forward, nothing is shared."""

    def denoise(x: Tensor, at: NoiseLevel) -> Prediction:
        ask = guidance.ask(x, at)
        try:
            queries = next(ask)
            while True:
                queries = ask.send([network([q], at)[0] for q in queries])
        except StopIteration as done:
            result: Prediction = done.value
            return result

    return denoise


def _distance(a: Tensor, b: Tensor) -> float:
    """Max |a - b| / max |b|."""
    return ((a - b).abs().max() / b.abs().max().clamp_min(1e-30)).item()


def _tolerance(x: Tensor) -> float:
    return 64 * torch.finfo(x.dtype).eps
