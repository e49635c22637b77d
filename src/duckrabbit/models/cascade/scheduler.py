"""Scheduler configurations: every field that changes the maths is honoured, or refused by name.

A diffusers folder says in `scheduler_config.json` how its model was trained and is sampled. What is
missing there has the default of the scheduler class that the file names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from duckrabbit.diffusion.levels import Schedule
from duckrabbit.diffusion.prediction import Parameterisation
from duckrabbit.diffusion.schedules import (
    DiscreteSchedule,
    FlowSchedule,
    from_betas,
    linear,
    rescale_zero_terminal_snr,
    scaled_linear,
    squaredcos_cap_v2,
)
from duckrabbit.diffusion.spacings import FLOW_TIMES, Spacing
from duckrabbit.errors import UserError
from duckrabbit.models.model import Limiter, Told

Variance = Literal["learned", "small", "large"]


@dataclass(frozen=True)
class SchedulerFacts:
    """What a scheduler configuration says. `variance` is None where it says nothing of it.

    `solver` is the name, in diffusion.solvers.SOLVERS, of what the scheduler class does. `told`: how the
    network is told the time (models.model.Told).
    """

    schedule: Schedule
    prediction_type: Parameterisation
    variance: Variance | None
    limiter: Limiter | None
    spacing: Spacing
    offset: int
    lambda_min: float
    solver: str
    told: Told = "t"


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
_BY_SIGMA = {"use_karras_sigmas": "karras", "use_exponential_sigmas": "exponential", "use_lu_lambdas": "log-snr"}
"""Fields that ask for a spacing by sigma, and its name in diffusion.spacings."""
_MULTISTEP: dict[str, Any] = {
    **_COMMON,
    **dict.fromkeys(_BY_SIGMA, False),
    "timestep_spacing": "linspace",
    "solver_order": 2,
    "use_flow_sigmas": False,
    "flow_shift": 1.0,
}
DPM, UNIPC, FLOW = "DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "FlowMatchEulerDiscreteScheduler"
_DEFAULTS: dict[str, dict[str, Any]] = {
    "DDPMScheduler": {**_COMMON, "variance_type": "fixed_small"},
    "DDIMScheduler": _COMMON,
    DPM: {**_MULTISTEP, "algorithm_type": "dpmsolver++"},
    UNIPC: _MULTISTEP,
    FLOW: {"num_train_timesteps": 1000, "shift": 1.0, "use_karras_sigmas": False, "use_exponential_sigmas": False},
}
"""The classes that are known, and the fields of each that are honoured, with their defaults."""
_ALGORITHMS = {"dpmsolver++": "dpm++", "sde-dpmsolver++": "sde-dpm++"}

_ONLY: dict[str, dict[str, tuple[Any, ...]]] = {
    "": {
        "set_alpha_to_one": (True,),
        "final_sigmas_type": ("zero",),
        "use_beta_sigmas": (False, None),
        "use_dynamic_shifting": (False, None),
        "invert_sigmas": (False,),
        "shift_terminal": (None,),
        "stochastic_sampling": (False,),
        "sigma_min": (None,),
        "sigma_max": (None,),
    },
    DPM: {"solver_order": (2,), "solver_type": ("midpoint",)},
    UNIPC: {
        "solver_order": (2, 1),
        "solver_type": ("bh2",),
        "predict_x0": (True,),
        "disable_corrector": ([], (), None),
        "solver_p": (None,),
    },
}
"""Fields that change the maths and of which only some choices are supported, by class; "" for all of them."""

_HARMLESS = {"lower_order_final", "euler_at_final", "time_shift_type"} | {
    "base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len",
}  # fmt: skip
"""Fields without effect once those of _ONLY have their values; so is every name that begins with _."""

_VARIANCES: dict[str, Variance] = {
    "learned_range": "learned",
    "fixed_small": "small",
    "fixed_small_log": "small",
    "fixed_large": "large",
}


def read_scheduler(config: Mapping[str, Any]) -> SchedulerFacts:
    """The facts of a `scheduler_config.json` of DDPM, DDIM, multistep DPM-Solver++, UniPC or FlowMatchEuler.

    Raises UserError, naming the field, for a value that is not supported and for a field that is
    neither honoured nor known to be harmless.
    """
    kind = config.get("_class_name", "DDPMScheduler")
    if kind not in _DEFAULTS:
        raise UserError(f"The scheduler {kind} is not supported; save the model with one of {', '.join(_DEFAULTS)}.")
    known, only = _DEFAULTS[kind], {**_ONLY[""], **_ONLY.get(kind, {})}
    for name, value in config.items():
        if name in only and value not in only[name]:
            raise UserError(f"The scheduler's {name} = {value!r} is not supported, only {only[name][0]!r}.")
        if not (name in known or name in only or name in _HARMLESS or name.startswith("_") or _off(name, value)):
            raise UserError(
                f"The scheduler's field {name} = {value!r} is not known here, and it may change the result; "
                "remove it from scheduler_config.json if it does not."
            )
    full = {**known, **{k: v for k, v in config.items() if k in known}}
    return _flow(kind, full) if kind == FLOW or full.get("use_flow_sigmas") else _chain(kind, full)


def _off(name: str, value: Any) -> bool:
    """Whether a field is a switch, and off."""
    return name.startswith("use_") and value in (False, None)


def _chain(kind: str, full: Mapping[str, Any]) -> SchedulerFacts:
    return SchedulerFacts(
        schedule=_schedule(full),
        prediction_type=cast(Parameterisation, _one_of(full, "prediction_type", ("epsilon", "sample", "v_prediction"))),
        variance=_variance(full),
        limiter=_limiter(full, clips=kind not in (DPM, UNIPC)),
        spacing=_spacing(kind, full),
        offset=int(full["steps_offset"]),
        lambda_min=float(full["lambda_min_clipped"]),
        solver=_solver(kind, full),
    )


def _flow(kind: str, full: Mapping[str, Any]) -> SchedulerFacts:
    """The straight path, whose network is told 1000 t and says noise - x0, unless it is told otherwise."""
    if int(full["num_train_timesteps"]) != FLOW_TIMES:
        raise UserError(f"A flow's num_train_timesteps = {full['num_train_timesteps']} is not supported, only 1000.")
    kinds = ("flow_prediction", "epsilon", "sample")
    says = "flow_prediction" if kind == FLOW else _one_of(full, "prediction_type", kinds)
    asked = [name for name in _BY_SIGMA if full.get(name)]
    if asked:
        raise UserError(f"The scheduler's {asked[0]} = True is not supported for a flow, only False.")
    even = {FLOW: "flow-euler", DPM: "flow-dpm", UNIPC: "flow-unipc"}[kind]
    return SchedulerFacts(
        schedule=FlowSchedule(shift=float(full["shift" if kind == FLOW else "flow_shift"])),
        prediction_type=cast(Parameterisation, says),
        variance=None,
        limiter=None if kind == FLOW else _limiter(full, clips=False),
        spacing=cast(Spacing, even),
        offset=0,
        lambda_min=-math.inf,
        solver="ddim" if kind == FLOW else _solver(kind, full),
        told="1000t",
    )


def _one_of(config: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = config[name]
    if value not in allowed:
        raise UserError(f"The scheduler's {name} = {value!r} is not supported; supported are {', '.join(allowed)}.")
    return str(value)


def _spacing(kind: str, config: Mapping[str, Any]) -> Spacing:
    """The name, in diffusion.spacings, of what the scheduler class does under the name in its configuration."""
    name = _one_of(config, "timestep_spacing", ("leading", "trailing", "linspace"))
    is_open = kind in (DPM, UNIPC) and name != "trailing"
    return _by_sigma(config) or cast(Spacing, f"{name}-open" if is_open else name)


def _by_sigma(config: Mapping[str, Any]) -> Spacing | None:
    asked = [name for name in _BY_SIGMA if config.get(name)]
    if len(asked) > 1:
        raise UserError(f"The scheduler asks for {' and '.join(asked)} at once; one of them is supported.")
    return cast(Spacing, _BY_SIGMA[asked[0]]) if asked else None


def _variance(config: Mapping[str, Any]) -> Variance | None:
    if config["variance_type"] is None:
        return None
    return _VARIANCES[_one_of(config, "variance_type", tuple(_VARIANCES))]


def _solver(kind: str, config: Mapping[str, Any]) -> str:
    if kind == DPM:
        return _ALGORITHMS[_one_of(config, "algorithm_type", tuple(_ALGORITHMS))]
    if kind == UNIPC:
        return "unipc" if config["solver_order"] == 2 else "unipc:order=1"
    names = {"learned": "ddpm", "small": "ddpm-small", "large": "ddpm-large"}
    return "ddim" if kind == "DDIMScheduler" else names[_VARIANCES[config["variance_type"] or "fixed_small"]]


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
