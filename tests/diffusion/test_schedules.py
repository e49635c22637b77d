"""Schedules against numpy and diffusers; spacings against DDPMScheduler."""

import math

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st

from duckrabbit.diffusion import schedules
from duckrabbit.diffusion.levels import CLEAN, NoiseLevel, add_noise
from duckrabbit.diffusion.schedules import (
    DiscreteSchedule,
    FlowSchedule,
    OneStepSchedule,
    linear,
)
from duckrabbit.errors import UserError


def cosine_abar(total):
    """The betas of a cosine schedule are ratios of f, so abar telescopes to f((t + 1) / T) / f(0) before the cap."""
    f = np.cos((np.arange(total + 1) / total + 0.008) / 1.008 * np.pi / 2) ** 2
    return f[1:] / f[0]


def test_linear_is_the_running_product_of_one_minus_beta():
    got = np.array(schedules.linear(300, 1e-3, 0.03).alphas_cumprod)
    want = np.exp(np.cumsum(np.log1p(-np.linspace(1e-3, 0.03, 300))))
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_a_shift_is_what_reducing_a_picture_undoes():
    """Noise that is averaged over 2 x 2 pixels, where the picture stays, is that of the chain before."""
    before = schedules.squaredcos_cap_v2(200)
    after = schedules.shifted(before, 2.0)
    generator = torch.Generator().manual_seed(0)
    for t in (0, 20, 100, 199):
        old, new = before.level(t), after.level(t)
        noise = torch.nn.functional.avg_pool2d(new.sigma * torch.randn(4, 1, 256, 256, generator=generator), 2)
        assert float(noise.std()) / new.alpha == pytest.approx(old.sigma / old.alpha, rel=0.01)
        assert new.alpha**2 + new.sigma**2 == pytest.approx(1)
    np.testing.assert_allclose(schedules.shifted(after, 0.5).alphas_cumprod, before.alphas_cumprod, rtol=1e-9)
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(UserError, match="a factor above 0"):
            schedules.shifted(before, wrong)


def test_scaled_linear_is_linear_in_the_root_of_beta():
    got = np.array(schedules.scaled_linear(500).alphas_cumprod)
    want = np.exp(np.cumsum(np.log1p(-(np.linspace(0.00085**0.5, 0.012**0.5, 500) ** 2))))
    np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("total", [10, 300, 1000])
def test_cosine_telescopes_until_the_last_beta_is_capped(total):
    got, want = np.array(schedules.squaredcos_cap_v2(total).alphas_cumprod), cosine_abar(total)
    np.testing.assert_allclose(got[:-1], want[:-1], rtol=1e-9)
    assert got[-1] == pytest.approx(got[-2] * 0.001, rel=1e-9)  # 1 - max_beta; uncapped it would be 0


def test_zero_terminal_snr_keeps_the_first_level_and_spaces_the_roots_alike():
    before = schedules.linear()
    after = schedules.rescale_zero_terminal_snr(before)
    root, new = np.sqrt(before.alphas_cumprod), np.sqrt(after.alphas_cumprod)
    assert new[-1] == 0
    assert new[0] == pytest.approx(root[0], rel=1e-12)
    slope = np.diff(new) / np.diff(root)  # shift and scale: one slope everywhere
    np.testing.assert_allclose(slope, slope[0], rtol=1e-6)
    assert after.level(999).alpha == 0
    assert after.level(999).noise_to_signal == math.inf
    with pytest.raises(UserError, match="one level"):
        schedules.rescale_zero_terminal_snr(schedules.linear(1))


@pytest.mark.parametrize(
    ("make", "config"),
    [
        (schedules.linear, {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}),
        (schedules.scaled_linear, {"beta_schedule": "scaled_linear", "beta_start": 8.5e-4, "beta_end": 0.012}),
        (schedules.squaredcos_cap_v2, {"beta_schedule": "squaredcos_cap_v2"}),
        (
            lambda n: schedules.rescale_zero_terminal_snr(schedules.linear(n)),
            {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02, "rescale_betas_zero_snr": True},
        ),
    ],
)
@pytest.mark.parametrize("total", [300, 1000])
def test_schedules_equal_diffusers(make, config, total):
    theirs = DDPMScheduler(num_train_timesteps=total, **config).alphas_cumprod.double().numpy()
    # float32 products of up to 1000 factors: about 1000 x 6e-8 relative, measured below 2e-5;
    # diffusers puts 2^-24 in place of the last 0.
    np.testing.assert_allclose(make(total).alphas_cumprod, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("total", [77, 300, 1000])
def test_times_equal_diffusers_for_every_step_count(spacing, total):
    scheduler = DDPMScheduler(num_train_timesteps=total, timestep_spacing=spacing)
    schedule = schedules.linear(total)
    for steps in {*range(1, total + 1, 7), 1, 2, 3, 5, 10, 27, 30, 48, 50, 61, total - 1, total}:
        scheduler.set_timesteps(steps)
        theirs = scheduler.timesteps.tolist()
        if spacing == "trailing" and len(theirs) == steps + 1:
            assert theirs.pop() == -1  # numpy.arange overshoots for some counts: one time too many, and not a level
        assert schedule.times(steps, spacing) == tuple(theirs), steps


def test_an_offset_moves_leading_times_as_diffusers_does():
    scheduler = DDPMScheduler(timestep_spacing="leading", steps_offset=1)
    scheduler.set_timesteps(50)
    assert schedules.linear().times(50, "leading", 1) == tuple(scheduler.timesteps.tolist())


def test_the_course_numbers_of_abar():
    """CS180 5A A.1 noises with IF's cosine schedule; its abar at 250, 500, 750 from the telescoped cosine."""
    schedule = schedules.squaredcos_cap_v2()
    for t, printed in [(250, 0.8459), (500, 0.4923), (750, 0.1432)]:
        abar = schedule.level(t).alpha ** 2
        assert abar == pytest.approx(cosine_abar(1000)[t], rel=1e-9)
        assert round(abar, 4) == printed


def test_the_course_training_schedule_does_not_end_in_pure_noise():
    """CS180 5B trains on 300 linear betas: log abar_T = sum log(1 - beta) = -3.035."""
    assert schedules.linear(300).alphas_cumprod[-1] == pytest.approx(0.0481, abs=5e-5)


def test_schedules_refuse_what_they_do_not_have():
    schedule = schedules.linear(10)
    for t in (10, -2, -0.5, 9.5, math.inf, math.nan):
        with pytest.raises(UserError, match="0 to 9"):
            schedule.level(t)
    for steps in (0, 11):
        with pytest.raises(UserError, match="1 to 10"):
            schedule.times(steps)
    for other, spacing in ((schedule, "flow-euler"), (schedule, "quadratic"), (FlowSchedule(), "leading")):
        with pytest.raises(UserError, match=f"no spacing '{spacing}'; choose trailing, .*log-snr"):
            other.times(5, spacing)
    for bad in [(), (0.5, 0.6), (0.5, 0.5), (1.5, 0.5), (0.5, math.nan)]:
        with pytest.raises(UserError):
            DiscreteSchedule(bad)
    for t in (1.5, -0.5, math.nan):
        with pytest.raises(UserError, match="0 to 1"):
            FlowSchedule().level(t)
    with pytest.raises(UserError, match="1 or more"):
        FlowSchedule().times(0)


SCHEDULES = {
    "linear": schedules.linear(300),
    "cosine": schedules.squaredcos_cap_v2(),
    "zero SNR": schedules.rescale_zero_terminal_snr(schedules.linear(300)),
    "flow": FlowSchedule(),
    "one step": OneStepSchedule(0.5),
}


@pytest.mark.parametrize("name", SCHEDULES)
@given(share=st.floats(0, 1))
def test_a_level_is_found_by_its_half_log_snr_between_times_too(name, share):
    schedule = SCHEDULES[name]
    if isinstance(schedule, DiscreteSchedule):
        k = min(int(share * (len(schedule.alphas_cumprod) - 1)), len(schedule.alphas_cumprod) - 2)
        a, b = schedule.level(k), schedule.level(k + 1)
        assert schedule.at(a.half_log_snr) == a
        assert schedule.at(b.half_log_snr) == b
        low = b.half_log_snr if math.isfinite(b.half_log_snr) else a.half_log_snr - 3
        wanted = low + share * (a.half_log_snr - low)
        found = schedule.at(wanted)
        assert a.t <= found.t <= b.t
        if math.isfinite(b.half_log_snr):
            np.testing.assert_allclose(found.t, np.interp(-wanted, [-a.half_log_snr, -b.half_log_snr], [k, k + 1]))
        else:
            assert found.alpha == pytest.approx((1 - (found.t - k)) * a.alpha, rel=1e-9)
        assert found.alpha**2 + found.sigma**2 == pytest.approx(1, rel=1e-12)
    else:
        wanted = 10 * share - 5
        found = schedule.at(wanted)
        assert schedule.level(found.t) == found
    assert found.half_log_snr == pytest.approx(wanted, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["linear", "cosine", "zero SNR"])
def test_a_chain_has_no_level_beyond_its_ends(name):
    schedule = SCHEDULES[name]
    first, last = (schedule.level(t).half_log_snr for t in (0, len(schedule.alphas_cumprod) - 1))
    for wrong in (first + 1e-3, math.inf, math.nan, *([last - 1e-3] if math.isfinite(last) else [])):
        with pytest.raises(UserError, match=r"no level of sigma .*half log SNR"):
            schedule.at(wrong)
    if math.isinf(last):
        assert schedule.at(last) == schedule.level(299)
        assert schedule.at(-500.0).alpha < 1e-200


def test_the_ends_of_what_is_allowed_are_allowed():
    whole = DiscreteSchedule((1.0, 0.5, 0.0))
    assert whole.level(0) == (0, 1, 0)
    assert whole.level(2) == (2, 0, 1)
    assert DiscreteSchedule((0.5,)).times(1) == (0,)
    assert whole.times(3) == (2, 1, 0)
    assert FlowSchedule().times(1) == (1,)
    assert FlowSchedule().level(0) == (0, 1, 0)
    assert FlowSchedule().level(1) == (1, 0, 1)
    assert OneStepSchedule(0.5).level(0) == (0, 1, 0)
    assert FlowSchedule().at_sigma(0).t == OneStepSchedule(0.5).at_sigma(0).t == whole.at_sigma(0).t == 0
    assert len(schedules.rescale_zero_terminal_snr(schedules.linear(2)).alphas_cumprod) == 2
    assert whole.at(math.inf) == whole.level(0)
    assert whole.at(math.log(2)).t == pytest.approx(math.sqrt(0.2 / 0.5))  # sigma^2 = 1 / 5 on the way from 0 to 1 / 2


@given(st.floats(0, 1))
def test_a_flow_level_lies_on_the_straight_line(t):
    level = FlowSchedule().level(t)
    assert (level.alpha, level.sigma) == (1 - t, t)


@given(st.integers(0, 999))
def test_a_discrete_level_preserves_variance(t):
    level = schedules.squaredcos_cap_v2().level(t)
    assert level.alpha**2 + level.sigma**2 == pytest.approx(1, abs=1e-12)


def test_flow_times_are_even_and_start_at_noise():
    np.testing.assert_allclose(FlowSchedule().times(4), [1, 0.75, 0.5, 0.25])


def test_clean_is_minus_one_on_every_schedule():
    assert schedules.linear(10).level(-1) == FlowSchedule().level(-1) == CLEAN == (-1.0, 1.0, 0.0)


@given(st.floats(0.01, 1), st.floats(0.01, 30))
def test_half_log_snr_is_minus_the_log_of_noise_to_signal(alpha, sigma):
    level = NoiseLevel(0.0, alpha, sigma)
    assert level.half_log_snr == pytest.approx(-math.log(level.noise_to_signal), abs=1e-9)


def test_the_ends_of_a_schedule_are_infinite_not_errors():
    assert CLEAN.noise_to_signal == 0
    assert CLEAN.half_log_snr == math.inf
    pure = NoiseLevel(1.0, 0.0, 1.0)
    assert pure.noise_to_signal == math.inf
    assert pure.half_log_snr == -math.inf


def test_add_noise_equals_diffusers():
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    g = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 3, 4, 4, generator=g), torch.randn(2, 3, 4, 4, generator=g)
    for t in (0, 500, 990):
        theirs = scheduler.add_noise(x0, eps, torch.tensor([t, t]))
        ours = add_noise(x0, schedules.squaredcos_cap_v2().level(t), eps)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@given(st.floats(0.02, 4))
def test_a_sigma_finds_its_level_on_every_schedule(ratio):
    for schedule in SCHEDULES.values():
        assert schedule.at_sigma(ratio).noise_to_signal == pytest.approx(ratio, rel=1e-9)
    assert OneStepSchedule(0.5).at_sigma(ratio) == (pytest.approx(ratio), 1, pytest.approx(ratio))


def test_a_sigma_that_a_schedule_does_not_have_is_refused_with_those_it_has():
    cosine = SCHEDULES["cosine"]
    most = cosine.level(999).sigma / cosine.level(999).alpha
    for wrong in (0.0, 1e-6, 1.01 * most, math.inf):
        with pytest.raises(UserError, match=r"choose from 0\.0064\d+ to 2.*e\+04"):
            cosine.at_sigma(wrong)
    for wrong in (-1.0, math.nan):
        with pytest.raises(UserError, match="no amount of noise"):
            FlowSchedule().at_sigma(wrong)
    assert SCHEDULES["zero SNR"].at_sigma(math.inf) == (299, 0, 1)
    assert FlowSchedule().at_sigma(math.inf) == (1, 0, 1)


@pytest.mark.parametrize("name", ["linear", "cosine", "zero SNR"])
@given(t=st.floats(0, 299))
def test_between_whole_times_a_level_is_that_of_its_half_log_snr(name, t):
    """`at` looks the other way; and the log of sigma / alpha is a straight line between two neighbours."""
    schedule = SCHEDULES[name]
    level = schedule.level(t)
    assert level.t == t
    assert level.alpha**2 + level.sigma**2 == pytest.approx(1, rel=1e-12)
    if level.alpha > 1e-6:
        assert schedule.at(level.half_log_snr).t == pytest.approx(t, abs=1e-6)
    k = min(int(t), 298)
    before, after = (math.log(1 / abar - 1) if abar else math.inf for abar in schedule.alphas_cumprod[k : k + 2])
    if math.isfinite(after):
        assert -2 * level.half_log_snr == pytest.approx(before + (t - k) * (after - before), abs=1e-7)


def test_between_times_and_without_noise_at_the_first():
    whole = DiscreteSchedule((1.0, 0.5, 0.0))
    assert whole.level(0.25) == (0.25, pytest.approx(math.sqrt(1 - 0.125 * 0.25)), pytest.approx(0.25 * math.sqrt(0.5)))
    assert whole.level(1.25) == (1.25, pytest.approx(0.75 * math.sqrt(0.5)), pytest.approx(math.sqrt(1 - 0.5625 / 2)))
    assert [at.t for at in whole.span] == [1, 1]


@given(st.floats(0.1, 10), st.floats(0, 1), st.floats(0.2, 8))
def test_a_flow_of_another_noise_scale_and_shift(scale, t, shift):
    flow = FlowSchedule(scale, shift)
    assert flow.level(t) == (t, 1 - t, scale * t)
    if 0 < t < 1:
        assert flow.at(math.log((1 - t) / (scale * t))).t == pytest.approx(t)
    b = 1 - 3 / 7
    assert flow.times(7)[3] == pytest.approx(shift * b / (1 + (shift - 1) * b))
    for wrong in ((0, 1), (1, 0), (math.nan, 1), (1, math.inf)):
        with pytest.raises(UserError, match="above 0"):
            FlowSchedule(*wrong)


def test_a_one_step_schedule_has_levels_and_no_path():
    schedule = OneStepSchedule(0.5)
    assert schedule.level(-1) == CLEAN
    assert schedule.quarters() == (0.25, 0.5, 1.0)
    for wrong in (-0.5, float("inf"), float("nan")):
        with pytest.raises(UserError, match="amount of noise"):
            schedule.level(wrong)
    with pytest.raises(UserError, match="cannot make pictures"):
        schedule.times(1)


def test_quarters():
    assert linear(1000).quarters() == (250, 500, 750)
    assert linear(10).quarters() == (2, 5, 7)
    assert FlowSchedule().quarters() == (0.25, 0.5, 0.75)
