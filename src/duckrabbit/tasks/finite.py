"""Looking for NaN in a run, while the device that computes it goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

from duckrabbit.diffusion.trajectory import State
from duckrabbit.errors import UserError
from duckrabbit.guidance.gradient import Gradient
from duckrabbit.guidance.nodes import CFG, nodes_of
from duckrabbit.tasks.job import Stage

BEHIND = 2
"""So many moves after it was made a state is waited for, where its device has not said yet that it is finite."""
LARGE = 1000.0
"""Guidance scales from here on are no slip of a number that works: 1 to 30 are."""
HALF = ("float16", "bfloat16")


class FiniteCheck:
    """Whether x is finite, as its device tells in its own time: at once on a CPU, by an event on CUDA.

    Other devices have no event that is tried out here, and reading the answer waits for all that they were given.
    """

    def __init__(self, x: Tensor) -> None:
        self._flag, self._event = torch.isfinite(x).all(), None
        if x.device.type == "cuda":
            pinned = torch.empty((), dtype=torch.bool, pin_memory=True)
            self._flag, self._event = pinned.copy_(self._flag, non_blocking=True), torch.cuda.Event()
            self._event.record(torch.cuda.current_stream(x.device))

    @property
    def known(self) -> bool:
        """Whether `finite` can be read without waiting."""
        return self._flag.device.type == "cpu" and (self._event is None or self._event.query())

    @property
    def finite(self) -> bool:
        """The answer; waited for if it is not known, but for no later work of a CUDA device."""
        if self._event is not None:
            self._event.synchronize()
        return bool(self._flag)


def finite(states: Iterator[State], stage: Stage, dtype: str = "") -> Iterator[State]:
    """`states`, each looked at for what is not finite; `dtype` is what the model computes in.

    Raises UserError before it is given where the device has told by then, as a CPU has; else at most BEHIND moves
    later, and before the last state is given.
    """
    checks: deque[tuple[int, FiniteCheck]] = deque()
    for moves, state in enumerate(states, 1):
        checks.append((moves, FiniteCheck(state.x)))
        while checks and (checks[0][1].known or len(checks) > BEHIND or moves == len(stage.plan)):
            after, check = checks.popleft()
            if not check.finite:
                raise UserError(
                    f"The model's output is not finite (NaN or infinite) after {after} of {len(stage.plan)} moves of "
                    f"stage {stage.index + 1}. {_cause(stage, dtype)}"
                )
        yield state


def _cause(stage: Stage, dtype: str) -> str:
    """What may be at fault, the likeliest first, and what to do about it."""
    nodes = [node for _, node in nodes_of(stage.guidance) if isinstance(node, CFG | Gradient)]
    scales = [abs(node.scale(move.at) if callable(node.scale) else node.scale) for node in nodes for move in stage.plan]
    if max(scales, default=0) >= LARGE:
        return f"A guidance scale of {max(scales):g} is very large: lower it."
    if dtype in HALF:
        return f"Half precision ({dtype}) may be too coarse for it: try --dtype float32; or its weights are damaged."
    return "Its weights may be damaged: get the model again."
