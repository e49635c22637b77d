"""Settings: one vocabulary of options for all tasks, and what a model makes of it.

Every option may be left out; the preset answers first, then the model's card, then its stage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict, TypeVar, cast, get_args

from duckrabbit.diffusion.levels import CLEAN, NoiseLevel, Schedule
from duckrabbit.diffusion.plans import Plan, plan_through, start_at_level
from duckrabbit.diffusion.solvers import BY_ESTIMATES, DDPM, SOLVERS, Solver, find_solver
from duckrabbit.diffusion.spacings import Spacing
from duckrabbit.diffusion.trajectory import Constraint
from duckrabbit.errors import UserError
from duckrabbit.guidance.curve import Curve
from duckrabbit.guidance.nodes import Clip, ScaleAt, Threshold
from duckrabbit.guidance.shipped import find_guidance, takes_interval
from duckrabbit.guidance.tree import Guidance
from duckrabbit.models.model import Model, StageFacts
from duckrabbit.registry import find
from duckrabbit.tasks.arguments import check_model, number, one_of, refuse_idle, refuse_unknown, shown, text, whole
from duckrabbit.tasks.courses import COURSES, Course, course_of
from duckrabbit.tasks.sizes import stages_at
from duckrabbit.values import Size

Preset = Literal["cs180", "cs180-2024", "cs180-2025", "cs180-2026"]
Times = Callable[[Schedule, int], Sequence[float]]
"""Times of one's own: (schedule, steps) -> so many times from noise towards the picture."""
Guide = Callable[[Guidance, Guidance, Any], Guidance]
"""A guidance of one's own: (conditional, unconditional, scale) -> a tree."""
T = TypeVar("T")


NOT_ONE_STEP = ("steps", "solver", "spacing", "times", "sigmas")
"""The options that have no effect where noise is taken away in one step."""


class Options(TypedDict, total=False):
    """The options that all tasks share.

    guidance_scale: 1 means none; it holds for the first stage, `guidance_scale_stage2` for later
    ones. guidance_curve: instead of it, "7@0.8,1@0.2" (guidance/curve.py) or a function of the level.
    negative_prompt: what to be guided away from; the model's null prompt by default.
    steps, steps_stage2: network evaluations a stage (moves, for Heun). solver: a name in SOLVERS, as in "ddim:eta=0.5",
    or a solver, as in DDIM(eta=0.5). stage: how many stages to run; all by default. spacing: how the
    steps are spread, or a function of one's own (schedule, steps) -> times. times, sigmas: instead of steps and
    spacing, the levels that the first stage stops at, by time or by sigma / alpha, from noise to picture.
    guidance: instead of classifier-free guidance, a registered name, as in "apg:eta=0.2", or a function
    (conditional, unconditional, scale) -> a guidance tree. constraint: a rule (x, at, noise, i) -> x for every
    state, or its name. interval: guide only while low < sigma / alpha <= high. noise_level: the time
    that a low resolution picture is noised to. preset: a course's numbers (courses.py). size: of the pictures
    of the first stage, "96x64" (width x height) or (height, width); later stages enlarge them as ever.
    """

    guidance_scale: float | None
    guidance_scale_stage2: float | None
    negative_prompt: str | None
    steps: int | None
    steps_stage2: int | None
    solver: str | Solver | None
    stage: int | None
    spacing: Spacing | Times | None
    guidance: str | Guide | None
    guidance_curve: str | ScaleAt | None
    constraint: str | Constraint | None
    times: Sequence[float] | None
    sigmas: Sequence[float] | None
    interval: tuple[float, float] | None
    noise_level: int | None
    preset: Preset | None
    size: str | int | Size | None


@dataclass(frozen=True)
class Settings:
    """Options, every gap filled by what the model wants. `facts` are those of its stages, at the size asked for."""

    guidance_scale: float
    guidance_scale_stage2: float
    negative_prompt: str
    steps: int | None
    steps_stage2: int | None
    solver: str | Solver
    stages: int
    spacing: str | Times | None
    guidance: Guide | None
    curve: ScaleAt | None
    constraint: Constraint | None
    times: tuple[float, ...]
    sigmas: tuple[float, ...]
    interval: tuple[float, float]
    noise_level: int | None
    preset: Preset | None
    facts: tuple[StageFacts, ...]

    @property
    def course(self) -> Course | None:
        """What the preset stands for."""
        return None if self.preset is None else COURSES[self.preset]


def resolve(model: Model, options: Options, own: Collection[str] = (), first: int = 0) -> Settings:
    """Fill the gaps, for the stages from `first` on (counted from 0). `own`: further keywords of the task.

    Raises UserError for options that there are not, that make no sense, or that would change nothing.
    """
    check_model(model)
    refuse_unknown(options, {*Options.__annotations__, *own})
    preset = options.get("preset")
    if preset is not None:
        one_of("preset", preset, get_args(Preset))
    course = course_of(preset, model)
    steps, steps_stage2 = (
        None if (given := options.get(key)) is None else whole(key, given, 1) for key in ("steps", "steps_stage2")
    )
    stages = whole("stage", _given(options.get("stage"), len(model.stages)))
    if not 1 <= stages <= len(model.stages):
        raise UserError(f"{model.card.name} has {len(model.stages)} stage(s); --stage {stages} does not exist.")
    noise_level = options.get("noise_level")
    settings = Settings(
        _number("guidance_scale", options.get("guidance_scale"), course.scale if course else model.card.guidance_scale),
        _number("guidance_scale_stage2", options.get("guidance_scale_stage2"), model.card.guidance_scale_stage2),
        text("negative_prompt", _given(options.get("negative_prompt"), model.card.null_prompt)),
        steps,
        steps_stage2,
        _solver(_given(options.get("solver"), course.solver if course else model.card.solver)),
        stages,
        named("schedule", options.get("spacing"), "spacing"),
        _guide(options.get("guidance")),
        _curve(options.get("guidance_curve")),
        named("constraint", options.get("constraint")),
        _row("times", options.get("times")),
        _row("sigmas", options.get("sigmas")),
        _interval(options.get("interval")),
        _noise_level(model, None if noise_level is None else whole("noise_level", noise_level)),
        preset,
        stages_at(model, options.get("size")),
    )
    _refuse_idle(model, options, settings, first)
    return settings


def _refuse_idle(model: Model, options: Mapping[str, Any], settings: Settings, first: int) -> None:
    """Raises UserError for an option that the stages which run, from `first` on, have no use for."""
    if settings.stages == 1:
        why = "only one stage runs" if len(model.stages) > 1 else f"{model.card.name} has one stage"
        refuse_idle(options, ("steps_stage2", "guidance_scale_stage2", "noise_level"), why)
    if all(scale_at(settings, k) == 1 for k in range(first, settings.stages)):
        refuse_idle(options, ("negative_prompt", "interval", "guidance"), "a guidance scale of 1 is no guidance")
    if settings.curve is not None:
        refuse_idle(options, ("guidance_scale",), "guidance_curve says how strongly to guide at each level")
    if settings.guidance is not None and not takes_interval(settings.guidance):
        refuse_idle(options, ("interval",), "a guidance of your own says itself when it guides")
    if settings.times or settings.sigmas:
        idle = ("steps", "spacing") if settings.stages == 1 else ("steps",)
        named_by = "times" if settings.times else "sigmas"
        refuse_idle(options, (*idle, *(["sigmas"] if settings.times else [])), f"{named_by} says where the steps are")
    course = settings.course
    if course is not None and settings.stages == 1 and course.suits(model.stages[0].schedule):
        refuse_idle(options, ("spacing",), f"the preset {settings.preset} has its own levels")


def scale_at(settings: Settings, stage: int) -> float | ScaleAt:
    """The guidance scale of a stage, or how it varies with the level."""
    if stage > 0:
        return settings.guidance_scale_stage2
    return settings.guidance_scale if settings.curve is None else settings.curve


def plan_of(facts: StageFacts, settings: Settings, stage: int) -> Plan:
    """The full plan of a stage: the course's strided times under its preset, else spaced steps."""
    steps = settings.steps if stage == 0 else settings.steps_stage2
    spacing = settings.spacing or facts.spacing
    schedule, course = facts.schedule, settings.course
    if stage == 0 and (settings.times or settings.sigmas):
        named_levels = [CLEAN if s == 0 else schedule.at_sigma(s) for s in settings.sigmas]
        return plan_through(schedule, settings.times or [at.t for at in named_levels])
    if course is not None and stage == 0 and course.suits(schedule):
        return course.plan(schedule, steps)
    if callable(spacing):
        return plan_through(schedule, _row("spacing", spacing(schedule, steps or facts.steps)))
    lambda_min = facts.lambda_min if isinstance(_found(settings.solver), BY_ESTIMATES) else -math.inf
    return plan_through(schedule, schedule.times(steps or facts.steps, spacing, facts.offset, lambda_min))


def plan_from(facts: StageFacts, settings: Settings, at: NoiseLevel) -> Plan:
    """What there is to walk of the first stage's plan from a level on."""
    course = settings.course
    if course is not None and course.step is not None and not (settings.times or settings.sigmas):
        return course.plan_from(facts.schedule, at.t, settings.steps)
    return start_at_level(plan_of(facts, settings, 0), at)


def solver_of(facts: StageFacts, settings: Settings) -> Solver:
    """The solver by name; "ddpm" takes the variance that the stage was trained with."""
    solver = _found(settings.solver)
    if isinstance(solver, DDPM) and settings.solver == "ddpm":
        return replace(solver, variance=facts.variance)
    return solver


def limited(guidance: Guidance, facts: StageFacts, settings: Settings) -> Guidance:
    """The guidance with x0 held in range at its root, as the stage asks; the course leaves it out."""
    if settings.preset is not None or facts.limiter is None:
        return guidance
    if facts.limiter.ratio is None:
        return Clip(guidance, facts.limiter.max_value)
    return Threshold(guidance, facts.limiter.ratio, facts.limiter.max_value)


def level_words(facts: StageFacts, t: float) -> str:
    """A time of a stage's schedule, as people are told of it."""
    return f"{'sigma' if facts.schedule.one_step else 't'} = {t:g}"


def options_for(method: str, options: Mapping[str, Any]) -> Any:
    """The options of a denoising that a method has a use for: one step has none for the number of steps."""
    return {k: v for k, v in options.items() if method != "one-step" or k not in NOT_ONE_STEP}


def _solver(given: Any) -> str | Solver:
    """The solver that was asked for, by name or itself. Raises UserError where there is none."""
    if isinstance(given, str):
        find_solver(given)  # which it does not, unless there is one
    elif isinstance(given, type) or not callable(getattr(given, "step", None)):
        raise UserError(
            f"solver is a name ({', '.join(SOLVERS)}) or a solver, as in DDIM(eta=0.5); not {shown(given)}."
        )
    return cast("str | Solver", given)


def named(kind: str, given: Any, option: str = "") -> Any:
    """Something of one's own, by its registered name or itself. Raises UserError, naming the `option`, for neither."""
    if isinstance(given, str):
        return find(kind, given)
    if given is not None and not callable(given):
        raise UserError(f"{option or kind} is a registered name or something to call, not {shown(given)}.")
    return given


def _guide(given: Any) -> Any:
    """The guidance that was asked for, by name or itself. Raises UserError where there is none."""
    return find_guidance(given) if isinstance(given, str) else named("guidance", given)


def _curve(given: Any) -> ScaleAt | None:
    """The scale by the level, as text or a function. Raises UserError for what is neither."""
    if given is None or callable(given):
        return cast("ScaleAt | None", given)
    return Curve.parse(text("guidance_curve", given))


def _found(solver: str | Solver) -> Solver:
    return find_solver(solver) if isinstance(solver, str) else solver


def _number(name: str, value: object, default: float) -> float:
    return default if value is None else number(name, value)


def _row(name: str, value: Any) -> tuple[float, ...]:
    """Several numbers, none for None. Raises UserError for what is no row of numbers."""
    if value is None:
        return ()
    try:
        row = tuple(value)
    except TypeError:
        raise UserError(f"{name} is a row of numbers, from noise to picture, not {shown(value)}.") from None
    if not row:
        raise UserError(f"{name} names no level; give one or more, from noise to picture.")
    return tuple(number(f"Each of {name}", each, finite=name != "sigmas") for each in row)


def _interval(value: Any) -> tuple[float, float]:
    """(low, high) in sigma / alpha; high may be infinite. Raises UserError for what is no such pair."""
    if value is None:
        return 0.0, math.inf
    try:
        low, high = value
    except (TypeError, ValueError):
        raise UserError(f"interval is two numbers (low, high) in sigma / alpha, not {shown(value)}.") from None
    return number("interval's low end", low), number("interval's high end", high, finite=False)


def _noise_level(model: Model, level: int | None) -> int | None:
    """The level, looked up before anything runs. Raises UserError for one that no stage can be noised to."""
    for facts in model.stages:
        if level is not None and facts.noising is not None and not 0 <= level < len(facts.noising.alphas_cumprod):
            raise UserError(f"A noise level is from 0 to {len(facts.noising.alphas_cumprod) - 1}, not {level}.")
    return level


def _given(value: T | None, default: T) -> T:
    return default if value is None else value
