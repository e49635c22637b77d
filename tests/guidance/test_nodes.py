"""The nodes one by one: conventions that the normal form cannot see."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import Prediction
from duckrabbit.errors import UserError
from duckrabbit.guidance import laws
from duckrabbit.guidance.filters import LowPass
from duckrabbit.guidance.nodes import (
    CFG,
    Bands,
    Clip,
    Masked,
    Mean,
    Prompt,
    Threshold,
    Viewed,
    Weighted,
    conditions_of,
)
from duckrabbit.guidance.tree import lower
from duckrabbit.guidance.views.pixels import Compose, Flip, Negate, Rotate
from trees import AT, Counting, answer, count_questions, picture

CAT, DUCK, NULL = Prompt("cat"), Prompt("duck"), Prompt("")


def run(tree, x=None, at=AT):
    return lower(tree, Counting())(picture() if x is None else x, at)


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-10, rtol=1e-10)


def test_law_3_selection_holds_and_swapped_branches_break_it():
    assert laws.selection(CAT, NULL, Counting(), picture()).holds
    swapped = lambda queries, at: [answer(q.x, {"cat": "", "": "cat"}[q.condition]) for q in queries]
    p, q = lower(CFG(CAT, NULL, 3.0), Counting())(picture(), AT), lower(CFG(CAT, NULL, 3.0), swapped)(picture(), AT)
    assert (p.eps - q.eps).abs().max() > 0.1


@given(st.floats(-5, 15))
def test_guidance_is_linear_in_its_scale_through_both_branches(scale):
    c, u, p = run(CAT), run(NULL), run(CFG(CAT, NULL, scale))
    close(p.eps, scale * c.eps + (1 - scale) * u.eps)
    close(p.x0, scale * c.x0 + (1 - scale) * u.x0)
    assert torch.equal(p.var_interp, c.var_interp)


def test_scale_1_asks_one_question():
    assert count_questions(CFG(CAT, NULL, 1.0), picture(), AT) == 1
    assert count_questions(CFG(CAT, NULL, 1.01), picture(), AT) == 2


@pytest.mark.parametrize(
    ("interval", "on"),
    [
        ((0.0, math.inf), True),
        ((0.0, 1.0), False),  # noise to signal at AT is .8 / .6 = 1.33
        ((1.0, 2.0), True),
        ((2.0, 3.0), False),
        ((AT.noise_to_signal, 2.0), False),  # open below
        ((1.0, AT.noise_to_signal), True),  # closed above
    ],
)
def test_guidance_acts_only_within_its_interval(interval, on):
    tree = CFG(CAT, NULL, 5.0, interval)
    assert count_questions(tree, picture(), AT) == (2 if on else 1)
    want = run(CFG(CAT, NULL, 5.0)) if on else run(CAT)
    close(run(tree).eps, want.eps)


def test_an_endless_interval_guides_where_no_picture_is_left():
    pure = NoiseLevel(1.0, 0.0, 1.0)
    assert count_questions(CFG(CAT, NULL, 5.0), picture(), pure) == 2


def test_a_variance_moves_with_its_pixel_and_has_no_sign():
    x = picture()
    under = lambda view: run(Viewed(view, CAT), x).var_interp
    close(under(Rotate(1)), torch.rot90(answer(torch.rot90(x, 1, (-2, -1)), "cat").var_interp, -1, (-2, -1)))
    close(under(Negate()), answer(-x, "cat").var_interp)
    close(under(Compose((Flip(-2), Negate()))), answer(-x.flip(-2), "cat").var_interp.flip(-2))


def test_guidance_takes_the_variance_of_the_conditional_branch():
    assert torch.equal(run(CFG(CAT, NULL, 7.0)).var_interp, run(CAT).var_interp)
    assert torch.equal(run(CFG(CAT, NULL, 1.0)).var_interp, run(CAT).var_interp)


@pytest.mark.parametrize(
    "tree", [Mean((CAT, DUCK)), Bands((LowPass(),), (CAT, DUCK)), Weighted((CAT, DUCK), (5.0, -4.0))]
)
def test_means_bands_and_weights_average_the_variance(tree):
    close(run(tree).var_interp, (run(CAT).var_interp + run(DUCK).var_interp) / 2)


def test_one_child_without_a_variance_leaves_none():
    half = lambda queries, at: [answer(q.x, q.condition, q.condition == "cat") for q in queries]
    mask = torch.zeros(1, 1, 8, 8)
    for tree in (Mean((CAT, DUCK)), Masked(mask, CAT, DUCK), Masked(mask, DUCK, CAT)):
        assert lower(tree, half)(picture(), AT).var_interp is None


def test_a_low_band_is_heard_where_the_picture_is_flat():
    """A network that says 1 to cat and 0 to duck: the low band of a constant is all of it, the rest nothing."""
    say = lambda queries, at: [Prediction(*[torch.full_like(q.x, float(q.condition == "cat"))] * 2) for q in queries]
    close(lower(Bands((LowPass(),), (CAT, DUCK)), say)(picture(), AT).eps, torch.ones(2, 3, 8, 8).double())
    close(lower(Bands((LowPass(),), (DUCK, CAT)), say)(picture(), AT).eps, torch.zeros(2, 3, 8, 8).double())


def test_a_mask_says_where_each_guidance_speaks_and_is_resized_to_x():
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :3, :] = 1
    p = run(Masked(mask, CAT, DUCK))
    close(p.eps[..., :3, :], run(CAT).eps[..., :3, :])
    close(p.eps[..., 3:, :], run(DUCK).eps[..., 3:, :])
    close(p.x0[..., 3:, :], run(DUCK).x0[..., 3:, :])
    large = picture(size=16)
    q = run(Masked(mask, CAT, DUCK), large)
    close(q.eps[..., :6, :], run(CAT, large).eps[..., :6, :])
    close(q.eps[..., 6:, :], run(DUCK, large).eps[..., 6:, :])
    small = picture(size=4)  # the edge falls inside a pixel: it is mixed half and half
    r = run(Masked(mask, CAT, DUCK), small)
    close(r.eps[..., 1, :], (run(CAT, small).eps + run(DUCK, small).eps)[..., 1, :] / 2)


def naive_clip(x0, x, at, limit):
    x0 = x0.clamp(-limit, limit)
    return x0, (x - at.alpha * x0) / at.sigma


def test_clip_acts_on_the_combined_picture_not_on_its_parts():
    x, guided = picture(), CFG(CAT, NULL, 7.0)
    p = run(Clip(guided, 0.5), x)
    x0, eps = naive_clip(run(guided, x).x0, x, AT, 0.5)
    close(p.x0, x0)
    close(p.eps, eps)
    assert torch.equal(p.var_interp, run(CAT, x).var_interp)
    parts = CFG(Clip(CAT, 0.5), Clip(NULL, 0.5), 7.0)
    assert (run(parts, x).x0 - p.x0).abs().max() > 0.1


def test_threshold_is_dynamic_thresholding_at_the_root():
    x, guided = picture(), CFG(CAT, NULL, 7.0)
    p, raw = run(Threshold(guided, 0.9, 20.0), x), run(guided, x).x0
    s = torch.stack([one.abs().flatten().quantile(0.9).clamp(1, 20) for one in raw]).view(-1, 1, 1, 1)
    assert ((s > 1) & (s < 20)).any()
    close(p.x0, torch.clamp(raw, -s, s) / s)
    close(AT.alpha * p.x0 + AT.sigma * p.eps, x)


def test_a_threshold_that_may_not_grow_is_a_clip():
    guided = CFG(CAT, NULL, 7.0)
    close(run(Threshold(guided, 0.95, 1.0)).x0, run(Clip(guided, 1.0)).x0)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: CFG(CAT, NULL, math.nan), "1 means no guidance"),
        (lambda: CFG(CAT, NULL, math.inf), "1 means no guidance"),
        (lambda: CFG(CAT, NULL, 5.0, (2.0, 1.0)), "interval"),
        (lambda: CFG(CAT, NULL, 5.0, (-1.0, 1.0)), "interval"),
        (lambda: Weighted((CAT, DUCK), (1.0, 1.0)), "sum to 1, not 2"),
        (lambda: Weighted((CAT, DUCK), (1.0,)), "2 guidances need as many weights, not 1"),
        (lambda: Weighted((), ()), "0 guidances"),
        (lambda: Mean(()), "at least one"),
        (lambda: Bands((LowPass(), LowPass()), (CAT, DUCK)), "the last band is the remainder"),
        (lambda: Bands((), (CAT,)), "the last band is the remainder"),
    ],
)
def test_trees_that_make_no_sense_are_refused_in_words(make, says):
    with pytest.raises(UserError, match=says):
        make()


def test_every_prompt_of_a_tree_is_found_however_deep():
    """Those are encoded before a run: one that is missed would be missed there."""
    filtered = Bands((LowPass(),), (Prompt("a"), Viewed(Flip(), Prompt(3))))
    tree = Clip(Mean((CFG(filtered, Prompt(""), 2.0), Masked(torch.zeros(1, 1, 8, 8), Prompt(None), Prompt("b")))))
    assert conditions_of(tree) == {"a", 3, "", None, "b"}
    assert conditions_of(Weighted((Prompt("c"), Prompt("d")), (2.0, -1.0))) == {"c", "d"}
    assert conditions_of("a") == conditions_of(LowPass()) == set()
