"""Inversion and likelihood on distributions whose flow and density are known in closed form."""

import math

import pytest
import torch

import duckrabbit as dr
from duckrabbit.diffusion.plans import Move, plan_through
from duckrabbit.diffusion.prediction import Prediction
from duckrabbit.diffusion.probability_flow import invert, log_likelihood
from duckrabbit.diffusion.schedules import FlowSchedule, linear, squaredcos_cap_v2
from duckrabbit.diffusion.solvers import DDIM
from duckrabbit.errors import UserError
from duckrabbit.networks.mixture import GaussianMixture
from exact import KINDS, M, V, carried, grid, last, no_noise, path, predict


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_and_back(kind):
    plan = path(kind, 50, high=0.98, to_clean=True)
    noise = invert(predict, grid(), plan, rounds=30)
    assert (last(predict, noise, plan, DDIM(), no_noise) - grid()).abs().max() < 1e-9
    once = invert(predict, grid(), plan, rounds=1)
    assert (last(predict, once, plan, DDIM(), no_noise) - grid()).abs().max() > 1e-3


def test_the_oracles_pictures_come_back_from_their_noise_after_200_steps():
    """Through the public surface: within 1e-3 everywhere."""
    model = dr.load("oracle")
    facts = model.stages[0]
    denoise = dr.denoiser(model, "", guidance_scale=1)
    x0 = dr.run(dr.generate(model, "a red circle", solver="ddim", guidance_scale=1), seeds=[1, 2]).images
    plan = dr.plan_through(facts.schedule, facts.schedule.times(200))
    noise = dr.invert(denoise, x0, plan)
    assert (last(denoise, noise, plan, DDIM(), no_noise) - x0).abs().max() < 1e-3


def test_the_noise_of_a_gaussian_is_its_quantile():
    """Inversion in 2000 steps converges to the exact map, N(M, V) to N(0, 1)."""
    schedule = squaredcos_cap_v2()
    plan = plan_through(schedule, schedule.times(1000))
    found = invert(predict, grid(), plan, rounds=3)
    exact = carried(grid(), plan[-1].to, plan[0].at)
    assert (found - exact).abs().max() < 0.02


def density(x, mean, variance):
    return torch.distributions.Normal(mean, math.sqrt(variance)).log_prob(x).flatten(1).sum(1)


@pytest.mark.parametrize("schedule", [linear(), FlowSchedule(), squaredcos_cap_v2()])
def test_the_likelihood_of_a_gaussian(schedule):
    plan = plan_through(schedule, schedule.times(200, "log-snr"))
    at = plan[-1].at
    x = grid()
    found = log_likelihood(predict, x, plan)
    exact = density(x, at.alpha * M, at.alpha**2 * V + at.sigma**2)
    torch.testing.assert_close(found, exact.double(), rtol=0.01, atol=0.01)


def mixture(size):
    means = torch.stack([torch.full((1, size, size), -0.5), torch.full((1, size, size), 0.7)]).double()
    return GaussianMixture(means, torch.tensor([0.2, 0.4]).double(), torch.tensor([0.3, 0.7]).double())


@pytest.mark.parametrize("probes", [None, 64])
def test_the_likelihood_of_a_mixture_within_one_percent(probes):
    """Not only where the flow is a straight scaling; exact, and by random signs."""
    data, schedule = mixture(4), linear()
    x = data.sample(6, torch.Generator().manual_seed(0))
    plan = plan_through(schedule, schedule.times(200, "log-snr"))
    at = plan[-1].at
    found = log_likelihood(data.predict, at.alpha * x, plan, probes=probes)
    parts = [
        math.log(w) + density(at.alpha * x, at.alpha * m, at.alpha**2 * s**2 + at.sigma**2)
        for w, m, s in zip(data.weights.tolist(), data.means, data.stds.tolist(), strict=True)
    ]
    exact = torch.logsumexp(torch.stack(parts), 0)
    torch.testing.assert_close(found, exact, rtol=0.01, atol=0.01 if probes is None else 0.3)


def test_a_mean_network_of_the_house_has_a_likelihood():
    """A real network, through its boundary: the probes agree with the exact divergence of one level."""
    model = dr.load("mnist-class", device="cpu")
    denoise = dr.denoiser(model, 3, guidance_scale=1)
    schedule = model.stages[0].schedule
    plan = plan_through(schedule, schedule.times(6, "log-snr"))
    three = dr.run(dr.generate(model, 3, steps=8), seeds=1).images
    likely, unlikely = (
        log_likelihood(denoise, x, plan, probes=4).item() for x in (three, torch.rand_like(three).mul(2).sub(1))
    )
    assert likely > unlikely + 500


def test_what_cannot_be_undone_is_refused():
    down = path("vp", 3)
    up = Move(down[0].to, down[0].at)
    for plan in ((), (*down, up)):
        for undo in (invert, log_likelihood):
            with pytest.raises(UserError, match="from noise to picture"):
                undo(predict, grid(), plan)
    with pytest.raises(UserError, match=r"rounds.* of 1 or more"):
        invert(predict, grid(), down, rounds=0)
    with pytest.raises(UserError, match="two noisy levels"):
        log_likelihood(predict, grid(), path("vp", 1, to_clean=True)[1:])
    with pytest.raises(UserError, match="probes is a whole number of 1 or more"):
        log_likelihood(predict, grid(), down, probes=0)
    with pytest.raises(UserError, match="no gradient"):
        log_likelihood(lambda x, at: Prediction(grid(), grid()), grid(), down)
