"""Settings: one vocabulary of options for all tasks, and what a model makes of it.

Every option may be left out; the preset answers first, then the model's card, then its stage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypedDict, TypeVar

from duckrabbit.diffusion.levels import DiscreteSchedule, Schedule, Spacing
from duckrabbit.diffusion.plans import Plan, course_times, plan_through
from duckrabbit.diffusion.solvers import DDPM, DPMSolverPP2M, Solver, find_solver
from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import Clip, Threshold
from duckrabbit.guidance.tree import Guidance
from duckrabbit.models.model import Model, StageFacts

Preset = Literal["cs180"]
T = TypeVar("T")


class Options(TypedDict, total=False):
    """The options that all tasks share.

    guidance_scale: 1 means none; it holds for the first stage, `guidance_scale_stage2` for later
    ones. negative_prompt: what to be guided away from; the model's null prompt by default.
    steps, steps_stage2: network evaluations a stage (moves, for Heun). solver: a name in SOLVERS, as in "ddim:eta=0.5".
    stage: how many stages to run; all by default. spacing: how the steps are spread. interval:
    guide only while low < sigma / alpha <= high. noise_level: the time that a low resolution
    picture is noised to. preset: "cs180" for the course's numbers.
    """

    guidance_scale: float | None
    guidance_scale_stage2: float | None
    negative_prompt: str | None
    steps: int | None
    steps_stage2: int | None
    solver: str | None
    stage: int | None
    spacing: Spacing | None
    interval: tuple[float, float] | None
    noise_level: int | None
    preset: Preset | None


@dataclass(frozen=True)
class Settings:
    """Options, with every gap filled by what the model wants."""

    guidance_scale: float
    guidance_scale_stage2: float
    negative_prompt: str
    steps: int | None
    steps_stage2: int | None
    solver: str
    stages: int
    spacing: Spacing | None
    interval: tuple[float, float]
    noise_level: int | None
    preset: Preset | None


def settle(model: Model, options: Options) -> Settings:
    """Fill the gaps. Raises UserError for options that make no sense, saying which would."""
    preset = options.get("preset")
    if preset not in (None, "cs180"):
        raise UserError(f"There is no preset '{preset}'; there is cs180.")
    for key in ("steps", "steps_stage2"):
        steps = options.get(key)
        if steps is not None and (not isinstance(steps, int) or steps < 1):
            raise UserError(f"{key} is a whole number of 1 or more, not {steps}.")
    stages = _given(options.get("stage"), len(model.stages))
    if not 1 <= stages <= len(model.stages):
        raise UserError(f"{model.card.name} has {len(model.stages)} stage(s); --stage {stages} does not exist.")
    solver = _given(options.get("solver"), "ddpm" if preset else model.card.solver)
    find_solver(solver)  # which it does not, unless there is one
    return Settings(
        _number("guidance_scale", options.get("guidance_scale"), 7.0 if preset else model.card.guidance_scale),
        _number("guidance_scale_stage2", options.get("guidance_scale_stage2"), model.card.guidance_scale_stage2),
        _given(options.get("negative_prompt"), model.card.null_prompt),
        options.get("steps"),
        options.get("steps_stage2"),
        solver,
        stages,
        options.get("spacing"),
        options.get("interval") or (0.0, math.inf),
        _noise_level(model, options.get("noise_level")),
        preset,
    )


def scale_at(settings: Settings, stage: int) -> float:
    """The guidance scale of a stage."""
    return settings.guidance_scale if stage == 0 else settings.guidance_scale_stage2


def plan_of(facts: StageFacts, settings: Settings, stage: int) -> Plan:
    """The full plan of a stage: the course's strided times under its preset, else spaced steps."""
    steps = settings.steps if stage == 0 else settings.steps_stage2
    spacing = settings.spacing or facts.spacing
    schedule: Schedule = facts.schedule
    if settings.preset == "cs180" and stage == 0 and isinstance(schedule, DiscreteSchedule):
        total = len(schedule.alphas_cumprod)
        times = course_times(max(1, 30 * total // 1000), total)
        if steps is not None:
            times = schedule.times(steps + 1, "leading")
        return plan_through(schedule, times, to_clean=False)
    if isinstance(find_solver(settings.solver), DPMSolverPP2M) and isinstance(schedule, DiscreteSchedule):
        schedule = _from_lambda(schedule, facts.lambda_min)
    return plan_through(schedule, schedule.times(steps or facts.steps, spacing, facts.offset))


def solver_of(facts: StageFacts, settings: Settings) -> Solver:
    """The solver by name; "ddpm" takes the variance that the stage was trained with."""
    solver = find_solver(settings.solver)
    if isinstance(solver, DDPM) and settings.solver == "ddpm":
        return replace(solver, variance=facts.variance)
    return solver


def limited(guidance: Guidance, facts: StageFacts, settings: Settings) -> Guidance:
    """The guidance with x0 held in range at its root, as the stage asks; the course leaves it out."""
    if settings.preset == "cs180" or facts.limiter is None:
        return guidance
    if facts.limiter.ratio is None:
        return Clip(guidance, facts.limiter.max_value)
    return Threshold(guidance, facts.limiter.ratio, facts.limiter.max_value)


def _from_lambda(schedule: DiscreteSchedule, lambda_min: float) -> DiscreteSchedule:
    """The part of a schedule with half log SNR >= lambda_min, where DPM-Solver++ is exact enough."""
    usable = [t for t in range(len(schedule.alphas_cumprod)) if schedule.level(t).half_log_snr >= lambda_min]
    return DiscreteSchedule(schedule.alphas_cumprod[: len(usable)])


def _number(name: str, value: float | None, default: float) -> float:
    if value is None:
        return default
    if not math.isfinite(value):
        raise UserError(f"{name} is a finite number, not {value}.")
    return float(value)


def _noise_level(model: Model, level: int | None) -> int | None:
    """The level, looked up before anything runs. Raises UserError for one that no stage can be noised to."""
    for facts in model.stages:
        if level is not None and facts.noising is not None and not 0 <= level < len(facts.noising.alphas_cumprod):
            raise UserError(f"A noise level is from 0 to {len(facts.noising.alphas_cumprod) - 1}, not {level}.")
    return level


def _given(value: T | None, default: T) -> T:
    return default if value is None else value
