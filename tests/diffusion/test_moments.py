"""Random solvers against the moments they must have, on the three kinds of schedule."""

import math

import numpy as np
import pytest
import torch

from duckrabbit.diffusion.prediction import Prediction
from duckrabbit.diffusion.solvers import DDIM, DDPM, DPMSolverPP2M
from exact import KINDS, Draws, last, marginal, moments, path, predict

SHAPE = (1, 1, 1)


def denoise(x, at):
    return predict(x, at)


def true_reverse_variance(move):
    """Var[x_s | x_t] of the data, by precisions: x_s has its marginal variance, and x_t = r x_s + sqrt(beta) z."""
    at, to = move
    r = at.alpha / to.alpha
    beta = at.sigma**2 - r**2 * to.sigma**2
    return 1 / (1 / marginal(to)[1] + r**2 / beta)


def chain_moments(plan, noise_variance, mean, var):
    """Mean and variance of ancestral sampling with the posterior mean, level by level, from Bayes by precisions.

    p(x_s | x_t, x_0) has precision 1 / sigma_s^2 + r^2 / beta and mean (alpha_s x_0 / sigma_s^2 + r x_t / beta)
    over it; x_0 is a linear function a x_t + b, read off at two points.
    """
    for move in plan:
        at, to = move
        r = at.alpha / to.alpha
        beta = at.sigma**2 - r**2 * to.sigma**2
        b, ab = (predict(torch.tensor(v, dtype=torch.float64), at).x0.item() for v in (0.0, 1.0))
        precision = 1 / to.sigma**2 + r**2 / beta
        slope = (to.alpha * (ab - b) / to.sigma**2 + r / beta) / precision
        shift = to.alpha * b / to.sigma**2 / precision
        small = 1 / precision
        mean, var = slope * mean + shift, slope**2 * var + noise_variance(beta, small)
    return mean, var


RULES = {
    "small": (DDPM("small"), lambda beta, small: small),
    "large": (DDPM("large"), lambda beta, small: beta),
    "ddim 1": (DDIM(1.0), lambda beta, small: small),
    # one third of the way in log variance: var_interp = -1/3, f = 1/3
    "learned": (DDPM("learned"), lambda beta, small: beta ** (1 / 3) * small ** (2 / 3)),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", KINDS)
def test_ancestral_sampling_is_the_chain_that_bayes_gives(rule, kind):
    """Exactly: the run is affine in its noise, so unit vectors pushed through it give its mean and variance."""
    solver, variance = RULES[rule]
    plan = path(kind, 15, high=0.99)
    answer = lambda x, at: Prediction(predict(x, at).x0, predict(x, at).eps, torch.full_like(x, -1 / 3))
    mean, cov = moments(lambda x, noise: last(answer, 0.5 + 2 * noise(x, "start"), plan, solver, noise), SHAPE)
    want_mean, want_var = chain_moments(plan, variance, 0.5, 4.0)
    assert mean.item() == pytest.approx(want_mean, abs=1e-10)
    assert cov.item() == pytest.approx(want_var, rel=1e-10)


@pytest.mark.parametrize(("solver", "order"), [(DDPM("small"), 1), (DPMSolverPP2M(1.0), 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_the_variance_of_a_run_converges_at_the_weak_order_of_its_solver(solver, order, kind):
    """The mean is right in any number of steps; what is wrong with the variance halves order times when they double."""
    errors = []
    for steps in (64, 128):
        plan = path(kind, steps, high=0.98)
        (first, spread), (mean, variance) = marginal(plan[0].at), marginal(plan[-1].to)
        start = lambda x, noise, m=first, v=spread: m + math.sqrt(v) * noise(x, "start")
        run = lambda x, noise, plan=plan, start=start: last(predict, start(x, noise), plan, solver, noise)
        got, cov = moments(run, SHAPE)
        assert got.item() == pytest.approx(mean, abs=1e-10)
        errors.append(abs(cov.item() - variance))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("kind", KINDS)
def test_ddpm_with_the_true_variance_reaches_the_data_in_any_number_of_steps(kind):
    """p(x_s | x_t) of a Gaussian is Gaussian: with its own mean and variance, five steps are as good as a thousand."""
    plan = path(kind, 5)
    variances = {move.at: true_reverse_variance(move) for move in plan}
    bounds = {}
    for move in plan:
        r = move.at.alpha / move.to.alpha
        beta = move.at.sigma**2 - r**2 * move.to.sigma**2
        bounds[move.at] = (beta, 1 / (1 / move.to.sigma**2 + r**2 / beta))

    def wise(x, at):
        beta, small = bounds[at]
        f = (math.log(variances[at]) - math.log(small)) / (math.log(beta) - math.log(small)) if beta > small else 1.0
        return Prediction(predict(x, at).x0, predict(x, at).eps, torch.full_like(x, 2 * f - 1))

    m, v = marginal(plan[0].at)
    run = lambda x, noise: last(wise, m + math.sqrt(v) * noise(x, "start"), plan, DDPM(), noise)
    mean, cov = moments(run, SHAPE)
    want_mean, want_var = marginal(plan[-1].to)
    assert mean.item() == pytest.approx(want_mean, abs=1e-10)
    assert cov.item() == pytest.approx(want_var, rel=1e-9)


@pytest.mark.parametrize("solver", [DDPM("small"), DDPM("large"), DDIM(1.0), DDIM(0.5)])
@pytest.mark.parametrize("kind", KINDS)
def test_random_solvers_generate_the_data(solver, kind):
    """20000 samples. The mean has standard error sqrt(v / N), the variance v sqrt(2 / N); 4.5 of each are allowed.

    What 300 finite steps add is bounded by the exact push-through of the same plan, which must itself lie within 4 %.
    """
    plan = path(kind, 300)
    m, v = marginal(plan[0].at)
    n = 20_000
    run = lambda x, noise: last(denoise, m + math.sqrt(v) * noise(x, "start"), plan, solver, noise)
    samples = run(torch.zeros(n, *SHAPE, dtype=torch.float64), Draws(1)).flatten().numpy()
    mean, cov = (part.item() for part in moments(run, SHAPE))
    want_mean, want_var = marginal(plan[-1].to)
    assert abs(np.mean(samples) - mean) < 4.5 * math.sqrt(cov / n)
    assert abs(np.var(samples, ddof=1) - cov) < 4.5 * cov * math.sqrt(2 / n)
    assert mean == pytest.approx(want_mean, abs=0.01)
    assert cov == pytest.approx(want_var, rel=0.04)
