"""Inpainting: what is known stays, to the pixel; what is new fits; everything composes."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

import duckrabbit as dr
from duckrabbit.diffusion.streams import stream_seed
from duckrabbit.models.oracle import mixtures
from samples import pixels, read, save


def known_noise(seed, i, size):
    generator = torch.Generator().manual_seed(stream_seed(seed, "stage1/known", i))
    return torch.randn(3, size, size, generator=generator)


def ring(size):
    """A mask uint8: white in a disc, black around it."""
    y, x = np.mgrid[0:size, 0:size] - (size - 1) / 2
    return np.where(np.hypot(x, y) < size / 4, 255, 0).astype(np.uint8)


@pytest.mark.parametrize("how", ["renoised", "clean"])
def test_the_known_pixels_of_the_file_are_those_of_the_picture(tiny, tmp_path, how):
    """Through both stages: the file at 32 px has the 32 px picture's own bytes where the mask is black."""
    array, mask = pixels(32, seed=3), ring(32)
    save(tmp_path / "a.png", array)
    save(tmp_path / "m.png", mask)
    job = dr.inpaint(tiny, tmp_path / "a.png", tmp_path / "m.png", "a cat", how=how, steps=4, steps_stage2=2)
    for path in dr.run(job, [1, 2]).save(str(tmp_path / "out")):
        made = read(path)
        assert (made[mask == 0] == array[mask == 0]).all()
        assert (made[mask > 0] != array[mask > 0]).any(axis=-1).mean() > 0.9


def test_the_middle_square_of_a_wide_picture(oracle, tmp_path):
    array, mask = pixels(32, 40), ring(32)
    save(tmp_path / "a.png", array)
    save(tmp_path / "m.png", np.pad(mask, ((0, 0), (4, 4))))
    job = dr.inpaint(oracle, tmp_path / "a.png", tmp_path / "m.png", steps=5)
    (path,) = dr.run(job, [1]).save(str(tmp_path / "out"))
    assert (read(path)[mask == 0] == array[:, 4:36][mask == 0]).all()


@pytest.mark.parametrize(("jump", "resample"), [(1, 1), (3, 2)])
def test_at_every_level_the_known_pixels_are_the_renoised_picture(oracle, photo, half, jump, resample):
    x0 = 2 * dr.as_picture(photo)[0] - 1
    job = dr.inpaint(oracle, photo, half, jump=jump, resample=resample, steps=12)
    seen = []
    dr.run(job, [4], on_state=lambda _, state: seen.append(state))
    for state in seen:
        expected = state.at.alpha * x0 + state.at.sigma * known_noise(4, state.i, 32)
        assert torch.allclose(state.x[0, :, :, :16], expected[:, :, :16], atol=1e-5)


def test_the_clean_variant_has_no_noise_on_the_known_pixels(oracle, photo, half):
    x0 = 2 * dr.as_picture(photo)[0] - 1
    seen = []
    job = dr.inpaint(oracle, photo, half, how="clean", steps=6)
    dr.run(job, [4], on_state=lambda _, state: seen.append(state.x))
    assert all(torch.allclose(x[0, :, :, :16], x0[:, :, :16], atol=1e-6) for x in seen)


@pytest.mark.parametrize(("moves", "jump", "resample"), [(30, 1, 1), (30, 1, 3), (30, 10, 2), (30, 7, 4)])
def test_repaint_walks_every_stretch_but_the_last_again(oracle, photo, half, moves, jump, resample):
    """Counted by hand: of n - 1 moves every whole stretch of `jump` is walked `resample` times."""
    plan = dr.inpaint(oracle, photo, half, jump=jump, resample=resample, steps=moves).stages[0].plan
    again = (moves - 1) // jump * (resample - 1)
    assert sum(m.is_up for m in plan) == again
    assert len(plan) == moves + again * (jump + 1)
    assert all(a.to == b.at for a, b in pairwise(plan))
    assert plan[-1].to == dr.CLEAN


def test_repaint_knits_the_new_half_to_the_known_one(oracle, tmp_path, half):
    """Half a red circle is known; of all twelve shapes the other half has to be a red circle's too."""
    mean = mixtures()["a red circle"].means[0]
    save(tmp_path / "a.png", ((mean.permute(1, 2, 0) / 2 + 0.5) * 255).round().to(torch.uint8).numpy())
    job = dr.inpaint(oracle, tmp_path / "a.png", half, "", jump=5, resample=4, guidance_scale=1)
    x = dr.run(job, list(range(6))).images
    gaps = (x - mean)[..., 16:].abs().flatten(1).mean(1)
    assert (gaps < 0.06).float().mean() >= 0.8


def test_an_anagram_inside_an_inpainted_region_is_one_job(oracle, photo, half):
    """Known left half; on the right the mean of a picture and a flipped one, since both are Gaussians."""
    views = {"identity": "a red circle", "flip": "a blue triangle"}
    job = dr.inpaint(oracle, photo, half, views, guidance_scale=3, solver="ddim")
    assert len(job.stages) == 1
    (price,) = dr.cost(job)
    assert price.questions == 4  # two views, each with and without the prompt
    x = dr.run(job, [2]).images[0]
    assert torch.equal(x[..., :16], (2 * dr.as_picture(photo) - 1)[0, ..., :16])
    job = dr.inpaint(oracle, photo, half, views, guidance_scale=1, solver="ddim")
    x = dr.run(job, [2]).images[0]
    expected = (mixtures()["a red circle"].means[0] + mixtures()["a blue triangle"].means[0].flip(-2)) / 2
    assert (x - expected)[..., 16:].abs().mean() < 0.06


def test_a_hybrid_tree_inside_an_inpainted_region(oracle, photo, half):
    tree = dr.Bands((dr.LowPass(),), (dr.Prompt("a red circle"), dr.Prompt("a blue cross")))
    x = dr.run(dr.inpaint(oracle, photo, half, tree), [2]).images[0]
    assert torch.equal(x[..., :16], (2 * dr.as_picture(photo) - 1)[0, ..., :16])


def test_a_mask_that_vanishes_at_the_models_size_is_refused(oracle, tmp_path):
    large = torch.rand(1, 3, 512, 512)
    mask = torch.zeros(1, 1, 512, 512)
    mask[..., 100:104, 100:104] = 1
    with pytest.raises(dr.UserError, match="nothing is left"):
        dr.inpaint(oracle, large, mask)


def test_white_is_new_whatever_the_masks_mode(tmp_path):
    """Bilevel, grey, palette and RGBA masks say the same."""
    disc = Image.fromarray(ring(32))
    files = [tmp_path / f"{mode}.png" for mode in ("1", "L", "P", "RGBA")]
    for file in files:
        disc.convert(file.stem).save(file)
    masks = [dr.as_mask(file) for file in files]
    assert all(torch.equal(m[0, 0], torch.from_numpy(ring(32) / 255).float()) for m in masks)


@pytest.mark.parametrize("value", [0, 255])
def test_a_mask_of_one_value_is_refused(tmp_path, value):
    save(tmp_path / "m.png", np.full((32, 32), value, np.uint8))
    with pytest.raises(dr.UserError, match="White is where the picture is made anew"):
        dr.as_mask(tmp_path / "m.png")
