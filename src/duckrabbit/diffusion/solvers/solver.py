"""Solvers: how to make one move with a denoiser.

With t = `at`, s = `to` and r = alpha_t / alpha_s, one transition serves every schedule:

    q(x_s | x_t, x_0) = N( r sigma_s^2 / sigma_t^2 x_t + alpha_s beta / sigma_t^2 x_0,  beta sigma_s^2 / sigma_t^2 ),
    beta = sigma_t^2 - r^2 sigma_s^2.                                                               (1)

A solver asks the denoiser as often as it likes and hands its memory back as a value. A new solver
is a frozen dataclass with a `step` method, and one line in SOLVERS. One that asks between the two levels
of a move has a method `on(schedule)` besides, which gives the solver that knows where such levels are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel, Schedule
from duckrabbit.diffusion.plans import Move
from duckrabbit.diffusion.prediction import Denoiser, Prediction
from duckrabbit.errors import UserError

NoiseSource = Callable[[Tensor, str, int], Tensor]
"""noise(like, purpose, i): standard normal, shaped like `like`; see streams.Noise."""


class Past(NamedTuple):
    """What was known where a move began: its level, the estimate of x0 there, and x; (B, C, H, W) both.

    `made`: the x that the move led to, before any constraint, for solvers that look back at it.
    """

    at: NoiseLevel
    x0: Tensor
    x: Tensor
    made: Tensor | None = None


Memory = tuple[Past, ...] | None
"""What a solver remembers of the moves before, the newest first."""


class Step(NamedTuple):
    """A made move: the new x (B, C, H, W), the prediction it was made with, what to remember."""

    x: Tensor
    prediction: Prediction
    memory: Memory


class Solver(Protocol):
    """Anything that can move x down one move of a plan."""

    def step(self, denoise: Denoiser, x: Tensor, move: Move, noise: NoiseSource, i: int, memory: Memory) -> Step:
        """Move x from `move.at` to `move.to`; `i` counts the moves of the run."""


def on_schedule(solver: Solver, schedule: Schedule) -> Solver:
    """The solver as it walks this schedule: one that asks between levels is told where they are."""
    on = getattr(solver, "on", None)
    found: Solver = solver if on is None else on(schedule)
    return found


def level_between(schedule: Schedule | None, move: Move, share: float) -> NoiseLevel:
    """The level at this share of the way through a move, in half log SNR; 0 is `move.at` and 1 is `move.to`.

    Raises UserError without a schedule.
    """
    a, b = move.at.half_log_snr, move.to.half_log_snr
    return required(schedule).at(a + share * (b - a))


def required(schedule: Schedule | None) -> Schedule:
    """The schedule of a solver that asks between levels. Raises UserError where it was not told it."""
    if schedule is None:
        raise UserError("This solver asks between two levels; tell it where they are: solver.on(facts.schedule).")
    return schedule
