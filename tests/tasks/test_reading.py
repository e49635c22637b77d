"""One reader: the terminal, Python and the studio see the same picture in a file, and it is the right one.

What the terminal sees is read off what `inpaint` keeps to the pixel; what the studio sees off the file it keeps.
"""

import io
import struct
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import duckrabbit as dr
import profiles
from samples import pixels, read, save

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(2000)


def on_white(path):
    rgba = np.asarray(Image.open(path).convert("RGBA")) / 255
    return rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]


@pytest.fixture
def seen(studio, cli):
    """seen(path of a square picture of 32 px) -> what each of the ways sees, float (32, 32, 3) in [0, 1]."""

    def look(path):
        ways = {"Python, a path": dr.as_picture(path)}
        if path.suffix not in (".heic", ".HEIC"):
            ways["Python, an image"] = dr.as_picture(Image.open(path))
        ways = {way: picture[0].permute(1, 2, 0).numpy() for way, picture in ways.items()}
        made = []
        for box in ("0,0,16,32", "16,0,32,32"):
            result = cli("inpaint", path, "--box", box, "--model", "oracle", "--steps", "1", "--out", f"made-{box}")
            assert result.code == 0, result.err
            made.append(read(path.parent / f"made-{box}" / "01-seed180.png") / 255)
        ways["the terminal"] = np.concatenate([made[1][:, :16], made[0][:, 16:]], axis=1)
        answer = studio.http.post("/pictures", content=path.read_bytes())
        assert answer.status_code == 200, answer.text
        ways["the studio"] = on_white(studio.shelf.inputs / answer.json()["name"])
        return ways

    return look


@pytest.fixture
def refused_everywhere(studio, refused):
    """refused_everywhere(path, words): every way says it in a sentence."""

    def look(path, *words):
        sentences = {"the terminal": refused("edit", path, "--model", "oracle", "--out", "made")}
        answer = studio.http.post("/pictures", content=path.read_bytes())
        assert answer.status_code == 400
        sentences["the studio"] = answer.json()["error"]
        with pytest.raises(dr.UserError) as error:
            dr.as_picture(path)
        sentences["Python"] = str(error.value)
        for way, sentence in sentences.items():
            assert all(word in sentence for word in words), (way, sentence)

    return look


def near(ways, expected, most):
    for way, picture in ways.items():
        assert np.abs(picture - expected).max() <= most / 255 + 1e-6, way


@pytest.mark.parametrize("kind", ["jpg", "webp", "png", "tif", "avif"])
def test_the_cameras_rotation(seen, tmp_path, kind):
    """Orientation 6: what was stored is turned by a quarter, clockwise."""
    array, exif = np.repeat(np.repeat(pixels(4), 8, 0), 8, 1), Image.Exif()
    exif[274] = 6
    options = {} if kind in ("png", "tif") else {"quality": 100, "subsampling": "4:4:4"} if kind != "webp" else {}
    lossless = {"lossless": True} if kind == "webp" else {}
    path = save(tmp_path / f"turned.{kind}", array, exif=exif, **options, **lossless)
    near(seen(path), np.rot90(array, -1) / 255, 0.5 if kind in ("png", "tif", "webp") else 20)


def test_exif_that_is_none_is_ignored(seen, tmp_path):
    path = save(tmp_path / "a.png", pixels(32), exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff")
    near(seen(path), pixels(32) / 255, 0.5)


@pytest.mark.parametrize("name", ["photo.heic", "photo.jpg"])
def test_heic_is_read_by_its_content(seen, tmp_path, name):
    heif = pytest.importorskip("pillow_heif")
    array, exif = np.repeat(np.repeat(pixels(4), 8, 0), 8, 1), Image.Exif()
    exif[274] = 6
    heif.from_pillow(Image.fromarray(array)).save(tmp_path / name, quality=100, chroma=444, exif=exif.tobytes())
    ways = {"Python": dr.as_picture(tmp_path / name)[0].permute(1, 2, 0).numpy()}
    near(ways, np.rot90(array, -1) / 255, 20)
    if name.endswith("heic"):
        near(seen(tmp_path / name), np.rot90(array, -1) / 255, 20)


@pytest.mark.parametrize("name", ["iphone.heic", "iphone.jpg"])
def test_heic_without_its_reader_is_named_with_the_remedy(refused_everywhere, tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / name).write_bytes(HEIC)
    refused_everywhere(tmp_path / name, "HEIC", "pip install 'duckrabbit[heic]'")


def test_damaged_heic_is_named(refused_everywhere, tmp_path):
    pytest.importorskip("pillow_heif")
    (tmp_path / "iphone.jpg").write_bytes(HEIC)
    refused_everywhere(tmp_path / "iphone.jpg", "HEIC", "PNG, JPEG and WebP")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\xff\x0a" + bytes(99), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99), "JPEG XL"),
        (b"8BPS\0\1" + bytes(99), "Photoshop"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(99), "video"),
    ],
)
def test_what_is_not_read_is_named(refused_everywhere, tmp_path, content, kind):
    (tmp_path / "a.png").write_bytes(content)
    refused_everywhere(tmp_path / "a.png", "a picture that can be read", kind)


@pytest.mark.parametrize(
    ("name", "options", "most"),
    [
        ("a.avif", {"quality": 100, "subsampling": "4:4:4"}, 8),
        ("a.jp2", {"irreversible": False}, 0.5),
        ("a.ico", {"sizes": [(32, 32)]}, 0.5),
    ],
)
def test_other_formats_are_read(seen, tmp_path, name, options, most):
    near(seen(save(tmp_path / name, pixels(32), **options)), pixels(32) / 255, most)


def test_an_icon_that_lies_about_its_size_is_not_decoded(refused_everywhere, tmp_path):
    save(tmp_path / "a.ico", pixels(32), sizes=[(32, 32)])
    buffer = io.BytesIO()
    Image.new("1", (9000, 9000)).save(buffer, format="PNG")
    head = bytearray((tmp_path / "a.ico").read_bytes()[:22])
    head[14:18] = len(buffer.getvalue()).to_bytes(4, "little")
    (tmp_path / "a.ico").write_bytes(bytes(head) + buffer.getvalue())
    refused_everywhere(tmp_path / "a.ico", "81000000 pixels", "exceeds limit")  # Pillow, before it decodes


RAMP = np.arange(1024).reshape(32, 32)


@pytest.mark.parametrize(
    ("name", "array", "white"),
    [
        ("a.png", (RAMP * 64).astype(np.uint16), 65535),
        ("a.tif", (RAMP * 64).astype(np.uint16), 65535),
        ("big-endian.tif", (RAMP * 64).astype(">u2"), 65535),
        ("dark.tif", (RAMP // 8).astype(np.uint16), 65535),
        ("wide.tif", (RAMP * 64).astype(np.int32), 65535),
        ("float.tif", (RAMP / 1023).astype(np.float32), 1),
        ("faint.tif", (RAMP / 10230).astype(np.float32), 1),
    ],
)
def test_more_than_8_bits(seen, tmp_path, name, array, white):
    near(seen(save(tmp_path / name, array)), (array / white)[..., None].astype(float), 0.51)


def test_a_pgm_of_16_bits_is_dark_where_it_is(seen, tmp_path):
    """Pillow gives it the mode I, but the file says what white is."""
    (tmp_path / "a.pgm").write_bytes(b"P5 32 32 65535\n" + (RAMP // 8).astype(">u2").tobytes())
    near(seen(tmp_path / "a.pgm"), (RAMP // 8 / 65535)[..., None], 0.51)


def test_a_tiff_of_12_bits(seen, tmp_path):
    """Two numbers in three bytes."""
    numbers = (RAMP * 4).astype(np.uint32).reshape(-1, 2)
    packed = (numbers[:, 0] << 12 | numbers[:, 1]).astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()
    tags = [
        (256, 3, 32), (257, 3, 32), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 3, 32),
        (279, 4, len(packed)),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, v) for tag, kind, v in tags)
    start = (8 + len(packed)).to_bytes(4, "little")
    directory = len(tags).to_bytes(2, "little") + entries + bytes(4)
    (tmp_path / "a.tif").write_bytes(b"II*\0" + start + packed + directory)
    near(seen(tmp_path / "a.tif"), (RAMP * 4 / 4095)[..., None], 0.51)


@pytest.mark.parametrize(
    "array",
    [
        (RAMP // 4).astype(np.int32),
        (RAMP * 100).astype(np.int32),
        (RAMP - 5).astype(np.int32),
        (RAMP / 4).astype(np.float32),
        np.full((32, 32), np.nan, np.float32),
    ],
)
def test_numbers_without_a_meaning(refused_everywhere, tmp_path, array):
    save(tmp_path / "a.tif", array)
    refused_everywhere(tmp_path / "a.tif", "8 or 16 bits")
    with pytest.raises(dr.UserError, match="8 or 16 bits"):
        dr.as_picture(Image.fromarray(array))


@pytest.mark.parametrize("name", profiles.RGB)
@pytest.mark.parametrize("alpha", [False, True])
def test_colours_of_other_spaces(seen, tmp_path, name, alpha):
    """Colours of sRGB, written as that space's numbers with 8 bits, come back."""
    srgb = np.random.default_rng(0).uniform(0.2, 0.9, (32, 32, 3))
    array = (profiles.encode(srgb, name) * 255).round().astype(np.uint8)
    assert np.abs(array / 255 - srgb).max() > 0.05  # there is something to see
    assert np.abs(profiles.decode(array / 255, name) - srgb).mean() < 0.5 / 255
    srgb = profiles.decode(array / 255, name)
    if alpha:
        clear = np.tile(np.array([255, 0], np.uint8), 512).reshape(32, 32, 1)
        array, srgb = np.concatenate([array, clear], -1), np.where(clear > 0, srgb, 1.0)
    path = save(tmp_path / "a.png", array, icc_profile=profiles.rgb_profile(name))
    near(seen(path), srgb, 1.5)


def test_the_jpeg_of_a_phone(seen, tmp_path):
    """Display P3, turned, in one file."""
    srgb = np.repeat(np.repeat(np.random.default_rng(1).uniform(0.3, 0.8, (2, 2, 3)), 16, 0), 16, 1)
    array, exif = (profiles.encode(srgb, "Display P3") * 255).round().astype(np.uint8), Image.Exif()
    exif[274] = 3
    profile = profiles.rgb_profile("Display P3")
    path = save(tmp_path / "a.jpg", array, quality=100, subsampling=0, exif=exif, icc_profile=profile)
    near(seen(path), srgb[::-1, ::-1], 4)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_greys_with_a_profile(seen, tmp_path, kind):
    most = np.iinfo(kind).max
    array = (RAMP / 1023 * most).astype(kind)
    path = save(tmp_path / "a.png", array, icc_profile=profiles.grey_profile(1.0))
    near(seen(path), profiles.curved(array / most)[..., None], 1)


def test_inks_with_a_profile(seen, tmp_path):
    """Cyan, magenta, yellow and black of a press that is not the formula's."""
    labs = np.zeros((2, 2, 2, 2, 3))
    inks = {
        (0, 0, 0, 0): (100, 0, 0),
        (1, 0, 0, 0): (60, -20, -30),
        (0, 1, 0, 0): (50, 50, 0),
        (0, 0, 1, 0): (80, 0, 60),
    }
    for corner, lab in inks.items():
        labs[corner] = lab
    corners = list(inks)
    array = np.repeat(np.repeat(np.array(corners, np.uint8).reshape(2, 2, 4) * 255, 16, 0), 16, 1)
    expected = np.array([profiles.lab_to_srgb(np.array(inks[c], float)) for c in corners]).reshape(2, 2, 3)
    image = Image.frombytes("CMYK", (32, 32), array.tobytes())
    image.save(tmp_path / "a.tif", icc_profile=profiles.ink_profile(labs))
    near(seen(tmp_path / "a.tif"), np.repeat(np.repeat(expected, 16, 0), 16, 1), 3)


@pytest.mark.parametrize(
    "profile",
    [
        b"nonsense",
        b"",
        profiles.rgb_profile("ProPhoto")[:200],
        profiles.rgb_profile("ProPhoto")[:128] + bytes(400),
        profiles.grey_profile(1.8),
        profiles.ink_profile(np.full((2, 2, 2, 2, 3), 50.0)),
    ],
)
def test_profiles_that_cannot_be_followed_are_ignored(seen, tmp_path, profile):
    near(seen(save(tmp_path / "a.png", pixels(32), icc_profile=profile)), pixels(32) / 255, 0.5)


def test_sRGB_keeps_every_bit(seen, tmp_path):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    near(seen(save(tmp_path / "a.png", pixels(32), icc_profile=profile)), pixels(32) / 255, 0.5)


def test_an_image_that_was_read_is_not_converted_again(tmp_path):
    """What open_picture gives may be given to a task."""
    from duckrabbit.tasks.reading import open_picture

    exif = Image.Exif()
    exif[274] = 6
    path = save(tmp_path / "a.png", pixels(32), exif=exif, icc_profile=profiles.rgb_profile("Adobe RGB"))
    assert torch.equal(dr.as_picture(open_picture(path)), dr.as_picture(path))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pixels(32), pixels(32) / 255),
        (pixels(32)[..., 0], pixels(32)[..., :1] / 255),
        (pixels(32)[..., :1], pixels(32)[..., :1] / 255),
        (pixels(32) / 255, pixels(32) / 255),
        ((pixels(32)[..., 0] / 255).astype(np.float16), pixels(32)[..., :1] / 255),
        ((RAMP * 64).astype(np.uint16), (RAMP * 64 / 65535)[..., None]),
        (RAMP > 500, (RAMP > 500)[..., None].astype(float)),
        (np.dstack([pixels(32), np.full((32, 32), 51, np.uint8)]), pixels(32) / 255 * 0.2 + 0.8),
        (pixels(32)[::-1, ::-1], pixels(32)[::-1, ::-1] / 255),
    ],
)
def test_arrays_are_pictures(array, expected):
    assert np.abs(dr.as_picture(array)[0].permute(1, 2, 0).numpy() - expected).max() < 1e-3


def test_an_array_as_a_subject_of_every_task(oracle):
    array, white = pixels(32), RAMP > 500
    x = dr.run(dr.inpaint(oracle, array, white, steps=2), 1).pixels[0].numpy()
    assert (x[~white] == array[~white]).all()
    for job in (dr.edit(oracle, array, start=3), dr.noise(oracle, array, 100), dr.denoise(oracle, array, 100)):
        assert torch.allclose(job.stages[0].start, 2 * dr.as_picture(array) - 1)


def test_a_grey_tensor_is_a_picture():
    grey = torch.rand(2, 1, 20, 16)
    assert torch.equal(dr.as_picture(grey), grey[:, :, 2:18].expand(-1, 3, -1, -1))


@pytest.mark.parametrize(
    "source",
    [
        pixels(32).astype(np.int64), pixels(32) / 1.0, pixels(32).transpose(2, 0, 1), pixels(32)[None],
        pixels(32)[..., :2], np.full((32, 32), np.nan), np.zeros((0, 32), np.uint8), np.zeros((4, 4), np.uint8),
        np.full((32, 32), "a"), None, 3, [[0.5] * 32] * 32, b"bytes", Image.new("RGB", (4, 4)),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused_in_a_sentence(source):
    with pytest.raises(dr.UserError, match="picture"):
        dr.as_picture(source)


def test_an_image_whose_file_is_cut_is_refused_in_a_sentence(tmp_path):
    path = save(tmp_path / "a.jpg", pixels(64))
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(dr.UserError, match="cannot be read"):
        dr.as_picture(Image.open(path))
