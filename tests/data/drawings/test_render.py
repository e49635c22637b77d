"""Pixels, against what can be worked out by hand."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from duckrabbit.data.drawings.icons import svg
from duckrabbit.data.drawings.render import margin, on_white, rasterise, render
from duckrabbit.data.drawings.split import near_duplicates


def pixels(content, size=64):
    return np.asarray(Image.open(io.BytesIO(render(content, size).png))).astype(int)


def document(body, width=60, height=60):
    return svg({"icons": {}}, {"body": body, "width": width, "height": height})


@pytest.mark.parametrize(("size", "rim"), [(32, 1), (64, 2), (128, 4), (256, 8)])
def test_the_rim_grows_with_the_size(size, rim):
    image = pixels(document('<rect width="60" height="60" fill="#123456"/>'), size)
    assert margin(size) == rim
    assert (image[rim:-rim, rim:-rim] == [0x12, 0x34, 0x56]).all()
    image[rim:-rim, rim:-rim] = 255
    assert (image == 255).all()


def test_a_pixel_that_is_half_covered_is_half_of_the_colour():
    """60 units on 60 pixels: an edge at 10.5 covers half of a pixel; black gives 127.5, red leaves red alone."""
    image = pixels(document('<rect x="10.5" y="0" width="20" height="60" fill="#f00"/>'))
    assert (image[32, 2 + 11 : 2 + 30] == [255, 0, 0]).all()
    for column in (2 + 10, 2 + 30):
        assert image[32, column, 0] == 255, "transparent is not black: an edge must not darken"
        assert abs(image[32, column, 1:] - 127.5).max() <= 0.5


def test_half_opaque_over_white():
    image = pixels(document('<rect width="60" height="60" fill="#f00" fill-opacity="0.5"/>'))
    assert abs(image[32, 32] - [255, 127.5, 127.5]).max() <= 1


def test_colours_are_premultiplied_before_they_are_averaged():
    """An opaque red pixel beside a transparent green one, averaged: red at half opacity, and no green."""
    drawing = np.zeros((120, 120, 4), np.uint8)
    drawing[:, ::2] = [255, 0, 0, 255]
    drawing[:, 1::2] = [0, 255, 0, 0]
    image = on_white(Image.fromarray(drawing), 64)[2:-2, 2:-2].astype(int)
    assert abs(image - [255, 127.5, 127.5]).max() <= 0.5


def oblong_picture():
    file = io.BytesIO()
    Image.new("RGBA", (240, 120), "black").save(file, format="PNG")
    return file.getvalue()


@pytest.mark.parametrize("content", [document('<rect width="60" height="30"/>', height=30), oblong_picture()])
def test_oblong_drawings_are_centred_whole(content):
    image = pixels(content)
    dark = (image < 128).all(-1)
    assert dark[17:47, 2:62].all()
    assert dark.sum() == 30 * 60


def test_a_picture_of_four_times_the_size_is_averaged_exactly():
    rng = np.random.default_rng(0)
    drawing = rng.integers(0, 256, (240, 240, 4), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(drawing).save(file, format="PNG")
    opacity = drawing[..., 3:] / 255
    over = drawing[..., :3] * opacity + 255 * (1 - opacity)
    expected = over.reshape(60, 4, 60, 4, 3).mean((1, 3))
    assert abs(pixels(file.getvalue())[2:-2, 2:-2] - expected).max() <= 0.501


@pytest.mark.parametrize("content", ["<svg", b"no picture"])
def test_what_cannot_be_drawn_is_a_value_error(content):
    with pytest.raises(ValueError, match=r".+"):
        rasterise(content, 64)


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.floats(0.5, 6))
def test_near_duplicates_are_those_of_the_naive_loop(seed, count, near):
    """Pictures that differ by little, some of them again and again, so that distances lie about the limit."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 256, (3, 768))
    thumbs = [
        (base[rng.integers(3)] + rng.integers(-6, 7) * (rng.random(768) < 0.5)).clip(0, 255) for _ in range(count)
    ]
    thumbs = [t.astype(np.uint8) for t in thumbs]
    kept, expected = [], []
    for thumb in thumbs:
        near_one = any(np.sqrt(((thumb.astype(float) - k) ** 2).mean()) < near for k in kept)
        expected.append(near_one)
        if not near_one:
            kept.append(thumb.astype(float))
    assert near_duplicates([t.tobytes() for t in thumbs], near) == expected
