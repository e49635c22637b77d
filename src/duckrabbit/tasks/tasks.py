"""Tasks: each one only chooses the fields of a job. Every task takes every subject (subjects.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, Unpack

from duckrabbit.diffusion.constraints import KnownPixels
from duckrabbit.diffusion.levels import CLEAN
from duckrabbit.diffusion.plans import Move, Plan, start_at, start_by_strength, time_travel
from duckrabbit.diffusion.prediction import View
from duckrabbit.diffusion.solvers import DDIM
from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import Prompt
from duckrabbit.models.model import Model, StageFacts
from duckrabbit.tasks.arguments import check_model, number, one_of, refuse_idle, whole
from duckrabbit.tasks.job import Job, LowRes, Stage
from duckrabbit.tasks.joining import Windows, joining_of
from duckrabbit.tasks.masks import as_mask, share_anew
from duckrabbit.tasks.pictures import Source, notes_on, read_picture, resize
from duckrabbit.tasks.settings import (
    NOT_ONE_STEP,
    Options,
    level_words,
    plan_from,
    plan_of,
    resolve,
)
from duckrabbit.tasks.sizes import other_than_own, stages_at
from duckrabbit.tasks.staging import (
    any_picture,
    from_noise,
    last_stage,
    noise_level_of,
    noisy,
    or_null,
    seen_by,
)
from duckrabbit.tasks.subjects import Subject, refuse_beside, subject_trees
from duckrabbit.values import Size, words_of

COURSE_STEPS = 33
"""The moves between the course's 34 levels; its start indices 1, 3, 5, 7, 10 and 20 count them."""

Method = Literal["iterative", "one-step"]


def generate(model: Model, subject: Subject, **options: Unpack[Options]) -> Job:
    """A picture from pure noise, through every stage (CS180 5A, 1.5 and 1.6)."""
    settings = resolve(model, options)
    trees = subject_trees(model, subject, settings, options)
    return from_noise(model, trees, settings, options, trees.title)


def anagram(
    model: Model,
    prompts: Mapping[str | View, str] | Mapping[str, str],
    *,
    combine: Literal["mean", "alternate", "x0", "rectified", "adaptive"] = "mean",
    weights: Sequence[float] | None = None,
    windows: str | Windows | None = None,
    **options: Unpack[Options],
) -> Job:
    """A picture that reads as another prompt through each view (CS180 5A, 1.8).

    `prompts` names views: {"identity": "a cat", "flip": "a house"}. `weights`, one for each view in their order, are
    scaled to sum to 1. `windows`, "1:0.3,1:0" or pairs, say from which share of noise, 1 to 0, down to which each view
    counts. `combine` (guidance/combining.py): the mean of the views' noises; alternate, a view a step in turn; x0, the
    mean of their pictures, for views that are no isometries; rectified, the mean brought to the variance of noise;
    adaptive, most of the view that the judge of drawings reads least. Raises UserError for fewer than two prompts, for
    a view that does not exist or does not suit the model, and for a combination that would change nothing.
    """
    settings = resolve(model, options, ("combine", "weights", "windows"))
    if not isinstance(prompts, Mapping) or len(prompts) < 2:
        raise UserError("An anagram needs two prompts or more, each with the view that shows it.")
    trees = subject_trees(model, prompts, settings, options, joining_of(len(prompts), combine, weights, windows))
    return from_noise(model, trees, settings, options, trees.title)


def edit(
    model: Model,
    image: Source,
    subject: Subject | None = None,
    *,
    start: int | None = None,
    strength: float | None = None,
    t: float | None = None,
    **options: Unpack[Options],
) -> Job:
    """SDEdit: noise a picture and bring it back (CS180 5A, 1.7; Meng et al. 2022, arXiv 2108.01073).

    `start` is the index of the first move of the plan: larger keeps more. It counts the course's
    steps: the plan has at most COURSE_STEPS, unless `steps` or `times` say otherwise. Or give `strength` in
    (0, 1], or the time `t` of the model's schedule to begin at, between the steps too. The whole plan, start 0
    or strength 1, keeps nothing: it begins from pure noise, as `generate` does. (Few steps begin well below the
    noisiest level: 8 of the oracle at t = 875, where a seventh of a picture would be left.) With a prompt it
    is text-conditional translation (1.7.3).
    """
    settings = resolve(model, options, ("start", "strength", "t"))
    if start is not None and settings.steps is None and settings.preset is None:
        settings = replace(settings, steps=min(COURSE_STEPS, model.stages[0].steps))
    if sum(place is not None for place in (start, strength, t)) != 1:
        raise UserError(
            "Say where to start by one of these: the index of a move (--start), a --strength, a time (--t)."
        )
    facts = settings.facts[0]
    plan = plan_of(facts, settings, 0)
    if start is not None:
        start = whole("start", start)
        rest, kept = start_at(plan, start), f"start {start}"
    elif t is not None:
        at = noisy(facts, number("t", t, finite=False))
        rest, kept = plan_from(facts, settings, at), f"t = {t:g}"
    else:
        strength = number("strength", strength)
        rest, kept = start_by_strength(plan, strength), f"strength {strength:g}"
    trees = subject_trees(model, or_null(model, subject), settings, options)
    job = from_noise(model, trees, settings, options, kept)
    picture = read_picture(image)
    first = replace(job.stages[0], plan=rest, start=None if t is None and rest == plan else seen_by(picture, facts))
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
    picture = read_picture(image).shaped(settings.facts[0].size)
    white = as_mask(mask, picture, invert)

    def keep(facts: StageFacts) -> KnownPixels:
        small = (resize(white, facts.size) > 0.5).float()
        if small.min() == small.max():
            raise UserError(
                f"At the model's {words_of(facts.size)} pixels nothing is left of the mask's white or black part; "
                "make it larger."
            )
        return KnownPixels(seen_by(picture, facts), small, how)

    trees = subject_trees(model, or_null(model, subject), settings, options)
    job = from_noise(model, trees, settings, options, "no prompt" if subject is None else trees.title, keep)
    first = replace(job.stages[0], plan=time_travel(job.stages[0].plan, jump, resample))
    last = replace(keep(last_stage(job)), how="clean")
    notes = {**notes_on(picture, last_stage(job).size), "mask": share_anew(white)}
    return replace(job, stages=(first, *job.stages[1:]), composite=last, notes=notes)


def upscale(model: Model, image: Source, subject: Subject | None = None, **options: Unpack[Options]) -> Job:
    """A picture through the super-resolution stage alone; it is first brought to the size of stage I."""
    settings = resolve(model, options, first=1)
    if len(model.stages) < 2:
        raise UserError(f"{model.card.name} has no second stage to enlarge with; choose a model that has (see models).")
    of_first = ("stage", "steps", "guidance_scale", "guidance_curve", "times", "sigmas", "preset")
    refuse_idle(options, of_first, "stage II runs alone")
    trees = subject_trees(model, or_null(model, subject), settings, options)
    job = from_noise(model, trees, settings, options, "enlarged")
    picture, (facts, later) = read_picture(image), settings.facts[:2]
    second = replace(job.stages[1], low_res=LowRes(noise_level_of(later, settings), seen_by(picture, facts)))
    return replace(job, stages=(second,), notes=notes_on(picture, facts.size, "first "))


def noise(model: Model, image: Source, t: float, *, size: str | int | Size | None = None) -> Job:
    """The forward process (1.1): a picture noised to time t of the model's schedule, of `size` as in Options.

    One upward move from CLEAN, x_t = alpha x_0 + sigma eps; no network is asked or loaded.
    """
    check_model(model)
    facts, t = stages_at(model, size)[0], number("t", t, finite=False)
    at = noisy(facts, t)
    plan = (Move(CLEAN, at),)
    picture = read_picture(image)
    null = Prompt(model.condition(model.card.null_prompt))
    stage = Stage(0, null, plan, DDIM(), seen_by(picture, facts), size=other_than_own(model, 0, facts))
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
    if options.get("guidance_scale") is None and options.get("guidance_curve") is None:
        options["guidance_scale"] = 1.0
    settings = resolve(model, {**options, "stage": 1}, ("method",))
    facts, t = settings.facts[0], number("t", t, finite=False)
    at = noisy(facts, t)
    if at.alpha == 0:
        raise UserError(f"At {level_words(facts, t)} nothing is left of the picture; choose a smaller one.")
    plan: Plan = (Move(at, CLEAN),)
    what = any_picture(model) if subject is None else subject
    trees = subject_trees(model, what, settings, asked)
    job = from_noise(model, trees, settings, asked, f"{method}, {level_words(facts, t)}", plan=plan)
    if method == "iterative":
        plan = plan_from(facts, settings, at)
    picture = read_picture(image)
    first = replace(job.stages[0], plan=plan, start=seen_by(picture, facts))
    if method == "one-step":
        first = replace(first, solver=DDIM())
    return replace(job, stages=(first,), notes=notes_on(picture, facts.size))
