"""Pictures that are not of a model's own size: what may be asked for, and what every task makes of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.nn.functional import interpolate

import duckrabbit as dr
import tiny
from duckrabbit.guidance import laws
from duckrabbit.guidance.views.pixels import Permute
from duckrabbit.guidance.views.shipped import parse_view
from duckrabbit.models.model import sized
from duckrabbit.tasks.pictures import middle_of, read_picture
from duckrabbit.tasks.sizes import stages_at

sides = st.integers(1, 400)


@pytest.fixture(scope="module")
def cascade():
    """Two stages, 16 px made 32; both networks halve the picture once."""
    first = tiny.first_pipeline()
    return dr.load(first, stage2=tiny.second_pipeline(first), device="cpu")


@pytest.fixture(scope="module")
def wide():
    """A picture of 90 x 40 pixels whose red is its column and whose green is its row."""
    x, y = np.meshgrid(np.arange(90), np.arange(40))
    return np.stack([x * 2, y * 6, np.full_like(x, 128)], -1).astype(np.uint8)


def shapes(job, seeds=(1, 2)):
    return [tuple(x.shape) for x in dr.run(job, seeds).stage_images]


@pytest.mark.parametrize("said", ["24x16", " 24 X 16", "24×16", (16, 24), [16, 24], torch.Size([16, 24])])
def test_a_size_is_width_x_height_in_words_and_height_width_in_numbers(cascade, said):
    assert [facts.size for facts in stages_at(cascade, said)] == [(16, 24), (32, 48)]


@pytest.mark.parametrize("said", [24, "24", np.int64(24)])
def test_one_number_is_the_side_of_a_square(cascade, said):
    assert [facts.size for facts in stages_at(cascade, said)] == [(24, 24), (48, 48)]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("wide", "WIDTHxHEIGHT"), ("24x", "WIDTHxHEIGHT"), ("24x16x3", "WIDTHxHEIGHT"), ("", "WIDTHxHEIGHT"),
        ("-24x16", "WIDTHxHEIGHT"), ((1, 2, 3), "WIDTHxHEIGHT"), (2.5, "WIDTHxHEIGHT"), ((16, "24"), "whole number"),
        (True, "WIDTHxHEIGHT"), ((24,), "WIDTHxHEIGHT"), (b"24", "WIDTHxHEIGHT"), (range(2), "WIDTHxHEIGHT"),
        ("0x16", "whole number"), ("25x16", "multiples of 2, .* try 24 x 16"),
        ("1x1", "multiples of 2, .* try 2 x 2"), ("160x16", "more than 8 times"), (1 << 40, "more than 8 times"),
    ],
)  # fmt: skip
def test_what_is_no_size_or_none_of_the_models_is_a_sentence(cascade, said, words):
    with pytest.raises(dr.UserError, match=words):
        dr.generate(cascade, "a cat", size=said)


def test_models_of_one_size_say_so():
    for name in ("oracle", "mnist-class"):
        model = dr.load(name, device="cpu")
        with pytest.raises(dr.UserError, match=r"pixels only; leave the size out"):
            stages_at(model, "48x32")
        assert stages_at(model, model.stages[0].size) == model.stages


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 4), st.integers(1, 30), st.integers(1, 30))
def test_a_size_is_taken_where_every_networks_stride_divides_it(stride, later, times, height, width):
    """The naive way: multiply, and look."""
    own = replace(dr.load("oracle").stages[0], size=(16, 16), gflop=2.0, stride=stride)
    next_ = replace(own, size=(16 * times, 16 * times), stride=later)
    fits = not any(side % stride or (side * times) % later for side in (height, width))
    if (height, width) == (16, 16):
        return
    try:
        made = sized((own, next_), (height, width), "It")
    except dr.UserError:
        assert not fits
    else:
        assert fits
        assert [facts.size for facts in made] == [(height, width), (height * times, width * times)]
        assert made[0].gflop == pytest.approx(2 * height * width / 256)


@given(sides, sides, st.integers(1, 60), st.integers(1, 60))
def test_the_middle_is_the_largest_of_its_shape(width, height, h, w):
    left, top, wide, high = middle_of((width, height), (h, w))
    assert 1 <= wide <= width
    assert 1 <= high <= height
    assert wide == width or high == height  # nothing larger has the shape
    assert abs(2 * left + wide - width) <= 1
    assert abs(2 * top + high - height) <= 1
    assert abs(wide * h - high * w) <= max(h, w)  # half a pixel of the side that was rounded, or one at least


def test_a_picture_is_cut_from_the_whole_and_never_twice(wide):
    square = read_picture(wide)
    assert square.middle == (40, 40)
    again = square.shaped((20, 40))
    assert again.middle == (40, 80)
    assert torch.equal(again.pixels[0, 0, 0] * 255, torch.arange(5, 85).float() * 2)
    assert torch.equal(again.shaped((1, 1)).pixels, square.pixels)
    assert square.shaped((7, 7)) is square


def test_every_task_makes_pictures_of_the_size_that_was_asked_for(cascade, wide):
    small, large = (2, 3, 16, 24), (2, 3, 32, 48)
    options = {"size": "24x16", "steps": 2, "steps_stage2": 2}
    mask = np.zeros((40, 90), np.uint8)
    mask[:, 45:] = 255
    assert shapes(dr.generate(cascade, "a cat", **options)) == [small, large]
    assert shapes(dr.generate(cascade, ["a cat", "a house"], **options), 1) == [small, large]
    assert shapes(dr.anagram(cascade, {"identity": "a cat", "flip": "a house"}, **options)) == [small, large]
    assert shapes(dr.hybrid(cascade, "a cat", "a house", **options)) == [small, large]
    assert shapes(dr.hybrid(cascade, None, "a house", image=wide, **options)) == [small, large]
    assert shapes(dr.edit(cascade, wide, "a cat", strength=0.5, **options)) == [small, large]
    assert shapes(dr.inpaint(cascade, wide, mask, "a cat", **options)) == [small, large]
    assert shapes(dr.upscale(cascade, wide, size="24x16", steps_stage2=2)) == [large]
    assert shapes(dr.noise(cascade, wide, 300, size="24x16")) == [small]
    assert shapes(dr.denoise(cascade, wide, 300, size="24x16", steps=2)) == [small]


def test_what_is_known_of_a_wide_picture_stays(cascade, wide):
    """Where the mask is black, the result is the picture itself: its middle 60 columns, brought to 48 x 32."""
    mask = np.zeros((40, 90), np.uint8)
    mask[:, 45:] = 255
    made = dr.run(dr.inpaint(cascade, wide, mask, size="24x16", steps=2, steps_stage2=2, guidance_scale_stage2=1), 1)
    middle = torch.from_numpy(wide[:, 15:75]).permute(2, 0, 1)[None] / 255
    expected = interpolate(middle, (32, 48), mode="bicubic", antialias=True).clamp(0, 1)
    assert torch.allclose(made.unit[..., :23], expected[..., :23], atol=1e-6)
    assert not torch.allclose(made.unit[..., 25:], expected[..., 25:], atol=0.05)
    assert "the middle 60 x 40 of 90 x 40 pixels is used; 33 % is cut away" in made.job.notes["cut"]


def test_views_that_need_a_square_say_so(cascade):
    for view in ("rotate_90", "rotate_270", "negate+rotate_90"):
        with pytest.raises(dr.UserError, match="needs a square one"):
            dr.anagram(cascade, {"identity": "a cat", view: "a house"}, size="24x16")
        tree = dr.Mean((dr.Prompt("a cat"), dr.Viewed(parse_view(view), dr.Prompt("a house"))))
        with pytest.raises(dr.UserError, match="needs a square one"):
            dr.run(dr.generate(cascade, tree, size="24x16", stage=1, steps=2))
    for view in ("rotate_180", "flip_horizontal", "negate", "patch_permutation:grid=4", "pixel_permutation"):
        dr.anagram(cascade, {"identity": "a cat", view: "a house"}, size="24x16")


@pytest.mark.parametrize(
    "name", ["rotate_180", "flip_vertical", "flip_horizontal", "negate", "patch_permutation", "pixel_permutation"]
)
def test_views_keep_the_laws_on_pictures_that_are_not_square(name):
    view = parse_view(name, (16, 24))
    x, y, large = (torch.randn(2, 3, *size, dtype=torch.float64) for size in ((16, 24), (16, 24), (64, 96)))
    assert laws.isometry(view, x, y).holds
    assert laws.linearity(view, x, y).holds
    assert laws.resolution(view, large).holds
    if name == "pixel_permutation":
        assert view == Permute((16, 24))
        assert sorted(view(x[:1, :1]).flatten().tolist()) == sorted(x[:1, :1].flatten().tolist())


def test_seeds_draw_the_same_noise_whatever_else_is_in_the_batch(cascade):
    job = dr.generate(cascade, "a cat", size="24x16", stage=1, steps=2)
    alone, both = dr.run(job, 2), dr.run(job, (1, 2))
    torch.testing.assert_close(alone.images[0], both.images[1], atol=1e-5, rtol=0)


def test_a_record_of_a_wide_picture_replays_to_the_byte(cli):
    asked = ("a flat emoji of a rose", "--size", "48x32", "--steps", "2", "--steps-stage2", "2")
    made = cli("generate", *asked, "--out", "made")
    assert made.code == 0, made.err
    first = Path("made/01-seed180.png")
    assert Image.open(first).size == (192, 128)
    again = cli("replay", first)
    assert (again.code, "the same, to the pixel" in again.out) == (0, True), (again.out, again.err)


def test_a_quarter_turn_on_the_command_line_is_refused_before_anything_runs(cli):
    prompts = ("a flat emoji of a rose", "a flat emoji of a cat face")
    told = cli("anagram", *prompts, "--view", "rotate_90", "--size", "48x32")
    assert (told.code, told.written) == (2, [])
    assert "needs a square one" in told.err


def test_classical_filters_take_any_shape_and_scale_with_the_shorter_side():
    """A picture on its side is filtered as it is upright; 1 : 3, where a wide kernel would not fit the shorter side."""
    clean = torch.rand(1, 3, 24, 72, generator=torch.Generator().manual_seed(0))
    clean = interpolate(interpolate(clean, (6, 18), mode="area"), (24, 72), mode="bilinear")
    noisy = (clean + 0.2 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    wide, tall = (dr.best_gaussian_blur(*pair) for pair in ((noisy, clean), (noisy.mT, clean.mT)))
    assert wide.setting == tall.setting
    torch.testing.assert_close(wide.image, tall.image.mT)


def test_denoising_a_wide_picture_has_its_sheet(cli, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 120, 3)).astype(np.uint8)).save("photo.png")
    made = cli("denoise", "photo.png", "--size", "48x16", "--t", "500", "--steps", "2", "--out", "made")
    assert made.code == 0, made.err
    assert (tmp_path / "made/sheet.png").is_file()


def test_another_model_on_the_canvas_has_to_take_its_size():
    other = dr.Through("oracle", dr.Prompt("a red circle"))
    job = dr.generate(dr.load("miniature"), other, steps=1, stage=1, size="48x32")
    with pytest.raises(dr.UserError, match="oracle makes pictures of 32 x 32 pixels only"):
        dr.run(job)
