"""Heun's rule, and Karras' churn."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel, Schedule, add_noise
from duckrabbit.diffusion.plans import Move
from duckrabbit.diffusion.prediction import Denoiser, diffuse
from duckrabbit.diffusion.solvers.solver import Memory, NoiseSource, Step, required
from duckrabbit.errors import UserError
from duckrabbit.values import number


@dataclass(frozen=True)
class Heun:
    """The trapezoid rule on dx = x0 dalpha + eps dsigma; order 2, two questions a move.

    Karras et al. 2022 (arXiv 2206.00364), algorithm 1, written so that it also serves schedules
    with alpha -> 0. The move to CLEAN is an Euler step, as there.

    With `churn` it is their algorithm 2: before a move whose sigma / alpha lies within `churned` (low, high), x is
    noised to (1 + churn) sigma / alpha, `spread` (their S_noise) times the noise that this takes; their gamma is
    min(S_churn / moves, sqrt(2) - 1). Nothing is noised beyond the noisiest level of the schedule.
    """

    churn: float = 0.0
    churned: tuple[float, float] = (0.0, math.inf)
    spread: float = 1.0
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        churn, spread = (number(f"Heun's {n}", getattr(self, n), finite=False) for n in ("churn", "spread"))
        if not 0 <= churn <= math.sqrt(2) - 1 + 1e-9 or not 0 < spread < math.inf:
            raise UserError(
                f"Heun's churn is between 0 and 0.414 and its spread above 0, not {churn:g} and {spread:g}."
            )

    def on(self, schedule: Schedule) -> Heun:
        """The solver on a schedule; with churn it asks between its levels."""
        return replace(self, schedule=schedule) if self.churn else self

    def step(self, denoise: Denoiser, x: Tensor, move: Move, noise: NoiseSource, i: int, memory: Memory) -> Step:
        """Euler's guess first, then the mean of both ends' slopes. Raises UserError where churn lacks the schedule."""
        at, to = self._noisier(move.at), move.to
        if at != move.at:
            x = diffuse(x, Move(move.at, at), self.spread * noise(x, "churn", i))
        p = denoise(x, at)
        guess = add_noise(p.x0, to, p.eps)
        if to.sigma == 0:
            return Step(guess, p, None)
        q = denoise(guess, to)
        d_alpha, d_sigma = to.alpha - at.alpha, to.sigma - at.sigma
        return Step(x + d_alpha * (p.x0 + q.x0) / 2 + d_sigma * (p.eps + q.eps) / 2, p, None)

    def _noisier(self, at: NoiseLevel) -> NoiseLevel:
        """Where a move that begins at this level is made from."""
        low, high = self.churned
        if not self.churn or not low <= at.noise_to_signal <= high or math.isinf(at.noise_to_signal):
            return at
        schedule = required(self.schedule)
        try:
            return schedule.at(at.half_log_snr - math.log1p(self.churn))
        except UserError:
            return at
