"""Profiles followed, ignored, and left alone; what they mean is computed by their formulas."""

import numpy as np
import pytest
from PIL import Image

import profiles
from duckrabbit.errors import UserError
from duckrabbit.tasks.colours import in_8_bits, in_srgb
from samples import pixels

RAMP = np.tile(np.arange(256, dtype=np.uint8), (8, 1))


def image(array, profile=None, mode=None):
    made = Image.fromarray(array) if mode is None else Image.frombytes(mode, array.shape[1::-1], array.tobytes())
    if profile is not None:
        made.info["icc_profile"] = profile
    return made


def off(made, expected):
    """The largest difference in steps of 255."""
    return np.abs(np.asarray(made, np.float64) - expected).max()


@pytest.mark.parametrize(("brighter", "kept"), [(1.006, True), (1.03, False)])
def test_a_profile_that_moves_no_colour_by_more_than_a_step_leaves_every_bit(brighter, kept, monkeypatch):
    """Of 0.6 % more light, values grow by up to 0.7 of 255, and many would be rounded up; of 3 %, by up to 3."""
    monkeypatch.setitem(profiles.RGB, "brighter", ((brighter * profiles.SRGB).tolist(), None))
    array = pixels(32)
    meant = profiles.decode(array / 255, "brighter") * 255
    assert 0.5 < np.abs(meant - array).max() < 4
    made = in_srgb(image(array, profiles.rgb_profile("brighter")))
    assert bool(off(made, array) == 0) is kept
    assert off(made, meant) <= (1 if kept else 1.5)


def test_one_corner_of_the_colours_is_enough_to_follow_a_profile(monkeypatch):
    """A fiftieth of red and blue changed over: greys stay, near greys move by 1 of 255, pure red by 38."""
    matrix = profiles.SRGB.copy()
    matrix[:, 0], matrix[:, 2] = matrix[:, 0] * 0.98 + matrix[:, 2] * 0.02, matrix[:, 2] * 0.98 + matrix[:, 0] * 0.02
    monkeypatch.setitem(profiles.RGB, "duller", (matrix.tolist(), None))
    array = np.broadcast_to(np.array([255, 0, 0], np.uint8), (8, 8, 3)).copy()
    meant = profiles.decode(array / 255, "duller") * 255
    assert off(in_srgb(image(array, profiles.rgb_profile("duller"))), meant) <= 1.5


def test_greys_in_more_than_8_bits_are_converted_in_as_many():
    fine = (np.arange(64 * 64, dtype=np.float32) / 4095).reshape(64, 64)
    made = in_srgb(image(fine, profiles.grey_profile(1.0)))
    assert made.mode == "RGB"
    assert off(made, (profiles.curved(fine) * 255)[..., None]) <= 1  # of 8 bits, the darkest step would be 13
    plain = image(fine)
    assert in_srgb(plain) is plain
    matrix = in_srgb(image(fine, profiles.rgb_profile("ProPhoto")))
    assert off(matrix, profiles.decode(np.repeat(fine[..., None], 3, -1), "ProPhoto") * 255) <= 2


@pytest.mark.parametrize("mode", ["L", "1"])
def test_a_profile_of_greys_is_for_greys(mode):
    array = RAMP if mode == "L" else RAMP[:, ::8].copy()
    grey = image(array) if mode == "L" else image(array).convert("1")
    grey.info["icc_profile"] = profiles.grey_profile(1.0)
    numbers = np.asarray(grey.convert("L")) / 255
    assert off(in_srgb(grey), (profiles.curved(numbers) * 255)[..., None]) <= 1
    colour = image(pixels(32), profiles.grey_profile(1.0))
    assert off(in_srgb(colour), pixels(32)) == 0


def test_transparency_goes_through_with_and_without_a_profile():
    array = np.dstack([pixels(32), RAMP[0].repeat(4).reshape(32, 32)])
    assert off(in_srgb(image(array)), array) == 0
    made = in_srgb(image(array, profiles.rgb_profile("Adobe RGB")))
    assert made.mode == "RGBA"
    assert off(np.asarray(made)[..., 3], array[..., 3]) == 0
    assert off(np.asarray(made)[..., :3], profiles.decode(array[..., :3] / 255, "Adobe RGB") * 255) <= 1.5


def test_inks_have_a_profile_of_inks_or_none():
    inks = np.zeros((8, 8, 4), np.uint8)
    for profile in (None, profiles.rgb_profile("ProPhoto"), profiles.grey_profile(1.0)):
        assert off(in_srgb(image(inks, profile, "CMYK")), 255) == 0
    colours = image(pixels(32), profiles.ink_profile(np.full((2, 2, 2, 2, 3), 50.0)))
    assert off(in_srgb(colours), pixels(32)) == 0


def test_colours_that_cannot_be_converted_are_a_sentence(monkeypatch):
    broken = image(pixels(32))
    monkeypatch.setattr(broken, "convert", lambda *_: (_ for _ in ()).throw(ValueError("no such mode")))
    with pytest.raises(UserError, match="save it as RGB"):
        in_srgb(broken)


def test_fine_greys_become_8_bits_by_rounding():
    fine = np.array([[0.0, 0.499 / 255, 0.501 / 255, 0.5, 1.0]], np.float32)
    assert np.asarray(in_8_bits(image(fine))).tolist() == [[[v] * 3 for v in (0, 0, 1, 128, 255)]]
    plain = image(pixels(8))
    assert in_8_bits(plain) is plain
