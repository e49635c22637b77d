"""Jobs: what a task builds, a record stores and `run` runs.

A job says everything about a result but its seeds. It is made of frozen values, so a job can be
changed before it runs (`dataclasses.replace`), a comparison is a list of jobs, and what ran can be
written down and run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from duckrabbit.diffusion.constraints import KnownPixels
from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.plans import Plan
from duckrabbit.diffusion.prediction import Prediction, Query
from duckrabbit.diffusion.solvers import Solver, on_schedule
from duckrabbit.diffusion.trajectory import Constraint, trajectory
from duckrabbit.errors import UserError
from duckrabbit.guidance.tree import Guidance, lower
from duckrabbit.models.model import Model, StageFacts
from duckrabbit.values import Size, shown


@dataclass(frozen=True, eq=False)
class LowRes:
    """The picture that a super-resolution stage enlarges, and the level it is noised to.

    `image` (1 or B, C, h, w) in the model's range; None is the result of the stage before.
    `noise_level` is a time of the stage's noising schedule.
    """

    noise_level: int
    image: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Stage:
    """One walk down a plan with one network of the model.

    `start` (1 or B, C, H, W), in the model's range, is noised to the plan's first level (SDEdit);
    None starts from pure noise. `size`: (height, width) of its pictures; None is the model's own.
    """

    index: int
    guidance: Guidance
    plan: Plan
    solver: Solver
    start: Tensor | None = None
    constrain: Constraint | None = None
    low_res: LowRes | None = None
    size: Size | None = None

    @property
    def asks(self) -> bool:
        """Whether the stage needs its network: a plan that only goes up, the forward process, does not."""
        return any(not move.is_up for move in self.plan)


@dataclass(frozen=True, eq=False)
class Job:
    """A model and the stages to run on it; `composite` puts known pixels back into the result.

    `title` says in a few words what it is, for captions; `notes` what was done to the pictures that it
    was given, in sentences; `request` is the request that it came from, as plain data (tasks/spelling.py),
    where it came from one. `subjects` names those of a list, each of which has a picture of every seed.
    """

    model: Model
    stages: tuple[Stage, ...]
    title: str = ""
    composite: KnownPixels | None = None
    notes: dict[str, str] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    subjects: tuple[str, ...] = ()

    @property
    def of_a_seed(self) -> int:
        """How many pictures each seed makes: one, or one for each subject of a list."""
        return len(self.subjects) or 1


def stage_facts(job: Job, position: int = 0) -> StageFacts:
    """The facts of the stage at a position of a job, -1 the last, at the size of its pictures."""
    return sized_facts(job.model, job.stages[position])


def sized_facts(model: Model, stage: Stage) -> StageFacts:
    """The facts of a stage at the size of its pictures."""
    facts = model.stages[stage.index]
    return facts if stage.size is None else replace(facts, size=stage.size)


def canvas(job: Job) -> Size:
    """(height, width) of what the model's first stage makes in a job, or would make where only a later one runs."""
    own, stage = job.model.stages[0].size, job.stages[0]
    if stage.size is None:
        return own
    times = job.model.stages[stage.index].size[0] // own[0]
    return stage.size[0] // times, stage.size[1] // times


def value_range(job: Job) -> tuple[float, float]:
    """The range of a job's result."""
    return job.model.stages[job.stages[-1].index].value_range


@dataclass(frozen=True)
class Cost:
    """What a stage of a job costs for one seed: moves, network calls, and pictures through the network.

    `questions` is the most pictures of one call (a hybrid with CFG: 3), `pictures` the sum over all calls.
    """

    moves: int
    calls: int
    pictures: int
    questions: int


def cost(job: Job) -> list[Cost]:
    """The cost of each stage for one seed, without any weights.

    The job is walked with a network that answers nothing and counts, so it holds for every solver
    and guidance.
    """
    if not isinstance(job, Job):
        raise UserError(f"What costs is a job, as dr.generate makes it, not {shown(job)}.")
    return [_count(sized_facts(job.model, stage), stage, job.of_a_seed) for stage in job.stages]


def _count(facts: StageFacts, stage: Stage, batch: int) -> Cost:
    asked: list[int] = []

    def counting(queries: list[Query], at: NoiseLevel) -> list[Prediction]:
        asked.append(sum(len(q.x) for q in queries))
        return [Prediction(q.x, q.x, q.x) for q in queries]

    def silent(like: Tensor, purpose: str, i: int) -> Tensor:
        return torch.zeros_like(like)

    blank = torch.zeros((batch, facts.channels, *facts.size), dtype=torch.float32)
    solver = on_schedule(stage.solver, facts.schedule)
    for _ in trajectory(lower(stage.guidance, counting, lambda name: counting), blank, stage.plan, solver, silent):
        pass
    return Cost(len(stage.plan), len(asked), sum(asked), max(asked, default=0))
