"""Solvers of order 1: DDPM draws anew what it takes away, DDIM as much of it as it is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from duckrabbit.diffusion.plans import Move
from duckrabbit.diffusion.prediction import (
    Denoiser,
    Prediction,
    learned_log_var,
    posterior_variance,
    transition_variance,
)
from duckrabbit.diffusion.solvers.solver import Memory, NoiseSource, Step
from duckrabbit.errors import UserError
from duckrabbit.values import number


@dataclass(frozen=True)
class DDPM:
    """Ancestral sampling: draw from (1) with x_0 replaced by its estimate (Ho et al. 2020, eq. 7).

    `variance`: "learned" interpolates between the two below (Nichol and Dhariwal 2021, eq. 15);
    "small" is the posterior's own, beta~; "large" is beta. No noise is drawn on the move to CLEAN.
    """

    variance: Literal["learned", "small", "large"] = "learned"

    def __post_init__(self) -> None:
        if self.variance not in ("learned", "small", "large"):
            raise UserError(f"Unknown DDPM variance '{self.variance}'; choose learned, small or large.")

    def step(self, denoise: Denoiser, x: Tensor, move: Move, noise: NoiseSource, i: int, memory: Memory) -> Step:
        """Raises UserError where a variance is to be learned and the network has none."""
        at, to = move
        p = denoise(x, at)
        beta = transition_variance(move)
        mean = at.alpha / to.alpha * (to.sigma / at.sigma) ** 2 * x + to.alpha * beta / at.sigma**2 * p.x0
        if to.sigma == 0:
            return Step(mean, p, None)
        return Step(mean + self._std(p, move) * noise(x, "step", i), p, None)

    def _std(self, p: Prediction, move: Move) -> Tensor | float:
        if self.variance == "large":
            return math.sqrt(transition_variance(move))
        if self.variance == "small":
            return math.sqrt(posterior_variance(move))
        if p.var_interp is None:
            raise UserError("This model has not learned its variance; choose DDPM(variance='small') or 'large'.")
        return (0.5 * learned_log_var(p.var_interp, move)).exp()


@dataclass(frozen=True)
class DDIM:
    """x_s = alpha_s x0 + sqrt(sigma_s^2 - w^2) eps + w z, w^2 = eta^2 var[x_s | x_t, x_0].

    Song, Meng, Ermon 2021 (arXiv 2010.02502), eq. 12 and 16. eta = 0 is Euler's method on the
    probability flow; eta = 1 is DDPM with the small variance, and the ancestral step of Euler's method that
    others call Euler a: sigma_up^2 there is this variance over alpha_s^2.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        check_eta("DDIM", self.eta)

    def step(self, denoise: Denoiser, x: Tensor, move: Move, noise: NoiseSource, i: int, memory: Memory) -> Step:
        """One question; noise is drawn only for eta > 0."""
        p = denoise(x, move.at)
        return Step(ddim_move(p.x0, p.eps, move, self.eta, lambda: noise(x, "step", i)), p, None)


def ddim_move(x0: Tensor, eps: Tensor, move: Move, eta: float, z: Callable[[], Tensor]) -> Tensor:
    """x_s as in `DDIM`; z is drawn where there is a use for it."""
    to = move.to
    var = eta**2 * posterior_variance(move) if eta else 0.0
    x = to.alpha * x0 + math.sqrt(max(to.sigma**2 - var, 0.0)) * eps
    return x + math.sqrt(var) * z() if var else x


def check_eta(name: str, eta: float) -> None:
    """Raises UserError for an eta that is none."""
    if not 0 <= number(f"{name}'s eta", eta, finite=False) <= 1:
        raise UserError(f"{name}'s eta is between 0 and 1, not {eta:g}.")
