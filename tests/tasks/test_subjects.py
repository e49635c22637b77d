"""What a subject asks of each stage, and how it is called."""

import copy
from dataclasses import replace

import pytest
import torch

import duckrabbit as dr
from duckrabbit.guidance.nodes import CFG, Mean, Prompt, Viewed, Weighted
from duckrabbit.guidance.views.pixels import Flip, Identity, Negate
from duckrabbit.tasks.settings import resolve
from duckrabbit.tasks.subjects import subject_trees, title_of


def tree(model, subject, stage=0, **options):
    return subject_trees(model, subject, resolve(model, options), options)(stage)


def test_a_prompt_is_guided_away_from_the_negative_one(tiny):
    options = {"guidance_scale": 3, "guidance_scale_stage2": 2, "negative_prompt": "a house", "interval": (0.1, 5.0)}
    for stage, scale in ((0, 3), (1, 2)):
        expected = CFG(Prompt("a cat"), Prompt("a house"), scale, (0.1, 5.0))
        assert tree(tiny, "a cat", stage, **options) == expected


def test_an_anagram_is_the_mean_of_its_views(tiny):
    one = lambda prompt: CFG(Prompt(prompt), Prompt(""), 3)
    made = tree(tiny, {"identity": "a cat", Flip(-1): "a house"}, guidance_scale=3)
    assert made == Mean((Viewed(Identity(), one("a cat")), Viewed(Flip(-1), one("a house"))))


def test_a_guidance_of_ones_own_takes_the_place_of_the_usual(tiny):
    own = lambda c, u, scale: Weighted((c, u), (scale, 1 - scale))
    options = {"guidance": own, "guidance_scale": 3, "guidance_scale_stage2": 1}
    assert tree(tiny, "a cat", **options) == Weighted((Prompt("a cat"), Prompt("")), (3, -2))
    assert tree(tiny, "a cat", 1, **options) == CFG(Prompt("a cat"), Prompt(""), 1)  # which asks for the cat alone


def test_a_tree_is_what_it_is(tiny):
    mine = Mean((Prompt("a cat"),))
    assert tree(tiny, mine) is tree(tiny, mine, 1) is mine


def test_a_view_has_to_suit_the_model(oracle):
    grey = copy.copy(oracle)
    grey.stages = (replace(oracle.stages[0], value_range=(0.0, 1.0)),)
    with pytest.raises(dr.UserError, match="symmetric about 0; oracle has 0 to 1"):
        tree(grey, {"identity": "a cross", Negate(): "a circle"})
    tree(grey, {"identity": "a cross", "flip": "a circle"})
    tree(oracle, {"identity": "a cross", "negate": "a circle"})
    with pytest.raises(dr.UserError, match="cannot be cut in 5 x 5"):
        tree(oracle, {"identity": "a cross", "patch_permutation:grid=5": "a circle"})
    with pytest.raises(dr.UserError, match="views, by name or themselves"):
        tree(oracle, {Flip: "a cross", "flip": "a circle"})
    with pytest.raises(dr.UserError, match="is there twice"):
        tree(oracle, {"flip": "a cross", Flip(-2): "a circle"})


@pytest.mark.parametrize("wrong", [True, 3, None, 2.5, ["a cross", None]])
def test_what_is_no_subject_of_this_model_is_refused(oracle, wrong):
    with pytest.raises(dr.UserError, match="or a guidance tree, or a list of these, not"):
        tree(oracle, wrong)


def test_titles():
    assert title_of("a cat") == "a cat"
    assert title_of("") == "no prompt"
    assert title_of(7) == "7"
    assert title_of({"identity": "a cat", "flip": "a house"}) == "a cat | a house"
    assert title_of(Mean((Prompt(""),))) == "Mean"


def test_a_view_is_tried_in_the_dtype_of_pictures_whatever_the_default_is(oracle):
    seen = []

    class Spy(Flip):
        def __call__(self, x):
            seen.append((x.dtype, tuple(x.shape)))
            return x

    torch.set_default_dtype(torch.float64)
    try:
        tree(oracle, {"identity": "a cross", Spy(-1): "a circle"})
    finally:
        torch.set_default_dtype(torch.float32)
    assert seen == [(torch.float32, (1, 3, 32, 32))]


def test_a_label_is_a_subject_of_digits_and_of_nothing_else():
    digits = dr.load("mnist-class", device="cpu")
    assert tree(digits, 7) == tree(digits, "7")
    assert tree(digits, 7).conditional == Prompt(7)
    with pytest.raises(dr.UserError, match="or a guidance tree, or a list of these, not"):
        tree(digits, True)
