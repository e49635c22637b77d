"""Jobs: what a task builds, a record stores and `run` runs.

A job says everything about a result but its seeds. It is made of frozen values, so a job can be
changed before it runs (`dataclasses.replace`), a comparison is a list of jobs, and what ran can be
written down and run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from duckrabbit.diffusion.constraints import KnownBand, KnownPixels
from duckrabbit.diffusion.levels import CLEAN, NoiseLevel, add_noise
from duckrabbit.diffusion.plans import Plan
from duckrabbit.diffusion.prediction import Prediction, Query
from duckrabbit.diffusion.solvers import Solver
from duckrabbit.diffusion.streams import Noise
from duckrabbit.diffusion.trajectory import State, trajectory
from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import conditions_of
from duckrabbit.guidance.tree import Guidance, lower
from duckrabbit.models.cascade import enlarge
from duckrabbit.models.model import Model, StageFacts


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
    None starts from pure noise.
    """

    index: int
    guidance: Guidance
    plan: Plan
    solver: Solver
    start: Tensor | None = None
    constrain: KnownPixels | KnownBand | None = None
    low_res: LowRes | None = None


@dataclass(frozen=True, eq=False)
class Job:
    """A model and the stages to run on it; `composite` puts known pixels back into the result.

    `title` says in a few words what it is, for captions.
    """

    model: Model
    stages: tuple[Stage, ...]
    title: str = ""
    composite: KnownPixels | None = None


@dataclass(frozen=True, eq=False)
class Result:
    """What a job made. `images` (B, C, H, W): float32 on the CPU, in the model's range, not clamped.

    `stage_images` are the results of each stage, the last one `images` before the composite;
    `seconds` is the whole time, `stage_seconds` that of each stage with the loading of its weights.
    """

    job: Job
    seeds: tuple[int, ...]
    images: Tensor
    stage_images: tuple[Tensor, ...]
    seconds: float
    stage_seconds: tuple[float, ...] = ()
    micro_batch: int | None = None
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def pixels(self) -> Tensor:
        """uint8 (B, H, W, 3): what is written to a file."""
        from duckrabbit.tasks.pictures import to_pixels

        return to_pixels(self.images, value_range(self.job))

    @property
    def record(self) -> dict[str, object]:
        """The run record: plain data from which `replay` makes the same pictures."""
        from duckrabbit.tasks.records import make_record

        return make_record(self)

    def save(self, folder: str, stem: str = "image") -> list[str]:
        """Write PNG files and the record into `folder`; returns the paths of the pictures."""
        from duckrabbit.tasks.records import save_result

        return [str(path) for path in save_result(self, folder, stem)]


def value_range(job: Job) -> tuple[float, float]:
    """The range of a job's result."""
    return job.model.stages[job.stages[-1].index].value_range


OnState = Callable[[int, State], None]
"""on_state(position of the stage in the job, state): called after every move."""


def run(
    job: Job,
    seeds: Sequence[int] = (180,),
    *,
    micro_batch: int | None = None,
    on_state: OnState | None = None,
) -> Result:
    """Run a job: one picture for every seed.

    `micro_batch` bounds how many pictures the network sees at once; the noise of a seed does not
    depend on it. Raises UserError for seeds that are none, and for output that is not finite.
    """
    if not seeds or any(s < 0 for s in seeds) or (micro_batch is not None and micro_batch < 1):
        raise UserError("A run needs at least one seed of 0 or more, and a micro-batch of 1 or more.")
    began = time.perf_counter()
    job.model.prepare(sorted({c for s in job.stages for c in conditions_of(s.guidance)}, key=str))
    made: list[Tensor] = []
    times = [time.perf_counter()]
    for position, stage in enumerate(job.stages):
        previous = made[-1] if made else None
        for state in walk(job.model, stage, tuple(seeds), previous, micro_batch):
            if on_state is not None:
                on_state(position, state)
        made.append(_finite(state.x))
        times.append(time.perf_counter())
    images = made[-1]
    if job.composite is not None:
        images = job.composite(images, CLEAN, Noise(tuple(seeds)), 0)
    results = tuple(x.float().cpu() for x in made)
    spent = tuple(b - a for a, b in pairwise(times))
    seconds = time.perf_counter() - began
    return Result(job, tuple(seeds), images.float().cpu(), results, seconds, spent, micro_batch)


def run_all(jobs: Sequence[Job], seeds: Sequence[int] = (180,), *, on_state: OnState | None = None) -> list[Result]:
    """Run a comparison, a list of jobs, on the same seeds."""
    return [run(job, seeds, on_state=on_state) for job in jobs]


def walk(
    model: Model,
    stage: Stage,
    seeds: tuple[int, ...],
    previous: Tensor | None = None,
    micro_batch: int | None = None,
) -> Iterator[State]:
    """The states of one stage; `previous` (B, C, h, w) is the result of the stage before it."""
    facts = model.stages[stage.index]
    noise = Noise(seeds, scope=f"stage{stage.index + 1}")
    like = torch.empty(len(seeds), facts.channels, facts.size, facts.size, device=model.device)
    low_res, level = None, 0
    if stage.low_res is not None:
        level = stage.low_res.noise_level
        low_res = _low_res(stage.low_res, facts, previous, like, noise)
    network = model.network(stage.index, low_res, level, micro_batch)
    x = noise(like, "start", 0)
    if stage.start is not None:
        x = add_noise(_spread(stage.start, like), stage.plan[0].at, x)
    else:
        at = stage.plan[0].at
        x = (at.alpha**2 + at.sigma**2) ** 0.5 * x
    return trajectory(lower(stage.guidance, network), x, stage.plan, stage.solver, noise, stage.constrain)


def _low_res(low: LowRes, facts: StageFacts, previous: Tensor | None, like: Tensor, noise: Noise) -> Tensor:
    """The enlarged, noised picture (B, C, H, W); its noise is drawn once, not every step."""
    image = low.image if low.image is not None else previous
    if image is None or facts.noising is None:
        raise UserError("This stage enlarges a picture: give it one, or run the stage before it first.")
    large = enlarge(_spread(image, like[..., : image.shape[-2], : image.shape[-1]]), facts.size)
    return add_noise(large, facts.noising.level(low.noise_level), noise(like, "low_res", 0))


def _spread(image: Tensor, like: Tensor) -> Tensor:
    """One picture for every seed, or one each. Raises UserError for pictures of another number or size."""
    if len(image) not in (1, len(like)) or image.shape[1:] != like.shape[1:]:
        raise UserError(
            f"Pictures of the shape {tuple(image.shape)} do not fit {len(like)} seed(s) at {tuple(like.shape[1:])}; "
            "give one picture, or one for each seed, as the task made it."
        )
    return image.to(like).expand_as(like)


def _finite(x: Tensor) -> Tensor:
    if not torch.isfinite(x).all():
        raise UserError(
            "The model's output is not finite (NaN or infinite). Half precision may be too coarse for it: "
            "try --dtype float32; or its weights are damaged."
        )
    return x


@dataclass(frozen=True)
class Cost:
    """What a stage of a job costs for one seed: moves, network calls, and pictures through it."""

    moves: int
    calls: int
    pictures: int
    questions: int


def cost(job: Job) -> list[Cost]:
    """The cost of each stage for one seed, without any weights.

    The job is walked with a network that answers nothing and counts, so it holds for every solver
    and guidance. `questions` is the most that one call asks (a hybrid with CFG: 3), `pictures` the
    sum over all calls.
    """
    return [_count(job.model.stages[stage.index], stage) for stage in job.stages]


def _count(facts: StageFacts, stage: Stage) -> Cost:
    asked: list[int] = []

    def counting(queries: list[Query], at: NoiseLevel) -> list[Prediction]:
        asked.append(len(queries))
        return [Prediction(q.x, q.x, q.x) for q in queries]

    def silent(like: Tensor, purpose: str, i: int) -> Tensor:
        return torch.zeros_like(like)

    blank = torch.zeros(1, facts.channels, facts.size, facts.size)
    for _ in trajectory(lower(stage.guidance, counting), blank, stage.plan, stage.solver, silent):
        pass
    return Cost(len(stage.plan), len(asked), sum(asked), max(asked))
