"""Two models on one canvas: who is asked what, against a walk with both networks by hand."""

import pytest
import torch

import duckrabbit as dr
from duckrabbit.diffusion.prediction import Prediction
from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import CFG, Mean, Prompt, Through, Viewed, conditions_of, models_of
from duckrabbit.guidance.tree import lower
from duckrabbit.guidance.views.pixels import Flip
from duckrabbit.networks.recast import recast
from trees import AT, Counting, answer, picture


def test_each_network_has_its_own_questions_in_one_call_each():
    own, other = Counting(), Counting()
    tree = Mean(
        (CFG(Prompt("cat"), Through("weak", Prompt("cat")), 2.0), Through("weak", Viewed(Flip(-1), Prompt(""))))
    )
    p = lower(tree, own, {"weak": other}.__getitem__)(picture(), AT)
    assert [[(q.condition, q.network) for q in call] for call in own.calls] == [[("cat", None)]]
    assert [[(q.condition, q.network) for q in call] for call in other.calls] == [[("cat", "weak"), ("", "weak")]]
    flipped = answer(picture().flip(-1), "").x0.flip(-1)
    torch.testing.assert_close(p.x0, (answer(picture(), "cat").x0 + flipped) / 2)


def test_the_same_question_to_two_models_is_two_questions():
    constant = lambda value: lambda queries, at: [Prediction(0 * q.x + value, q.x) for q in queries]
    tree = CFG(Prompt("cat"), Through("weak", Prompt("cat")), 3.0)
    p = lower(tree, constant(1.0), {"weak": constant(0.25)}.__getitem__)(picture(), AT)
    torch.testing.assert_close(p.x0, torch.full_like(p.x0, 0.25 + 3 * 0.75))


def test_what_a_tree_asks_of_whom():
    tree = Mean((Prompt("cat"), Through("weak", CFG(Prompt(3), Through("weaker", Prompt(None)), 2.0))))
    assert conditions_of(tree) == {"cat"}
    assert (conditions_of(tree, "weak"), conditions_of(tree, "weaker")) == ({3}, {None})
    assert models_of(tree) == {"weak", "weaker"}
    with pytest.raises(UserError, match="asks the model 'weak' too"):
        lower(tree, Counting())(picture(), AT)


def test_autoguidance_of_digits_is_the_walk_with_both_networks_by_hand(tmp_path):
    """mnist-class pushed away from mnist-time, which knows no classes: through the tasks, and by hand."""
    model, other = dr.load("mnist-class", device="cpu"), dr.load("mnist-time", device="cpu")
    tree = CFG(Prompt(3), Through("mnist-time", Prompt(None)), 2.0)
    result = dr.run(dr.generate(model, tree, steps=4, solver="ddim"), seeds=[1, 2])
    facts = model.stages[0]
    good, bad = model.network(0), recast(other.network(0), other.stages[0].schedule)

    def denoise(x, at):
        (c,), (u,) = (net([dr.Query(x, label)], at) for net, label in ((good, 3), (bad, None)))
        x0 = (u.x0 + 2 * (c.x0 - u.x0)).clamp(-1, 1)
        return Prediction(x0, (x - at.alpha * x0) / at.sigma)

    noise = dr.Noise((1, 2), scope="stage1")
    plan = dr.plan_through(facts.schedule, facts.schedule.times(4, "trailing"))
    x = noise(torch.zeros(2, 1, 28, 28), "start")
    states = list(dr.trajectory(denoise, x, plan, dr.DDIM(), noise))
    torch.testing.assert_close(result.images, states[-1].x, atol=1e-4, rtol=0)
    result.save(tmp_path)
    assert dr.replay(next(tmp_path.glob("*.json"))).same
    assert set(result.record["model"]["weights"]) == {"model.safetensors", "mnist-time/model.safetensors"}
    assert (dr.cost(result.job)[0].calls, dr.cost(result.job)[0].pictures) == (8, 8)


def test_a_mean_of_two_models_by_their_names():
    """The oracle beside itself on another schedule is itself."""
    model, circle = dr.load("oracle"), Prompt("a red circle")
    both = Mean((circle, Through("oracle@flow", circle)))
    alone, shared = (dr.run(dr.generate(model, tree, steps=5), seeds=3).images for tree in (circle, both))
    torch.testing.assert_close(alone, shared, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("name", "condition", "why"),
    [
        ("mnist-time", None, "share a canvas"),
        ("no-such-model", "", "no-such-model"),
        ("oracle", "a unicorn", "unicorn"),
    ],
)
def test_what_cannot_be_asked_is_said_before_anything_runs(name, condition, why):
    model = dr.load("oracle")
    job = dr.generate(model, Mean((Prompt(""), Through(name, Prompt(condition)))), steps=2)
    with pytest.raises(UserError, match=why):
        dr.run(job, seeds=1)
