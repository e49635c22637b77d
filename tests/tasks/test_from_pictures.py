"""Tasks that begin with a picture: edit, denoise, upscale."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

import duckrabbit as dr
from duckrabbit.diffusion.streams import stream_seed
from duckrabbit.models.oracle import mixtures
from samples import pixels, read, save


def drawn(tmp_path, prompt, seed=0):
    """One of the oracle's own pictures in a file, with a little noise on it."""
    rng = np.random.default_rng(seed)
    array = mixtures()[prompt].means[0].permute(1, 2, 0).numpy() / 2 + 0.5 + 0.01 * rng.standard_normal((32, 32, 3))
    return save(tmp_path / "drawn.png", (array.clip(0, 1) * 255).round().astype(np.uint8))


def start_noise(seed, scope="stage1", size=32):
    """The noise that a run of this seed starts from, from torch alone."""
    generator = torch.Generator().manual_seed(stream_seed(seed, f"{scope}/start", 0))
    return torch.randn(3, size, size, generator=generator)


@pytest.mark.parametrize("t", [250, 500, 750])
def test_one_step_is_the_posterior_mean(oracle, tmp_path, t):
    """E[x0 | x_t] = mu + alpha s^2 / (alpha^2 s^2 + sigma^2) (x_t - alpha mu), in numpy."""
    file = drawn(tmp_path, "a green cross")
    x0 = torch.from_numpy(read(file).astype(np.float32))
    x0 = x0.permute(2, 0, 1) / 255 * 2 - 1
    job = dr.denoise(oracle, file, t, "a green cross", method="one-step")
    abar = np.cos((t + 1) / 1000 / 1.008 * np.pi / 2 + 0.008 / 1.008 * np.pi / 2) ** 2
    abar /= np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    alpha, sigma = np.sqrt(abar), np.sqrt(1 - abar)
    mu, s = mixtures()["a green cross"].means[0], 0.03
    noisy = alpha * x0 + sigma * start_noise(7)
    expected = mu + alpha * s**2 / (alpha**2 * s**2 + sigma**2) * (noisy - alpha * mu)
    result = dr.run(job, [7])
    assert (result.images[0] - expected.clamp(-1, 1)).abs().max() < 2e-5
    assert len(job.stages[0].plan) == 1


@pytest.mark.parametrize("preset", [None, "cs180"])
def test_iterative_denoising_brings_the_picture_back(oracle, tmp_path, preset):
    file = drawn(tmp_path, "a red square")
    job = dr.denoise(oracle, file, 690, preset=preset, solver="ddim")
    times = [m.at.t for m in job.stages[0].plan]
    assert times[0] == 690
    assert times == sorted(times, reverse=True)
    assert job.stages[0].plan[-1].to.t == (0 if preset else -1)
    if preset:
        assert times == list(range(690, 0, -30))
    x = dr.run(job, [1]).images[0]
    gaps = {prompt: (x - m.means[0]).abs().mean() for prompt, m in mixtures().items() if len(m.means) == 1}
    assert min(gaps, key=gaps.get) == "a red square"


def test_denoising_has_no_guidance_unless_it_is_asked_for(oracle, photo):
    assert dr.cost(dr.denoise(oracle, photo, 500, "a red circle"))[0].questions == 1
    assert dr.cost(dr.denoise(oracle, photo, 500, "a red circle", guidance_scale=3))[0].questions == 2


@pytest.mark.parametrize("t", [-1, -30, 1000, 999.5, float("inf"), float("nan")])
def test_times_outside_the_schedule(oracle, photo, t):
    with pytest.raises(dr.UserError, match="t = "):
        dr.denoise(oracle, photo, t)


@pytest.mark.parametrize("preset", [None, "cs180"])
def test_the_least_noise_can_be_taken_away(oracle, photo, preset):
    for method in ("iterative", "one-step"):
        job = dr.denoise(oracle, photo, 0, method=method, preset=preset)
        assert [m.to for m in job.stages[0].plan] == [dr.CLEAN]


def test_later_starts_stay_nearer_to_the_picture(oracle, tmp_path):
    """SDEdit at starts 1 ... 29 of 30 moves; each seed's noise is the same for all starts."""
    file = save(tmp_path / "a.png", pixels(32, seed=4))
    picture = 2 * dr.as_picture(file) - 1
    gaps = []
    for start in (1, 10, 20, 26, 29):
        job = dr.edit(oracle, file, start=start, solver="ddim", guidance_scale=1)
        assert len(job.stages[0].plan) == 30 - start
        gaps.append((dr.run(job, [1, 2, 3]).images - picture).square().mean().item())
    assert gaps == sorted(gaps, reverse=True)


@pytest.mark.parametrize("whole", [{"start": 0}, {"strength": 1}, {"start": 0, "preset": "cs180"}])
def test_the_whole_plan_keeps_nothing_of_the_picture(oracle, whole):
    """Few steps begin far below pure noise (8 at t = 875), where a picture would still be seen."""
    white, black = torch.ones(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    first, second = (dr.run(dr.edit(oracle, p, "a cross", steps=8, **whole), [3]).images for p in (white, black))
    assert torch.equal(first, second)
    options = {k: v for k, v in whole.items() if k == "preset"}
    assert torch.equal(first, dr.run(dr.generate(oracle, "a cross", steps=8, **options), [3]).images)
    kept = [dr.run(dr.edit(oracle, p, "a cross", steps=8, start=1), [3]).images for p in (white, black)]
    assert not torch.equal(*kept)


def test_the_first_noisy_state_of_an_edit(oracle, photo):
    """x_t = alpha x0 + sigma eps with the seed's own noise, at the level the plan starts from."""
    job = dr.edit(oracle, photo, start=12)
    seen = []
    stage = job.stages[0]

    @dataclass(frozen=True)
    class Spy:
        def step(self, denoise, x, move, noise, i, memory):
            seen.append((x, move.at))
            return stage.solver.step(denoise, x, move, noise, i, memory)

    dr.run(replace(job, stages=(replace(stage, solver=Spy()),)), [9])
    x, at = seen[0]
    expected = at.alpha * (2 * dr.as_picture(photo) - 1) + at.sigma * start_noise(9)
    assert torch.allclose(x, expected, atol=1e-6)


def test_strength_is_the_part_of_the_plan_that_runs(oracle, photo):
    plan = dr.edit(oracle, photo, strength=0.5).stages[0].plan
    assert len(plan) == 15
    assert dr.edit(oracle, photo, strength=1.0).stages[0].plan == dr.edit(oracle, photo, start=0).stages[0].plan
    assert dr.edit(oracle, photo, start=15).stages[0].plan == plan


@pytest.mark.parametrize(
    "where",
    [{}, {"start": 1, "strength": 0.5}, {"start": 30}, {"start": -1}]
    + [{"strength": s} for s in (0, 1.5, -0.2, float("nan"), 0.01)],
)
def test_starts_that_make_no_sense(oracle, photo, where):
    with pytest.raises(dr.UserError):
        dr.edit(oracle, photo, **where)


def test_an_edit_with_a_prompt_becomes_the_prompt(oracle, tmp_path):
    file = drawn(tmp_path, "a red circle")
    x = dr.run(dr.edit(oracle, file, "a blue cross", start=2, guidance_scale=1), [1]).images[0]
    assert (x - mixtures()["a blue cross"].means[0]).abs().mean() < 0.06


def test_an_edit_runs_both_stages(tiny, photo):
    result = dr.run(dr.edit(tiny, photo, "a cat", start=2, steps=4, steps_stage2=2), [1, 2])
    assert result.images.shape == (2, 3, 32, 32)
    near, far = (
        dr.run(dr.edit(tiny, photo, start=s, steps=40, stage=1, guidance_scale=1), [1]).images for s in (39, 5)
    )
    small = 2 * torch.nn.functional.interpolate(dr.as_picture(photo), (16, 16), mode="bicubic", antialias=True) - 1
    assert (near - small).square().mean() < (far - small).square().mean()


def test_upscaling_runs_the_second_stage_alone(tiny, photo):
    job = dr.upscale(tiny, photo, "a cat", steps_stage2=2)
    assert [stage.index for stage in job.stages] == [1]
    result = dr.run(job, [1])
    assert result.images.shape == (1, 3, 32, 32)
    other = 1 - dr.as_picture(photo)
    assert not torch.allclose(dr.run(dr.upscale(tiny, other, "a cat", steps_stage2=2), [1]).images, result.images)


def test_upscaling_needs_a_second_stage(oracle, photo):
    with pytest.raises(dr.UserError, match="no second stage"):
        dr.upscale(oracle, photo)


def test_two_pictures_for_three_seeds_are_refused(oracle):
    job = dr.edit(oracle, torch.rand(2, 3, 32, 32), start=20)
    assert dr.run(job, [1, 2]).images.shape[0] == 2
    with pytest.raises(dr.UserError, match="one for each seed"):
        dr.run(job, [1, 2, 3])
