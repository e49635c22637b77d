"""Staging: what the tasks share, from a model's facts and settings to the stages of a job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from torch import Tensor

from duckrabbit.diffusion.constraints import KnownBand, KnownPixels
from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.plans import Plan
from duckrabbit.errors import UserError
from duckrabbit.models.model import Model, StageFacts
from duckrabbit.tasks.job import Job, LowRes, Stage, stage_facts
from duckrabbit.tasks.pictures import Picture, to_model_size, to_range
from duckrabbit.tasks.settings import Settings, level_words, limited, plan_of, solver_of
from duckrabbit.tasks.sizes import other_than_own
from duckrabbit.tasks.subjects import Subject, Trees, refuse_aimless

Constrain = Callable[[StageFacts], KnownPixels | KnownBand]
"""Makes the rule that keeps what is known, for a stage."""


def from_noise(
    model: Model,
    trees: Trees,
    settings: Settings,
    options: Mapping[str, object],
    title: str,
    constrain: Constrain | None = None,
    plan: Plan | None = None,
) -> Job:
    """All stages from pure noise, each on its own plan (or all on `plan`), the later ones on the result before.

    Raises UserError for one of the `options` that guides where nothing is to be guided to.
    """
    refuse_aimless(trees, options)
    if constrain is not None and settings.constraint is not None:
        raise UserError("This task keeps what is known by a constraint of its own; leave out yours.")
    stages = []
    for k in range(settings.stages):
        facts = settings.facts[k]
        tree = limited(trees(k), facts, settings if k == 0 else replace(settings, preset=None))
        low = None if facts.noising is None else LowRes(noise_level_of(facts, settings))
        keep = settings.constraint if constrain is None else constrain(facts)
        walk = plan or plan_of(facts, settings, k)
        size = other_than_own(model, k, facts)
        stages.append(Stage(k, tree, walk, solver_of(facts, settings), None, keep, low, size))
    return Job(model, tuple(stages), title, subjects=trees.titles if trees.listed else ())


def or_null(model: Model, subject: Subject | None) -> Subject:
    """The subject; of none, the model's null prompt."""
    return model.card.null_prompt if subject is None else subject


def any_picture(model: Model) -> str:
    """The prompt that plays "a picture of anything": the course's "a high quality photo"."""
    return str(model.card.roles.get("null", model.card.null_prompt))


def noise_level_of(facts: StageFacts, settings: Settings) -> int:
    """The time that the low resolution picture of a stage is noised to."""
    return facts.noise_level if settings.noise_level is None else settings.noise_level


def noisy(facts: StageFacts, t: float) -> NoiseLevel:
    """The level of a time. Raises UserError where it holds no noise."""
    at = facts.schedule.level(t)
    if at.sigma == 0:
        raise UserError(f"At {level_words(facts, t)} there is no noise; choose a larger one.")
    return at


def last_stage(job: Job) -> StageFacts:
    """The facts of the stage that makes the pictures."""
    return stage_facts(job, -1)


def seen_by(picture: Picture, facts: StageFacts) -> Tensor:
    """A picture as a stage sees it: its size, its channels, its range."""
    seen = picture.shaped(facts.size).pixels
    return to_range(to_model_size(seen, facts.size, facts.channels), facts.value_range)
