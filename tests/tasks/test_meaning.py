"""Part A means something: on drawings from families the shipped model has never seen."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

import duckrabbit as dr
from duckrabbit.diffusion.streams import Noise
from duckrabbit.evaluation.classical import SIGMAS, best_gaussian_blur
from duckrabbit.evaluation.metrics import psnr
from duckrabbit.tasks.pictures import resize, to_range
from duckrabbit.tasks.reading import open_picture

SHEET = Path(__file__).parent.parent / "data" / "held-out.png"


@pytest.fixture(scope="module")
def drawings():
    """32 drawings (32, 3, 64, 64) in [0, 1]."""
    sheet = torch.from_numpy(np.array(open_picture(SHEET))).view(4, 64, 8, 64, 3) / 255
    return sheet.permute(0, 2, 4, 1, 3).reshape(32, 3, 64, 64)


@pytest.fixture(scope="module")
def model():
    return dr.load("miniature", device="cpu", dtype="float32")


@pytest.mark.parametrize("t", [250, 500, 750])
def test_one_step_beats_the_best_blur_on_held_out_drawings(model, drawings, t):
    facts = model.stages[0]
    pictures = resize(drawings, facts.size)
    job = dr.denoise(model, pictures, t, method="one-step")
    seeds = range(32)
    denoised = dr.run(job, list(seeds)).unit
    at = facts.schedule.level(t)
    x0 = to_range(pictures, facts.value_range)
    noisy = dr.add_noise(x0, at, Noise(tuple(seeds), "stage1")(x0, "start", 0)) / at.alpha / 2 + 0.5
    one_step, blur = [], []
    for noise, guess, picture in zip(noisy.split(1), denoised.split(1), pictures.split(1), strict=True):
        best = best_gaussian_blur(noise, picture)
        one_step.append(float(psnr(guess, picture)))
        blur.append(best.psnr)
        assert best.psnr > psnr(noise.clamp(0, 1), picture)
    wins = sum(a > b for a, b in zip(one_step, blur, strict=True))
    ours, best_blur = sum(one_step) / 32, sum(blur) / 32
    print(f"t = {t}: one step {ours:.2f} dB, best of {len(SIGMAS)} blurs {best_blur:.2f} dB, better on {wins} of 32")
    assert ours > best_blur
    assert wins >= 28


def test_the_later_sdedit_starts_the_nearer_it_stays(model, drawings):
    """Six starts on 11 steps of the course, t from 830 to 332: what the law costs on all 33 is four times as much.

    Of 32 drawings each is nearer than the one before by 9 to 20 standard errors, all 32 of them, so that 8 suffice.
    """
    pictures = resize(drawings[::4], model.stages[0].size)
    distances = []
    for start in (1, 2, 3, 4, 5, 7):
        job = dr.edit(model, pictures, start=start, preset="cs180", steps=11, stage=1)
        distances.append((dr.run(job, list(range(8))).unit - pictures).square().mean((1, 2, 3)).sqrt())
    print("root mean square distance:", [f"{d.mean():.3f}" for d in distances])
    for earlier, later in itertools.pairwise(distances):
        assert later.mean() < earlier.mean()
        assert (later < earlier).sum() >= 7
