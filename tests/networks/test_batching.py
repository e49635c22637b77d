"""From a module to answers: one forward a round, rows in order, low resolution through the views, float32 out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from duckrabbit.diffusion.prediction import Query, read_output
from duckrabbit.diffusion.schedules import linear
from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import CFG, Mean, Prompt, Viewed
from duckrabbit.guidance.tree import lower
from duckrabbit.guidance.views.pixels import Flip, Negate, Rotate
from duckrabbit.networks.batching import batched
from trees import AT, CONDITIONS, answer, picture, trees


def module(x, at, conditions, low_res):
    """Six channels, a different kernel for every row's condition; counts nothing, keeps nothing."""
    rows = [answer(row[None], c) for row, c in zip(x, conditions, strict=True)]
    return torch.cat([torch.cat([p.eps, p.var_interp], 1) for p in rows])


class Spy:
    """A module that remembers how it was called, and answers with zeros."""

    def __init__(self, channels=3):
        self.calls, self.channels = [], channels

    def __call__(self, x, at, conditions, low_res):
        self.calls.append((x, at, list(conditions), low_res))
        return torch.zeros(len(x), self.channels, *x.shape[-2:], dtype=x.dtype)


def test_all_questions_of_a_round_go_in_one_forward_in_their_order():
    spy, queries = Spy(), [Query(picture(k), c) for k, c in enumerate(CONDITIONS)]
    answers = batched(spy)(queries, AT)
    ((x, at, conditions, low_res),) = spy.calls
    assert torch.equal(x, torch.cat([q.x for q in queries]))
    assert conditions == [c for c in CONDITIONS for _ in range(2)]  # each picture of a batch has its condition
    assert at == AT
    assert low_res is None
    assert len(answers) == len(CONDITIONS)


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction", "flow"])
@pytest.mark.parametrize("learned", [False, True])
def test_every_answer_is_that_of_its_own_question(kind, learned):
    forward = module if learned else lambda *a: module(*a)[:, :3]
    queries = [Query(picture(k, batch=k + 1), c) for k, c in enumerate(CONDITIONS)]  # of different sizes, even
    answers = batched(forward, kind, learned_variance=learned)(queries, AT)
    for query, got in zip(queries, answers, strict=True):
        p = answer(query.x, query.condition)
        want = read_output(kind, query.x, AT, p.eps)
        torch.testing.assert_close(got.x0, want.x0, atol=1e-12, rtol=0)
        torch.testing.assert_close(got.eps, want.eps, atol=1e-12, rtol=0)
        if learned:
            torch.testing.assert_close(got.var_interp, p.var_interp, atol=1e-12, rtol=0)
        else:
            assert got.var_interp is None


@given(trees, st.integers(1, 9))
def test_a_micro_batch_changes_the_calls_and_not_the_answers(tree, rows):
    sizes = []

    def counting(x, at, conditions, low_res):
        sizes.append(len(x))
        return module(x, at, conditions, low_res)

    x = picture()
    whole = lower(tree, batched(module, learned_variance=True))(x, AT)
    parts = lower(tree, batched(counting, learned_variance=True, micro_batch=rows))(x, AT)
    torch.testing.assert_close(parts.eps, whole.eps, atol=1e-10, rtol=0)
    torch.testing.assert_close(parts.var_interp, whole.var_interp, atol=1e-10, rtol=0)
    assert max(sizes) <= rows
    assert all(size == rows for size in sizes[:-1])


@pytest.mark.parametrize("micro_batch", [None, 1, 3])
def test_a_low_resolution_picture_goes_through_the_views_of_each_question(micro_batch):
    """A marked pixel in the low resolution picture and in x: whatever the view, they stay on top of each other."""
    low = torch.zeros(2, 3, 8, 8)
    low[0, :, 1, 2], low[1, :, 6, 5] = 1.0, 2.0
    spy = Spy()
    turned = Viewed(Rotate(1), Viewed(Flip(), Prompt("cat")))
    tree = Mean((CFG(Prompt("cat"), Prompt("")), turned, Viewed(Negate(), Prompt(None))))
    lower(tree, batched(spy, low_res=low, micro_batch=micro_batch))(low.clone(), AT)
    x, seen = (torch.cat([call[k] for call in spy.calls]) for k in (0, 3))
    assert len(x) == 8
    assert torch.equal(x, seen)
    rotated = torch.rot90(low, 1, (-2, -1)).flip(-2)  # the outer view first
    assert sum(torch.equal(pair, rotated) for pair in seen.split(2)) == 1
    assert sum(torch.equal(pair, -low) for pair in seen.split(2)) == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_answers_are_float32_whatever_the_network_computes_in(dtype):
    half = lambda x, at, conditions, low_res: module(x.float(), at, conditions, low_res).to(dtype)
    x = picture(dtype=torch.float32)
    (p,) = batched(half, learned_variance=True)([Query(x, "cat")], AT)
    assert {p.x0.dtype, p.eps.dtype, p.var_interp.dtype} == {torch.float32}
    # the waist holds to float32: x0 was formed after the answer was widened, not before
    assert (AT.alpha * p.x0 + AT.sigma * p.eps - x).abs().max() < 1e-5
    (q,) = batched(half, learned_variance=True)([Query(x.to(dtype), "cat")], AT)
    assert q.x0.dtype == torch.float32
    (d,) = batched(half, learned_variance=True)([Query(x.double(), "cat")], AT)
    assert d.eps.dtype == torch.float64


def test_gradients_flow_to_the_x_that_asks_for_them_and_else_there_is_no_graph():
    """The gradient of an answer is that of its formula: of x0 = (x - sigma w x) / alpha, (1 - sigma w) / alpha."""
    weight = torch.tensor(0.3, requires_grad=True)
    network = batched(lambda x, at, conditions, low_res: weight * x, "epsilon", micro_batch=1)
    asked, quiet = picture(1).requires_grad_(), picture(2)
    first, _ = network([Query(asked, "a"), Query(quiet, "b")], AT)
    (slope,) = torch.autograd.grad(first.x0.sum(), asked)
    torch.testing.assert_close(slope, torch.full_like(slope, (1 - AT.sigma * 0.3) / AT.alpha))
    assert not network([Query(quiet, "b")], AT)[0].x0.requires_grad
    with torch.no_grad():
        assert not network([Query(asked, "a")], AT)[0].x0.requires_grad


@pytest.mark.parametrize("t", [-1.0, -0.5, 999.5, 1000.0, float("nan")])
def test_a_time_that_no_network_could_know_is_refused(t):
    network = batched(Spy(), schedule=linear())
    with pytest.raises(UserError, match="without noise" if t == -1 else "from 0 to 999"):
        network([Query(picture(0), "a")], AT._replace(t=t))
    network([Query(picture(0), "a")], AT._replace(t=998.5))


@pytest.mark.parametrize(
    ("channels", "learned", "says"), [(3, True, "3 channels where 6"), (6, False, "6 channels where 3")]
)
def test_a_wrong_number_of_channels_is_refused_in_words(channels, learned, says):
    with pytest.raises(UserError, match=says):
        batched(Spy(channels), learned_variance=learned)([Query(picture(), "cat")], AT)


@pytest.mark.parametrize("rows", [0, -1])
def test_a_micro_batch_of_nothing_is_refused_in_words(rows):
    with pytest.raises(UserError, match="micro-batch"):
        batched(Spy(), micro_batch=rows)
