"""Noise levels, and the schedules they lie on.

A *noise level* says how much picture and how much noise a noisy picture holds,

    x_t = alpha x_0 + sigma eps,    eps ~ N(0, I),                                        (1)

and a *schedule* gives the level that belongs to a time t. Levels are Python floats, computed once
in double precision: they cost no device synchronisation, carry no dtype, and serve variance
preserving (alpha^2 + sigma^2 = 1), variance exploding (alpha = 1) and flow (alpha = 1 - t,
sigma = t) processes with the same formulas.

Sources: Ho, Jain, Abbeel 2020 (arXiv 2006.11239), eq. 4; Nichol and Dhariwal 2021 (2102.09672),
eq. 17; Lipman et al. 2023 (2210.02747); Lin et al. 2024 (2305.08891), algorithm 1.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from operator import mul
from typing import Literal, NamedTuple, Protocol, get_args

from torch import Tensor

from duckrabbit.errors import UserError
from duckrabbit.registry import table

Spacing = Literal["leading", "trailing", "linspace"]
table("schedule").update({name: name for name in get_args(Spacing)})  # each stands for itself: a schedule knows them


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
    """What a model was trained on: a level for every time, and the times of a run of n steps."""

    def level(self, t: float) -> NoiseLevel:
        """The level at time t. Raises UserError where the schedule has no such time."""

    def at(self, half_log_snr: float) -> NoiseLevel:
        """The level with this log(alpha / sigma), between its times too. Raises UserError where there is none."""

    def times(self, steps: int, spacing: Spacing = "leading", offset: int = 0) -> tuple[float, ...]:
        """`steps` times from noise towards the picture, the clean end left out."""


@dataclass(frozen=True)
class DiscreteSchedule:
    """A variance preserving chain of T levels, alpha = sqrt(abar_t), sigma = sqrt(1 - abar_t).

    `alphas_cumprod` holds abar_0 > abar_1 > ... > abar_{T-1}, each in [0, 1]. The time -1 is CLEAN.
    """

    alphas_cumprod: tuple[float, ...]

    def __post_init__(self) -> None:
        abar = self.alphas_cumprod
        if not abar:
            raise UserError("A schedule needs at least one level; alphas_cumprod is empty.")
        if not all(0 <= a <= 1 for a in abar) or any(b >= a for a, b in pairwise(abar)):
            raise UserError("alphas_cumprod must fall strictly from level to level and lie in [0, 1].")

    def level(self, t: float) -> NoiseLevel:
        """The level of the integer time t in -1 ... T - 1."""
        if t == CLEAN.t:
            return CLEAN
        last = len(self.alphas_cumprod) - 1
        if not 0 <= t <= last or t != int(t):
            raise UserError(f"t = {t:g} is outside this schedule; choose a whole number from 0 to {last}.")
        abar = self.alphas_cumprod[int(t)]
        return NoiseLevel(float(t), math.sqrt(abar), math.sqrt(1 - abar))

    def at(self, half_log_snr: float) -> NoiseLevel:
        """The level with this half log SNR; between two times, log(sigma / alpha) is linear in t.

        (Towards a last level without picture, alpha is, and from a first one without noise, sigma.) Raises
        UserError beyond the first and the last level.
        """
        ends, abar = self._half_log_snrs, self.alphas_cumprod
        k = bisect_left(ends, -half_log_snr, key=lambda each: -each)  # the first level with as much noise, or more
        if k == len(ends) or math.isnan(half_log_snr) or (k == 0 and ends[0] != half_log_snr):
            raise UserError(
                f"This schedule has no level of half log SNR {half_log_snr:g}; it has {ends[0]:.3g} to {ends[-1]:.3g}."
            )
        if ends[k] == half_log_snr:
            return self.level(k)
        alpha, sigma = _variance_preserving(half_log_snr)
        if math.isinf(ends[k]):
            share = 1 - alpha / math.sqrt(abar[k - 1])
        elif math.isinf(ends[k - 1]):
            share = sigma / math.sqrt(1 - abar[k])
        else:
            share = (ends[k - 1] - half_log_snr) / (ends[k - 1] - ends[k])
        return NoiseLevel(k - 1 + share, alpha, sigma)

    @cached_property
    def _half_log_snrs(self) -> tuple[float, ...]:
        return tuple(self.level(t).half_log_snr for t in range(len(self.alphas_cumprod)))

    def times(self, steps: int, spacing: Spacing = "leading", offset: int = 0) -> tuple[float, ...]:
        """`steps` times in falling order, spaced as diffusers spaces them (Lin et al. 2024, table 2)."""
        total = len(self.alphas_cumprod)
        if not 1 <= steps <= total:
            raise UserError(f"{steps} steps do not fit this schedule; choose from 1 to {total}.")
        if spacing == "leading":
            times = [i * (total // steps) + offset for i in range(steps)]
        elif spacing == "trailing":
            stride = total - (total - total / steps)  # rounded as numpy.arange rounds it
            times = [round(total - i * stride) - 1 for i in reversed(range(steps))]
        elif spacing == "linspace":
            stride = (total - 1) / max(steps - 1, 1)
            times = [round(i * stride) for i in range(steps)]
        else:
            raise UserError(f"Unknown spacing '{spacing}'; choose leading, trailing or linspace.")
        return tuple(float(t) for t in reversed(times))


@dataclass(frozen=True)
class FlowSchedule:
    """The straight path between picture and noise: alpha = 1 - t, sigma = t, t in [0, 1].

    t = 1 is noise. The course writes tau = 1 - t (Lipman et al. 2023 has noise at 0).
    """

    def level(self, t: float) -> NoiseLevel:
        """The level at time t in [0, 1]; t = -1 is CLEAN."""
        if t == CLEAN.t:
            return CLEAN
        if not 0 <= t <= 1:
            raise UserError(f"t = {t:g} is outside a flow schedule; choose from 0 to 1.")
        return NoiseLevel(float(t), 1.0 - t, float(t))

    def at(self, half_log_snr: float) -> NoiseLevel:
        """The level with this half log SNR, log((1 - t) / t)."""
        alpha, sigma = _variance_preserving(half_log_snr)
        return self.level(sigma / (alpha + sigma))

    def times(self, steps: int, spacing: Spacing = "leading", offset: int = 0) -> tuple[float, ...]:
        """1, 1 - 1/n, ..., 1/n; a flow has one spacing, and no offset."""
        if steps < 1:
            raise UserError(f"{steps} steps do not make a path; choose 1 or more.")
        return tuple(1 - i / steps for i in range(steps))


@dataclass(frozen=True)
class OneStepSchedule:
    """What a one-step denoiser is shown: x_0 + sigma eps, so alpha = 1, and t is sigma itself.

    It was trained at `sigma` and may be asked at any; there is no path from noise to a picture.
    """

    sigma: float

    def level(self, t: float) -> NoiseLevel:
        """The level with t = sigma, from 0 up; t = -1 is CLEAN."""
        if t == CLEAN.t:
            return CLEAN
        if not 0 <= t < math.inf:
            raise UserError(f"sigma = {t:g} is no amount of noise; choose 0 or more, as in 0.5.")
        return NoiseLevel(float(t), 1.0, float(t))

    def at(self, half_log_snr: float) -> NoiseLevel:
        """The level with this half log SNR, -log sigma."""
        return self.level(math.exp(-half_log_snr))

    def times(self, steps: int, spacing: Spacing = "leading", offset: int = 0) -> tuple[float, ...]:
        """Raises UserError: there are none."""
        raise UserError(
            "This model takes noise away in one step and cannot make pictures from it; "
            "use it with `duckrabbit denoise --sigma`, or choose a diffusion model."
        )


def time_at(schedule: Schedule, noise_to_signal: float) -> float:
    """The time whose level has sigma / alpha nearest to `noise_to_signal`, on a schedule of this module.

    Raises UserError for a ratio below 0, and for a schedule of another kind.
    """
    if not 0 <= noise_to_signal < math.inf:
        raise UserError(f"sigma = {noise_to_signal:g} is no amount of noise; choose 0 or more, as in 0.5.")
    if isinstance(schedule, OneStepSchedule):
        return noise_to_signal
    if isinstance(schedule, FlowSchedule):
        return noise_to_signal / (1 + noise_to_signal)
    if isinstance(schedule, DiscreteSchedule):
        levels = [schedule.level(t) for t in range(len(schedule.alphas_cumprod))]
        return min(levels, key=lambda at: abs(at.noise_to_signal - noise_to_signal)).t
    raise UserError("The model's schedule cannot be asked for a sigma; name a time with --t.")


def quarter_times(schedule: Schedule) -> tuple[float, ...]:
    """A quarter, a half and three quarters of the way to noise; of one step, less, as much and more than it knows."""
    if isinstance(schedule, DiscreteSchedule):
        total = len(schedule.alphas_cumprod)
        return tuple(float(total * k // 4) for k in (1, 2, 3))
    if isinstance(schedule, OneStepSchedule):
        return tuple(schedule.sigma * k for k in (0.5, 1.0, 2.0))
    return (0.25, 0.5, 0.75)


def from_betas(betas: Sequence[float]) -> DiscreteSchedule:
    """abar_t = prod_{s <= t} (1 - beta_s) (Ho et al. 2020, below eq. 4)."""
    return DiscreteSchedule(tuple(accumulate((1 - b for b in betas), mul)))


def linear(steps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> DiscreteSchedule:
    """beta_t on a straight line (Ho et al. 2020, section 4)."""
    return from_betas(_line(beta_start, beta_end, steps))


def scaled_linear(steps: int = 1000, beta_start: float = 8.5e-4, beta_end: float = 0.012) -> DiscreteSchedule:
    """sqrt(beta_t) on a straight line (Rombach et al. 2022, their released configuration)."""
    return from_betas([r * r for r in _line(math.sqrt(beta_start), math.sqrt(beta_end), steps)])


def squaredcos_cap_v2(steps: int = 1000, max_beta: float = 0.999) -> DiscreteSchedule:
    """beta_i = min(1 - f((i + 1) / T) / f(i / T), max_beta), f(u) = cos^2((u + .008) / 1.008 pi / 2).

    Nichol and Dhariwal 2021, eq. 17; the schedule of DeepFloyd IF.
    """

    def f(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    return from_betas([min(1 - f((i + 1) / steps) / f(i / steps), max_beta) for i in range(steps)])


def rescale_zero_terminal_snr(schedule: DiscreteSchedule) -> DiscreteSchedule:
    """Shift and scale sqrt(abar_t) so that the last level is pure noise (Lin et al. 2024, alg. 1).

    The first level stays as it is. A network of the noise says nothing about the picture there, so
    a model trained on the result predicts v or x_0.
    """
    if len(schedule.alphas_cumprod) < 2:
        raise UserError("A schedule of one level has no end to move; rescale one of two levels or more.")
    root = [math.sqrt(a) for a in schedule.alphas_cumprod]
    first, last = root[0], root[-1]
    return DiscreteSchedule(tuple(((r - last) * first / (first - last)) ** 2 for r in root))


def _variance_preserving(half_log_snr: float) -> tuple[float, float]:
    """alpha and sigma with alpha^2 + sigma^2 = 1 and log(alpha / sigma) as given, infinite too."""
    ratio = math.exp(-2 * abs(half_log_snr))
    large, small = 1 / math.sqrt(1 + ratio), math.sqrt(ratio / (1 + ratio))
    return (large, small) if half_log_snr >= 0 else (small, large)


def _line(start: float, end: float, steps: int) -> list[float]:
    return [start + (end - start) * i / max(steps - 1, 1) for i in range(steps)]
