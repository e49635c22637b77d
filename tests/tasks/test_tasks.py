"""What a task puts into its job, and what it refuses beside it."""

from dataclasses import replace

import pytest
import torch

import duckrabbit as dr
from duckrabbit.diffusion.constraints import KnownBand
from duckrabbit.diffusion.schedules import FlowSchedule
from duckrabbit.diffusion.solvers import DDIM
from duckrabbit.guidance.filters import Grey, LowPass
from duckrabbit.guidance.nodes import Bands

CROSS, CIRCLE = "a cross", "a circle"


def still(x, at, noise, i):
    return x


def test_a_low_pass_of_ones_own_stands_alone(oracle):
    filters = lambda **options: dr.hybrid(oracle, CIRCLE, CROSS, **options).stages[0].guidance.child.filters
    assert filters() == (LowPass(33, 2.0),)
    assert filters(kernel=9, sigma=1.0) == (LowPass(9, 1.0),)
    assert filters(filter="grey") == filters(filter=Grey()) == (Grey(),)
    for idle in ({"kernel": 9}, {"sigma": 1.0}):
        with pytest.raises(dr.UserError, match="would change nothing beside a filter"):
            filters(filter="grey", **idle)
    for wrong, words in ((3, "something to call"), ("nobody", "nobody")):
        with pytest.raises(dr.UserError, match=words):
            filters(filter=wrong)


def test_a_hybrid_of_a_picture_keeps_its_band_and_asks_for_the_rest(oracle, photo):
    job = dr.hybrid(oracle, None, CROSS, image=photo, kernel=9, sigma=1.0)
    (stage,) = job.stages
    assert isinstance(stage.constrain, KnownBand)
    assert stage.constrain.band == LowPass(9, 1.0)
    assert torch.equal(stage.constrain.image, 2 * dr.as_picture(photo) - 1)
    assert not isinstance(stage.guidance.child, Bands)
    assert job.title == "a cross | picture"
    both = dr.hybrid(oracle, CIRCLE, CROSS)
    low, high = both.stages[0].guidance.child.children
    assert (low.conditional.condition, high.conditional.condition, both.title) == (CIRCLE, CROSS, "a cross | a circle")


def test_a_rule_of_ones_own_holds_unless_the_task_has_one(oracle, photo, half):
    assert dr.generate(oracle, CROSS, constraint=still).stages[0].constrain is still
    assert dr.edit(oracle, photo, CROSS, start=3, constraint=still).stages[0].constrain is still
    for task in (
        lambda: dr.inpaint(oracle, photo, half, CROSS, constraint=still),
        lambda: dr.hybrid(oracle, None, CROSS, image=photo, constraint=still),
    ):
        with pytest.raises(dr.UserError, match="leave out yours"):
            task()


@pytest.mark.parametrize("idle", [{"stage": 1}, {"steps_stage2": 2}, {"guidance_scale_stage2": 2}, {"noise_level": 2}])
def test_denoising_is_of_the_first_stage(tiny, photo, idle):
    with pytest.raises(dr.UserError, match=f"{next(iter(idle))} would change nothing: only stage I runs"):
        dr.denoise(tiny, photo, 500, "a cat", **idle)
    assert len(dr.denoise(tiny, photo, 500, "a cat").stages) == 1


@pytest.mark.parametrize("idle", ["stage", "steps", "guidance_scale", "preset"])
def test_upscaling_is_of_the_second_stage(tiny, oracle, photo, idle):
    value = {"preset": "cs180"}.get(idle, 2)
    with pytest.raises(dr.UserError, match=f"{idle} would change nothing: stage II runs alone"):
        dr.upscale(tiny, photo, "a cat", **{idle: value})
    with pytest.raises(dr.UserError, match="oracle has no second stage"):
        dr.upscale(oracle, photo)
    plain = dr.upscale(tiny, photo)
    assert (plain.title, [stage.index for stage in plain.stages]) == ("enlarged", [1])
    assert plain.stages[0].low_res.image.shape == (1, 3, 16, 16)
    assert plain.stages[0].low_res.noise_level == tiny.stages[1].noise_level
    assert dr.upscale(tiny, photo, noise_level=0).stages[0].low_res.noise_level == 0
    assert "first shrunk" in plain.notes["size"]


def test_one_step_is_one_question_and_no_solver_has_a_part_in_it(oracle, photo):
    job = dr.denoise(oracle, photo, 300, CROSS, method="one-step")
    (stage,) = job.stages
    assert (stage.solver, len(stage.plan), stage.plan[0].to) == (DDIM(), 1, dr.CLEAN)
    assert stage.guidance.child.scale == 1
    guided = dr.denoise(oracle, photo, 300, CROSS, method="one-step", guidance_scale=4)
    assert guided.stages[0].guidance.child.scale == 4
    assert dr.cost(guided)[0].questions == 2


@pytest.mark.parametrize("task", [dr.noise, dr.denoise])
def test_times_are_those_of_the_schedule(oracle, photo, task):
    for t in (float("inf"), float("nan"), 1000, 999.5, -0.5):
        with pytest.raises(dr.UserError, match="outside this schedule"):
            task(oracle, photo, t)
    with pytest.raises(dr.UserError, match="there is no noise"):
        task(oracle, photo, -1)
    assert task(oracle, photo, 0).stages[0].plan[0]
    assert task(oracle, photo, 999).stages[0].plan[0]


def test_where_nothing_is_left_there_is_nothing_to_bring_back(oracle, photo, monkeypatch):
    pure = replace(oracle.stages[0], schedule=FlowSchedule(), spacing="trailing")
    monkeypatch.setattr(oracle, "stages", (pure,))
    with pytest.raises(dr.UserError, match="nothing is left of the picture"):
        dr.denoise(oracle, photo, 1)
    assert len(dr.denoise(oracle, photo, 0.5, steps=4).stages[0].plan) == 2  # from 0.5 by 0.25 to the picture


def test_edits_start_at_a_move_of_the_courses_33_or_of_so_many_as_asked(oracle, photo):
    moves = lambda **options: len(dr.edit(oracle, photo, CROSS, **options).stages[0].plan)
    whole = min(33, oracle.stages[0].steps)
    assert moves(start=0) == whole
    assert moves(start=5) == whole - 5
    assert moves(start=5, steps=12) == 7
    assert moves(start=5, preset="cs180") == 28
    assert moves(strength=0.5, steps=12) == 6
    assert dr.edit(oracle, photo, CROSS, start=0).stages[0].start is None
    assert dr.edit(oracle, photo, CROSS, strength=1.0).stages[0].start is None
    assert torch.equal(dr.edit(oracle, photo, CROSS, start=1).stages[0].start, 2 * dr.as_picture(photo) - 1)
    for wrong in ({}, {"start": 1, "strength": 0.5}, {"start": 1, "t": 5}, {"t": 5, "strength": 0.5}):
        with pytest.raises(dr.UserError, match="Say where to start"):
            dr.edit(oracle, photo, CROSS, **wrong)


def test_edits_may_start_at_a_time_between_the_steps(oracle, photo):
    """Noised to that very level, and on by the plan's later times; at the plan's first level the picture is in it."""
    stage = dr.edit(oracle, photo, CROSS, t=612.25, steps=10).stages[0]
    assert [move.at.t for move in stage.plan] == [612.25, 600, 500, 400, 300, 200, 100, 0]
    assert stage.plan[-1].to == dr.CLEAN
    assert torch.equal(stage.start, 2 * dr.as_picture(photo) - 1)
    first = dr.edit(oracle, photo, CROSS, t=900, steps=10).stages[0]
    assert len(first.plan) == 10
    assert first.start is not None
    assert [m.at.t for m in dr.edit(oracle, photo, CROSS, t=950, times=(999, 300)).stages[0].plan] == [950, 300]
    states = list(dr.walk(dr.edit(oracle, photo, "", t=0.5, steps=2), seeds=3))
    assert [s.at for s in states] == [oracle.stages[0].schedule.level(0), dr.CLEAN]
    for wrong in (-1, -0.5, 1000, float("nan")):
        with pytest.raises(dr.UserError):
            dr.edit(oracle, photo, CROSS, t=wrong)


def test_an_anagram_has_two_prompts_or_more(oracle):
    with pytest.raises(dr.UserError, match="two prompts or more"):
        dr.anagram(oracle, {"flip": CROSS})
    assert len(dr.anagram(oracle, {"identity": CROSS, "flip": CIRCLE}).stages[0].guidance.child.children) == 2


def test_a_mask_that_a_small_stage_cannot_see_is_refused(oracle):
    picture, dot = torch.rand(1, 3, 256, 256), torch.zeros(1, 1, 256, 256)
    dot[..., 100:103, 100:103] = 1
    for mask in (dot, 1 - dot):
        with pytest.raises(dr.UserError, match="32 x 32 pixels nothing is left"):
            dr.inpaint(oracle, picture, mask, CROSS)
    dot[..., 96:112, 96:112] = 1  # 2 x 2 of the oracle's pixels
    job = dr.inpaint(oracle, picture, dot, CROSS)
    assert job.stages[0].constrain.mask.sum() == 4
    assert job.composite.how == "clean"
    assert job.title == CROSS
    assert dr.inpaint(oracle, picture, dot).title == "no prompt"
