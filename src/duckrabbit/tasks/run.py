"""Running a job: stage after stage, each a walk down its plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from duckrabbit.diffusion.levels import CLEAN, NoiseLevel, add_noise
from duckrabbit.diffusion.prediction import Prediction, Query
from duckrabbit.diffusion.streams import Noise
from duckrabbit.diffusion.trajectory import State, trajectory
from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import conditions_of
from duckrabbit.guidance.tree import lower
from duckrabbit.models.model import Model, StageFacts
from duckrabbit.networks.enlarge import enlarge
from duckrabbit.tasks.job import Job, LowRes, Stage
from duckrabbit.tasks.results import Result

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
    job.model.prepare(sorted({c for s in job.stages if s.asks for c in conditions_of(s.guidance)}, key=str))
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
    network = model.network(stage.index, low_res, level, micro_batch) if stage.asks else _silent
    x = noise(like, "start", 0)
    if stage.start is not None:
        x = add_noise(_spread(stage.start, like), stage.plan[0].at, x)
    else:
        at = stage.plan[0].at
        x = (at.alpha**2 + at.sigma**2) ** 0.5 * x
    return trajectory(lower(stage.guidance, network), x, stage.plan, stage.solver, noise, stage.constrain)


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


def _finite(x: Tensor) -> Tensor:
    if not torch.isfinite(x).all():
        raise UserError(
            "The model's output is not finite (NaN or infinite). Half precision may be too coarse for it: "
            "try --dtype float32; or its weights are damaged."
        )
    return x
