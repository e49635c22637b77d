"""Choosing seeds: many are tried at stage I, where it is cheap, and the judge keeps those that it reads best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from duckrabbit.guidance.views.shipped import parse_view
from duckrabbit.report.figures import Run
from duckrabbit.tasks.job import Job, canvas, value_range
from duckrabbit.tasks.results import Result

if TYPE_CHECKING:
    from duckrabbit.evaluation.drawings.readings import Readings, Viewing


@dataclass(frozen=True, eq=False)
class Choice:
    """The seeds that were kept, the best first; `words` says how each was read; `run` makes them, or has them made."""

    seeds: tuple[int, ...]
    words: Mapping[int, str]
    run: Run


def first_stage(job: Job) -> Job:
    """The part of a job that seeds are tried with."""
    return replace(job, stages=job.stages[:1], title=f"trying seeds: {job.title}", composite=None)


def choose(run: Run, job: Job, viewings: Sequence[tuple[Viewing, str]], tried: Sequence[int], count: int) -> Choice:
    """Try the seeds `tried` at stage I and keep the `count` with the largest alignment (evaluation.readings).

    A job of one stage is not run again for those that are kept.
    """
    from duckrabbit.evaluation.drawings.judge import load_judge
    from duckrabbit.evaluation.drawings.readings import read

    judge, _ = load_judge()
    for _, prompt in viewings:
        judge.vocabulary.subject(prompt)  # what the judge does not know is said before anything runs
    trial = first_stage(job)
    result = run(trial, tried, None)
    low, high = value_range(trial)
    readings: Readings = read(judge, ((result.images - low) / (high - low)).clamp(0, 1) * 2 - 1, viewings)
    rows = readings.best(count)
    seeds = tuple(tried[row] for row in rows)
    again = run if len(job.stages) > 1 else lambda *_: _picked(result, job, rows)
    return Choice(seeds, {tried[row]: readings.words(row) for row in rows}, again)


def anagram_viewings(job: Job, prompts: Mapping[str, str]) -> list[tuple[Viewing, str]]:
    """Each view of an anagram with its prompt."""
    return [(parse_view(spec, canvas(job)), prompt) for spec, prompt in prompts.items()]


def _picked(result: Result, job: Job, rows: Sequence[int]) -> Result:
    """The part of a result with these rows."""
    index = torch.tensor(rows)
    images = tuple(stage[index] for stage in result.stage_images)
    seeds = tuple(result.seeds[row] for row in rows)
    return replace(result, job=job, seeds=seeds, images=result.images[index], stage_images=images)
