"""Guidance without the part that only saturates."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import Prediction, from_x0
from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import CFG
from duckrabbit.values import number


@dataclass(frozen=True)
class Projected(CFG):
    """APG, adaptive projected guidance (Sadat et al. 2025, arXiv 2410.02416, algorithm 1).

    Of the difference d = c - u of the two x0, first made no longer than `radius` (per picture, in the norm
    of all its values), the part along c counts `eta` times and the part across it whole:

        x0 = c + (scale - 1) (d_across + eta d_along),    d_along = <d, c> / <c, c> c.

    eta = 1 and an infinite radius are CFG. The paper's momentum is left out: a guidance keeps nothing from move
    to move.
    """

    eta: float = 0.0
    radius: float = math.inf

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("eta", "radius"):
            number(f"A projected guidance's {name}", getattr(self, name), finite=False)
        if not (math.isfinite(self.eta) and self.radius > 0):
            raise UserError(
                f"A projected guidance takes a finite eta and a radius above 0, not {self.eta:g} and {self.radius:g}."
            )

    def join(self, c: Prediction, u: Prediction, scale: float, x: Tensor, at: NoiseLevel) -> Prediction:
        """x0 from the projected difference; eps goes with it."""
        d = c.x0 - u.x0
        d = d * (self.radius / _length(d, d).sqrt()).clamp(max=1)
        along = _length(d, c.x0) / _length(c.x0, c.x0) * c.x0
        return from_x0(x, at, c.x0 + (scale - 1) * (d - along + self.eta * along), c.var_interp)


def _length(a: Tensor, b: Tensor) -> Tensor:
    """The scalar product of each picture, (B, 1, 1, 1); not 0, so that one may divide by it."""
    tiny = 1e-12
    product = (a * b).flatten(1).sum(1).view(-1, *[1] * (a.ndim - 1))
    return product.clamp(min=tiny) if a is b else product
