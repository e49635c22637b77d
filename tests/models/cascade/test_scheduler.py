"""Scheduler configurations: every field that changes the maths is honoured, or refused by name."""

import math

import diffusers
import pytest
import torch

from duckrabbit.errors import UserError
from duckrabbit.models.cascade.scheduler import read_scheduler
from duckrabbit.models.model import Limiter, told

KINDS = ("DDPMScheduler", "DDIMScheduler", "DPMSolverMultistepScheduler", "UniPCMultistepScheduler")
FLOW = "FlowMatchEulerDiscreteScheduler"
IF_STAGE_1 = {  # what the hub's copy of IF-I-XL says
    "_class_name": "DDPMScheduler",
    "_diffusers_version": "0.16.0.dev0",
    "beta_schedule": "squaredcos_cap_v2",
    "clip_sample": True,
    "dynamic_thresholding_ratio": 0.95,
    "lambda_min_clipped": -5.1,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "sample_max_value": 1.5,
    "thresholding": True,
    "trained_betas": None,
    "variance_type": "learned_range",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"num_train_timesteps": 300},
        {"trained_betas": [0.001 * (i + 1) for i in range(200)], "num_train_timesteps": 200},
        {"beta_schedule": "linear", "rescale_betas_zero_snr": True},
    ],
)
def test_levels_are_those_of_diffusers(kind, config):
    scheduler = getattr(diffusers, kind)(**config)
    ours = torch.tensor(read_scheduler({**config, "_class_name": kind}).schedule.alphas_cumprod)
    theirs = scheduler.alphas_cumprod
    assert len(ours) == len(theirs)
    # their table is float32; DPM-Solver++ keeps the last level of a zero-SNR schedule at 2^-24
    assert torch.allclose(ours[:-1].sqrt(), theirs[:-1].sqrt(), rtol=1e-4, atol=1e-6)
    assert abs(ours[-1] - theirs[-1]) <= 2**-24 + 1e-4 * theirs[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_missing_fields_have_the_defaults_of_the_class(kind):
    scheduler = getattr(diffusers, kind)()
    facts, full = read_scheduler({"_class_name": kind}), read_scheduler({**scheduler.config, "_class_name": kind})
    assert facts == full
    assert facts.spacing.removesuffix("-open") == scheduler.config.timestep_spacing
    assert facts.limiter == (None if "Multistep" in kind else Limiter(None, 1.0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("offset", [0, 1])
def test_times_are_those_of_diffusers(kind, spacing, offset):
    scheduler = getattr(diffusers, kind)(timestep_spacing=spacing, steps_offset=offset)
    facts = read_scheduler({**scheduler.config, "_class_name": kind})
    for steps in [*range(1, 120), 250, 333, 499]:
        scheduler.set_timesteps(steps)
        ours = facts.schedule.times(steps, facts.spacing, facts.offset)
        assert [int(t) for t in ours] == scheduler.timesteps.tolist()[:steps], steps


def test_deepfloyds_configuration():
    facts = read_scheduler(IF_STAGE_1)
    assert facts.variance == "learned"
    assert facts.limiter == Limiter(0.95, 1.5)
    assert facts.lambda_min == -5.1
    assert (facts.spacing, facts.offset, facts.solver, facts.prediction_type) == ("leading", 0, "ddpm", "epsilon")
    assert facts.schedule.alphas_cumprod[990] == pytest.approx(1.97e-4, rel=5e-3)


@pytest.mark.parametrize(
    ("variance", "name", "solver"),
    [
        ("learned_range", "learned", "ddpm"),
        ("fixed_small", "small", "ddpm-small"),
        ("fixed_small_log", "small", "ddpm-small"),
        ("fixed_large", "large", "ddpm-large"),
    ],
)
def test_variances(variance, name, solver):
    facts = read_scheduler({"_class_name": "DDPMScheduler", "variance_type": variance})
    assert (facts.variance, facts.solver) == (name, solver)


def test_solver_of_the_class():
    assert read_scheduler({"_class_name": "DDIMScheduler"}).solver == "ddim"
    facts = read_scheduler({"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -5.1})
    assert (facts.solver, facts.lambda_min, facts.variance) == ("dpm++", -5.1, None)
    sde = {"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++"}
    assert read_scheduler(sde).solver == "sde-dpm++"
    assert read_scheduler({"_class_name": "DDPMScheduler"}).lambda_min == -math.inf


@pytest.mark.parametrize(
    "field",
    [
        {"beta_schedule": "laplace"},
        {"prediction_type": "flow_prediction"},
        {"variance_type": "fixed_large_log"},
        {"variance_type": "learned"},
        {"timestep_spacing": "logarithmic"},
        {"trained_betas": [0.1, 0.2]},
        {"set_alpha_to_one": False},
        {"solver_order": 3},
        {"algorithm_type": "dpmsolver"},
        {"solver_type": "heun"},
        {"predict_x0": False},
        {"disable_corrector": [0]},
        {"final_sigmas_type": "sigma_min"},
        {"use_beta_sigmas": True},
        {"use_dynamic_shifting": True},
        {"sigma_max": 50.0},
        {"shift": 3.0},
        {"some_new_field": None},
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_supported_is_refused_by_name(kind, field):
    with pytest.raises(UserError, match=next(iter(field))):
        read_scheduler({"_class_name": kind, **field})


@pytest.mark.parametrize("field", ["use_karras_sigmas", "use_exponential_sigmas", "use_flow_sigmas", "use_lu_lambdas"])
def test_a_class_without_a_field_does_not_take_it(field):
    for kind in ("DDPMScheduler", "DDIMScheduler"):
        with pytest.raises(UserError, match=field):
            read_scheduler({"_class_name": kind, field: True})
        read_scheduler({"_class_name": kind, field: False})


@pytest.mark.parametrize(
    ("field", "spacing"), [("use_karras_sigmas", "karras"), ("use_exponential_sigmas", "exponential")]
)
@pytest.mark.parametrize("kind", KINDS[2:])
def test_spacings_by_sigma_are_asked_for_by_fields(kind, field, spacing):
    """Sigmas that each side computes itself, also where the noisiest levels are left out on a grid."""
    config = {field: True, "beta_schedule": "squaredcos_cap_v2"}
    config |= {"lambda_min_clipped": -5.1} if kind.startswith("DPM") else {}
    scheduler = getattr(diffusers, kind)(**config)
    facts = read_scheduler({**scheduler.config, "_class_name": kind})
    assert facts.spacing == spacing
    scheduler.set_timesteps(7)
    times = facts.schedule.times(7, facts.spacing, facts.offset, facts.lambda_min)
    ours = [facts.schedule.level(t).noise_to_signal for t in times]
    assert ours == pytest.approx(scheduler.sigmas[:-1].tolist(), rel=2e-3)  # theirs are float32 all the way
    with pytest.raises(UserError, match="at once"):
        read_scheduler({"_class_name": kind, "use_karras_sigmas": True, "use_exponential_sigmas": True})
    flow = {"_class_name": kind, "use_flow_sigmas": True, "prediction_type": "flow_prediction", field: True}
    with pytest.raises(UserError, match=field):
        read_scheduler(flow)


@pytest.mark.parametrize("shift", [1.0, 3.0, 6.0])
@pytest.mark.parametrize("kind", [FLOW, *KINDS[2:]])
def test_flows_are_those_of_diffusers(kind, shift):
    """Times that each side computes itself, in the schedule's 0 to 1 and as the network is told them."""
    config = {"shift": shift} if kind == FLOW else {"use_flow_sigmas": True, "flow_shift": shift}
    config |= {} if kind == FLOW else {"prediction_type": "flow_prediction"}
    scheduler = getattr(diffusers, kind)(**config)
    facts = read_scheduler({**scheduler.config, "_class_name": kind})
    assert (facts.prediction_type, facts.variance, facts.limiter) == ("flow_prediction", None, None)
    assert facts.solver == {FLOW: "ddim", KINDS[2]: "dpm++", KINDS[3]: "unipc"}[kind]
    for steps in (1, 2, 5, 28, 50):
        scheduler.set_timesteps(steps)
        ours = facts.schedule.times(steps, facts.spacing)
        theirs = scheduler.sigmas[:-1].double().tolist()
        assert ours == pytest.approx(theirs, abs=2e-6)
        for t, sigma, their_t in zip(ours, theirs, scheduler.timesteps.tolist(), strict=True):
            level = facts.schedule.level(t)
            assert (level.alpha, level.sigma) == pytest.approx((1 - sigma, sigma), abs=2e-6)
            assert abs(told(facts.told, t) - their_t) < (1e-2 if kind == FLOW else 1.01)  # the others tell it cut off


@pytest.mark.parametrize(
    "field",
    [
        {"use_dynamic_shifting": True},
        {"shift_terminal": 0.1},
        {"invert_sigmas": True},
        {"stochastic_sampling": True},
        {"use_beta_sigmas": True},
        {"use_karras_sigmas": True},
        {"num_train_timesteps": 500},
        {"prediction_type": "epsilon"},
    ],
)
def test_what_a_flow_cannot_do_is_refused_by_name(field):
    with pytest.raises(UserError, match=next(iter(field))):
        read_scheduler({"_class_name": FLOW, **field})
    with pytest.raises(UserError, match="prediction_type"):
        read_scheduler({"_class_name": KINDS[3], "use_flow_sigmas": True, "prediction_type": "v_prediction"})


def test_other_schedulers_are_refused_by_name():
    with pytest.raises(UserError, match="EulerDiscreteScheduler"):
        read_scheduler({"_class_name": "EulerDiscreteScheduler"})
