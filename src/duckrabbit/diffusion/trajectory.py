"""The loop: the only one in the project.

It is a generator of complete states. Progress bars, filmstrips, previews, early stops and records
consume it; none of them is inside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.plans import Plan
from duckrabbit.diffusion.prediction import Denoiser, Prediction, diffuse
from duckrabbit.diffusion.solvers import Memory, NoiseSource, Solver

Constraint = Callable[[Tensor, NoiseLevel, NoiseSource, int], Tensor]
"""constrain(x, at, noise, i): x, corrected at its level; see constraints."""


class State(NamedTuple):
    """The run after move i: x (B, C, H, W) at the level `at`, and the prediction that led there.

    `prediction` is None after an upward move, which asks nothing.
    """

    i: int
    at: NoiseLevel
    x: Tensor
    prediction: Prediction | None


def trajectory(
    denoise: Denoiser,
    x: Tensor,
    plan: Plan,
    solver: Solver,
    noise: NoiseSource,
    constrain: Constraint | None = None,
    first: int = 0,
) -> Iterator[State]:
    """Walk `plan` from x (B, C, H, W) at its first level, and yield the state after every move.

    Downward moves are the solver's. Upward moves (RePaint) add noise and clear its memory. After
    either, `constrain` corrects x. `first` is the index of the plan's first move within the whole
    run: a run taken up again at move k passes plan[k:] and first = k, and draws the same noise. A
    solver's memory is not part of a state: DPM-Solver++ begins again with a move of order 1.
    """
    memory: Memory = None
    for i, move in enumerate(plan, start=first):
        prediction: Prediction | None = None
        if move.is_up:
            x, memory = diffuse(x, move, noise(x, "up", i)), None
        else:
            x, prediction, memory = solver.step(denoise, x, move, noise, i, memory)
        if constrain is not None:
            x = constrain(x, move.to, noise, i)
        yield State(i, move.to, x, prediction)
