"""Solvers: how to make one move with a denoiser.

With t = `at`, s = `to` and r = alpha_t / alpha_s, one transition serves every schedule:

    q(x_s | x_t, x_0) = N( r sigma_s^2 / sigma_t^2 x_t + alpha_s beta / sigma_t^2 x_0,  beta sigma_s^2 / sigma_t^2 ),
    beta = sigma_t^2 - r^2 sigma_s^2.                                                               (1)

A solver asks the denoiser as often as it likes and hands its memory back as a value. A new solver
is a frozen dataclass with a `step` method, and one line in SOLVERS.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.plans import Move
from duckrabbit.diffusion.prediction import (
    Denoiser,
    Prediction,
    learned_log_var,
    posterior_variance,
    transition_variance,
)
from duckrabbit.errors import UserError
from duckrabbit.registry import find, table

NoiseSource = Callable[[Tensor, str, int], Tensor]
"""noise(like, purpose, i): standard normal, shaped like `like`; see streams.Noise."""

Memory = tuple[NoiseLevel, Tensor] | None


class Step(NamedTuple):
    """A made move: the new x (B, C, H, W), the prediction it was made with, what to remember."""

    x: Tensor
    prediction: Prediction
    memory: Memory


class Solver(Protocol):
    """Anything that can move x down one move of a plan."""

    def step(self, denoise: Denoiser, x: Tensor, move: Move, noise: NoiseSource, i: int, memory: Memory) -> Step:
        """Move x from `move.at` to `move.to`; `i` counts the moves of the run."""
        ...


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
    probability flow; eta = 1 is DDPM with the small variance.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        _check_eta("DDIM", self.eta)

    def step(self, denoise: Denoiser, x: Tensor, move: Move, noise: NoiseSource, i: int, memory: Memory) -> Step:
        """One question; noise is drawn only for eta > 0."""
        p = denoise(x, move.at)
        return Step(_ddim(p.x0, p.eps, move, self.eta, lambda: noise(x, "step", i)), p, None)


def _ddim(x0: Tensor, eps: Tensor, move: Move, eta: float, z: Callable[[], Tensor]) -> Tensor:
    """x_s as in `DDIM`; z is drawn where there is a use for it."""
    to = move.to
    var = eta**2 * posterior_variance(move) if eta else 0.0
    x = to.alpha * x0 + math.sqrt(max(to.sigma**2 - var, 0.0)) * eps
    return x + math.sqrt(var) * z() if var else x


def _check_eta(name: str, eta: float) -> None:
    if not 0 <= eta <= 1:
        raise UserError(f"{name}'s eta is between 0 and 1, not {eta:g}.")


@dataclass(frozen=True)
class Heun:
    """The trapezoid rule on dx = x0 dalpha + eps dsigma; order 2, two questions a move.

    Karras et al. 2022 (arXiv 2206.00364), algorithm 1, written so that it also serves schedules
    with alpha -> 0. The move to CLEAN is an Euler step, as there.
    """

    def step(self, denoise: Denoiser, x: Tensor, move: Move, noise: NoiseSource, i: int, memory: Memory) -> Step:
        """Euler's guess first, then the mean of both ends' slopes."""
        at, to = move
        p = denoise(x, at)
        guess = to.alpha * p.x0 + to.sigma * p.eps
        if to.sigma == 0:
            return Step(guess, p, None)
        q = denoise(guess, to)
        d_alpha, d_sigma = to.alpha - at.alpha, to.sigma - at.sigma
        return Step(x + d_alpha * (p.x0 + q.x0) / 2 + d_sigma * (p.eps + q.eps) / 2, p, None)


@dataclass(frozen=True)
class DPMSolverPP2M:
    """DPM-Solver++(2M): order 2 with one question a move, from the last two estimates of x0.

    Lu et al. 2022 (arXiv 2211.01095), algorithm 2. With lambda = log(alpha / sigma) and
    h = lambda_s - lambda_t:  x_s = sigma_s / sigma_t x_t - alpha_s (e^-h - 1) D,
    D = x0 + (x0 - x0_previous) / (2 r), r = h_previous / h. The move to CLEAN is x0 itself.

    In other words the move of DDIM, with D for x0 and the eps that goes with it; and so it is computed.
    eta = 1 draws anew, as DDIM does, what it takes away, and is their SDE-DPM-Solver++(2M),
    x_s = sigma_s / sigma_t e^-h x_t + alpha_s (1 - e^-2h) D + sigma_s sqrt(1 - e^-2h) z.
    Noise mends what the moves before it did wrong, and eta = 0 keeps a picture's way the same.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        _check_eta("DPM-Solver++", self.eta)

    def step(self, denoise: Denoiser, x: Tensor, move: Move, noise: NoiseSource, i: int, memory: Memory) -> Step:
        """The first move, and the first after an upward one, is of order 1."""
        at, to = move
        p = denoise(x, at)
        if to.sigma == 0:
            return Step(p.x0, p, None)
        h = to.half_log_snr - at.half_log_snr
        d, eps = p.x0, p.eps
        if memory is not None:
            before, x0_before = memory
            r = (at.half_log_snr - before.half_log_snr) / h
            d = p.x0 + (p.x0 - x0_before) / (2 * r)
            eps = (x - at.alpha * d) / at.sigma
        return Step(_ddim(d, eps, move, self.eta, lambda: noise(x, "step", i)), p, (at, p.x0))


SOLVERS: dict[str, Solver] = table("solver")
SOLVERS |= {
    "ddpm": DDPM("learned"),
    "ddpm-small": DDPM("small"),
    "ddpm-large": DDPM("large"),
    "ddim": DDIM(),
    "heun": Heun(),
    "dpm++": DPMSolverPP2M(),
    "sde-dpm++": DPMSolverPP2M(eta=1.0),
}
"""The solvers by the names that commands and records use."""


def find_solver(spec: str) -> Solver:
    """A solver by its name in SOLVERS, its numbers after a colon: "ddim", "ddim:eta=0.5".

    Raises UserError for a name or a number that there is not.
    """
    name, _, numbers = (spec, "", "") if spec in SOLVERS else spec.partition(":")
    solver: Any = find("solver", name)
    try:
        given = {key.strip(): float(value) for key, value in (part.split("=") for part in numbers.split(",") if part)}
        return replace(solver, **given) if given else solver  # type: ignore[no-any-return]
    except (TypeError, ValueError):
        raise UserError(f"The solver {name} cannot be set to '{numbers}'; as an example, ddim:eta=0.5.") from None
