"""Running: what is prepared, looked at and handed on, beside the pictures that come out."""

from collections import deque
from dataclasses import replace

import pytest
import torch

import duckrabbit as dr
from duckrabbit.networks.enlarge import enlarge
from duckrabbit.tasks.job import LowRes
from duckrabbit.tasks.run import walk_stage

CROSS, CIRCLE = "a red cross", "a red circle"


def test_the_denoiser_is_the_guided_one_of_a_task(oracle):
    """u + s (c - u) of the two exact answers, at every level and unclipped by the preset."""
    at, x = oracle.stages[0].schedule.level(600), torch.randn(2, 3, 32, 32)
    options = {"guidance_scale": 3, "negative_prompt": CIRCLE, "preset": "cs180"}
    exact = lambda prompt: oracle.network(0)([dr.Query(x, prompt)], at)[0].eps
    c, u = exact(CROSS), exact(CIRCLE)
    torch.testing.assert_close(dr.denoiser(oracle, CROSS, **options)(x, at).eps, u + 3 * (c - u))
    assert dr.denoiser(oracle, CROSS)(5 * x, at).x0.abs().max() <= 1


def test_the_denoiser_is_that_of_the_first_stage_and_its_prompts_are_ready(tiny, monkeypatch):
    asked = []
    monkeypatch.setattr(
        tiny, "prepare", lambda conditions, inner=tiny.prepare: asked.append(conditions) or inner(conditions)
    )
    at, x = tiny.stages[0].schedule.level(600), torch.randn(1, 3, 16, 16)
    assert dr.denoiser(tiny, "a cat")(x, at).x0.shape == x.shape
    assert asked == [["", "a cat"]]


def test_every_prompt_is_made_ready_once_and_before_any_network(tiny, monkeypatch, photo):
    """So that the text encoder makes room before a U-Net comes."""
    did = []
    prepare, network = tiny.prepare, tiny.network
    monkeypatch.setattr(tiny, "prepare", lambda conditions: did.append(list(conditions)) or prepare(conditions))
    monkeypatch.setattr(tiny, "network", lambda *a: did.append(a[0]) or network(*a))
    dr.run(dr.generate(tiny, "a cat", negative_prompt="a house", steps=1, steps_stage2=1), 1)
    assert did == [["a cat", "a house"], 0, 1]
    did.clear()
    list(dr.walk(dr.generate(tiny, "a cat", stage=1, steps=1), 1))
    assert did == [["", "a cat"], 0]
    did.clear()
    dr.run(dr.noise(tiny, photo, 500), 1)
    assert did == [[]]  # the forward process asks nothing


def test_a_walk_is_a_run_state_by_state(tiny):
    job = dr.generate(tiny, "a cat", steps=3, steps_stage2=2)
    moves = []
    result = dr.run(job, [4, 5], on_state=lambda position, state: moves.append((position, state.i)))
    assert moves == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    states = list(dr.walk(job, [4, 5], micro_batch=1))
    assert [state.i for state in states] == [0, 1, 2, 0, 1]
    torch.testing.assert_close(states[-1].x, result.images, atol=1e-4, rtol=0)
    torch.testing.assert_close(states[2].x, result.stage_images[0], atol=1e-4, rtol=0)


def test_the_time_of_a_run_is_that_of_its_stages_and_what_comes_before(tiny):
    result = dr.run(dr.generate(tiny, "a cat", steps=2, steps_stage2=1), 1)
    assert len(result.stage_seconds) == 2
    assert min(result.stage_seconds) > 0
    assert sum(result.stage_seconds) <= result.seconds < 60


def test_known_pixels_are_put_back_into_what_run_gives_and_not_into_its_stages(oracle, photo, half):
    result = dr.run(dr.inpaint(oracle, photo, half, CROSS, steps=2), 3)
    want = 2 * dr.as_picture(photo) - 1
    assert torch.equal(result.images[..., :16], want[..., :16])
    assert result.stage_images[-1].shape == want.shape
    assert torch.equal(result.images[..., 16:], result.stage_images[-1][..., 16:])


def test_a_comparison_has_the_same_seeds_even_of_a_generator(oracle):
    jobs = [dr.generate(oracle, CROSS, steps=k) for k in (1, 2)]
    first, second = dr.run_all(jobs, (s for s in (3, 4)))
    assert first.seeds == second.seeds == (3, 4)
    assert len(first) == 2
    assert dr.run_all(jobs[:1])[0].seeds == dr.run(jobs[0]).seeds == (180,)


def last(*arguments):
    return deque(walk_stage(*arguments), maxlen=1)[0].x


def test_a_run_from_pure_noise_begins_with_the_spread_of_its_first_level(oracle):
    """alpha x_0 + sigma eps of pictures of variance 1 has variance alpha^2 + sigma^2, whatever the schedule."""
    job = dr.generate(oracle, CROSS, steps=1, solver="ddim", guidance_scale=1)
    (stage,) = job.stages
    move = stage.plan[0]
    still = dr.Move(move.at._replace(alpha=1.5, sigma=2.0), move.at._replace(alpha=1.5, sigma=2.0 - 1e-9))
    x = last(oracle, replace(stage, plan=(still,)), (1, 2, 3, 4))
    assert x.std().item() == pytest.approx(2.5, rel=0.02)


def test_the_second_stage_is_shown_the_picture_enlarged_and_noised_to_its_level(tiny, monkeypatch):
    shown, facts = [], tiny.stages[1]
    network = tiny.network
    monkeypatch.setattr(tiny, "network", lambda *a: shown.append(a[1:]) or network(*a))
    tiny.prepare(["a cat", ""])
    (_, second) = dr.generate(tiny, "a cat", steps_stage2=1, noise_level=40).stages
    small = torch.rand(1, 3, 16, 16)
    last(tiny, second, (7, 8), small, 1)
    ((low, level, rows),) = shown
    at = facts.noising.level(40)
    eps = dr.Noise((7, 8), "stage2")(low, "low_res", 0)
    torch.testing.assert_close(low, at.alpha * enlarge(small, 32) + at.sigma * eps)
    assert (level, rows) == (40, 1)
    own = replace(second, low_res=LowRes(40, 1 - small))
    last(tiny, own, (7, 8), small)
    torch.testing.assert_close(shown[-1][0], at.alpha * enlarge(1 - small, 32) + at.sigma * eps)
    with pytest.raises(dr.UserError, match="enlarges a picture: give it one"):
        last(tiny, second, (7,))
    for wrong in (torch.rand(2, 3, 16, 16), torch.rand(1, 1, 16, 16)):
        with pytest.raises(dr.UserError, match="do not fit 3 seed"):
            last(tiny, replace(second, low_res=LowRes(40, wrong)), (1, 2, 3))
