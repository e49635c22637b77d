"""What a guidance tree means, and what it asks: the normal form, one network call, no question twice."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings

from duckrabbit.diffusion.prediction import Prediction, Query
from duckrabbit.guidance import laws
from duckrabbit.guidance.filters import LowPass
from duckrabbit.guidance.nodes import CFG, Bands, Mean, Prompt, Viewed
from duckrabbit.guidance.tree import Guidance, ask_all, lower
from duckrabbit.guidance.views.pixels import Flip, Rotate
from trees import AT, CONDITIONS, Counting, answer, count_questions, meant, meant_variance, picture, trees


def close(a, b, tolerance=1e-9):
    torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)


def cfg(condition, scale=7.0):
    return CFG(Prompt(condition), Prompt(""), scale)


@settings(max_examples=150)
@given(trees)
def test_a_tree_means_its_normal_form(tree):
    """sum_k W_k eps_theta(V_k x, c_k), expanded term by term; and the variance by its own rules."""
    x = picture()
    p = lower(tree, Counting())(x, AT)
    x0, eps = meant(tree, x)
    close(p.x0, x0)
    close(p.eps, eps)
    close(p.var_interp, meant_variance(tree, x))


@settings(max_examples=80)
@given(trees)
def test_law_1_a_linear_tree_of_identities_is_the_identity(tree):
    assert laws.identity(tree, picture()).deviation < 1e-11


@settings(max_examples=80)
@given(trees)
def test_law_5_one_batched_call_says_what_a_call_a_question_says(tree):
    assert laws.lowered_is_recursive(tree, Counting(), picture()).deviation < 1e-11


@given(trees)
def test_a_static_tree_takes_one_network_call_and_no_question_stands_twice_in_it(tree):
    network = Counting()
    lower(tree, network)(picture(), AT)
    assert len(network.calls) == 1
    keys = [q.key for q in network.calls[0]]
    assert len(keys) == len(set(keys))
    assert count_questions(tree, picture(), AT) == len(keys)


@given(trees)
def test_every_question_is_about_x_seen_through_its_own_views(tree):
    network, x = Counting(), picture()
    lower(tree, network)(x, AT)
    for query in network.calls[0]:
        seen = x
        for view in query.views:
            seen = view(seen)
        assert torch.equal(query.x, seen)


@given(trees)
def test_a_network_without_a_variance_makes_none(tree):
    assert lower(tree, Counting(with_var=False))(picture(), AT).var_interp is None


@given(trees)
def test_gradients_flow_through_the_tree(tree):
    """Guidance by reconstruction and other energies need d eps_hat / dx; checked along one direction."""
    x, d = picture().requires_grad_(), picture(9)
    run = lambda x: lower(tree, Counting())(x, AT).eps.square().sum()
    (grad,) = torch.autograd.grad(run(x), x)
    with torch.no_grad():
        slope = (run(x + 1e-6 * d) - run(x - 1e-6 * d)) / 2e-6
    scale = 1 + grad.abs().sum().item()
    assert abs((grad * d).sum().item() - slope.item()) < 1e-5 * scale


@given(trees)
def test_trees_are_values(tree):
    """Frozen, and nothing edits its argument: the same tree asked twice says the same of the same x."""
    x = picture()
    before = x.clone()
    denoise = lower(tree, Counting())
    assert torch.equal(denoise(x, AT).eps, denoise(x, AT).eps)
    assert torch.equal(x, before)


def test_a_hybrid_with_guidance_asks_three_questions():
    hybrid = Bands((LowPass(),), (cfg("cat"), cfg("duck")))
    assert count_questions(hybrid, picture(), AT) == 3  # cat, duck, and "" once for both


def test_an_anagram_asks_for_each_view_apart():
    anagram = Mean((cfg("cat"), Viewed(Flip(), cfg("cat"))))
    assert count_questions(anagram, picture(), AT) == 4  # the same words about different pictures
    network = Counting()
    p = lower(anagram, network)(picture(), AT)
    assert (p.eps - lower(cfg("cat"), Counting())(picture(), AT).eps).abs().max() > 0.01


def test_equal_views_share_their_questions():
    tree = Mean((Viewed(Rotate(1), cfg("cat")), Viewed(Rotate(1), cfg("duck"))))
    assert count_questions(tree, picture(), AT) == 3


@dataclass(frozen=True)
class Twice(Guidance):
    """An adaptive node: asks about x, then about an x changed by the answer; `token` as the rule demands."""

    condition: str
    rounds: int = 2
    token: bool = True

    def ask(self, x, at, views=()):
        p = None
        for k in range(self.rounds):
            (p,) = yield [Query(x, self.condition, views, token=object() if self.token and k else None)]
            x = x + p.eps
        return p


def naive_twice(x, condition, rounds=2):
    p = None
    for _ in range(rounds):
        p = answer(x, condition)
        x = x + p.eps
    return p


def test_an_adaptive_node_with_a_token_is_answered_about_its_changed_x():
    network, x = Counting(), picture()
    p = lower(Twice("cat"), network)(x, AT)
    assert len(network.calls) == 2
    close(p.eps, naive_twice(x, "cat").eps)
    assert laws.lowered_is_recursive(Twice("cat"), Counting(), x).holds


def test_an_adaptive_node_without_a_token_gets_a_stale_answer_and_law_5_tells():
    network, x = Counting(), picture()
    p = lower(Twice("cat", token=False), network)(x, AT)
    assert len(network.calls) == 1  # answered from the first round
    close(p.eps, answer(x, "cat").eps)
    assert not laws.lowered_is_recursive(Twice("cat", token=False), Counting(), x).holds


def test_children_that_finish_in_different_rounds_meet_in_each_round():
    network, x = Counting(), picture()
    children = (Twice("cat", 3), Prompt("duck"), Twice("", 2), Prompt(None))
    p = lower(Mean(children), network)(x, AT)
    assert [len(call) for call in network.calls] == [4, 2, 1]
    want = [naive_twice(x, "cat", 3), answer(x, "duck"), naive_twice(x, "", 2), answer(x, None)]
    close(p.eps, sum(q.eps for q in want) / 4)


def test_ask_all_returns_the_results_in_the_order_of_its_children():
    def child(name, rounds):
        for _ in range(rounds):
            yield [Query(name, name)]
        return name

    run = ask_all([child("a", 2), child("b", 0), child("c", 1)])
    assert [q.condition for q in next(run)] == ["a", "c"]
    assert [q.condition for q in run.send([None, None])] == ["a"]
    with pytest.raises(StopIteration) as done:
        run.send([None])
    assert done.value.value == ["a", "b", "c"]


def test_a_network_that_answers_too_little_is_not_taken_at_its_word():
    with pytest.raises(ValueError, match="shorter"):
        lower(cfg("cat"), lambda queries, at: [Prediction(queries[0].x, queries[0].x)])(picture(), AT)


def test_conditions_of_every_kind_are_told_apart():
    tree = Mean(tuple(map(Prompt, CONDITIONS)))
    assert count_questions(tree, picture(), AT) == len(CONDITIONS)
