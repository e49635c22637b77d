"""Asking: from a request to the model that it names and the jobs that it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from duckrabbit.errors import UserError
from duckrabbit.models.model import Model, StageFacts
from duckrabbit.tasks import hybrids, tasks
from duckrabbit.tasks.arguments import refuse_empty, refuse_idle
from duckrabbit.tasks.components import subjects_of
from duckrabbit.tasks.courses import COURSES
from duckrabbit.tasks.job import Job
from duckrabbit.tasks.masks import as_mask, box_mask
from duckrabbit.tasks.pictures import Picture, read_picture
from duckrabbit.tasks.requests import (
    Anagram,
    Denoise,
    Edit,
    Generate,
    Hybrid,
    Inpaint,
    Made,
    Noise,
    Request,
    Sampled,
    Upscale,
    prompts_of,
)
from duckrabbit.tasks.settings import NOT_ONE_STEP, Options, options_for
from duckrabbit.tasks.sizes import stages_at
from duckrabbit.tasks.spelling import to_plain
from duckrabbit.tasks.subjects import Subject
from duckrabbit.values import Size


@dataclass(frozen=True, eq=False)
class Asked:
    """What a request means: its jobs, and what it has read for them: a picture, and a mask (1, 1, H, W)."""

    jobs: list[Job]
    picture: Picture | None = None
    mask: Tensor | None = None


_kept: dict[str | None, tuple[tuple[object, ...], Model]] = {}


def model_of(request: Made) -> Model:
    """The model of a request, light: its weights are loaded when a stage runs.

    The last model of each device stays, so that requests one after the other load it once.
    """
    from duckrabbit.models.load import load

    prompts = request.prompt_file if isinstance(request, Sampled) else None
    dtype = request.dtype if isinstance(request, Sampled) else None
    key = (request.model, dtype, prompts)
    if _kept.get(request.device, (None,))[0] != key:
        _kept.pop(request.device, None)
        _kept[request.device] = key, load(request.model, device=request.device, dtype=dtype, prompts=prompts)
    return _kept[request.device][1]


def ask(request: Request) -> Asked:
    """The jobs of a request, one after the other: several where it compares, none where nothing is made.

    Its pictures are read here, and once. Raises UserError for what makes no sense together, and whatever the
    tasks raise.
    """
    for prompt in prompts_of(request):
        refuse_empty(prompt)
    if not isinstance(request, Made):
        return Asked([])
    recorded = {"verb": request.verb, **to_plain(request)}
    asked: Asked = _MAKERS[request.verb](request, model_of(request))
    return replace(asked, jobs=[replace(job, request=recorded) for job in asked.jobs])


def options_of(request: Request, **changed: Any) -> Options:
    """The options of a task that a request gives; `changed` ones instead of its own, None for none."""
    given = {name: getattr(request, name, None) for name in Options.__annotations__} | changed
    return {name: value for name, value in given.items() if value not in (None, ())}  # type: ignore[return-value]


def _generate(request: Generate, model: Model) -> Asked:
    from duckrabbit.models.cards import split_recast
    from duckrabbit.models.load import digits_folder

    if not request.prompts and digits_folder(split_recast(request.model)[0]) is None:
        raise UserError("Say what the picture is to be; only models of digits need not be told.")
    variants = _variants(request)
    jobs = []
    for prompt in request.prompts or [model.card.null_prompt]:
        for words, options in variants:
            job = tasks.generate(model, prompt, **options)
            jobs.append(replace(job, title=f"{job.title}, {words}" if words else job.title))
    return Asked(jobs)


def _variants(request: Generate) -> list[tuple[str, Options]]:
    """All combinations of the steps and the guidance scales, each with a few words where there are several."""
    every = []
    for steps in request.steps or (None,):
        for scale in request.guidance_scale or (None,):
            words = []
            if len(request.steps) > 1:
                words.append(f"{steps} steps")
            if len(request.guidance_scale) > 1:
                words.append("without guidance" if scale == 1 else f"guidance {scale:g}")
            changed: dict[str, Any] = {"steps": steps, "guidance_scale": scale}
            if scale == 1 and any(other != 1 for other in request.guidance_scale):
                changed["negative_prompt"] = None  # it is for the others of the comparison
            every.append((", ".join(words), options_of(request, **changed)))
    return every


def _edit(request: Edit, model: Model) -> Asked:
    if sum(map(bool, (request.start, request.strength, request.t))) > 1:
        raise UserError("Give one of --start, --strength and --t.")
    picture, options = read_picture(request.image).shaped(_canvas(request, model)), options_of(request)
    places: list[dict[str, Any]] = [{"strength": s} for s in request.strength]
    places = places or [{"t": t} for t in request.t]
    places = places or [{"start": i} for i in request.start] or _default_places(request, model, picture)
    jobs = [tasks.edit(model, picture, subject_of(request), **place, **options) for place in places]
    return Asked(jobs, picture)


def _default_places(request: Edit, model: Model, picture: Picture) -> list[dict[str, Any]]:
    """Where an edit starts unless it says so: where the course does, by time, or by the indices that its plan has."""
    course = COURSES[request.preset or "cs180"]
    if course.step is not None:
        return [{"t": t} for t in course.starts]
    whole = tasks.edit(model, picture, subject_of(request), start=0, **options_of(request)).stages[0].plan
    return [{"start": int(i)} for i in course.starts if i < len(whole)] or [{"start": 0}]


def _inpaint(request: Inpaint, model: Model) -> Asked:
    picture, white = _hole_of(request, _canvas(request, model))
    job = tasks.inpaint(
        model, picture, white, subject_of(request),
        jump=request.jump, resample=request.resample, how=request.how, **options_of(request),
    )  # fmt: skip
    return Asked([job], picture, white)


def _canvas(request: Made, model: Model) -> Size:
    """(height, width) of what the first stage makes."""
    return stages_at(model, request.size)[0].size


def _hole_of(request: Inpaint, canvas: Size) -> tuple[Picture, Tensor]:
    """The picture of an inpainting, and its mask (1, 1, H, W). Raises UserError where one is missing."""
    if (request.mask is None) == (request.box is None):
        raise UserError("Say what to make anew: either a MASK (white is new) or --box x0,y0,x1,y1.")
    picture = read_picture(request.image).shaped(canvas)
    if request.mask is not None:
        return picture, as_mask(request.mask, picture, request.invert)
    assert request.box is not None
    inside = box_mask(request.box, picture.middle)
    return picture, 1 - inside if request.invert else inside


def _upscale(request: Upscale, model: Model) -> Asked:
    picture = read_picture(request.image).shaped(_canvas(request, model))
    return Asked([tasks.upscale(model, picture, subject_of(request), **options_of(request))], picture)


def _anagram(request: Anagram, model: Model) -> Asked:
    how: dict[str, Any] = {name: getattr(request, name) or None for name in ("weights", "windows")}
    prompts = views_of(request.prompts, request.views)
    return Asked([tasks.anagram(model, prompts, combine=request.combine, **how, **options_of(request))])


def _hybrid(request: Hybrid, model: Model) -> Asked:
    subjects, options = subjects_of(request), options_of(request)
    if request.family == "composed":
        return Asked([hybrids.composed(model, request.prompts, request.weights or None, **options)])
    if request.family == "low-high":
        shape: dict[str, Any] = {name: getattr(request, name) for name in ("image", "kernel", "sigma", "filter")}
        return Asked([hybrids.hybrid(model, request.low, request.high, **shape, **options)])
    given: list[Any] = [subject for subject in subjects if subject is not None]
    kept: dict[str, Any] = {name: getattr(request, name) for name in ("image", "keep", "kernel")}
    return Asked([hybrids.factorized(model, request.family, given, **kept, **options)])


def _noise(request: Noise, model: Model) -> Asked:
    picture = read_picture(request.image).shaped(_canvas(request, model))
    return Asked([tasks.noise(model, picture, at, size=request.size) for at in times_of(request, model)], picture)


def _denoise(request: Denoise, model: Model) -> Asked:
    options, methods = options_of(request), methods_of(model.stages[0])
    picture = read_picture(request.image).shaped(_canvas(request, model))
    if "iterative" not in methods:
        refuse_idle({**options}, NOT_ONE_STEP, f"{model.card.name} takes noise away in one step")
    jobs = [
        tasks.denoise(model, picture, at, subject_of(request), method=m, **options_for(m, options))
        for at in times_of(request, model)
        for m in methods
    ]
    return Asked(jobs, picture)


_MAKERS: dict[str, Any] = {
    "generate": _generate,
    "edit": _edit,
    "inpaint": _inpaint,
    "upscale": _upscale,
    "anagram": _anagram,
    "hybrid": _hybrid,
    "noise": _noise,
    "denoise": _denoise,
}


def times_of(request: Noise | Denoise, model: Model) -> list[float]:
    """The times that t names or sigma means; by default a quarter, a half and three quarters of the way.

    A picture from 0 to 1 with noise of `sigma` has, in the model's range, sigma times its width.
    """
    if request.t and request.sigma:
        raise UserError("Give either --t or --sigma, not both.")
    facts = model.stages[0]
    low, high = facts.value_range
    if request.sigma:
        return [facts.schedule.at_sigma((high - low) * s).t for s in request.sigma]
    return list(request.t or facts.schedule.quarters())


def methods_of(facts: StageFacts) -> tuple[tasks.Method, ...]:
    """The ways in which a stage can take noise away."""
    return ("one-step",) if facts.schedule.one_step else ("one-step", "iterative")


def subject_of(request: Any) -> Subject | None:
    """One prompt as it is, several as an anagram, none as None. Raises UserError."""
    prompts, views = request.prompts, request.views
    if not prompts and views:
        raise UserError("--view shows a further prompt; give two prompts or more with it.")
    if len(prompts) > 1 or views:
        return views_of(prompts, views)
    return str(prompts[0]) if prompts else None


def views_of(prompts: Sequence[str], views: Sequence[str]) -> dict[str, str]:
    """The first prompt upright, each further one in its view. Raises UserError where they do not fit."""
    if len(prompts) != len(views) + 1:
        raise UserError(
            f"{len(prompts)} prompts need {len(prompts) - 1} --view, one for each prompt after the first; "
            f"there {'is' if len(views) == 1 else 'are'} {len(views)}."
        )
    paired = dict(zip(["identity", *views], prompts, strict=True))
    if len(paired) < len(prompts):
        raise UserError("Each view of an anagram shows one prompt; name no view twice.")
    return paired
