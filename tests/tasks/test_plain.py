"""Plain data: whatever a job is made of can be written down and read back."""

import json
import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import duckrabbit as dr
from duckrabbit.diffusion.plans import plan_through, time_travel
from duckrabbit.diffusion.solvers import Step
from duckrabbit.guidance.tree import Guidance
from duckrabbit.guidance.views.pixels import Compose
from duckrabbit.tasks.plain import draw, from_plain, tensor_hash, to_plain

same = settings(derandomize=True, deadline=None, max_examples=40, database=None)

simple_views = st.sampled_from(["identity", "flip", "rotate_90", "negate", "patch_permutation:grid=4,seed=7"])
views = simple_views.map(dr.parse_view) | st.lists(simple_views.map(dr.parse_view), min_size=2, max_size=3).map(
    lambda parts: Compose(tuple(parts))
)
numbers = st.floats(-1e9, 1e9)
filters = st.builds(dr.LowPass, st.sampled_from([3, 33]), st.floats(0.1, 9)) | st.sampled_from([dr.Grey(), dr.Colour()])
prompts = st.builds(dr.Prompt, st.text(max_size=6) | st.integers(0, 9) | st.none())


def grow(child):
    several = st.lists(child, min_size=1, max_size=3).map(tuple)
    return (
        st.builds(dr.CFG, child, child, numbers, st.sampled_from([(0.0, float("inf")), (0.2, 5.0)]))
        | st.builds(dr.Viewed, views, child)
        | st.builds(dr.Mean, several)
        | st.builds(lambda f, a, b: dr.Bands((f,), (a, b)), filters, child, child)
        | st.builds(lambda a, b, w: dr.Weighted((a, b), (w, 1 - w)), child, child, st.sampled_from([0.25, -1.0, 3.0]))
        | st.builds(dr.Clip, child, st.floats(0.1, 3))
        | st.builds(dr.Threshold, child)
    )


trees = st.recursive(prompts, grow, max_leaves=5)
plans = st.lists(st.integers(0, 999), min_size=2, max_size=12, unique=True).map(
    lambda times: plan_through(dr.load("oracle").stages[0].schedule, sorted(times, reverse=True))
)


def through_json(value):
    tensors = {}
    plain = json.loads(json.dumps(to_plain(value, tensors)))
    return from_plain(plain, tensors)


@same
@given(trees)
def test_trees_come_back(tree):
    assert through_json(tree) == tree


def test_records_of_before_are_read_by_their_own_names():
    """Views one after the other were called a sequence once."""
    former = {"kind": "Sequence", "views": [{"kind": "Rotate", "quarters": 1}, {"kind": "Negate"}]}
    assert from_plain(former, {}) == dr.parse_view("rotate_90+negate")


@same
@given(plans, st.integers(1, 4), st.integers(1, 3))
def test_plans_come_back_with_their_time_travel(plan, jump, resample):
    travelled = time_travel(plan, jump, resample)
    assert through_json(travelled) == travelled
    stage = dr.Stage(0, dr.Prompt("a"), travelled, dr.DDIM(0.5))
    again = through_json(stage)
    assert (again.plan, again.solver, again.guidance) == (stage.plan, stage.solver, stage.guidance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.bool])
def test_tensors_come_back_to_the_bit(dtype):
    for shape in [(2, 3), (), (0,), (1, 3, 4, 4)]:
        value = (torch.rand(shape) * 3).to(dtype)
        back = through_json(value)
        assert back.dtype == dtype
        assert torch.equal(back, value)
    assert tensor_hash(torch.zeros(2, 3)) != tensor_hash(torch.zeros(3, 2))


def test_masks_pictures_and_bands_come_back():
    picture, mask = torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
    known = through_json(dr.KnownPixels(picture, mask, "clean"))
    assert torch.equal(known.image, picture)
    assert torch.equal(known.mask, mask)
    assert known.how == "clean"
    assert through_json(dr.KnownBand(picture, dr.LowPass(33, 2.0))).band == dr.LowPass(33, 2.0)


@dataclass(frozen=True)
class Levels(Guidance):
    """A researcher's own node, with fields named like the plain data's own words."""

    levels: int
    tensor: str
    child: Guidance

    def ask(self, x, at, views=()):
        return (yield from self.child.ask(x, at, views))


def test_a_node_of_ones_own_comes_back():
    node = Levels(3, "float", dr.Prompt("a"))
    assert through_json(node) == node


@dataclass(frozen=True)
class Stay:
    """A researcher's own solver, which goes nowhere."""

    def step(self, denoise, x, move, noise, i, memory):
        return Step(x, denoise(x, move.at), None)


def test_a_registered_solver_of_ones_own_comes_back(monkeypatch):
    monkeypatch.setitem(dr.SOLVERS, "stay", Stay())
    assert through_json(dr.generate(dr.load("oracle"), "a red circle", solver="stay").stages[0].solver) == Stay()


def test_what_cannot_be_written_is_refused():
    with pytest.raises(dr.UserError, match="frozen dataclass"):
        to_plain(dr.Bands((lambda x: x,), (dr.Prompt("a"), dr.Prompt("b"))), {})


@pytest.mark.parametrize("plain", [{"kind": "Path", "args": "/"}, {"kind": "Levels2"}, {"no": "kind"}])
def test_kinds_that_are_not_known_are_refused(plain):
    with pytest.raises(dr.UserError, match="does not know"):
        from_plain(plain, {})


def test_a_missing_tensor_is_refused():
    with pytest.raises(dr.UserError, match="missing"):
        from_plain({"tensor": "0123456789abcdef"}, {})


def test_a_thousand_levels_walked_ten_times_are_written_once():
    """A PNG text chunk above 1 MiB cannot be read back by Pillow."""
    plan = time_travel(plan_through(dr.load("oracle").stages[0].schedule, range(999, -1, -1)), 10, 10)
    assert len(plan) > 10_000
    assert len(json.dumps(to_plain(plan, {}))) < 200_000


def test_a_tree_is_drawn_with_its_branches():
    tree = dr.CFG(dr.Viewed(dr.parse_view("flip"), dr.Prompt("a cat")), dr.Prompt(""), 7.0)
    lines = draw(tree).splitlines()
    assert [len(line) - len(line.lstrip()) for line in lines] == [0, 2, 4, 2]
    assert "scale=7" in lines[0]
    assert "'a cat'" in lines[2]


def test_every_number_is_json_that_any_program_reads():
    """JSON has no NaN and no infinity; whole, finite and text stay what they are."""
    for value in (0.5, -2.0, 3, True, None, "inf"):
        assert to_plain(value, {}) == value
    for value in (math.inf, -math.inf, math.nan):
        plain = to_plain((1.0, value), {})
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain
        back = from_plain(plain, {})
        assert repr(back) == repr((1.0, value))
