"""Predictions: the waist invariant, the four parameterisations, thresholds, and the respaced variances."""

import math

import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st

from duckrabbit.diffusion.levels import CLEAN, NoiseLevel, add_noise
from duckrabbit.diffusion.plans import Move, course_times, plan_through
from duckrabbit.diffusion.prediction import (
    clip,
    dynamic_threshold,
    from_eps,
    from_x0,
    learned_log_var,
    posterior_variance,
    read_output,
    transition_variance,
)
from duckrabbit.diffusion.schedules import squaredcos_cap_v2
from duckrabbit.errors import UserError

PURE = NoiseLevel(1.0, 0.0, 1.0)


def noise(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def levels_for(kind):
    """Levels at which a parameterisation is defined: v on the circle, flow on the line, the others anywhere."""
    angle = st.floats(0.01, math.pi / 2 - 0.01)
    if kind == "v_prediction":
        return angle.map(lambda a: NoiseLevel(1.0, math.cos(a), math.sin(a)))
    if kind == "flow":
        return st.floats(0.01, 1).map(lambda t: NoiseLevel(t, 1 - t, t))
    return st.tuples(st.floats(0.01, 1), st.floats(0.01, 50)).map(lambda p: NoiseLevel(1.0, *p))


def close(a, b, scale=1.0):
    torch.testing.assert_close(a, b, atol=1e-9 * scale, rtol=1e-9)


def assert_waist(p, x, at):
    """X = alpha x0 + sigma eps, to rounding of the larger term."""
    close(at.alpha * p.x0 + at.sigma * p.eps, x, 1 + (at.alpha * p.x0).abs().max().item())


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction", "flow"])
@given(data=st.data())
def test_the_waist_invariant_holds_for_every_parameterisation_clip_and_threshold(kind, data):
    at = data.draw(levels_for(kind))
    seed = data.draw(st.integers(0, 1000))
    x, output = 3 * noise(seed, 2, 3, 4, 4), 2 * noise(seed + 1, 2, 3, 4, 4)
    var = noise(seed + 2, 2, 3, 4, 4)
    p = read_output(kind, x, at, output, var)
    for q in (p, clip(p, x, at, 0.7), dynamic_threshold(p, x, at)):
        assert_waist(q, x, at)
        assert q.var_interp is var


@pytest.mark.parametrize(
    ("kind", "say"),
    [
        ("epsilon", lambda x0, eps, at: eps),
        ("sample", lambda x0, eps, at: x0),
        ("v_prediction", lambda x0, eps, at: at.alpha * eps - at.sigma * x0),
        ("flow", lambda x0, eps, at: x0 - eps),
    ],
)
@given(data=st.data())
def test_a_network_that_tells_the_truth_gives_back_the_picture_and_the_noise(kind, say, data):
    at = data.draw(levels_for(kind))
    x0, eps = noise(1, 2, 3, 4, 4), noise(2, 2, 3, 4, 4)
    p = read_output(kind, add_noise(x0, at, eps), at, say(x0, eps, at))
    scale = max(1, at.noise_to_signal, 1 / at.noise_to_signal if at.noise_to_signal else 1)
    if math.isfinite(scale):
        close(p.x0, x0, scale)
    close(p.eps, eps, 1 / at.sigma)


def test_v_is_the_derivative_of_x_along_the_circle():
    """Salimans and Ho 2022: with alpha = cos a, sigma = sin a, v = dx/da; a central difference says the same."""
    x0, eps, a, h = noise(1, 1, 1, 2, 2), noise(2, 1, 1, 2, 2), 0.7, 1e-5
    point = lambda b: math.cos(b) * x0 + math.sin(b) * eps
    v = (point(a + h) - point(a - h)) / (2 * h)
    p = read_output("v_prediction", point(a), NoiseLevel(0.0, math.cos(a), math.sin(a)), v)
    torch.testing.assert_close(p.x0, x0, atol=1e-8, rtol=0)
    torch.testing.assert_close(p.eps, eps, atol=1e-8, rtol=0)


def test_v_prediction_equals_diffusers():
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", clip_sample=False)
    x, v = noise(1, 1, 3, 4, 4).float(), noise(2, 1, 3, 4, 4).float()
    for t in (10, 500, 980):
        theirs = scheduler.step(v, t, x).pred_original_sample
        ours = read_output("v_prediction", x, squaredcos_cap_v2().level(t), v).x0
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_noise_says_nothing_where_no_picture_is_left():
    x = noise(0, 1, 1, 2, 2)
    for read in (lambda: from_eps(x, PURE, x), lambda: read_output("epsilon", x, PURE, x)):
        with pytest.raises(UserError, match="alpha = 0"):
            read()


@pytest.mark.parametrize("kind", ["sample", "v_prediction", "flow"])
def test_other_parameterisations_start_from_pure_noise(kind):
    x, x0 = noise(0, 1, 1, 2, 2), noise(1, 1, 1, 2, 2)
    output = {"sample": x0, "v_prediction": -x0, "flow": x0 - x}[kind]  # v and u at alpha = 0, sigma = 1
    p = read_output(kind, x, PURE, output)
    close(p.x0, x0)
    close(p.eps, x)


def test_an_unknown_prediction_type_is_named():
    x = noise(0, 1, 1, 2, 2)
    with pytest.raises(UserError, match=r"'score'.*epsilon, sample, v_prediction, flow, flow_prediction"):
        read_output("score", x, PURE, x)


def test_clip_bounds_the_picture_and_derives_the_noise_anew():
    x, at = 2 * noise(0, 2, 3, 4, 4), NoiseLevel(5.0, 0.6, 0.8)
    p = from_eps(x, at, noise(1, 2, 3, 4, 4))
    q = clip(p, x, at, 0.5)
    assert q.x0.abs().max() == 0.5
    inside = p.x0.abs() <= 0.5
    assert inside.any()
    assert not inside.all()
    close(q.x0[inside], p.x0[inside])
    close(q.eps[inside], p.eps[inside])
    assert (q.eps[~inside] - p.eps[~inside]).abs().min() > 0


def naive_threshold(x0, ratio, max_value):
    """Imagen's rule for one picture at a time, with the quantile from a sorted list."""
    out = []
    for picture in x0:
        values = sorted(picture.abs().flatten().tolist())
        place = ratio * (len(values) - 1)
        low = int(place)
        high = min(low + 1, len(values) - 1)
        s = values[low] + (place - low) * (values[high] - values[low])
        s = min(max(s, 1.0), max_value)
        out.append(picture.clamp(-s, s) / s)
    return torch.stack(out)


@given(st.floats(0.5, 1), st.floats(1, 3), st.integers(0, 99))
def test_dynamic_threshold_is_the_naive_loop_over_pictures(ratio, max_value, seed):
    # pictures of different loudness: the second is quiet, so that its s is held at 1
    x0 = noise(seed, 3, 3, 5, 5) * torch.tensor([2.0, 0.1, 0.9]).view(-1, 1, 1, 1)
    at = NoiseLevel(5.0, 0.6, 0.8)
    x = noise(seed + 1, 3, 3, 5, 5)
    q = dynamic_threshold(from_x0(x, at, x0), x, at, ratio, max_value)
    close(q.x0, naive_threshold(x0, ratio, max_value))
    assert_waist(q, x, at)


@pytest.mark.parametrize("max_value", [1.0, 1.5])
def test_dynamic_threshold_equals_diffusers(max_value):
    scheduler = DDPMScheduler(thresholding=True, dynamic_thresholding_ratio=0.95, sample_max_value=max_value)
    x0 = (noise(3, 4, 3, 8, 8) * torch.tensor([0.2, 0.6, 1.0, 3.0]).view(-1, 1, 1, 1)).float()
    at, x = NoiseLevel(5.0, 0.6, 0.8), noise(4, 4, 3, 8, 8).float()
    ours = dynamic_threshold(from_x0(x, at, x0), x, at, 0.95, max_value).x0
    torch.testing.assert_close(ours, scheduler._threshold_sample(x0), atol=1e-6, rtol=0)


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.05, 3), st.floats(1.05, 5))
def test_the_posterior_variance_is_that_of_two_gaussian_measurements(alpha_s, fade, sigma_s, louder):
    """Precisions add: x_s given x_0 has variance sigma_s^2, and x_t = r x_s + sqrt(beta) z measures it again."""
    r = fade
    beta = (louder * sigma_s) ** 2
    at = NoiseLevel(2.0, alpha_s * r, math.sqrt((r * sigma_s) ** 2 + beta))
    move = Move(at, NoiseLevel(1.0, alpha_s, sigma_s))
    assert transition_variance(move) == pytest.approx(beta, rel=1e-9)
    assert posterior_variance(move) == pytest.approx(1 / (1 / sigma_s**2 + r**2 / beta), rel=1e-9)


def test_no_variance_is_left_on_the_move_to_clean():
    assert posterior_variance(Move(NoiseLevel(0.0, 0.99, 0.1), CLEAN)) == 0


@pytest.mark.parametrize("steps", [10, 50, 100, 1000])
def test_variances_equal_diffusers_on_the_respaced_chain(steps):
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    scheduler.set_timesteps(steps)
    schedule = squaredcos_cap_v2()
    var_interp = torch.linspace(-1.2, 1.2, 7)
    plan = plan_through(schedule, schedule.times(steps))
    for move in plan[:: max(1, steps // 20)]:
        if move.to.sigma == 0:
            continue
        t = int(move.at.t)
        small = scheduler._get_variance(t, variance_type="fixed_small").item()
        large = scheduler._get_variance(t, variance_type="fixed_large").item()
        learned = scheduler._get_variance(t, var_interp, variance_type="learned_range")
        assert posterior_variance(move) == pytest.approx(small, rel=1e-2 if steps == 1000 else 1e-3)
        assert transition_variance(move) == pytest.approx(large, rel=1e-2 if steps == 1000 else 1e-3)
        torch.testing.assert_close(learned_log_var(var_interp, move), learned, atol=1e-2, rtol=0)


def test_the_course_stride_uses_the_respaced_beta():
    """1 - abar_t / abar_s over 30 levels, not the single beta_t, which is some 30 times smaller."""
    plan = plan_through(squaredcos_cap_v2(), course_times())
    move = plan[10]
    abar_t, abar_s = (squaredcos_cap_v2().alphas_cumprod[int(level.t)] for level in move)
    assert transition_variance(move) == pytest.approx(1 - abar_t / abar_s, rel=1e-9)
