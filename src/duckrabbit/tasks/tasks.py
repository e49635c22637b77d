"""Tasks: each one only chooses the fields of a job.

A *subject* is what a picture is to be of: a prompt; several prompts by the view that shows them (an
anagram); or any guidance tree. Every task takes every subject, so an anagram inside an inpainted
region needs no code of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal, Unpack

import torch
from torch import Tensor

from duckrabbit.diffusion.constraints import KnownBand, KnownPixels
from duckrabbit.diffusion.levels import CLEAN, OneStepSchedule
from duckrabbit.diffusion.plans import Move, Plan, plan_through, start_at, start_by_strength, time_travel
from duckrabbit.diffusion.solvers import DDIM
from duckrabbit.errors import UserError
from duckrabbit.guidance.filters import LowPass
from duckrabbit.guidance.nodes import CFG, Bands, Mean, Prompt, Viewed
from duckrabbit.guidance.tree import Guidance
from duckrabbit.guidance.views.shipped import needs_symmetric_range, parse_view
from duckrabbit.models.model import Model, StageFacts
from duckrabbit.tasks.job import Job, LowRes, Stage
from duckrabbit.tasks.pictures import Source, as_mask, as_picture, resize, seen, to_range
from duckrabbit.tasks.settings import Options, Settings, limited, plan_of, scale_at, settle, solver_of

Subject = str | Mapping[str, str] | Guidance
"""A prompt; {view: prompt, ...} for an anagram; or a guidance tree."""

COURSE_STEPS = 33
"""The moves between the course's 34 levels; its start indices 1, 3, 5, 7, 10 and 20 count them."""

Constrain = Callable[[StageFacts], KnownPixels | KnownBand]


def generate(model: Model, subject: Subject, **options: Unpack[Options]) -> Job:
    """A picture from pure noise, through every stage (CS180 5A, 1.5 and 1.6)."""
    settings = settle(model, options)
    return _cascade(model, subject, settings, _title(subject))


def anagram(model: Model, prompts: Mapping[str, str], **options: Unpack[Options]) -> Job:
    """A picture that reads as another prompt through each view (CS180 5A, 1.8).

    `prompts` names views: {"identity": "a cat", "flip": "a house"}. Raises UserError for fewer than
    two, and for a view that does not exist or does not suit the model.
    """
    if len(prompts) < 2:
        raise UserError("An anagram needs two prompts or more, each with the view that shows it.")
    return generate(model, prompts, **options)


def hybrid(
    model: Model,
    low: str | None,
    high: str,
    *,
    image: Source | None = None,
    kernel: int = 33,
    sigma: float = 2.0,
    **options: Unpack[Options],
) -> Job:
    """Low frequencies of one thing, high ones of another: near it is `high`, far it is `low` (1.9).

    With `image` the low band is the photograph's, and `low` is None (an inverse problem; Geng et
    al. 2024, Factorized Diffusion, section 3.4). kernel and sigma are pixels at 64 px.
    """
    settings = settle(model, options)
    band = LowPass(kernel, sigma)
    if (low is None) == (image is None):
        raise UserError("The low band of a hybrid is either a prompt or a picture; give one of the two.")
    if image is None:
        assert low is not None
        parts = (_guided(model, low, settings, 0), _guided(model, high, settings, 0))
        tree = Bands((band,), parts)
        return _cascade(model, tree, settings, f"{high} | {low}")
    picture = as_picture(image)

    def keep(facts: StageFacts) -> KnownBand:
        return KnownBand(_at(picture, facts), band)

    return _cascade(model, high, settings, f"{high} | picture", constrain=keep)


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

    `start` is the index of the first move of the plan: 0 keeps nothing, larger keeps more. It counts
    the course's steps: the plan has at most COURSE_STEPS, unless `steps` says otherwise. Or give
    `strength` in (0, 1], 1 keeping nothing. With a prompt it is text-conditional translation (1.7.3).
    """
    settings = settle(model, options)
    if start is not None and settings.steps is None and settings.preset is None:
        settings = replace(settings, steps=min(COURSE_STEPS, model.stages[0].steps))
    if (start is None) == (strength is None):
        raise UserError("Say where to start: either the index of a move (--start) or a --strength, not both.")
    plan = plan_of(model.stages[0], settings, 0)
    if start is not None:
        plan, kept = start_at(plan, start), f"start {start}"
    else:
        assert strength is not None
        plan, kept = start_by_strength(plan, strength), f"strength {strength:g}"
    what = _null(model) if subject is None else subject
    job = _cascade(model, what, settings, kept)
    first = replace(job.stages[0], plan=plan, start=_at(as_picture(image), model.stages[0]))
    return replace(job, stages=(first, *job.stages[1:]))


def inpaint(
    model: Model,
    image: Source,
    mask: Source,
    subject: Subject | None = None,
    *,
    jump: int = 1,
    resample: int = 1,
    how: Literal["renoised", "clean"] = "renoised",
    **options: Unpack[Options],
) -> Job:
    """Make the white part of `mask` anew and keep the rest (CS180 5A, 1.7.2).

    Known pixels are re-noised to every level (`how="clean"`: kept without noise, for comparison).
    `resample` > 1 walks every `jump` moves so many times (RePaint, Lugmayr et al. 2022). The result
    has the picture's own pixels where the mask is black.
    """
    settings = settle(model, options)
    picture = as_picture(image)
    white = as_mask(mask, picture)

    def keep(facts: StageFacts) -> KnownPixels:
        small = (resize(white, facts.size) > 0.5).float()
        if small.min() == small.max():
            raise UserError(
                f"At the model's {facts.size} x {facts.size} pixels nothing is left of the mask's white or black part; "
                "make it larger."
            )
        return KnownPixels(_at(picture, facts), small, how)

    job = _cascade(model, _null(model) if subject is None else subject, settings, _title(subject or "no prompt"), keep)
    first = replace(job.stages[0], plan=time_travel(job.stages[0].plan, jump, resample))
    last = replace(keep(model.stages[job.stages[-1].index]), how="clean")
    return replace(job, stages=(first, *job.stages[1:]), composite=last)


def upscale(model: Model, image: Source, subject: Subject | None = None, **options: Unpack[Options]) -> Job:
    """A picture through the super-resolution stage alone; it is first brought to the size of stage I."""
    settings = settle(model, options)
    if len(model.stages) < 2:
        raise UserError(f"{model.card.name} has no second stage to enlarge with; choose a model that has (see models).")
    what = _null(model) if subject is None else subject
    job = _cascade(model, what, replace(settings, stages=2), "enlarged")
    low = _at(as_picture(image), model.stages[0])
    second = replace(job.stages[1], low_res=LowRes(_noise_level(model.stages[1], settings), low))
    return replace(job, stages=(second,))


def noise(model: Model, image: Source, t: float) -> Job:
    """The forward process (1.1): a picture noised to time t of the model's schedule.

    One upward move from CLEAN, x_t = alpha x_0 + sigma eps; no network is asked or loaded.
    """
    facts = model.stages[0]
    at = facts.schedule.level(t)
    if at.sigma == 0:
        raise UserError(f"At t = {t:g} there is no noise; choose a larger t.")
    plan = (Move(CLEAN, at),)
    stage = Stage(0, Prompt(model.condition(_null(model))), plan, DDIM(), _at(as_picture(image), facts))
    return Job(model, (stage,), f"t = {t:g}")


def denoise(
    model: Model,
    image: Source,
    t: float,
    subject: Subject | None = None,
    *,
    method: Literal["iterative", "one-step"] = "iterative",
    **options: Unpack[Options],
) -> Job:
    """Noise a picture to time t of the model's schedule, and take the noise away (1.3 and 1.4).

    "one-step" takes the network's estimate of the picture; "iterative" walks the plan's remaining
    times. Without a guidance_scale there is no guidance, as in the course.
    """
    if options.get("guidance_scale") is None:
        options["guidance_scale"] = 1.0
    settings = replace(settle(model, options), stages=1)
    facts = model.stages[0]
    at = facts.schedule.level(t)
    if at.sigma == 0:
        raise UserError(f"At {level_words(facts, t)} there is no noise to take away; choose a larger one.")
    if at.alpha == 0:
        raise UserError(f"At {level_words(facts, t)} nothing is left of the picture; choose a smaller one.")
    plan: Plan = (Move(at, CLEAN),)
    what = _role(model) if subject is None else subject
    job = _cascade(model, what, settings, f"{method}, {level_words(facts, t)}", plan=plan)
    if method == "iterative":
        full = plan_of(facts, settings, 0)
        later = [m.at.t for m in full if m.at.t < t]
        ends_clean = full[-1].to == CLEAN or t <= full[-1].to.t
        times = [t, *later] if ends_clean else [t, *later, full[-1].to.t]
        plan = plan_through(facts.schedule, times, to_clean=ends_clean)
    first = replace(job.stages[0], plan=plan, start=_at(as_picture(image), facts))
    if method == "one-step":
        first = replace(first, solver=DDIM())
    return replace(job, stages=(first,))


def level_words(facts: StageFacts, t: float) -> str:
    """A time of a stage's schedule, as people are told of it."""
    return f"{'sigma' if isinstance(facts.schedule, OneStepSchedule) else 't'} = {t:g}"


def _cascade(
    model: Model,
    subject: Subject,
    settings: Settings,
    title: str,
    constrain: Constrain | None = None,
    plan: Plan | None = None,
) -> Job:
    """All stages from pure noise, each on its own plan (or all on `plan`), the later ones on the result before."""
    stages = []
    for k in range(settings.stages):
        facts = model.stages[k]
        tree = limited(
            _tree(model, subject, settings, k), facts, settings if k == 0 else replace(settings, preset=None)
        )
        low = None if facts.noising is None else LowRes(_noise_level(facts, settings))
        keep = None if constrain is None else constrain(facts)
        walk = plan or plan_of(facts, settings, k)
        stages.append(Stage(k, tree, walk, solver_of(facts, settings), None, keep, low))
    return Job(model, tuple(stages), title)


def _tree(model: Model, subject: Subject, settings: Settings, stage: int) -> Guidance:
    if isinstance(subject, Guidance):
        return subject
    if isinstance(subject, str):
        return _guided(model, subject, settings, stage)
    facts = model.stages[0]
    viewed: list[Viewed] = []
    for spec, prompt in subject.items():
        view = parse_view(spec, facts.size)
        if any(view == other.view for other in viewed):
            raise UserError(f"Each view of an anagram shows one prompt, and {spec} is there twice; name another.")
        low, high = facts.value_range
        if needs_symmetric_range(view) and low != -high:
            raise UserError(
                f"The view {spec} needs values that are symmetric about 0; {model.card.name} has {low:g} to {high:g}."
            )
        for each in model.stages:
            view(torch.zeros(1, each.channels, each.size, each.size))  # a view that does not fit says so before a run
        viewed.append(Viewed(view, _guided(model, prompt, settings, stage)))
    return Mean(tuple(viewed))


def _guided(model: Model, prompt: str, settings: Settings, stage: int) -> Guidance:
    """A prompt with guidance, away from the negative prompt."""
    condition = Prompt(model.condition(prompt))
    null = Prompt(model.condition(settings.negative_prompt))
    return CFG(condition, null, scale_at(settings, stage), settings.interval)


def _null(model: Model) -> str:
    return model.card.null_prompt


def _role(model: Model) -> str:
    """The prompt that plays "a picture of anything": the course's "a high quality photo"."""
    return str(model.card.roles.get("null", model.card.null_prompt))


def _noise_level(facts: StageFacts, settings: Settings) -> int:
    return facts.noise_level if settings.noise_level is None else settings.noise_level


def _at(picture: Tensor, facts: StageFacts) -> Tensor:
    """A picture as a stage sees it: its size, its channels, its range."""
    return to_range(seen(picture, facts.size, facts.channels), facts.value_range)


def _title(subject: Subject) -> str:
    if isinstance(subject, str):
        return subject or "no prompt"
    return " | ".join(subject.values()) if isinstance(subject, Mapping) else type(subject).__name__
