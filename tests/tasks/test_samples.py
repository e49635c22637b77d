"""The gallery's own pictures: drawn whole, cut from the middle, and never in the place of what is there."""

import math
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from duckrabbit.tasks.samples import write_pictures
from samples import read

DRAWN = {"house", "flower", "face", "apple", "mask-top", "mask-middle"}
PHOTOS = {"cat.png": "chelsea.png", "astronaut.png": "astronaut.png", "rocket.jpg": "rocket.jpg"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder)
    return folder


def test_all_are_there_and_of_one_size(folder):
    assert {path.name for path in folder.iterdir()} == {f"{name}.png" for name in DRAWN} | set(PHOTOS)
    assert {read(path).shape for path in folder.iterdir()} == {(256, 256, 3)}


@pytest.mark.parametrize("name", sorted(DRAWN - {"mask-top", "mask-middle"}))
def test_a_drawing_is_on_white_paper_and_fills_a_good_part_of_it(folder, name):
    """White in the upper corners, ink in the middle half, and no ink cut off by the upper edge."""
    array = read(folder / f"{name}.png")
    ink = (array < 250).any(-1)
    assert not ink[0].any()
    assert not ink[:20, :20].any()
    assert not ink[:20, -10:].any()
    assert 0.15 < ink.mean() < 0.75
    assert ink[64:192, 64:192].mean() > 0.5


def test_the_masks_are_where_they_say(folder):
    top, middle = (read(folder / f"mask-{name}.png")[..., 0] for name in ("top", "middle"))
    assert (top[:117] == 255).all()  # 46 hundredths of 256 are 117.8 rows
    assert (top[119:] == 0).all()
    assert (middle > 127).mean() == pytest.approx(math.pi * 0.28**2, abs=0.003)
    assert np.array_equal(np.argwhere(middle > 127).mean(0).round(), [128, 128])


@pytest.mark.parametrize("name", PHOTOS)
def test_a_photograph_is_its_middle_square(folder, name):
    photo = Image.open(str(files("skimage.data").joinpath(PHOTOS[name]))).convert("RGB")
    side = min(photo.size)
    left, top = ((n - side) // 2 for n in photo.size)
    square = photo.crop((left, top, left + side, top + side)).resize((256, 256), Image.Resampling.LANCZOS)
    assert np.abs(read(folder / name).astype(int) - np.asarray(square)).mean() < 1.5


def test_what_is_there_stays(tmp_path):
    for name in ("house.png", "cat.png"):
        (tmp_path / name).write_text("mine")
    write_pictures(tmp_path)
    assert {(tmp_path / name).read_text() for name in ("house.png", "cat.png")} == {"mine"}
    assert len(list(tmp_path.iterdir())) == 9
