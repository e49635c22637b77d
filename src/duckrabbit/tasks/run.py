"""Running a job: stage after stage, each a walk down its plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Unpack

import torch
from torch import Tensor

from duckrabbit.diffusion.levels import CLEAN, NoiseLevel, add_noise
from duckrabbit.diffusion.prediction import Denoiser, Prediction, Query
from duckrabbit.diffusion.solvers import on_schedule
from duckrabbit.diffusion.streams import Noise
from duckrabbit.diffusion.trajectory import State, trajectory
from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import conditions_of
from duckrabbit.guidance.tree import lower
from duckrabbit.models.model import Model, StageFacts, turn_of
from duckrabbit.networks.enlarge import enlarge
from duckrabbit.tasks.arguments import seeds_of, shown, whole
from duckrabbit.tasks.finite import finite
from duckrabbit.tasks.job import Job, LowRes, Stage, sized_facts
from duckrabbit.tasks.others import Others
from duckrabbit.tasks.results import Result, described
from duckrabbit.tasks.settings import Options
from duckrabbit.tasks.subjects import Subject
from duckrabbit.tasks.tasks import generate

OnState = Callable[[int, State], None]
"""on_state(position of the stage in the job, state): called after every move."""


def run(
    job: Job,
    seeds: int | Iterable[int] = (180,),
    *,
    paired: bool = False,
    micro_batch: int | None = None,
    on_state: OnState | None = None,
) -> Result:
    """Run a job: one picture for every seed, of a whole number or a row of them (arguments.seeds_of).

    Of a list of subjects, each has a picture of every seed, subject after subject; `paired`: the seeds are
    shared out among them in order instead, so that of n subjects and n seeds each subject has its own.
    `micro_batch` bounds how many pictures the network sees at once; the noise of a seed does not
    depend on it. Several threads may run jobs at once, on one model too. Raises UserError, before
    anything runs, for seeds that are none and for a job that no record can hold; and, at most two
    moves after it happened, for a picture that is not finite.
    """
    seeds, micro_batch = _checked(job, seeds, micro_batch, paired)
    ends: dict[int, tuple[Tensor, float]] = {}
    with turn_of(job.model):
        began = time.perf_counter()
        notes, others = _prepared(job)
        ready = time.perf_counter()
        for position, state in _walked(job, seeds, micro_batch, others):
            if on_state is not None:
                on_state(position, state)
            ends[position] = state.x, time.perf_counter()
    made, ended = zip(*ends.values(), strict=True)
    images = made[-1]
    if job.composite is not None:
        images = job.composite(images, CLEAN, Noise(seeds), 0)
    results = tuple(x.float().cpu() for x in made)
    spent = tuple(b - a for a, b in pairwise([ready, *ended]))
    seconds = time.perf_counter() - began
    return Result(job, seeds, images.float().cpu(), results, seconds, spent, micro_batch, {**job.notes, **notes})


def run_all(
    jobs: Sequence[Job], seeds: int | Iterable[int] = (180,), *, on_state: OnState | None = None
) -> list[Result]:
    """Run a comparison, a list of jobs, on the same seeds."""
    if isinstance(jobs, Job) or not isinstance(jobs, Iterable):
        raise UserError(f"A comparison is a list of jobs, not {shown(jobs)}; one job: dr.run.")
    seeds = seeds_of(seeds)
    return [run(job, seeds, on_state=on_state) for job in jobs]


def walk(
    job: Job, seeds: int | Iterable[int] = (180,), *, paired: bool = False, micro_batch: int | None = None
) -> Iterator[State]:
    """`run` as a generator: every state of every stage, as it is made; look, and stop when you like.

        for state in dr.walk(job, seeds=7):
            print(state.at.t, float(state.x.std()))

    What `run` makes is the last state of the last stage, known pixels put back. Raises UserError as `run` does.
    """
    seeds, micro_batch = _checked(job, seeds, micro_batch, paired)
    with turn_of(job.model):
        _, others = _prepared(job)
        for _, state in _walked(job, seeds, micro_batch, others):
            yield state


def denoiser(model: Model, subject: Subject = "", **options: Unpack[Options]) -> Denoiser:
    """The model as one function (x, level) -> Prediction, guided as a task would guide it: the waist of everything.

        denoise = dr.denoiser(model, "a cat", guidance_scale=7)
        x0 = denoise(x, model.stages[0].schedule.level(500)).x0

    x (B, C, H, W) lies in the range of the model's first stage, at the level's noise. Raises UserError as tasks do.
    """
    options["stage"] = 1
    tree = generate(model, subject, **options).stages[0].guidance
    model.prepare(sorted(set(conditions_of(tree)), key=str))
    others = Others(model, {0: tree})
    others.prepare()
    return lower(tree, model.network(0), others.networks(0))


def _checked(
    job: Job, seeds: int | Iterable[int], micro_batch: int | None, paired: bool
) -> tuple[tuple[int, ...], int | None]:
    """A seed for each picture, and the micro-batch. Raises UserError for those that are none, and for no job."""
    if not isinstance(job, Job):
        raise UserError(f"What runs is a job, as dr.generate makes it, not {shown(job)}; several jobs: dr.run_all.")
    rows = seeds_of(seeds, job.of_a_seed) if paired else seeds_of(seeds) * job.of_a_seed
    most = None if micro_batch is None else whole("A micro-batch", micro_batch, 1)
    described(job, {})
    return rows, most


def _prepared(job: Job) -> tuple[dict[str, str], Others]:
    """Make the job's prompts ready; what there is to know of them, in sentences, and the other models that it asks."""
    asked = [stage for stage in job.stages if stage.asks]
    others = Others(job.model, {s.index: s.guidance for s in asked}, {s.index: s.size for s in asked})
    others.prepare()
    conditions = sorted({c for s in job.stages if s.asks for c in conditions_of(s.guidance)}, key=str)
    job.model.prepare(conditions)
    notes: dict[str, str] = job.model.notes_on(conditions) if hasattr(job.model, "notes_on") else {}
    return notes, others


def _walked(job: Job, seeds: tuple[int, ...], micro_batch: int | None, others: Others) -> Iterator[tuple[int, State]]:
    """The states of all stages, each with the position of its stage; a stage begins where the one before it ended."""
    previous = None
    for position, stage in enumerate(job.stages):
        walked = walk_stage(job.model, stage, seeds, previous, micro_batch, others)
        for state in finite(walked, stage, job.model.dtype):
            yield position, state
        previous = state.x


def walk_stage(
    model: Model,
    stage: Stage,
    seeds: tuple[int, ...],
    previous: Tensor | None = None,
    micro_batch: int | None = None,
    others: Others | None = None,
) -> Iterator[State]:
    """The states of one stage; `previous` (B, C, h, w) is the result of the stage before it."""
    facts = sized_facts(model, stage)
    noise = Noise(seeds, scope=f"stage{stage.index + 1}")
    shape = (len(seeds), facts.channels, *facts.size)
    like = torch.empty(shape, dtype=torch.float32, device=model.device)
    low_res, level = None, 0
    if stage.low_res is not None:
        level = stage.low_res.noise_level
        low_res = _low_res(stage.low_res, facts, previous, like, noise)
    network = model.network(stage.index, low_res, level, micro_batch) if stage.asks else _silent
    x = noise(like, "start", 0)
    if stage.start is not None:
        x = add_noise(_spread(stage.start, like), stage.plan[0].at, x)
    else:
        at = stage.plan[0].at
        x = (at.alpha**2 + at.sigma**2) ** 0.5 * x
    solver = on_schedule(stage.solver, facts.schedule)
    asked = others or Others(model, {stage.index: stage.guidance})
    denoise = lower(stage.guidance, network, asked.networks(stage.index, low_res, level, micro_batch))
    return trajectory(denoise, x, stage.plan, solver, noise, stage.constrain)


def _silent(queries: list[Query], at: NoiseLevel) -> list[Prediction]:
    """The network of a stage that asks nothing."""
    raise AssertionError("a plan that only goes up asks nothing")


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
