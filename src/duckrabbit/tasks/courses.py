"""The courses whose numbers a preset stands for: part A of Berkeley's CS180, project 5 (2024, 2025) and 3 (2026)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from duckrabbit.diffusion.levels import Schedule
from duckrabbit.diffusion.plans import Plan, course_times, plan_through
from duckrabbit.errors import UserError
from duckrabbit.models.model import Model


@dataclass(frozen=True)
class Course:
    """One year: its guidance scale, its solver, and where an edit starts unless it says so.

    On a chain it walks every 30th of 1000 times from 990, to t = 0 (stride), and `starts` are indices of moves;
    on a flow steps of `step` counted from the start, the last one shortened, and `starts` are times.
    """

    scale: float
    solver: str
    starts: tuple[float, ...]
    stride: int = 30
    step: float | None = None

    def plan(self, schedule: Schedule, steps: int | None) -> Plan:
        """From noise on, in so many steps where that is said."""
        if self.step is not None:
            return self.plan_from(schedule, 1.0, steps)
        total = schedule.length
        assert total is not None
        times = course_times(max(1, self.stride * total // 1000), total)
        if steps is not None:
            times = schedule.times(steps + 1, "leading")
        return plan_through(schedule, times, to_clean=False)

    def plan_from(self, schedule: Schedule, t: float, steps: int | None) -> Plan:
        """On a flow, from time t to the picture; `steps` are those that the whole way would take."""
        assert self.step is not None
        step = self.step if steps is None else 1 / steps
        count = math.ceil(t / step - 1e-9)
        return plan_through(schedule, [t - k * step for k in range(count)])

    def suits(self, schedule: Schedule) -> bool:
        """Whether a schedule is of the kind that the course walks."""
        return not schedule.one_step and (schedule.length is None) == (self.step is not None)


_CHAIN = Course(scale=7.0, solver="ddpm", starts=(1, 3, 5, 7, 10, 20))
COURSES = {
    "cs180": _CHAIN,
    "cs180-2024": _CHAIN,
    "cs180-2025": _CHAIN,
    "cs180-2026": Course(scale=8.0, solver="ddim", starts=(0.98, 0.96, 0.94, 0.9, 0.86, 0.75, 0.5), step=0.02),
}
"""By the preset's name. The course of 2026 counts time from noise, and its w is one less: w = 7 is scale 8."""


def course_of(preset: str | None, model: Model) -> Course | None:
    """The course of a preset, None for none. Raises UserError for a model that it cannot be walked on."""
    if preset is None:
        return None
    course, schedule = COURSES[preset], model.stages[0].schedule
    if course.step is not None and not course.suits(schedule):
        name = model.card.name
        raise UserError(
            f"The course of 2026 walks a flow, and {name} does not: choose a model of a flow, as miniature@flow."
        )
    return course
