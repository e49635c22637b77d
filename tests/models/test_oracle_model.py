"""The oracle model: what it says is the exact posterior of the shapes it draws."""

import pytest
import torch

from duckrabbit.diffusion.levels import add_noise
from duckrabbit.diffusion.plans import plan_through
from duckrabbit.diffusion.prediction import Query
from duckrabbit.diffusion.solvers import DDIM, DDPM
from duckrabbit.diffusion.streams import Noise
from duckrabbit.diffusion.trajectory import trajectory
from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import Prompt
from duckrabbit.guidance.tree import lower
from duckrabbit.models.load import load
from duckrabbit.models.oracle import COLOURS, SHAPES, STD, draw, mixtures


@pytest.fixture(scope="module")
def oracle():
    return load("oracle")


def test_a_dozen_different_shapes():
    drawn = [draw(shape, rgb) for shape in SHAPES for rgb in COLOURS.values()]
    assert len(drawn) == 12
    for i, a in enumerate(drawn):
        assert a.min() >= -1
        assert a.max() == 1
        assert all((a - b).square().sum().sqrt() > 20 * STD for b in drawn[:i])


def test_shapes_look_the_same_at_every_size():
    for shape in SHAPES:
        large = torch.nn.functional.avg_pool2d(draw(shape, (1, 0, 0), 128), 4)
        assert (large - draw(shape, (1, 0, 0), 32)).abs().mean() < 0.02


def test_the_null_prompt_weighs_all_shapes_by_how_likely_they_are(oracle):
    """Bayes by hand: p(k | x) over the twelve means, and the posterior mean of each."""
    at = oracle.stages[0].schedule.level(700)
    x = add_noise(draw("circle", COLOURS["red"])[None], at, torch.randn(1, 3, 32, 32)).double()
    means = torch.stack([draw(s, c) for c in COLOURS.values() for s in SHAPES]).double()
    var = at.alpha**2 * STD**2 + at.sigma**2
    p = (-((x - at.alpha * means) ** 2).flatten(1).sum(1) / (2 * var)).softmax(0)
    each = means + at.alpha * STD**2 / var * (x - at.alpha * means)
    expected = (p.view(-1, 1, 1, 1) * each).sum(0)
    ours = oracle.network(0)([Query(x, oracle.condition(""))], at)[0].x0[0]
    assert torch.allclose(ours, expected, atol=1e-6)


@pytest.mark.parametrize("solver", [DDPM("small"), DDIM()])
@pytest.mark.parametrize("prompt", ["a red circle", "a blue cross"])
def test_sampling_draws_the_shape(oracle, prompt, solver):
    facts, noise = oracle.stages[0], Noise((1, 2))
    x = noise(torch.empty(2, 3, 32, 32), "start", 0)
    plan = plan_through(facts.schedule, facts.schedule.times(50))
    denoise = lower(Prompt(oracle.condition(prompt)), oracle.network(0))
    *_, last = trajectory(denoise, x, plan, solver, noise)
    _, colour, shape = prompt.split()
    assert (last.x - draw(shape, COLOURS[colour])).square().mean().sqrt() < 2 * STD


def test_shape_and_colour_prompts_are_unions():
    assert len(mixtures()["a circle"].means) == 3
    assert len(mixtures()["a red shape"].means) == 4
    assert len(mixtures()[""].means) == 12


def test_prompts_have_no_case(oracle):
    assert oracle.condition(" A Red Circle") == "a red circle"
    oracle.prepare(["a red circle", None, ""])


def test_unknown_things_are_sentences(oracle):
    x, at = torch.zeros(1, 3, 32, 32), oracle.stages[0].schedule.level(10)
    for call in (
        lambda: oracle.condition("a yellow duck"),
        lambda: oracle.prepare(["a yellow duck"]),
        lambda: oracle.network(0)([Query(x, "a yellow duck")], at),
    ):
        with pytest.raises(UserError, match="a red circle"):
            call()
    with pytest.raises(UserError, match="one stage"):
        oracle.network(1)
    assert oracle.weight_hash() == {}
