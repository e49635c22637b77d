"""Ways to combine: laws, closed forms, and the naive loop over steps."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.plans import Move, plan_through
from duckrabbit.diffusion.prediction import Prediction, from_x0
from duckrabbit.diffusion.schedules import squaredcos_cap_v2
from duckrabbit.diffusion.solvers import DDIM, SOLVERS, find_solver, on_schedule
from duckrabbit.diffusion.trajectory import trajectory
from duckrabbit.errors import UserError
from duckrabbit.guidance import laws
from duckrabbit.guidance.combining import Adaptive, Alternate, InWindows, MeanX0, Rectified, starts_of
from duckrabbit.guidance.nodes import CFG, Mean, Prompt, Viewed, Weighted
from duckrabbit.guidance.tree import lower
from duckrabbit.guidance.views.pixels import Flip, Negate, Permute, Rotate
from trees import AT, Counting, answer, picture

CAT, DUCK, THREE = (Viewed(v, CFG(Prompt(c), Prompt(""), 3.0)) for v, c in
                    ((Flip(-1), "cat"), (Rotate(1), "duck"), (Permute(4, 1), 3)))  # fmt: skip
SCHEDULE = squaredcos_cap_v2(1000)
PLAN = plan_through(SCHEDULE, [990, 800, 600, 400, 200, 50])
WEIGHTS = st.lists(st.floats(0.1, 3), min_size=3, max_size=3).map(lambda ws: tuple(w / sum(ws) for w in ws))


def consistent(queries, at):
    """Answers whose x0 and eps belong to the x that was asked about."""
    return [from_x0(q.x, at, answer(q.x, q.condition).x0, answer(q.x, q.condition).var_interp) for q in queries]


def run(tree, at=AT, x=None, network=consistent):
    return lower(tree, network)(picture() if x is None else x, at)


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)


def silent(like, purpose, i):
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(i), dtype=like.dtype)


def share(u):
    return NoiseLevel(0.0, 1 - u, u)


@given(WEIGHTS)
def test_law_1_of_those_that_keep_it(weights):
    children, x = (CAT, DUCK, THREE), picture()
    scores = lambda x0: x0.flatten(1)[:, :3]
    for tree in (
        Alternate(children, (5.0, 1.0, 0.5)),
        InWindows(children, weights, ((1, 0.6), (1, 0), (0.7, 0))),
        Adaptive(children, scores),
    ):
        assert laws.identity(tree, x).holds
    p = lower(MeanX0(children, weights), lambda qs, at: [Prediction(q.x, q.x) for q in qs])(x, AT)
    close(p.x0, x)


def test_rectified_breaks_law_1_and_keeps_unit_variance():
    """Of independent noises as far as of equal ones: the variance is 1, where the mean's is 1/2."""
    children, half = (Prompt("cat"), Prompt("duck")), (0.5, 0.5)
    assert not laws.identity(Rectified(children, half), 2 * picture()).holds
    noise = {c: picture(k, 2, 64) for k, c in enumerate(("cat", "duck"))}

    def white(queries, at):
        return [Prediction((q.x - at.sigma * noise[q.condition]) / at.alpha, noise[q.condition]) for q in queries]

    x = picture(9, 2, 64)
    p = run(Rectified(children, half), x=x, network=white)
    assert (p.eps.var((1, 2, 3)) - 1).abs().max() < 0.05
    assert run(Mean(children), x=x, network=white).eps.var() < 0.55
    close(AT.alpha * p.x0 + AT.sigma * p.eps, x)


@given(WEIGHTS)
def test_rectification_is_the_published_formula_of_each_picture(weights):
    children = (CAT, DUCK, THREE)
    eps = [run(child).eps for child in children]
    p = run(Rectified(children, weights))
    for b in range(2):
        total = sum(a * a for a in weights)
        for i in range(3):
            for j in range(i + 1, 3):
                total += 2 * (eps[i][b] * eps[j][b]).mean().item() * weights[i] * weights[j]
        close(p.eps[b], sum(a * e[b] for a, e in zip(weights, eps)) / math.sqrt(total), 1e-8)
    noise_only = NoiseLevel(1000.0, 0.0, 1.0)
    all_noise = lambda qs, at: [Prediction(answer(q.x, q.condition).x0, q.x) for q in qs]
    close(run(Rectified(children, weights), noise_only, network=all_noise).eps, picture())


@given(WEIGHTS, st.floats(0.01, 0.99))
def test_the_mean_of_pictures_is_the_mean_of_noises_for_isometries(weights, u):
    at = NoiseLevel(0.0, math.sqrt(1 - u * u), u)
    children = (CAT, DUCK, Viewed(Negate(), THREE))
    a, b = run(MeanX0(children, weights), at), run(Weighted(children, weights), at)
    close(a.x0, b.x0)
    close(a.eps, b.eps, 1e-8)
    close(a.var_interp, b.var_interp)


class Half:
    """A view with a pseudoinverse and no inverse: the upper half, twice."""

    def __call__(self, x):
        h = x.shape[-2] // 2
        return x[..., :h, :].repeat(1, 1, 2, 1)

    def inverse(self, x):
        h = x.shape[-2] // 2
        return ((x[..., :h, :] + x[..., h:, :]) / 2).repeat(1, 1, 2, 1)

    def inverse_var_interp(self, var):
        return self.inverse(var)


def test_for_what_is_no_isometry_the_noise_is_what_the_mean_of_pictures_leaves():
    children = (Prompt("cat"), Viewed(Half(), Prompt("duck")))
    p, q = run(MeanX0(children, (0.5, 0.5))), run(Mean(children))
    close(p.x0, q.x0)
    close(AT.alpha * p.x0 + AT.sigma * p.eps, picture())
    assert (p.eps - q.eps).abs().max() > 0.1


def test_alternating_is_the_naive_loop():
    """View k mod n at step k, one after the other, by hand."""
    children, x = (CAT, DUCK, THREE), picture()
    starts = starts_of([move.at for move in PLAN])
    made = [s.x for s in trajectory(lower(Alternate(children, starts), consistent), x, PLAN, DDIM(), silent)]
    for k, move in enumerate(PLAN):
        (state,) = trajectory(lower(children[k % 3], consistent), x, (move,), DDIM(), silent, first=k)
        x = state.x
        close(made[k], x)
    assert starts == tuple(move.at.noise_to_signal for move in PLAN)


@pytest.mark.parametrize("name", SOLVERS)
def test_alternating_costs_one_view_with_every_solver(name):
    """Also with those that ask twice a step or between levels: as many calls as of one view, as many pictures."""
    children, solver = (CAT, DUCK), on_schedule(find_solver(name), SCHEDULE)

    def asked(tree):
        network = Counting()
        told = lambda queries, at: (network(queries, at), consistent(queries, at))[1]
        for _ in trajectory(lower(tree, told), picture(), PLAN, solver, silent):
            pass
        return [len(call) for call in network.calls], [call[-1].views for call in network.calls]

    alone, _ = asked(CAT)
    sizes, views = asked(Alternate(children, starts_of([move.at for move in PLAN])))
    assert sizes == alone
    assert set(views) == {(Flip(-1),), (Rotate(1),)}
    both, _ = asked(Mean(children))
    assert sum(both) == 2 * sum(alone)
    assert len(both) == len(alone)


def test_a_level_walked_again_has_its_view_again():
    tree = Alternate((CAT, DUCK), starts_of([move.at for move in (*PLAN, Move(PLAN[3].at, PLAN[1].at), *PLAN[1:])]))
    assert tree.starts == tuple(move.at.noise_to_signal for move in PLAN)
    for k, move in enumerate(PLAN):
        close(run(tree, move.at).x0, run((CAT, DUCK)[k % 2], move.at).x0)
    between = SCHEDULE.level(700)
    close(run(tree, between).x0, run(DUCK, between).x0)


def test_a_view_counts_in_its_window_only():
    tree = InWindows((CAT, DUCK, THREE), (0.5, 0.3, 0.2), ((1, 0.5), (1, 0), (0.3, 0)))
    for u, counting in ((1.0, (0, 1)), (0.51, (0, 1)), (0.5, (1,)), (0.31, (1,)), (0.3, (1, 2)), (0.0, (1, 2))):
        assert tree.counting(u) == list(counting)
    for u in (0.9, 0.4, 0.1):
        network, counting = Counting(), tree.counting(u)
        lower(tree, network)(picture(), share(u))
        assert [len(call) for call in network.calls] == [2 * len(counting)]
        weights = [(0.5, 0.3, 0.2)[k] for k in counting]
        some = Weighted(tuple((CAT, DUCK, THREE)[k] for k in counting), tuple(w / sum(weights) for w in weights))
        close(run(tree, share(u)).eps, run(some, share(u)).eps)


@pytest.mark.parametrize(
    ("weights", "windows", "words"),
    [
        ((0.5, 0.5), ((1, 0.5), (0.4, 0)), "0.5 no view counts"),
        ((0.5, 0.5), ((0.9, 0), (0.8, 0)), "At a share of noise of 1 no view"),
        ((0.5, 0.5), ((1, 0.1), (1, 0.2)), "0.1 no view counts"),
        ((1.5, -0.5), ((1, 0.5), (1, 0)), "0.5 no view counts"),
        ((0.5, 0.5), ((1, 0),), "as many windows"),
        ((0.5, 0.5), ((0, 1), (1, 0)), "down to a smaller one"),
        ((0.5, 0.5), ((1.2, 0), (1, 0)), "down to a smaller one"),
        ((0.5, 0.5), ((1, 0, 0), (1, 0)), "pair of shares"),
        ((0.5, 0.6), ((1, 0), (1, 0)), "sum to 1"),
    ],
)
def test_windows_that_are_none(weights, windows, words):
    with pytest.raises(UserError, match=words):
        InWindows((CAT, DUCK), weights, windows)


def test_what_is_seen_least_counts_most():
    scores = torch.tensor([[0.9, 0.1], [0.3, 0.3]], dtype=torch.float64)
    seen = []
    tree = Adaptive((CAT, DUCK), lambda x0: (seen.append(x0), scores)[1], 0.5)
    p, cat, duck = run(tree), run(CAT), run(DUCK)
    w = 1 / (1 + math.exp((0.9 - 0.1) / 0.5))  # softmax of (0.1, 0.9) / 0.5
    close(p.eps[0], w * cat.eps[0] + (1 - w) * duck.eps[0])
    close(p.x0[1], (cat.x0[1] + duck.x0[1]) / 2)
    close(seen[0], run(Mean((CAT, DUCK))).x0)
    for wrong in ({"scores": 3}, {"temperature": 0}, {"temperature": -1.0}):
        with pytest.raises(UserError, match="temperature above 0"):
            Adaptive(**{"children": (CAT, DUCK), "scores": lambda x0: scores, **wrong})
    with pytest.raises(UserError, match="one of each child"):
        run(Adaptive((CAT, DUCK), lambda x0: scores[:, :1]))


@pytest.mark.parametrize("starts", [(), (1.0, 2.0), (1.0, 1.0), (math.nan, 1.0), ("a",)])
def test_steps_begin_at_falling_levels(starts):
    with pytest.raises(UserError):
        Alternate((CAT, DUCK), starts)
