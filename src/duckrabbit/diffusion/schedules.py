"""Schedules: variance preserving chains, straight flows, and what a one-step denoiser is shown.

Sources: Ho, Jain, Abbeel 2020 (arXiv 2006.11239), section 4; Nichol and Dhariwal 2021 (2102.09672),
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

from duckrabbit.diffusion.levels import CLEAN, NoiseLevel, Schedule
from duckrabbit.diffusion.spacings import FLOW_TIMES, flow_times, grid_times, is_by_sigma, sigma_times
from duckrabbit.errors import UserError
from duckrabbit.values import number


@dataclass(frozen=True)
class DiscreteSchedule(Schedule):
    """A variance preserving chain of T levels, alpha = sqrt(abar_t), sigma = sqrt(1 - abar_t).

    `alphas_cumprod` holds abar_0 > abar_1 > ... > abar_{T-1}, each in [0, 1]. The time -1 is CLEAN. Between
    two whole times log(sigma / alpha) is linear in t. (Towards a last level without picture alpha is, and from
    a first one without noise, sigma.)
    """

    alphas_cumprod: tuple[float, ...]

    def __post_init__(self) -> None:
        abar = self.alphas_cumprod
        if not abar:
            raise UserError("A schedule needs at least one level; alphas_cumprod is empty.")
        if not all(0 <= a <= 1 for a in abar) or any(b >= a for a, b in pairwise(abar)):
            raise UserError("alphas_cumprod must fall strictly from level to level and lie in [0, 1].")

    @property
    def length(self) -> int:
        """T."""
        return len(self.alphas_cumprod)

    def level(self, t: float) -> NoiseLevel:
        """The level of the time t in 0 ... T - 1, or -1."""
        if t == CLEAN.t:
            return CLEAN
        if not 0 <= t <= self.length - 1:
            raise UserError(f"t = {t:g} is outside this schedule; choose a number from 0 to {self.length - 1}.")
        k = int(t)
        if t == k:
            abar = self.alphas_cumprod[k]
            return NoiseLevel(float(t), math.sqrt(abar), math.sqrt(1 - abar))
        return NoiseLevel(float(t), *self._between(k + 1, t - k))

    def at(self, half_log_snr: float) -> NoiseLevel:
        """The level with this half log SNR. Raises UserError beyond the first and the last level."""
        ends = self._half_log_snrs
        k = bisect_left(ends, -half_log_snr, key=lambda each: -each)  # the first level with as much noise, or more
        if k == len(ends) or math.isnan(half_log_snr) or (k == 0 and ends[0] != half_log_snr):
            noisiest, cleanest = math.exp(-ends[-1]), math.exp(-ends[0])
            raise UserError(
                f"This schedule has no level of sigma / alpha = {math.exp(min(-half_log_snr, 700.0)):.4g} (half log "
                f"SNR {half_log_snr:.4g}); choose from {cleanest:.4g} to {noisiest:.4g}."
            )
        if ends[k] == half_log_snr:
            return self.level(k)
        alpha, sigma = _variance_preserving(half_log_snr)
        if math.isinf(ends[k]):
            share = 1 - alpha / math.sqrt(self.alphas_cumprod[k - 1])
        elif math.isinf(ends[k - 1]):
            share = sigma / math.sqrt(1 - self.alphas_cumprod[k])
        else:
            share = (ends[k - 1] - half_log_snr) / (ends[k - 1] - ends[k])
        return NoiseLevel(k - 1 + share, alpha, sigma)

    def _between(self, k: int, share: float) -> tuple[float, float]:
        """alpha and sigma at this share of the way from the time k - 1 to k: what `at` reads the other way."""
        (before, after), abar = self._half_log_snrs[k - 1 : k + 1], self.alphas_cumprod
        if math.isinf(after):
            alpha = (1 - share) * math.sqrt(abar[k - 1])
            return alpha, math.sqrt(1 - alpha**2)
        if math.isinf(before):
            sigma = share * math.sqrt(1 - abar[k])
            return math.sqrt(1 - sigma**2), sigma
        return _variance_preserving(before + share * (after - before))

    @cached_property
    def _half_log_snrs(self) -> tuple[float, ...]:
        return tuple(self.level(t).half_log_snr for t in range(self.length))

    @property
    def span(self) -> tuple[NoiseLevel, NoiseLevel]:
        """The last level with alpha > 0, and the first with sigma > 0."""
        abar = self.alphas_cumprod
        return self.level(sum(a > 0 for a in abar) - 1), self.level(sum(a == 1 for a in abar))

    def times(
        self, steps: int, spacing: str = "leading", offset: int = 0, lambda_min: float = -math.inf
    ) -> tuple[float, ...]:
        """Times in falling order; those of a grid are whole, and `offset` moves the leading ones up.

        Of the T times those with half log SNR >= `lambda_min` are used, but for spacings by sigma. "trailing" keeps
        its stride of T / steps where that leaves some out, as diffusers does, and so has fewer steps.
        """
        if is_by_sigma(spacing):
            _check_steps(steps, self.length)
            return sigma_times(self, steps, spacing)
        usable = sum(each >= lambda_min for each in self._half_log_snrs)
        _check_steps(steps, usable - offset * (spacing == "leading") - spacing.endswith("-open"))
        return tuple(float(t) for t in grid_times(spacing, steps, self.length, usable, offset))

    def quarters(self) -> tuple[float, ...]:
        """T / 4, T / 2 and 3 T / 4, in whole numbers."""
        return tuple(float(self.length * k // 4) for k in (1, 2, 3))


@dataclass(frozen=True)
class FlowSchedule(Schedule):
    """The straight path between picture and noise: alpha = 1 - t, sigma = noise_scale t, t in [0, 1].

    t = 1 is noise, of the standard deviation `noise_scale`. The course writes tau = 1 - t (Lipman et al. 2023
    has noise at 0). `shift` k moves the times of a run towards the noise, b -> k b / (1 + (k - 1) b) (Esser et
    al. 2024, arXiv 2403.03206, eq. 23); the levels stay where they are.
    """

    noise_scale: float = 1.0
    shift: float = 1.0

    def __post_init__(self) -> None:
        for name in ("noise_scale", "shift"):
            number(f"A flow's {name}", getattr(self, name), finite=False)
        if not (0 < self.noise_scale < math.inf and 0 < self.shift < math.inf):
            raise UserError(f"A flow's noise scale and shift are above 0, not {self.noise_scale:g} and {self.shift:g}.")

    def level(self, t: float) -> NoiseLevel:
        """The level at time t in [0, 1]; t = -1 is CLEAN."""
        if t == CLEAN.t:
            return CLEAN
        if not 0 <= t <= 1:
            raise UserError(f"t = {t:g} is outside a flow schedule; choose from 0 to 1.")
        return NoiseLevel(float(t), 1.0 - t, self.noise_scale * t)

    def at(self, half_log_snr: float) -> NoiseLevel:
        """The level with this half log SNR, log((1 - t) / (noise_scale t))."""
        alpha, sigma = _variance_preserving(half_log_snr)
        return self.level(sigma / (self.noise_scale * alpha + sigma))

    @property
    def span(self) -> tuple[NoiseLevel, NoiseLevel]:
        """The second and the last but one of the thousandths that flows are trained on in diffusers."""
        return self.level(1 - 1 / FLOW_TIMES), self.level(1 / FLOW_TIMES)

    def times(
        self, steps: int, spacing: str = "trailing", offset: int = 0, lambda_min: float = -math.inf
    ) -> tuple[float, ...]:
        """1, 1 - 1/n, ..., 1/n, shifted; or as diffusers has them; there is no offset, and no `lambda_min`."""
        if steps < 1:
            raise UserError(f"{steps} steps do not make a path; choose 1 or more.")
        if is_by_sigma(spacing):
            return sigma_times(self, steps, spacing)
        return flow_times(spacing, steps, self.shift)


@dataclass(frozen=True)
class OneStepSchedule(Schedule):
    """What a one-step denoiser is shown: x_0 + sigma eps, so alpha = 1, and t is sigma itself.

    It was trained at `sigma` and may be asked at any; there is no path from noise to a picture.
    """

    sigma: float

    one_step = True

    def level(self, t: float) -> NoiseLevel:
        """The level with t = sigma, from 0 up; t = -1 is CLEAN."""
        if t == CLEAN.t:
            return CLEAN
        if not 0 <= t < math.inf:
            raise UserError(f"sigma = {t:g} is no amount of noise; choose 0 or more, as in 0.5.")
        return NoiseLevel(float(t), 1.0, float(t))

    def at(self, half_log_snr: float) -> NoiseLevel:
        """The level with this half log SNR, -log sigma."""
        return self.level(math.exp(-half_log_snr) if half_log_snr > -700 else math.inf)

    @property
    def span(self) -> tuple[NoiseLevel, NoiseLevel]:
        """The one level that it knows."""
        return self.level(self.sigma), self.level(self.sigma)

    def times(
        self, steps: int, spacing: str = "trailing", offset: int = 0, lambda_min: float = -math.inf
    ) -> tuple[float, ...]:
        """Raises UserError: there are none."""
        raise UserError(
            "This model takes noise away in one step and cannot make pictures from it; "
            "use it with `duckrabbit denoise --sigma`, or choose a diffusion model."
        )

    def quarters(self) -> tuple[float, ...]:
        """Less, as much and more than it knows."""
        return tuple(self.sigma * k for k in (0.5, 1.0, 2.0))


def _check_steps(steps: int, most: int) -> None:
    if not 1 <= steps <= most:
        raise UserError(f"{steps} steps do not fit this schedule; choose from 1 to {most}.")


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


def shifted(schedule: DiscreteSchedule, shift: float) -> DiscreteSchedule:
    """The chain whose sigma / alpha is `shift` times that of `schedule` at every time.

    A picture of twice the width, whose noise is averaged over 2 x 2 pixels, is as noisy at shift 2 as the small one was
    (Hoogeboom et al. 2023, arXiv 2301.11093, eq. 4). Raises UserError unless 0 < shift < inf.
    """
    if not 0 < shift < math.inf:
        raise UserError(f"A schedule is shifted by a factor above 0; {shift:g} is none.")
    return DiscreteSchedule(tuple(a / (a + shift**2 * (1 - a)) for a in schedule.alphas_cumprod))


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
