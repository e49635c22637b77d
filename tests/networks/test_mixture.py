"""The oracle: the posterior mean of a mixture, by integration, by the score, and by sampling."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import norm

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import Query
from duckrabbit.errors import UserError
from duckrabbit.networks.mixture import GaussianMixture, oracle_network
from exact import KINDS, M, V, grid, predict


def mixture(means, stds, weights):
    shape = (-1, 1, 1, 1) if not isinstance(means[0], list) else (len(means), 1, 1, -1)
    means, stds, weights = (torch.tensor(part, dtype=torch.float64) for part in (means, stds, weights))
    return GaussianMixture(means.view(shape), stds, weights)


@given(st.floats(-3, 3), st.floats(0.1, 1), st.floats(0.1, 2))
def test_the_oracle_is_the_posterior_mean_by_integration(x, alpha, sigma):
    """E[x_0 | x] = int x_0 p(x | x_0) p(x_0) / int p(x | x_0) p(x_0), by summation; weights need not sum to 1."""
    means, stds, weights = [-1.0, 0.2, 1.5], [0.3, 0.5, 0.2], [0.5, 2.0, 1.0]

    x0 = np.linspace(-20, 20, 80_001)  # 100 points and more to the narrowest bell: the sum is the integral
    prior = logsumexp([np.log(w) + norm.logpdf(x0, m, s) for m, s, w in zip(means, stds, weights, strict=True)], axis=0)
    log_joint = prior + norm.logpdf(x, alpha * x0, sigma)
    joint = np.exp(log_joint - log_joint.max())
    at = NoiseLevel(1.0, alpha, sigma)
    p = mixture(means, stds, weights).predict(torch.full((1, 1, 1, 1), x, dtype=torch.float64), at)
    assert p.x0.item() == pytest.approx((x0 * joint).sum() / joint.sum(), abs=1e-8)
    assert alpha * p.x0.item() + sigma * p.eps.item() == pytest.approx(x, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixture_of_one_is_the_linear_regression(kind):
    at = KINDS[kind](0.6)
    p = mixture([M], [math.sqrt(V)], [1.0]).predict(grid(), at)
    torch.testing.assert_close(p.x0, predict(grid(), at).x0, atol=1e-12, rtol=0)
    torch.testing.assert_close(p.eps, predict(grid(), at).eps, atol=1e-10, rtol=0)


def test_the_noise_of_the_oracle_is_the_score():
    """Tweedie: eps = -sigma d log p(x) / dx; log p by its own formula, its gradient by torch."""
    means, stds, weights = [[0.5, -1.0, 0.0], [-0.5, 0.3, 1.0]], [0.4, 0.8], [0.3, 0.7]
    at = NoiseLevel(1.0, 0.7, 0.5)
    x = torch.tensor([[0.1, 0.2, -0.4], [1.0, -1.0, 0.3]], dtype=torch.float64, requires_grad=True)
    parts = []
    for m, s, w in zip(means, stds, weights, strict=True):
        var = at.alpha**2 * s**2 + at.sigma**2
        gap = x - at.alpha * torch.tensor(m, dtype=torch.float64)
        parts.append(math.log(w) - (gap.square().sum(1) / var + 3 * math.log(2 * math.pi * var)) / 2)
    (score,) = torch.autograd.grad(torch.logsumexp(torch.stack(parts), 0).sum(), x)
    p = mixture(means, stds, weights).predict(x.detach().view(2, 1, 1, 3), at)
    torch.testing.assert_close(p.eps.flatten(1), -at.sigma * score, atol=1e-10, rtol=0)


def test_points_are_a_mixture_of_standard_deviation_zero():
    p = mixture([-1.0, 1.0], [0.0, 0.0], [0.5, 0.5]).predict(grid(), NoiseLevel(1.0, 0.6, 0.8))
    want = torch.tanh(0.6 * grid() / 0.8**2)  # two points at +-1: E[x_0 | x] = tanh(alpha x / sigma^2)
    torch.testing.assert_close(p.x0, want, atol=1e-12, rtol=0)


def test_samples_have_the_moments_of_the_mixture():
    """N = 40000: 4.5 standard errors of the mean and of the variance (by the fourth moment)."""
    means, stds, weights = [-1.0, 2.0], [0.5, 0.25], [3.0, 1.0]
    x = mixture(means, stds, weights).sample(40_000, torch.Generator().manual_seed(0)).flatten()
    mean = 0.75 * -1 + 0.25 * 2
    var = 0.75 * (0.25 + 1) + 0.25 * (0.0625 + 4) - mean**2
    fourth = (x - mean).pow(4).mean().item()
    assert abs(x.mean().item() - mean) < 4.5 * math.sqrt(var / 40_000)
    assert abs(x.var().item() - var) < 4.5 * math.sqrt((fourth - var**2) / 40_000)
    assert mixture(means, stds, weights).sample(5, torch.Generator()).shape == (5, 1, 1, 1)


def test_each_question_is_answered_from_the_mixture_it_names():
    cat, duck = mixture([1.0], [0.5], [1.0]), mixture([-1.0], [0.1], [1.0])
    network, at = oracle_network({"cat": cat, 7: duck}), NoiseLevel(1.0, 0.6, 0.8)
    answers = network([Query(grid(), 7), Query(grid(), "cat")], at)
    assert torch.equal(answers[0].x0, duck.predict(grid(), at).x0)
    assert torch.equal(answers[1].x0, cat.predict(grid(), at).x0)
    with pytest.raises(UserError, match="no mixture for 'dog'; it knows 'cat', 7"):
        network([Query(grid(), "dog")], at)


@pytest.mark.parametrize(
    ("means", "stds", "weights"), [([0.0], [1.0, 1.0], [1.0]), ([0.0], [-1.0], [1.0]), ([0.0], [1.0], [0.0])]
)
def test_mixtures_that_make_no_sense_are_refused(means, stds, weights):
    with pytest.raises(UserError, match="mixture"):
        mixture(means, stds, weights)
