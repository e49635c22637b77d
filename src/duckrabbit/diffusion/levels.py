"""Noise levels, and what a schedule of them answers.

A *noise level* says how much picture and how much noise a noisy picture holds,

    x_t = alpha x_0 + sigma eps,    eps ~ N(0, I),                                        (1)

and a *schedule* gives the level that belongs to a time t. Levels are Python floats, computed once
in double precision: they cost no device synchronisation, carry no dtype, and serve variance
preserving (alpha^2 + sigma^2 = 1), variance exploding (alpha = 1) and flow (alpha = 1 - t,
sigma = t) processes with the same formulas.

Source: Ho, Jain, Abbeel 2020 (arXiv 2006.11239), eq. 4.
"""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple, Protocol

from torch import Tensor

from duckrabbit.errors import UserError


class NoiseLevel(NamedTuple):
    """A point on a schedule: x_t = alpha x_0 + sigma eps.

    `t` is what the network is told; it has no other meaning. `alpha` and `sigma` are at least 0.
    """

    t: float
    alpha: float
    sigma: float

    @property
    def noise_to_signal(self) -> float:
        """sigma / alpha, the "sigma" of Karras et al. 2022; infinite where no picture is left."""
        return self.sigma / self.alpha if self.alpha > 0 else math.inf

    @property
    def half_log_snr(self) -> float:
        """lambda = log(alpha / sigma) (Lu et al. 2022); +inf without noise, -inf without picture."""
        if self.sigma == 0:
            return math.inf
        return math.log(self.alpha / self.sigma) if self.alpha > 0 else -math.inf


CLEAN = NoiseLevel(-1.0, 1.0, 0.0)
"""The level of a picture without noise, one step below t = 0."""


def add_noise(x0: Tensor, at: NoiseLevel, eps: Tensor) -> Tensor:
    """The forward process, x_t = alpha x_0 + sigma eps (eq. 1); any shape, `eps` like `x0`."""
    return at.alpha * x0 + at.sigma * eps


class Schedule(Protocol):
    """What a model was trained on: a level for every time, and the times of a run of n steps.

    A schedule of one's own inherits from this and gives `level`, `at`, `span` and `times`.
    """

    one_step: ClassVar[bool] = False
    """Whether there is no path from noise to a picture: its model takes noise away in one step."""

    @property
    def length(self) -> int | None:
        """How many times there are; None where time is continuous."""
        return None

    def level(self, t: float) -> NoiseLevel:
        """The level at time t, between whole times too. Raises UserError where the schedule has no such time."""

    def at(self, half_log_snr: float) -> NoiseLevel:
        """The level with this log(alpha / sigma), between its times too. Raises UserError where there is none."""

    @property
    def span(self) -> tuple[NoiseLevel, NoiseLevel]:
        """The noisiest level that holds some picture, and the cleanest that holds some noise."""

    def times(
        self, steps: int, spacing: str = "trailing", offset: int = 0, lambda_min: float = -math.inf
    ) -> tuple[float, ...]:
        """`steps` times from noise towards the picture, the clean end left out.

        On the grid of a chain the first has half log SNR `lambda_min` or more. Raises UserError for a spacing that
        it does not have, and for more steps than it has times.
        """

    def at_sigma(self, noise_to_signal: float) -> NoiseLevel:
        """The level with this sigma / alpha, 0 and infinite too. Raises UserError where there is none."""
        if math.isnan(noise_to_signal) or noise_to_signal < 0:
            raise UserError(f"sigma = {noise_to_signal:g} is no amount of noise; choose 0 or more, as in 0.5.")
        return self.at(-math.log(noise_to_signal) if noise_to_signal > 0 else math.inf)

    def quarters(self) -> tuple[float, ...]:
        """Three times to look at: a quarter, a half and three quarters of the way to noise."""
        return (0.25, 0.5, 0.75)
