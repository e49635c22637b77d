"""Guidance that keeps the contrast of the conditional picture."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import Prediction, from_x0
from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import CFG
from duckrabbit.values import number


@dataclass(frozen=True)
class Rescaled(CFG):
    """CFG whose x0 has, in part, the standard deviation of the conditional x0 (Lin et al. 2024, eq. 14 to 16).

    arXiv 2305.08891: x0 (phi std(c) / std(x0) + 1 - phi), the deviations over all values of a picture; `phi` is
    from 0, plain guidance, to 1. The paper rescales what its network says, v; at pure noise that is -x0.
    """

    phi: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= number("A rescaled guidance's phi", self.phi, finite=False) <= 1:
            raise UserError(f"A rescaled guidance takes phi from 0 to 1, not {self.phi:g}.")

    def join(self, c: Prediction, u: Prediction, scale: float, x: Tensor, at: NoiseLevel) -> Prediction:
        """The guided x0, brought back; eps goes with it."""
        guided = super().join(c, u, scale, x, at)
        dims = tuple(range(1, x.ndim))
        ratio = c.x0.std(dims, keepdim=True) / guided.x0.std(dims, keepdim=True)
        return from_x0(x, at, guided.x0 * (self.phi * ratio + 1 - self.phi), c.var_interp)
