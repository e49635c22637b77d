"""Plans: the moves a sampler makes from level to level.

A plan is a tuple of moves. It is made once, before anything runs, and nothing edits it: starting
later (SDEdit), going back up (RePaint) and stopping early are other plans, not other loops.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from duckrabbit.diffusion.levels import CLEAN, NoiseLevel, Schedule
from duckrabbit.errors import UserError


class Move(NamedTuple):
    """One step of a plan: from the level `at` to the level `to`, which may be the noisier one."""

    at: NoiseLevel
    to: NoiseLevel

    @property
    def is_up(self) -> bool:
        """Whether the move adds noise (RePaint's time travel) instead of removing it."""
        return self.to.noise_to_signal > self.at.noise_to_signal


Plan = tuple[Move, ...]


def plan_through(schedule: Schedule, times: Iterable[float], *, to_clean: bool = True) -> Plan:
    """The moves between neighbouring `times`, and from the last of them to CLEAN unless told not to.

    Raises UserError for a time the schedule does not have, times that do not fall, or no move.
    """
    levels = [schedule.level(t) for t in times]
    if to_clean and levels and levels[-1].sigma > 0:
        levels.append(CLEAN)
    if len(levels) < 2:
        raise UserError("A plan needs at least two levels, and so one move.")
    plan = tuple(Move(a, b) for a, b in pairwise(levels))
    if any(a.noise_to_signal <= b.noise_to_signal for a, b in plan):
        raise UserError("The times of a plan must fall from noise to picture; sort them, and name each once.")
    return plan


def course_times(stride: int = 30, total: int = 1000) -> tuple[float, ...]:
    """990, 960, ..., 0: the 34 times of the course (CS180 project 5A, section 1.4)."""
    return tuple(float(t) for t in range((total - 1) // stride * stride, -1, -stride))


def start_at(plan: Plan, index: int) -> Plan:
    """The part of `plan` from move `index` on: SDEdit's start (Meng et al. 2022, arXiv 2108.01073).

    A larger index starts with less noise and stays nearer to the picture.
    """
    if not 0 <= index < len(plan):
        raise UserError(f"Start index {index} is outside this plan; choose from 0 to {len(plan) - 1}.")
    return plan[index:]


def start_at_level(plan: Plan, at: NoiseLevel) -> Plan:
    """What of `plan` comes after this level, from this level on; a move to CLEAN where nothing does."""
    later = tuple(move for move in plan if move.at.noise_to_signal < at.noise_to_signal)
    if later:
        return (Move(at, later[0].at), *later)
    end = plan[-1].to
    return (Move(at, end if end.noise_to_signal < at.noise_to_signal else CLEAN),)


def start_by_strength(plan: Plan, strength: float) -> Plan:
    """The last `strength` of a plan, 0 < strength <= 1; 1 is the whole of it (the diffusers rule)."""
    if not 0 < strength <= 1:
        raise UserError(f"A strength of {strength:g} makes no sense; choose a number above 0 and up to 1.")
    keep = min(int(len(plan) * strength), len(plan))
    if keep == 0:
        raise UserError(f"A strength of {strength:g} leaves none of {len(plan)} moves; raise it, or the steps.")
    return plan[len(plan) - keep :]


def time_travel(plan: Plan, jump: int, resample: int) -> Plan:
    """Walk every stretch of `jump` moves `resample` times, going back up in between.

    Lugmayr et al. 2022 (RePaint, arXiv 2201.09865), section 4.2; `resample = 1` changes nothing.
    As in the authors' code, stretches are counted from the picture's end: the last move is walked
    once, and so are the first (n - 1) mod `jump`. With jump 10 and resample 10, 250 moves become
    2410 down and 216 up; where the authors go up by `jump` unit steps, one move adds the same noise.
    """
    if jump < 1 or resample < 1:
        raise UserError("RePaint's jump and resample are counts; choose 1 or more.")
    head, last = (len(plan) - 1) % jump, len(plan) - 1
    moves = list(plan[:head])
    for start in range(head, last, jump):
        stretch = plan[start : start + jump]
        moves += stretch
        for _ in range(resample - 1):
            moves += [Move(stretch[-1].to, stretch[0].at), *stretch]
    return (*moves, *plan[max(last, 0) :])
