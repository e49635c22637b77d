"""The hybrid objective against the closed form, diffusers' variance, and what calculus says of its minimum."""

from dataclasses import replace

import pytest
import torch
from diffusers import DDPMScheduler
from torch.distributions import Normal, kl_divergence

from duckrabbit.diffusion.prediction import from_eps
from duckrabbit.diffusion.schedules import squaredcos_cap_v2
from duckrabbit.errors import UserError
from duckrabbit.training.cascade.stage1 import TEXTS
from duckrabbit.training.cascade.variational_bound import HybridObjective, log_likelihood
from duckrabbit.training.objectives import Draws

SCHEDULE = squaredcos_cap_v2(1000)
SHAPE = (5, 3, 4, 4)
G = torch.Generator().manual_seed(0)
X0 = torch.rand(SHAPE, generator=G) * 1.6 - 0.8
EPS, GUESS = torch.randn(SHAPE, generator=G), torch.randn(SHAPE, generator=G)
V = torch.rand(SHAPE, generator=G) * 2 - 1


def draws(step=0):
    return Draws(1, step, SHAPE[0], slice(None))


def posterior(x0, x, t, s):
    """The mean and variance of q(x_s | x_t, x_0) (Ho et al. 2020, eq. 7), in double precision."""
    abar, before = SCHEDULE.alphas_cumprod[t], SCHEDULE.alphas_cumprod[s]
    beta = 1 - abar / before
    mean = (before**0.5 * beta * x0 + (1 - beta) ** 0.5 * (1 - before) * x) / (1 - abar)
    return mean, beta * (1 - before) / (1 - abar)


@pytest.mark.parametrize("stride", [1, 100])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_bound_is_the_divergence_of_diffusers_step_from_the_true_one(prediction, stride):
    """Both steps as torch.distributions: the variance as diffusers' scheduler interpolates it, the means by eq. 7."""
    scheduler = DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2", variance_type="learned_range")
    scheduler.set_timesteps(1000 // stride)
    times = torch.tensor([1, 2, 100, 500, 998]) if stride == 1 else torch.tensor([100, 200, 500, 800, 900])
    objective = HybridObjective(SCHEDULE, prediction)
    expected, errors = [], []
    for i, t in enumerate(times.tolist()):
        level = SCHEDULE.level(t)
        x0, eps = X0[i].double(), EPS[i].double()
        x = level.alpha * x0 + level.sigma * eps
        guess = from_eps(x, level, eps + 0.1 * level.alpha * GUESS[i].double()).x0
        mean, variance = posterior(x0, x, t, t - stride)
        log_variance = scheduler._get_variance(t, predicted_variance=V[i]).double()
        p = Normal(posterior(guess, x, t, t - stride)[0], (0.5 * log_variance).exp())
        expected.append(kl_divergence(Normal(mean, torch.tensor(variance).sqrt()), p).mean())
        errors.append((guess - x0).float())
    found = objective.divergence(times, torch.full((5,), stride), X0, torch.stack(errors), V)
    torch.testing.assert_close(found.double(), torch.stack(expected), rtol=2e-3, atol=1e-6)


def test_the_best_variance_is_the_true_one_and_the_square_of_the_mistake():
    """d KL / d log sigma^2 = 0 at sigma^2 = betatilde + (mu - mu_q)^2, whatever the time."""
    times, stride = torch.tensor([50, 200, 400, 600, 900]), 40
    levels = [(SCHEDULE.alphas_cumprod[t], SCHEDULE.alphas_cumprod[t - stride]) for t in times.tolist()]
    abar, before = (torch.tensor(a).view(-1, 1, 1, 1) for a in zip(*levels, strict=True))
    beta = 1 - abar / before
    true, x0_to_mean = beta * (1 - before) / (1 - abar), before.sqrt() * beta / (1 - abar)
    error = 0.3 * EPS * true.sqrt() / x0_to_mean
    f = ((true + (x0_to_mean * error) ** 2).log() - true.log()) / (beta.log() - true.log())

    def slope(v):
        v = v.requires_grad_()
        divergence = HybridObjective(SCHEDULE).divergence(times, torch.full((5,), stride), X0, error, v)
        return torch.autograd.grad(divergence.sum(), v)[0].abs().amax((1, 2, 3))

    assert (slope(2 * f - 1) < 1e-2 * slope(2 * f - 0.5)).all()


def test_the_likelihoods_of_the_256_levels_sum_to_one():
    levels = torch.arange(256) / 127.5 - 1
    for mean, sigma in ((0.1, 0.02), (-0.98, 0.05), (1.2, 0.3), (0.0, 2.0)):
        total = log_likelihood(levels, torch.tensor(mean), torch.tensor(sigma).log()).exp().sum()
        assert float(total) == pytest.approx(1, abs=1e-4)


def test_each_half_of_the_answer_learns_from_its_own_half_of_the_loss():
    """The simple loss says nothing to the variance, and the bound nothing to the mean."""

    def gradients(bound):
        answer = torch.cat([GUESS, V], 1).requires_grad_()
        HybridObjective(SCHEDULE, bound=bound).loss(lambda x, t: answer, X0, (), draws()).sum().backward()
        return answer.grad.chunk(2, 1)

    simple, with_bound = gradients(0.0), gradients(0.001)
    assert torch.equal(simple[1], torch.zeros_like(V))
    assert torch.equal(with_bound[0], simple[0])
    assert (with_bound[1] != 0).all()


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_whoever_knows_the_picture_and_the_variance_pays_nothing(prediction):
    """The true answer, with v = -1 (betatilde): no error and no divergence at any t > 0."""
    seen = []

    def knowing(x, t):
        seen.append(t)
        level = [SCHEDULE.level(float(one)) for one in t]
        alpha, sigma = (torch.tensor([getattr(a, k) for a in level]).view(-1, 1, 1, 1) for k in ("alpha", "sigma"))
        eps = (x - alpha * X0) / sigma
        answer = {"epsilon": eps, "v_prediction": alpha * eps - sigma * X0, "sample": X0}[prediction]
        return torch.cat([answer, -torch.ones_like(X0)], 1)

    losses = HybridObjective(SCHEDULE, prediction).loss(knowing, X0, (), draws())
    assert losses[seen[0] > 0].abs().max() < 1e-4
    assert seen[0].unique().numel() == SHAPE[0]  # spread over the chain


def test_all_of_the_chain_is_asked_about():
    times = []
    objective = HybridObjective(SCHEDULE)
    for step in range(40):
        objective.loss(lambda x, t: (times.append(t), torch.zeros(5, 6, 4, 4))[1], X0, (), draws(step))
    spread = torch.cat(times)
    assert spread.min() < 30
    assert spread.max() > 970
    with pytest.raises(UserError, match="not trained to predict"):
        HybridObjective(SCHEDULE, "flow")


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5, 3.0])
def test_times_are_spread_as_the_power_says(power):
    """P(t < s) = (s / T)^power, the distribution whose density goes with t^(power - 1)."""
    asked = []

    def network(x, t):
        asked.append(t)
        return torch.zeros(len(x), 6, 1, 1)

    HybridObjective(SCHEDULE, times=power).loss(network, torch.zeros(4000, 3, 1, 1), (), Draws(1, 0, 4000, slice(None)))
    for s in (100, 250, 500, 900):
        assert float((asked[0] < s).float().mean()) == pytest.approx((s / 1000) ** power, abs=1e-3)
    assert int(asked[0].max()) == 999


def test_times_spread_by_no_power_are_refused():
    with pytest.raises(UserError, match="above 0"):
        replace(TEXTS["tiny"], times=0)
