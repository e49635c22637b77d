"""Spacings against the scheduler classes that they are named after, and against their formulas."""

from itertools import pairwise

import numpy as np
import pytest
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from hypothesis import given
from hypothesis import strategies as st

from duckrabbit.diffusion.schedules import FlowSchedule, linear, rescale_zero_terminal_snr, squaredcos_cap_v2
from duckrabbit.errors import UserError

OURS = {DDPMScheduler: "", DDIMScheduler: "", DPMSolverMultistepScheduler: "-open", UniPCMultistepScheduler: "-open"}


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("scheduler", OURS, ids=lambda c: c.__name__)
def test_each_class_spaces_in_its_own_way(scheduler, spacing):
    name = spacing if spacing == "trailing" else spacing + OURS[scheduler]
    for total, offset in ((1000, 0), (1000, 1), (300, 0)):
        theirs = scheduler(num_train_timesteps=total, timestep_spacing=spacing, steps_offset=offset)
        for steps in (1, 2, 3, 7, 10, 20, 27, 48, 99):
            theirs.set_timesteps(steps)
            told = [t for t in theirs.timesteps.tolist() if t >= 0]  # numpy.arange overshoots to -1 for some counts
            assert linear(total).times(steps, name, offset) == tuple(told), (total, steps)


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@given(steps=st.integers(2, 60), lambda_min=st.floats(-8, -1))
def test_the_noisiest_levels_are_left_out_as_dpm_solver_does(spacing, steps, lambda_min):
    theirs = DPMSolverMultistepScheduler(
        beta_schedule="squaredcos_cap_v2", timestep_spacing=spacing, lambda_min_clipped=lambda_min
    )
    theirs.set_timesteps(steps)
    name = spacing if spacing == "trailing" else f"{spacing}-open"
    told = [t for t in theirs.timesteps.tolist() if t >= 0]
    assert squaredcos_cap_v2().times(steps, name, lambda_min=lambda_min) == tuple(told)


@pytest.mark.parametrize(
    ("spacing", "option"), [("karras", "use_karras_sigmas"), ("exponential", "use_exponential_sigmas")]
)
@pytest.mark.parametrize("steps", [2, 5, 20])
def test_spacings_by_sigma_are_those_of_euler(spacing, option, steps):
    theirs = EulerDiscreteScheduler(beta_schedule="linear", beta_start=1e-4, beta_end=0.02, **{option: True})
    theirs.set_timesteps(steps)
    schedule = linear()
    times = schedule.times(steps, spacing)
    sigmas = [schedule.level(t).noise_to_signal for t in times]
    np.testing.assert_allclose(sigmas, theirs.sigmas[:-1].numpy(), rtol=2e-4)  # theirs are float32 all the way
    np.testing.assert_allclose(times, theirs.timesteps.numpy(), atol=0.05)


@pytest.mark.parametrize("shift", [1.0, 3.0, 6.0])
@pytest.mark.parametrize("steps", [1, 2, 9, 28])
def test_times_of_a_flow_are_those_of_flow_match_euler(shift, steps):
    theirs = FlowMatchEulerDiscreteScheduler(shift=shift)
    theirs.set_timesteps(steps)
    ours = FlowSchedule(shift=shift).times(steps, "flow-euler")
    np.testing.assert_allclose(ours, theirs.sigmas[:-1].double().numpy(), atol=2e-6)


def test_karras_by_hand():
    """Three levels between the ends of a flow's thousandths: the middle one has the mean of their seventh roots."""
    schedule = FlowSchedule()
    first, middle, last = schedule.times(3, "karras")
    assert (first, schedule.level(last).noise_to_signal) == (1, pytest.approx(1 / 999))
    seventh = (999 ** (1 / 7) + (1 / 999) ** (1 / 7)) / 2
    assert schedule.level(middle).noise_to_signal == pytest.approx(seventh**7)


@given(steps=st.integers(3, 50))
def test_even_in_log_snr_is_exponential_in_sigma(steps):
    for schedule in (linear(), FlowSchedule(2.0, 3.0)):
        times = schedule.times(steps, "log-snr")
        assert times == schedule.times(steps, "exponential")
        gaps = np.diff([schedule.level(t).half_log_snr for t in times if schedule.level(t).alpha > 0])
        np.testing.assert_allclose(gaps, gaps[0] if len(gaps) else 0, rtol=1e-6)


@pytest.mark.parametrize("spacing", ["karras", "exponential", "log-snr"])
def test_pure_noise_has_no_sigma_and_comes_first(spacing):
    """In the place of the noisiest level that has one, so that no move goes from the one to the other."""
    repaired = rescale_zero_terminal_snr(linear(300))
    for schedule, first, noisiest in ((repaired, 299, 298), (FlowSchedule(), 1, 0.999)):
        assert schedule.times(1, spacing) == (first,)
        times = schedule.times(12, spacing)
        assert times[0] == first
        assert times[1] < noisiest
        assert len(times) == 12
        assert all(a > b for a, b in pairwise(times))
    assert linear(300).times(1, spacing) == (299,)


def test_no_more_steps_than_there_are_times():
    schedule = linear(10)
    for spacing, most in (("leading", 10), ("leading-open", 9), ("linspace-open", 9), ("karras", 10)):
        assert len(schedule.times(most, spacing)) == most
        with pytest.raises(UserError, match=f"choose from 1 to {most}"):
            schedule.times(most + 1, spacing)
    assert schedule.times(9, "leading", offset=1) == tuple(range(9, 0, -1))
    with pytest.raises(UserError, match="choose from 1 to 9"):
        schedule.times(10, "leading", offset=1)
