"""DPM-Solver++: exponential integrators of x0 (Lu et al. 2022, arXiv 2211.01095)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel, Schedule, add_noise
from duckrabbit.diffusion.plans import Move
from duckrabbit.diffusion.prediction import Denoiser, Prediction, from_x0
from duckrabbit.diffusion.solvers.ancestral import check_eta, ddim_move
from duckrabbit.diffusion.solvers.solver import Memory, NoiseSource, Past, Step, level_between


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
        check_eta("DPM-Solver++", self.eta)

    def step(self, denoise: Denoiser, x: Tensor, move: Move, noise: NoiseSource, i: int, memory: Memory) -> Step:
        """The first move, and the first after an upward one, is of order 1."""
        at, to = move
        p = denoise(x, at)
        if to.sigma == 0:
            return Step(p.x0, p, None)
        h = to.half_log_snr - at.half_log_snr
        d = p
        if memory:
            before, x0_before = memory[0][:2]
            r = (at.half_log_snr - before.half_log_snr) / h
            d = from_x0(x, at, p.x0 + (p.x0 - x0_before) / (2 * r))
        return Step(ddim_move(d.x0, d.eps, move, self.eta, lambda: noise(x, "step", i)), p, (Past(at, p.x0, x),))


@dataclass(frozen=True)
class DPMSolverPP2S:
    """DPM-Solver++(2S): order 2 with two questions a move, the second half-way (in half log SNR).

    Lu et al. 2022, algorithm 1 with r = 1/2: the move of DDIM with the x0 of half-way, which was reached by
    the move of DDIM with the x0 of the beginning. It remembers nothing, so that it suits plans that go up.
    The move to CLEAN is x0 itself, and one that begins without any picture, where nothing lies half-way, is DDIM's.
    """

    schedule: Schedule | None = None

    def on(self, schedule: Schedule) -> DPMSolverPP2S:
        """The solver on a schedule; it asks between its levels."""
        return replace(self, schedule=schedule)

    def step(self, denoise: Denoiser, x: Tensor, move: Move, noise: NoiseSource, i: int, memory: Memory) -> Step:
        """Raises UserError where it was not told the schedule."""
        at, to = move
        p = denoise(x, at)
        if to.sigma == 0:
            return Step(p.x0, p, None)
        if at.alpha == 0:
            return Step(add_noise(p.x0, to, p.eps), p, None)
        half = level_between(self.schedule, move, 0.5)
        d = from_x0(x, at, denoise(add_noise(p.x0, half, p.eps), half).x0)
        return Step(add_noise(d.x0, to, d.eps), p, None)


@dataclass(frozen=True)
class DPMSolverPP3M:
    """DPM-Solver++(3M): order 3 with one question a move, from the last three estimates of x0.

    The multistep form of Lu et al. 2022: x0 along the way as a parabola through three estimates, and the
    integral of their eq. 8 done exactly. (The authors' code and diffusers' solver_order 3 have half of D'', and
    with it order 2.) With
    lambda = log(alpha / sigma), h = lambda_s - lambda_t, r_0 and r_1 the last two steps over h, and
    d_0 = (D_0 - D_1) / r_0, d_1 = (D_1 - D_2) / r_1 for D_k the estimate of k moves ago,

        x_s = sigma_s / sigma_t x_t - alpha_s (e^-h - 1) D_0 + alpha_s ((e^-h - 1) / h + 1) D'
              - alpha_s ((e^-h - 1 + h) / h^2 - 1/2) D'',
        D' = d_0 + r_0 (d_0 - d_1) / (r_0 + r_1),    D'' = 2 (d_0 - d_1) / (r_0 + r_1).

    The first move is one of 2S and the second one of 2M, both of order 2 and only once, so that the
    order of the whole is 3. A move more than twice as long as the one before is one of 2S, too: a parabola
    drawn on so far is worth nothing. The move to CLEAN is x0 itself.
    """

    schedule: Schedule | None = None

    def on(self, schedule: Schedule) -> DPMSolverPP3M:
        """The solver on a schedule; its first move asks between its levels."""
        return replace(self, schedule=schedule)

    def step(self, denoise: Denoiser, x: Tensor, move: Move, noise: NoiseSource, i: int, memory: Memory) -> Step:
        """Raises UserError where it was not told the schedule and needs it."""
        known = memory or ()
        if not known or _leaps(move, known[0].at):
            made = DPMSolverPP2S(self.schedule).step(denoise, x, move, noise, i, None)
        elif len(known) == 1 or move.to.sigma == 0:
            made = DPMSolverPP2M().step(denoise, x, move, noise, i, known)
        else:
            made = _by_parabola(denoise(x, move.at), x, move, known)
        return made._replace(memory=(Past(move.at, made.prediction.x0, x), *known[:1]))


def _by_parabola(p: Prediction, x: Tensor, move: Move, known: tuple[Past, ...]) -> Step:
    """A move of order 3 from the estimate at its beginning and the two before."""
    at, to = move
    (level1, d1), (level2, d2) = known[0][:2], known[1][:2]
    h = to.half_log_snr - at.half_log_snr
    r0 = (at.half_log_snr - level1.half_log_snr) / h
    r1 = (level1.half_log_snr - level2.half_log_snr) / h
    slope0, slope1 = (p.x0 - d1) / r0, (d1 - d2) / r1
    first = slope0 + r0 * (slope0 - slope1) / (r0 + r1)
    second = 2 * (slope0 - slope1) / (r0 + r1)
    shrunk = math.expm1(-h)
    bent = shrunk * p.x0 - (shrunk / h + 1) * first + ((shrunk + h) / h**2 - 0.5) * second
    return Step(to.sigma / at.sigma * x - to.alpha * bent, p, None)


def _leaps(move: Move, before: NoiseLevel) -> bool:
    """Whether a move is more than twice as long as the one before, in half log SNR; never the one to CLEAN."""
    last = move.at.half_log_snr - before.half_log_snr
    return move.to.sigma > 0 and move.to.half_log_snr - move.at.half_log_snr > 2 * last
