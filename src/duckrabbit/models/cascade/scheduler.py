"""Scheduler configurations: every field that changes the maths is honoured, or refused by name.

A diffusers folder says in `scheduler_config.json` how its model was trained and is sampled. What is
missing there has the default of the scheduler class that the file names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from duckrabbit.diffusion.prediction import Parameterisation
from duckrabbit.diffusion.schedules import (
    DiscreteSchedule,
    from_betas,
    linear,
    rescale_zero_terminal_snr,
    scaled_linear,
    squaredcos_cap_v2,
)
from duckrabbit.diffusion.spacings import Spacing
from duckrabbit.errors import UserError
from duckrabbit.models.model import Limiter

Variance = Literal["learned", "small", "large"]


@dataclass(frozen=True)
class SchedulerFacts:
    """What a scheduler configuration says. `variance` is None where it says nothing of it.

    `solver` is the name, in diffusion.solvers.SOLVERS, of what the scheduler class does.
    """

    schedule: DiscreteSchedule
    prediction_type: Parameterisation
    variance: Variance | None
    limiter: Limiter | None
    spacing: Spacing
    offset: int
    lambda_min: float
    solver: str


_COMMON: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "rescale_betas_zero_snr": False,
    "prediction_type": "epsilon",
    "variance_type": None,
    "thresholding": False,
    "dynamic_thresholding_ratio": 0.995,
    "sample_max_value": 1.0,
    "clip_sample": True,
    "clip_sample_range": 1.0,
    "timestep_spacing": "leading",
    "steps_offset": 0,
    "lambda_min_clipped": -math.inf,
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "DDPMScheduler": {**_COMMON, "variance_type": "fixed_small"},
    "DDIMScheduler": _COMMON,
    "DPMSolverMultistepScheduler": {**_COMMON, "timestep_spacing": "linspace"},
}
_OPEN = ("DPMSolverMultistepScheduler",)
"""The classes that space one time more than they use."""
_MULTISTEP = {"dpmsolver++": "dpm++", "sde-dpmsolver++": "sde-dpm++"}

_ONLY: dict[str, tuple[Any, ...]] = {
    "set_alpha_to_one": (True,),
    "solver_order": (2,),
    "algorithm_type": tuple(_MULTISTEP),
    "solver_type": ("midpoint",),
    "final_sigmas_type": ("zero",),
    "use_karras_sigmas": (False, None),
    "use_exponential_sigmas": (False, None),
    "use_beta_sigmas": (False, None),
    "use_lu_lambdas": (False, None),
    "use_flow_sigmas": (False, None),
    "use_dynamic_shifting": (False, None),
}
"""Fields that change the maths and of which only one choice is supported."""

_HARMLESS = {"lower_order_final", "euler_at_final", "flow_shift", "time_shift_type"}
"""Fields without effect once those of _ONLY have their values; so is every name that begins with _."""

_VARIANCES: dict[str, Variance] = {
    "learned_range": "learned",
    "fixed_small": "small",
    "fixed_small_log": "small",
    "fixed_large": "large",
}


def read_scheduler(config: Mapping[str, Any]) -> SchedulerFacts:
    """The facts of a `scheduler_config.json` of DDPM, DDIM or multistep DPM-Solver++.

    Raises UserError, naming the field, for a value that is not supported and for a field that is
    neither honoured nor known to be harmless.
    """
    kind = config.get("_class_name", "DDPMScheduler")
    if kind not in _DEFAULTS:
        raise UserError(f"The scheduler {kind} is not supported; save the model with one of {', '.join(_DEFAULTS)}.")
    for name, value in config.items():
        if name in _ONLY and value not in _ONLY[name]:
            raise UserError(f"The scheduler's {name} = {value!r} is not supported, only {_ONLY[name][0]!r}.")
        if not (name in _COMMON or name in _ONLY or name in _HARMLESS or name.startswith("_")):
            raise UserError(
                f"The scheduler's field {name} = {value!r} is not known here, and it may change the result; "
                "remove it from scheduler_config.json if it does not."
            )
    full = {**_DEFAULTS[kind], **{k: v for k, v in config.items() if k in _COMMON}}
    return SchedulerFacts(
        schedule=_schedule(full),
        prediction_type=cast(Parameterisation, _one_of(full, "prediction_type", ("epsilon", "sample", "v_prediction"))),
        variance=_variance(full),
        limiter=_limiter(full, clips=kind != "DPMSolverMultistepScheduler"),
        spacing=_spacing(kind, full),
        offset=int(full["steps_offset"]),
        lambda_min=float(full["lambda_min_clipped"]),
        solver=_solver(kind, full["variance_type"], config.get("algorithm_type", "dpmsolver++")),
    )


def _one_of(config: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = config[name]
    if value not in allowed:
        raise UserError(f"The scheduler's {name} = {value!r} is not supported; supported are {', '.join(allowed)}.")
    return str(value)


def _spacing(kind: str, config: Mapping[str, Any]) -> Spacing:
    """The name, in diffusion.spacings, of what the scheduler class does under the name in its configuration."""
    name = _one_of(config, "timestep_spacing", ("leading", "trailing", "linspace"))
    return cast(Spacing, f"{name}-open" if kind in _OPEN and name != "trailing" else name)


def _variance(config: Mapping[str, Any]) -> Variance | None:
    if config["variance_type"] is None:
        return None
    return _VARIANCES[_one_of(config, "variance_type", tuple(_VARIANCES))]


def _solver(kind: str, variance_type: str | None, algorithm: str) -> str:
    if kind == "DPMSolverMultistepScheduler":
        return _MULTISTEP[algorithm]
    names = {"learned": "ddpm", "small": "ddpm-small", "large": "ddpm-large"}
    return "ddim" if kind == "DDIMScheduler" else names[_VARIANCES[variance_type or "fixed_small"]]


def _limiter(config: Mapping[str, Any], clips: bool) -> Limiter | None:
    """As in diffusers: it looks at `thresholding` first, and DPM-Solver++ has no `clip_sample`."""
    if config["thresholding"]:
        return Limiter(float(config["dynamic_thresholding_ratio"]), float(config["sample_max_value"]))
    if config["clip_sample"] and clips:
        return Limiter(None, float(config["clip_sample_range"]))
    return None


def _schedule(config: Mapping[str, Any]) -> DiscreteSchedule:
    total = int(config["num_train_timesteps"])
    trained = config["trained_betas"]
    if trained is not None:
        if len(trained) != total:
            raise UserError(
                f"The scheduler's trained_betas are {len(trained)} numbers, but num_train_timesteps is {total}; "
                "make them agree."
            )
        schedule = from_betas([float(b) for b in trained])
    else:
        kind = _one_of(config, "beta_schedule", tuple(_BETAS))
        schedule = _BETAS[kind](total, float(config["beta_start"]), float(config["beta_end"]))
    return rescale_zero_terminal_snr(schedule) if config["rescale_betas_zero_snr"] else schedule


def _sigmoid(steps: int, beta_start: float, beta_end: float) -> DiscreteSchedule:
    """beta_i = start + (end - start) / (1 + e^-u), u from -6 to 6 (GeoDiff's schedule)."""
    us = [-6 + 12 * i / max(steps - 1, 1) for i in range(steps)]
    return from_betas([beta_start + (beta_end - beta_start) / (1 + math.exp(-u)) for u in us])


_BETAS: dict[str, Callable[[int, float, float], DiscreteSchedule]] = {
    "linear": linear,
    "scaled_linear": scaled_linear,
    "squaredcos_cap_v2": lambda steps, start, end: squaredcos_cap_v2(steps),
    "sigmoid": _sigmoid,
}
