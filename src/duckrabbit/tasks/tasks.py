"""Tasks: each one only chooses the fields of a job. Every task takes every subject (subjects.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal, Unpack

from torch import Tensor

from duckrabbit.diffusion.constraints import KnownBand, KnownPixels
from duckrabbit.diffusion.levels import CLEAN
from duckrabbit.diffusion.plans import Move, Plan, plan_through, start_at, start_by_strength, time_travel
from duckrabbit.diffusion.prediction import View
from duckrabbit.diffusion.solvers import DDIM
from duckrabbit.errors import UserError
from duckrabbit.guidance.filters import Filter, LowPass
from duckrabbit.guidance.nodes import Prompt
from duckrabbit.models.model import Model, StageFacts
from duckrabbit.tasks.arguments import check_model, number, one_of, refuse_idle, whole
from duckrabbit.tasks.job import Job, LowRes, Stage
from duckrabbit.tasks.masks import as_mask, share_anew
from duckrabbit.tasks.pictures import Picture, Source, notes_on, read_picture, resize, to_model_size, to_range
from duckrabbit.tasks.settings import (
    NOT_ONE_STEP,
    Options,
    Settings,
    level_words,
    limited,
    named,
    plan_of,
    resolve,
    solver_of,
)
from duckrabbit.tasks.subjects import Subject, Trees, banded, refuse_beside, subject_trees

COURSE_STEPS = 33
"""The moves between the course's 34 levels; its start indices 1, 3, 5, 7, 10 and 20 count them."""

Constrain = Callable[[StageFacts], KnownPixels | KnownBand]
Method = Literal["iterative", "one-step"]


def generate(model: Model, subject: Subject, **options: Unpack[Options]) -> Job:
    """A picture from pure noise, through every stage (CS180 5A, 1.5 and 1.6)."""
    settings = resolve(model, options)
    trees = subject_trees(model, subject, settings, options)
    return _from_noise(model, trees, settings, trees.title)


def anagram(model: Model, prompts: Mapping[str | View, str] | Mapping[str, str], **options: Unpack[Options]) -> Job:
    """A picture that reads as another prompt through each view (CS180 5A, 1.8).

    `prompts` names views: {"identity": "a cat", "flip": "a house"}. Raises UserError for fewer than
    two, and for a view that does not exist or does not suit the model.
    """
    if not isinstance(prompts, Mapping) or len(prompts) < 2:
        raise UserError("An anagram needs two prompts or more, each with the view that shows it.")
    return generate(model, prompts, **options)


def hybrid(
    model: Model,
    low: Subject | None,
    high: Subject,
    *,
    image: Source | None = None,
    kernel: int = 33,
    sigma: float = 2.0,
    filter: str | Filter | None = None,
    **options: Unpack[Options],
) -> Job:
    """Low frequencies of one thing, high ones of another: near it is `high`, far it is `low` (1.9).

    With `image` the low band is the photograph's, and `low` is None (an inverse problem; Geng et
    al. 2024, Factorized Diffusion, section 3.4). kernel and sigma are pixels at 64 px; `filter` is a
    low pass of one's own instead, or its registered name.
    """
    settings = resolve(model, options, ("image", "kernel", "sigma", "filter"))
    band = _low_pass(kernel, sigma, filter)
    if (low is None) == (image is None):
        raise UserError("The low band of a hybrid is either a prompt or a picture; give one of the two.")
    near = subject_trees(model, high, settings, options)
    if image is None:
        assert low is not None
        trees = banded(band, subject_trees(model, low, settings, options), near)
        return _from_noise(model, trees, settings, trees.title)
    picture = read_picture(image)

    def keep(facts: StageFacts) -> KnownBand:
        return KnownBand(_at(picture, facts), band)

    job = _from_noise(model, near, settings, f"{near.title} | picture", constrain=keep)
    return replace(job, notes=notes_on(picture, _last(job).size))


def _low_pass(kernel: int, sigma: float, filter: str | Filter | None) -> Filter:
    if filter is None:
        return LowPass(whole("kernel", kernel), number("sigma", sigma))
    if (kernel, sigma) != (33, 2.0):
        raise UserError("kernel and sigma would change nothing beside a filter of your own. Leave them out.")
    found: Filter = named("filter", filter)
    return found


def edit(
    model: Model,
    image: Source,
    subject: Subject | None = None,
    *,
    start: int | None = None,
    strength: float | None = None,
    **options: Unpack[Options],
) -> Job:
    """SDEdit: noise a picture and bring it back (CS180 5A, 1.7; Meng et al. 2022, arXiv 2108.01073).

    `start` is the index of the first move of the plan: larger keeps more. It counts the course's
    steps: the plan has at most COURSE_STEPS, unless `steps` says otherwise. Or give `strength` in
    (0, 1]. The whole plan, start 0 or strength 1, keeps nothing: it begins from pure noise, as
    `generate` does. (Few steps begin well below the noisiest level: 8 of the oracle at t = 875, where
    a seventh of a picture would be left.) With a prompt it is text-conditional translation (1.7.3).
    """
    settings = resolve(model, options, ("start", "strength"))
    if start is not None and settings.steps is None and settings.preset is None:
        settings = replace(settings, steps=min(COURSE_STEPS, model.stages[0].steps))
    if (start is None) == (strength is None):
        raise UserError("Say where to start: either the index of a move (--start) or a --strength, not both.")
    plan = plan_of(model.stages[0], settings, 0)
    if start is not None:
        start = whole("start", start)
        rest, kept = start_at(plan, start), f"start {start}"
    else:
        strength = number("strength", strength)
        rest, kept = start_by_strength(plan, strength), f"strength {strength:g}"
    job = _from_noise(model, subject_trees(model, _or_null(model, subject), settings, options), settings, kept)
    picture, facts = read_picture(image), model.stages[0]
    first = replace(job.stages[0], plan=rest, start=_at(picture, facts) if len(rest) < len(plan) else None)
    return replace(job, stages=(first, *job.stages[1:]), notes=notes_on(picture, facts.size))


def inpaint(
    model: Model,
    image: Source,
    mask: Source,
    subject: Subject | None = None,
    *,
    jump: int = 1,
    resample: int = 1,
    how: Literal["renoised", "clean"] = "renoised",
    invert: bool = False,
    **options: Unpack[Options],
) -> Job:
    """Make the white part of `mask` (`invert`: the black one) anew and keep the rest (CS180 5A, 1.7.2).

    Known pixels are re-noised to every level (`how="clean"`: kept without noise, for comparison).
    `resample` > 1 walks every `jump` moves so many times (RePaint, Lugmayr et al. 2022). The result
    has the picture's own pixels where the mask is black.
    """
    settings = resolve(model, options, ("jump", "resample", "how", "invert"))
    jump, resample = whole("jump", jump, 1), whole("resample", resample, 1)
    if jump > 1 and resample == 1:
        raise UserError("jump would change nothing with resample 1, which does not go back. Leave it out.")
    one_of("way to keep known pixels,", how, ("renoised", "clean"))
    picture = read_picture(image)
    white = as_mask(mask, picture, invert)

    def keep(facts: StageFacts) -> KnownPixels:
        small = (resize(white, facts.size) > 0.5).float()
        if small.min() == small.max():
            raise UserError(
                f"At the model's {facts.size} x {facts.size} pixels nothing is left of the mask's white or black part; "
                "make it larger."
            )
        return KnownPixels(_at(picture, facts), small, how)

    trees = subject_trees(model, _or_null(model, subject), settings, options)
    job = _from_noise(model, trees, settings, "no prompt" if subject is None else trees.title, keep)
    first = replace(job.stages[0], plan=time_travel(job.stages[0].plan, jump, resample))
    last = replace(keep(_last(job)), how="clean")
    notes = {**notes_on(picture, _last(job).size), "mask": share_anew(white)}
    return replace(job, stages=(first, *job.stages[1:]), composite=last, notes=notes)


def upscale(model: Model, image: Source, subject: Subject | None = None, **options: Unpack[Options]) -> Job:
    """A picture through the super-resolution stage alone; it is first brought to the size of stage I."""
    settings = resolve(model, options, first=1)
    if len(model.stages) < 2:
        raise UserError(f"{model.card.name} has no second stage to enlarge with; choose a model that has (see models).")
    refuse_idle(options, ("stage", "steps", "guidance_scale", "preset"), "stage II runs alone")
    job = _from_noise(model, subject_trees(model, _or_null(model, subject), settings, options), settings, "enlarged")
    picture, facts = read_picture(image), model.stages[0]
    second = replace(job.stages[1], low_res=LowRes(_noise_level(model.stages[1], settings), _at(picture, facts)))
    return replace(job, stages=(second,), notes=notes_on(picture, facts.size, "first "))


def noise(model: Model, image: Source, t: float) -> Job:
    """The forward process (1.1): a picture noised to time t of the model's schedule.

    One upward move from CLEAN, x_t = alpha x_0 + sigma eps; no network is asked or loaded.
    """
    check_model(model)
    facts, t = model.stages[0], number("t", t, finite=False)
    at = facts.schedule.level(t)
    if at.sigma == 0:
        raise UserError(f"At t = {t:g} there is no noise; choose a larger t.")
    plan = (Move(CLEAN, at),)
    picture = read_picture(image)
    stage = Stage(0, Prompt(model.condition(model.card.null_prompt)), plan, DDIM(), _at(picture, facts))
    return Job(model, (stage,), f"t = {t:g}", notes=notes_on(picture, facts.size))


def denoise(
    model: Model,
    image: Source,
    t: float,
    subject: Subject | None = None,
    *,
    method: Method = "iterative",
    **options: Unpack[Options],
) -> Job:
    """Noise a picture to time t of the model's schedule, and take the noise away (1.3 and 1.4).

    "one-step" takes the network's estimate of the picture; "iterative" walks the plan's remaining
    times. Without a guidance_scale there is no guidance, as in the course.
    """
    asked = dict(options)
    refuse_idle(asked, ("stage", "steps_stage2", "guidance_scale_stage2", "noise_level"), "only stage I runs")
    if one_of("method", method, ("iterative", "one-step")) == "one-step":
        refuse_idle(asked, NOT_ONE_STEP, "there is one step")
    refuse_beside(subject, asked)
    if options.get("guidance_scale") is None:
        options["guidance_scale"] = 1.0
    settings = resolve(model, {**options, "stage": 1}, ("method",))
    facts, t = model.stages[0], number("t", t, finite=False)
    at = facts.schedule.level(t)
    if at.sigma == 0:
        raise UserError(f"At {level_words(facts, t)} there is no noise to take away; choose a larger one.")
    if at.alpha == 0:
        raise UserError(f"At {level_words(facts, t)} nothing is left of the picture; choose a smaller one.")
    plan: Plan = (Move(at, CLEAN),)
    what = _role(model) if subject is None else subject
    trees = subject_trees(model, what, settings, asked)
    job = _from_noise(model, trees, settings, f"{method}, {level_words(facts, t)}", plan=plan)
    if method == "iterative":
        full = plan_of(facts, settings, 0)
        later = [m.at.t for m in full if m.at.t < t]
        ends_clean = full[-1].to == CLEAN or t <= full[-1].to.t
        times = [t, *later] if ends_clean else [t, *later, full[-1].to.t]
        plan = plan_through(facts.schedule, times, to_clean=ends_clean)
    picture = read_picture(image)
    first = replace(job.stages[0], plan=plan, start=_at(picture, facts))
    if method == "one-step":
        first = replace(first, solver=DDIM())
    return replace(job, stages=(first,), notes=notes_on(picture, facts.size))


def _from_noise(
    model: Model,
    trees: Trees,
    settings: Settings,
    title: str,
    constrain: Constrain | None = None,
    plan: Plan | None = None,
) -> Job:
    """All stages from pure noise, each on its own plan (or all on `plan`), the later ones on the result before."""
    if constrain is not None and settings.constraint is not None:
        raise UserError("This task keeps what is known by a constraint of its own; leave out yours.")
    stages = []
    for k in range(settings.stages):
        facts = model.stages[k]
        tree = limited(trees(k), facts, settings if k == 0 else replace(settings, preset=None))
        low = None if facts.noising is None else LowRes(_noise_level(facts, settings))
        keep = settings.constraint if constrain is None else constrain(facts)
        walk = plan or plan_of(facts, settings, k)
        stages.append(Stage(k, tree, walk, solver_of(facts, settings), None, keep, low))
    return Job(model, tuple(stages), title, subjects=trees.titles if trees.listed else ())


def _or_null(model: Model, subject: Subject | None) -> Subject:
    """The subject; of none, the model's null prompt."""
    return model.card.null_prompt if subject is None else subject


def _role(model: Model) -> str:
    """The prompt that plays "a picture of anything": the course's "a high quality photo"."""
    return str(model.card.roles.get("null", model.card.null_prompt))


def _noise_level(facts: StageFacts, settings: Settings) -> int:
    return facts.noise_level if settings.noise_level is None else settings.noise_level


def _last(job: Job) -> StageFacts:
    return job.model.stages[job.stages[-1].index]


def _at(picture: Picture, facts: StageFacts) -> Tensor:
    """A picture as a stage sees it: its size, its channels, its range."""
    return to_range(to_model_size(picture.pixels, facts.size, facts.channels), facts.value_range)
