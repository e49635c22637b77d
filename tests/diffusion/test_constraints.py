"""Known pixels and known bands: exact at every state, and RePaint's law against its own closed recursion."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from duckrabbit.diffusion.constraints import KnownBand, KnownPixels
from duckrabbit.diffusion.levels import CLEAN, NoiseLevel
from duckrabbit.diffusion.plans import plan_through, time_travel
from duckrabbit.diffusion.prediction import Prediction
from duckrabbit.diffusion.schedules import FlowSchedule, linear
from duckrabbit.diffusion.solvers import DDIM, DDPM
from duckrabbit.diffusion.streams import Noise
from duckrabbit.diffusion.trajectory import trajectory
from duckrabbit.errors import UserError
from exact import last, moments, no_noise

MU = np.array([0.4, -0.3])
COV = np.array([[0.8, 0.6], [0.6, 0.9]])
KNOWN = 1.1  # pixel 0 is known, pixel 1 is not
IMAGE = torch.tensor([[[[KNOWN, 9.0]]]], dtype=torch.float64)  # 9: what lies under the mask must not matter
MASK = torch.tensor([[[[0.0, 1.0]]]], dtype=torch.float64)


def base_plan(steps=20):
    schedule = linear(1000)
    return plan_through(schedule, schedule.times(steps, "trailing"))


def regression(at):
    """E[x_0 | x_t] = G x_t + g for x_0 ~ N(MU, COV): G = alpha COV (alpha^2 COV + sigma^2 I)^-1."""
    gain = at.alpha * COV @ np.linalg.inv(at.alpha**2 * COV + at.sigma**2 * np.eye(2))
    return gain, MU - at.alpha * gain @ MU


def denoise(x, at):
    gain, shift = (torch.from_numpy(part) for part in regression(at))
    x0 = (x.flatten(1) @ gain.T + shift).view_as(x)
    return Prediction(x0, (x - at.alpha * x0) / at.sigma)


def repaint_recursion(plan, clean_known=False):
    """Mean and covariance of RePaint on a Gaussian, one move at a time, in plain linear algebra.

    Down: x_s = r sigma_s^2 / sigma_t^2 x_t + alpha_s beta / sigma_t^2 (G x_t + g) + sqrt(beta sigma_s^2 / sigma_t^2) z.
    Up: x_t = r x_s + sqrt(sigma_t^2 - r^2 sigma_s^2) z. After either the known pixel is replaced by
    alpha k + sigma n with fresh n: its mean and variance are known, and it is correlated with nothing.
    """
    mean, cov = np.zeros(2), np.eye(2)
    for move in plan:
        at, to = move
        r = at.alpha / to.alpha
        if to.sigma > at.sigma:
            r = to.alpha / at.alpha
            a, b, w = r * np.eye(2), np.zeros(2), to.sigma**2 - r**2 * at.sigma**2
        else:
            beta = at.sigma**2 - r**2 * to.sigma**2
            gain, shift = regression(at)
            a = r * to.sigma**2 / at.sigma**2 * np.eye(2) + to.alpha * beta / at.sigma**2 * gain
            b, w = to.alpha * beta / at.sigma**2 * shift, beta * to.sigma**2 / at.sigma**2
        mean, cov = a @ mean + b, a @ cov @ a.T + w * np.eye(2)
        mean[0], cov[0, :], cov[:, 0] = KNOWN * (1 if clean_known else to.alpha), 0, 0
        cov[0, 0] = 0 if clean_known else to.sigma**2
    return mean, cov


def run_repaint(plan, how="renoised"):
    keep = KnownPixels(IMAGE, MASK, how)
    return moments(lambda x, z: last(denoise, z(x, "start"), plan, DDPM("small"), z, keep), (1, 1, 2))


@pytest.mark.parametrize(("jump", "resample"), [(1, 1), (5, 3), (4, 10)])
@pytest.mark.parametrize("how", ["renoised", "clean"])
def test_repaint_has_the_moments_of_its_own_recursion(jump, resample, how):
    """Exactly: unit vectors pushed through the whole run, time travel and re-noised known pixel included."""
    plan = time_travel(base_plan(), jump, resample)
    mean, cov = run_repaint(plan, how)
    want_mean, want_cov = repaint_recursion(plan, clean_known=how == "clean")
    np.testing.assert_allclose(mean.numpy(), want_mean, atol=1e-9)
    np.testing.assert_allclose(cov.numpy(), want_cov, atol=1e-9)


def test_resampling_draws_repaint_nearer_to_the_true_conditional():
    """p(unknown | known) of the Gaussian is textbook; the distance of the means falls with every resample."""
    slope = COV[1, 0] / COV[0, 0]
    true_mean = MU[1] + slope * (KNOWN - MU[0])
    bias = []
    for resample in (1, 2, 5, 10, 20):
        mean, _ = run_repaint(time_travel(base_plan(40), 5, resample))
        bias.append(abs(mean[1].item() - true_mean))
    assert bias == sorted(bias, reverse=True)
    assert bias[-1] < 0.35 * bias[0]


def half_mask(shape):
    mask = torch.zeros(1, 1, *shape[-2:], dtype=torch.float64)
    mask[..., shape[-1] // 2 :] = 1
    return mask


def shrink(x, at):
    """Some denoiser that is not linear."""
    x0 = torch.tanh(x)
    return Prediction(x0, (x - at.alpha * x0) / at.sigma)


@given(st.integers(0, 50), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_at_every_state_the_known_pixels_are_the_renoised_reference(seed, jump, resample, is_flow):
    schedule = FlowSchedule() if is_flow else linear(1000)
    steps = plan_through(schedule, schedule.times(7, "trailing"))
    plan = time_travel(steps[1:] if is_flow else steps, jump, resample)
    noise = Noise((seed, seed + 1))
    image = Noise((seed, 77), "image")(torch.zeros(2, 3, 4, 4, dtype=torch.float64), "start")
    mask = half_mask(image.shape)
    known = (mask == 0).expand_as(image)
    start = noise(image, "start")
    for state in trajectory(shrink, start, plan, DDPM("small"), noise, KnownPixels(image, mask)):
        reference = state.at.alpha * image + state.at.sigma * noise(image, "known", state.i)
        torch.testing.assert_close(state.x[known], reference[known], atol=1e-12, rtol=0)
    assert torch.equal(state.x[known], image[known])  # to the bit, where no noise is left
    assert state.at.sigma == 0
    assert not torch.equal(state.x[~known], image[~known])


def test_the_new_pixels_are_the_solver_s_own():
    x, image = torch.ones(1, 3, 4, 4, dtype=torch.float64), torch.zeros(1, 3, 4, 4, dtype=torch.float64)
    mask = half_mask(x.shape)
    out = KnownPixels(image, mask)(x, NoiseLevel(5.0, 0.6, 0.8), Noise((0,)), 3)
    assert torch.equal(out[..., 2:], x[..., 2:])
    assert not torch.equal(out[..., :2], x[..., :2])


def test_a_soft_mask_mixes_and_one_image_serves_a_batch():
    x = torch.full((2, 3, 4, 4), 3.0)
    out = KnownPixels(torch.ones(1, 3, 4, 4), torch.full((1, 1, 4, 4), 0.25))(x, CLEAN, no_noise, 0)
    torch.testing.assert_close(out, torch.full_like(x, 0.25 * 3 + 0.75 * 1))


def test_clean_known_pixels_stay_free_of_noise_at_every_level():
    image = torch.linspace(-1, 1, 48, dtype=torch.float64).view(1, 3, 4, 4)
    mask, at = half_mask(image.shape), NoiseLevel(5.0, 0.6, 0.8)
    out = KnownPixels(image, mask, "clean")(torch.zeros_like(image), at, no_noise, 3)
    assert torch.equal(out[..., :2], image[..., :2])


def test_the_noise_of_known_pixels_leaves_the_noise_of_the_steps_alone():
    """With every pixel free the constrained run is the unconstrained one, to the bit."""
    x, noise = Noise((1,))(torch.zeros(1, 3, 4, 4, dtype=torch.float64), "start"), Noise((1,))
    free = KnownPixels(torch.zeros_like(x), torch.ones(1, 1, 4, 4))
    a = last(shrink, x, base_plan(5), DDPM("small"), noise)
    assert torch.equal(last(shrink, x, base_plan(5), DDPM("small"), noise, free), a)


def test_every_move_draws_from_the_stream_of_its_purpose_and_index():
    drawn = []

    def record(like, purpose, i=0):
        drawn.append((purpose, i))
        return torch.zeros_like(like)

    plan = time_travel(base_plan(3), 1, 2)  # down, up, down, down, up, down, and the move to CLEAN
    last(denoise, torch.zeros_like(IMAGE), plan, DDPM("small"), record, KnownPixels(IMAGE, MASK))
    moves = ["step", "up", "step", "step", "up", "step"]
    assert drawn == [(purpose, i) for i, move in enumerate(moves) for purpose in (move, "known")]


def column_mean(x):
    """A projection: every column's mean, a linear filter with F F = F."""
    return x.mean(-2, keepdim=True).expand_as(x)


@pytest.mark.parametrize("solver", [DDIM(), DDPM("small")])
def test_at_every_state_the_known_band_is_the_renoised_reference(solver):
    noise = Noise((4,))
    image = Noise((9,))(torch.zeros(1, 3, 4, 4, dtype=torch.float64), "start")
    x = noise(image, "start")
    for state in trajectory(shrink, x, time_travel(base_plan(8), 2, 2), solver, noise, KnownBand(image, column_mean)):
        eps = noise(image, "known", state.i)
        reference = column_mean(state.at.alpha * image + state.at.sigma * eps)
        torch.testing.assert_close(column_mean(state.x), reference, atol=1e-12, rtol=0)
    torch.testing.assert_close(column_mean(state.x), column_mean(image), atol=1e-12, rtol=0)
    assert (state.x - image).abs().max() > 0.1


def test_a_known_band_leaves_the_rest_of_the_picture():
    x, image = (Noise((k,))(torch.zeros(1, 3, 4, 4, dtype=torch.float64), "start") for k in (1, 2))
    out = KnownBand(image, column_mean)(x, NoiseLevel(5.0, 0.6, 0.8), Noise((0,)), 3)
    torch.testing.assert_close(out - column_mean(out), x - column_mean(x), atol=1e-12, rtol=0)


def test_masks_that_do_not_fit_are_refused_in_words():
    image = torch.zeros(1, 3, 4, 6)
    with pytest.raises(UserError, match="mask of 3 x 4 pixels does not fit a picture of 6 x 4"):
        KnownPixels(image, torch.zeros(1, 1, 4, 3))
    for bad in (2.0, -1.0, float("nan")):
        with pytest.raises(UserError, match="1 where the picture is new"):
            KnownPixels(image, torch.full((1, 1, 4, 6), bad))
    with pytest.raises(UserError, match="renoised or clean"):
        KnownPixels(image, torch.zeros(1, 1, 4, 6), "noised")
