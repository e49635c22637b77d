"""Pictures are read right: each is made beside by arithmetic, and compared."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

import duckrabbit as dr
from duckrabbit.tasks.masks import box_mask
from duckrabbit.tasks.pictures import Picture, notes_on, resize, to_model_size, to_pixels, to_range
from duckrabbit.tasks.reading import check_size, decode_picture, standard
from samples import pixels, save

same = settings(derandomize=True, deadline=None, max_examples=60, database=None)


def unit(path):
    """The picture as as_picture reads it, (H, W, 3) in [0, 1]."""
    return dr.as_picture(path)[0].permute(1, 2, 0).numpy()


def png(path, array, depth, colour):
    """A PNG written by hand: `array` (H, W, channels) of unsigned integers."""
    height, width = array.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in array)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    return path


def test_16_bit_grey_keeps_its_bits(tmp_path):
    ramp = (np.arange(64 * 64).reshape(64, 64, 1) * 16 + 3).astype(np.uint16)
    assert np.abs(unit(png(tmp_path / "a.png", ramp, 16, 0)) - ramp / 65535).max() < 1e-6


def test_a_dark_16_bit_picture_stays_dark(tmp_path):
    """All values below 256 of 65535: black, not a picture of 8 bits."""
    dark = (np.arange(16 * 16).reshape(16, 16, 1) % 256).astype(np.uint16)
    assert unit(png(tmp_path / "a.png", dark, 16, 0)).max() < 0.004


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (6, 4), (4, 2)])
def test_16_bit_colour_and_alpha(tmp_path, colour, channels):
    """Pillow reads these with 8 bits a channel; within one step of 255 that is right."""
    array = np.random.default_rng(0).integers(0, 65536, (16, 16, channels)).astype(np.uint16)
    wide = array / 65535
    rgb = wide[..., :3] if channels > 2 else wide[..., :1].repeat(3, -1)
    alpha = wide[..., -1:] if channels in (2, 4) else 1.0
    assert np.abs(unit(png(tmp_path / "a.png", array, 16, colour)) - (rgb * alpha + 1 - alpha)).max() < 3 / 255


def test_transparency_is_laid_on_white(tmp_path):
    rng = np.random.default_rng(1)
    for mode, channels in (("RGBA", 4), ("LA", 2)):
        array = rng.integers(0, 256, (16, 16, channels)).astype(np.uint8)
        Image.fromarray(array, mode).save(tmp_path / "a.png")
        alpha = array[..., -1:] / 255
        assert np.abs(unit(tmp_path / "a.png") - (array[..., :-1] / 255 * alpha + 1 - alpha)).max() < 1e-6


def test_palettes_with_and_without_a_transparent_colour(tmp_path):
    table = np.random.default_rng(2).integers(0, 256, (256, 3)).astype(np.uint8)
    index = np.random.default_rng(3).integers(0, 256, (16, 16)).astype(np.uint8)
    image = Image.fromarray(index, "P")
    image.putpalette(table.tobytes())
    for kind in ("png", "gif", "bmp"):
        image.save(tmp_path / f"a.{kind}")
        assert np.abs(unit(tmp_path / f"a.{kind}") - table[index] / 255).max() < 1e-6
    clear = int(index[0, 0])
    image.save(tmp_path / "clear.png", transparency=clear)
    expected = np.where((index == clear)[..., None], 1.0, table[index] / 255)
    assert np.abs(unit(tmp_path / "clear.png") - expected).max() < 1e-6


def test_cmyk_is_turned_to_rgb(tmp_path):
    """(1 - c)(1 - k), to one step of 255."""
    array = np.random.default_rng(4).integers(0, 256, (16, 16, 4)).astype(np.uint8)
    Image.fromarray(array, "CMYK").save(tmp_path / "a.tif")
    ink = array / 255
    assert np.abs(unit(tmp_path / "a.tif") - (1 - ink[..., :3]) * (1 - ink[..., 3:])).max() < 1.5 / 255


def test_grey_and_bilevel(tmp_path):
    grey = pixels(16)[..., 0]
    save(tmp_path / "a.png", grey)
    assert np.abs(unit(tmp_path / "a.png") - grey[..., None] / 255).max() < 1e-6
    Image.fromarray(grey > 127).save(tmp_path / "b.png")
    assert (unit(tmp_path / "b.png") == (grey > 127)[..., None]).all()


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.swapaxes(0, 1)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a[::-1, ::-1].swapaxes(0, 1)),
        (8, lambda a: np.rot90(a)),
    ],
)
def test_a_cameras_rotation_is_followed(tmp_path, orientation, upright):
    array, exif = pixels(24, 16), Image.Exif()
    exif[274] = orientation
    save(tmp_path / "a.png", array, exif=exif)
    turned = upright(array)
    edge = (max(turned.shape[:2]) - 16) // 2
    middle = turned[edge : edge + 16] if turned.shape[0] > 16 else turned[:, edge : edge + 16]
    assert np.abs(unit(tmp_path / "a.png") - middle / 255).max() < 1e-6


def test_a_phones_jpeg_with_a_second_picture_behind_it(tmp_path):
    first = Image.fromarray(pixels(32))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[Image.fromarray(255 - pixels(32))])
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.n_frames == 2
    assert np.abs(unit(tmp_path / "a.jpg") - pixels(32) / 255).mean() < 0.1


def test_lossless_webp_and_tiff(tmp_path):
    for name, options in (("a.webp", {"lossless": True}), ("a.tif", {}), ("a.ppm", {})):
        assert np.abs(unit(save(tmp_path / name, pixels(16), **options)) - pixels(16) / 255).max() < 1e-6


@same
@given(
    st.integers(8, 40),
    st.integers(8, 40),
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"]),
)
def test_every_mode_and_size_becomes_a_square_in_range(height, width, mode):
    image = Image.fromarray(pixels(height, width))
    if mode == "I;16":
        image = Image.fromarray(pixels(height, width)[..., 0].astype(np.uint16) * 257)
    elif mode != "RGB":
        image = image.convert("L").convert("LA") if mode == "LA" else image.convert(mode)
    picture = dr.as_picture(image)
    side = min(height, width)
    assert picture.shape == (1, 3, side, side)
    assert picture.dtype == torch.float32
    assert 0 <= picture.min() <= picture.max() <= 1


@same
@given(st.sampled_from([(-1.0, 1.0), (0.0, 1.0), (-0.5, 0.5), (0.0, 255.0), (-3.0, 5.0)]))
def test_every_byte_survives_the_models_range(value_range):
    bytes_ = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    there = to_range(bytes_.float() / 255, value_range)
    assert torch.equal(to_pixels(there, value_range), bytes_.permute(0, 2, 3, 1))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.rand(3, 32, 32),
        torch.rand(1, 2, 32, 32),
        torch.rand(0, 3, 32, 32),
        torch.rand(1, 3, 32, 32) * 2,
        torch.rand(1, 3, 32, 32) - 0.5,
        torch.full((1, 3, 32, 32), float("nan")),
        torch.rand(1, 3, 1, 1),
    ],
)
def test_tensors_that_are_no_picture(tensor):
    with pytest.raises(dr.UserError):
        dr.as_picture(tensor)


def test_numbers_that_are_no_picture(tmp_path):
    for k, array in enumerate((np.full((16, 16), 1e6, np.float32), np.full((16, 16), np.nan, np.float32))):
        Image.fromarray(array).save(tmp_path / f"{k}.tif")
        with pytest.raises(dr.UserError, match="8 or 16 bits"):
            dr.as_picture(tmp_path / f"{k}.tif")


def test_a_program_in_a_picture_is_not_run(tmp_path):
    """Pillow hands EPS to Ghostscript."""
    buffer = io.BytesIO()
    Image.fromarray(pixels(16)).save(buffer, format="EPS")
    (tmp_path / "a.eps").write_bytes(buffer.getvalue())
    with pytest.raises(dr.UserError, match="PNG, JPEG and WebP"):
        dr.as_picture(tmp_path / "a.eps")


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 8), (4, 4, 2, 8), (0, 0, 17, 4), (-1, 0, 4, 4), (0, 0, 16, 16), (float("nan"), 0, 4, 4)]
)
def test_boxes_that_are_none(box):
    with pytest.raises(dr.UserError, match="x0,y0,x1,y1"):
        box_mask(box, (16, 16))


def test_a_box_is_where_it_says():
    mask = box_mask((2, 3, 6, 5), (16, 16))
    assert mask.sum() == 8
    assert mask[0, 0, 3:5, 2:6].min() == 1


@given(st.integers(0, 7), st.integers(0, 6), st.integers(0, 7), st.integers(0, 6))
def test_every_box_within_the_picture_is_a_mask_but_the_whole_and_the_empty(x0, y0, x1, y1):
    whole = (x0, y0, x1, y1) == (0, 0, 7, 6)
    if x0 < x1 and y0 < y1 and not whole:
        mask = box_mask((x0 + 0.4, y0 - 0.4, x1 + 0.2, y1 - 0.2), (6, 7))  # corners lie on the nearest pixel's edge
        assert mask.shape == (1, 1, 6, 7)
        assert all(mask[0, 0, y, x] == (x0 <= x < x1 and y0 <= y < y1) for x in range(7) for y in range(6))
    else:
        with pytest.raises(dr.UserError):
            box_mask((x0, y0, x1, y1), (6, 7))


def test_sizes_at_the_bounds_are_read():
    check_size(8, 9, "It", most=72)
    for wrong in ((8, 10), (7, 9), (9, 7)):
        with pytest.raises(dr.UserError, match="It has"):
            check_size(*wrong, "It", most=72)
    with pytest.raises(dr.UserError, match="at most 64 million"):
        check_size(8000, 8001, "It")


def test_a_cut_file_is_refused_and_pillows_own_settings_stay_the_users(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12345)
    content = save(tmp_path / "a.jpg", pixels(64)).read_bytes()
    with pytest.raises(dr.UserError, match="not a picture that can be read"):
        decode_picture(content[: len(content) // 2], "It")
    assert (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS) == (True, 12345)
    assert decode_picture(content, "It").size == (64, 64)
    assert (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS) == (True, 12345)


@pytest.mark.parametrize("mode", ["F", "RGB"])
def test_the_callers_image_keeps_what_it_says_of_itself(mode):
    image = Image.fromarray(np.full((16, 16), 0.5, np.float32)).convert(mode)
    image.info = {"exif": b"x", "title": "mine", "icc_profile": b""}
    made = standard(image)
    assert made is not image
    assert image.info == {"exif": b"x", "title": "mine", "icc_profile": b""}
    assert made.info == {"title": "mine"}


def test_a_picture_is_of_float32_whatever_it_came_in():
    for kind in (torch.float64, torch.float16, torch.float32):
        picture = dr.as_picture(torch.full((1, 3, 16, 16), 0.25, dtype=kind))
        assert picture.dtype == torch.float32
        assert picture.unique().tolist() == [0.25]


def test_a_model_of_one_channel_sees_the_mean_of_the_channels():
    picture = torch.rand(2, 3, 8, 8)
    assert torch.equal(to_model_size(picture, 8), picture)
    torch.testing.assert_close(to_model_size(picture, 8, 1), picture.mean(1).view(2, 1, 8, 8))
    assert resize(picture, 8) is picture
    torch.testing.assert_close(resize(torch.ones(1, 3, 9, 9), 4), torch.ones(1, 3, 4, 4))
    edge = torch.zeros(1, 1, 8, 8)
    edge[..., 4:] = 1
    assert 0 <= resize(edge, 32).min() <= resize(edge, 32).max() <= 1  # a cubic alone overshoots


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((32, 32), {}),
        ((64, 64), {"size": "It: 64 x 64 pixels are first shrunk to the model's 32 x 32."}),
        ((16, 16), {"size": "It: 16 x 16 pixels are first enlarged to the model's 32 x 32."}),
        ((32, 40), {"cut": "It: the middle 32 x 32 of 32 x 40 pixels is used; 20 % is cut away."}),
        ((3200, 3201), {"cut": "less than 1 % is cut away"}),
        ((3168, 3200), {"cut": "; 1 % is cut away"}),
    ],
)
def test_what_is_done_to_a_picture_is_told(size, expected):
    notes = notes_on(Picture(torch.zeros(1, 3, 1, 1), None, size, "It"), (32, 32), "first ")
    for key in ("cut", "size"):
        assert expected.get(key, "") in notes.get(key, "")
    assert ("cut" in notes) == ("cut" in expected)
    assert ("size" in notes) == (min(size) != 32)
