"""A network of one schedule at the levels of another, against the mixture, which knows every level exactly."""

import shutil

import pytest
import torch

import duckrabbit as dr
from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import Query
from duckrabbit.diffusion.schedules import FlowSchedule, OneStepSchedule, linear, rescale_zero_terminal_snr
from duckrabbit.errors import UserError
from duckrabbit.folders import ASSETS
from duckrabbit.models.recast import Recast
from duckrabbit.networks.mixture import GaussianMixture, oracle_network
from duckrabbit.networks.recast import recast
from duckrabbit.tasks.asking import ask
from duckrabbit.tasks.requests import Generate
from trees import picture

MEANS = torch.stack([picture(k, batch=1, size=4)[0] for k in (1, 2)])
STDS, WEIGHTS = torch.tensor([[0.3, 0.5], [0.4, 0.6]], dtype=torch.float64)
EXACT = oracle_network({"": GaussianMixture(MEANS, STDS, WEIGHTS)})
CHAIN = linear()


def of_chain(queries, at):
    """The exact network, but only at levels that lie on the chain, as a trained one."""
    assert at == pytest.approx(CHAIN.level(at.t), rel=1e-12)
    return EXACT(queries, at)


@pytest.mark.parametrize("schedule", [FlowSchedule(), FlowSchedule(2.0), OneStepSchedule(1.0)])
def test_within_the_chain_the_answers_are_exact(schedule):
    network = recast(of_chain, CHAIN)
    for sigma in (0.02, 0.3, 1.0, 7.0, 100.0):
        at, x = schedule.at_sigma(sigma), picture(size=4) * (1 + sigma)
        (p,), (q,) = network([Query(x, "")], at), EXACT([Query(x, "")], at)
        torch.testing.assert_close(p.x0, q.x0, atol=1e-9, rtol=1e-9)
        torch.testing.assert_close(p.eps, q.eps, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("t", [1.0, 0.9999, 0.001, 1e-5])
def test_beyond_its_ends_the_nearest_level_answers_and_x_is_still_explained(t):
    at, x = FlowSchedule().level(t), picture(size=4)
    (p,) = recast(of_chain, CHAIN)([Query(x, "")], at)
    torch.testing.assert_close(at.alpha * p.x0 + at.sigma * p.eps, x, atol=1e-9, rtol=1e-9)
    (q,) = EXACT([Query(x, "")], at)
    torch.testing.assert_close(p.x0, q.x0, atol=0.04, rtol=0)


def test_its_own_levels_are_passed_on_as_they_are():
    x, at = picture(size=4), CHAIN.level(400)
    asked = []
    recast(lambda queries, level: asked.append((queries, level)) or EXACT(queries, level), CHAIN)([Query(x, "")], at)
    assert asked[0][1] is at
    assert asked[0][0][0].x is x


def test_pure_noise_is_asked_as_pure_noise_where_there_is_such_a_level():
    repaired, levels = rescale_zero_terminal_snr(linear()), []

    def spy(queries, at):
        levels.append(at)
        return EXACT(queries, at)

    recast(spy, repaired)([Query(picture(size=4), "")], NoiseLevel(1.0, 0.0, 1.0))
    assert levels == [NoiseLevel(999.0, 0.0, 1.0)]


def test_a_model_at_flow_walks_to_the_same_pictures(tmp_path):
    """The flow of the oracle is its own flow by another parameter: the same levels lead to the same picture."""
    model, flow = dr.load("oracle"), dr.load("oracle@flow")
    assert (flow.card.name, flow.stages[0].schedule, flow.card.solver) == ("oracle@flow", FlowSchedule(), "ddim")
    chain, straight = model.stages[0].schedule, flow.stages[0].schedule
    walked = (990, 700, 300, 50)
    times = [straight.at_sigma(chain.level(t).noise_to_signal).t for t in walked]
    make = lambda m, times: dr.run(dr.generate(m, "", solver="heun", guidance_scale=1, times=times), 5)
    own, other = make(model, walked), make(flow, times)
    torch.testing.assert_close(own.images, other.images, atol=0.02, rtol=0)
    other.save(tmp_path)
    assert dr.replay(next(tmp_path.glob("*.json"))).same


def test_a_cascade_at_flow_draws_and_enlarges():
    """Stage II keeps its own schedule; a picture noised to t = 1/2 is half picture, half noise."""
    model = dr.load("miniature@flow", device="cpu")
    assert model.stages[1].schedule.length == 1000
    noised = dr.run(dr.noise(model, torch.zeros(1, 3, 40, 40), 0.5), 1).images
    assert noised.mean().item() == pytest.approx(-0.5, abs=0.05)
    assert noised.std().item() == pytest.approx(0.5, abs=0.02)
    job = dr.generate(model, "a glossy emoji of a cat", steps=2, steps_stage2=1)
    assert [move.at.t for move in job.stages[0].plan] == [1, 0.5]
    assert dr.run(job, 1).images.isfinite().all()


def test_digits_at_flow_are_digits(tmp_path):
    """By their labels, without a prompt, from a folder that is not told, and replayed on a flow."""
    model = dr.load("mnist-class@flow", device="cpu")
    one, many = (dr.run(dr.generate(model, subject, steps=2), 1).images for subject in ("3", [3, 4]))
    torch.testing.assert_close(one, many[:1], atol=1e-4, rtol=0)
    assert len(ask(Generate(model="mnist-time@flow", device="cpu", steps=(2,))).jobs) == 1
    shutil.copytree(ASSETS / "weights" / "mnist-class", tmp_path / "mine")
    job = ask(Generate(model=f"{tmp_path}/mine@flow", prompts=("3",), device="cpu", steps=(2,))).jobs[0]
    dr.run(job, 1).save(tmp_path / "out")
    record = next((tmp_path / "out").glob("*.json"))
    assert str(tmp_path) not in record.read_text()
    with pytest.raises(UserError, match="--model FOLDER"):
        dr.replay(record)
    for where in (tmp_path / "mine", f"{tmp_path}/mine@flow", dr.load(str(tmp_path / "mine"), device="cpu")):
        assert dr.replay(record, model=where).same
    with pytest.raises(UserError, match="its own schedule"):
        dr.evaluate(model)


def test_what_cannot_be_recast():
    with pytest.raises(UserError, match="recast to flow, not to 'karras'"):
        Recast(dr.load("oracle"), "karras")
    with pytest.raises(UserError, match="in one step"):
        dr.load("mnist-denoiser@flow")
    with pytest.raises(UserError):
        dr.load("oracle@karras")
