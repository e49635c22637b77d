"""Masks: what is one is read right, what is none is refused with the reason, on every way in."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

import duckrabbit as dr
from duckrabbit.tasks.masks import share_anew
from samples import pixels, read, save

SIDE = 64
DISC = np.hypot(*(np.mgrid[0:SIDE, 0:SIDE] - 31.5)) < 16


def kept(studio, path):
    """Where the studio keeps a picture."""
    answer = studio.http.post("/pictures", content=path.read_bytes())
    assert answer.status_code == 200, answer.text
    return studio.shelf.inputs / answer.json()["name"]


def layers(rgb, alpha):
    """uint8 (H, W, 4)."""
    return np.dstack([np.broadcast_to(rgb, (SIDE, SIDE, 3)), alpha * np.uint8(255)]).astype(np.uint8)


def grey(inside=255, outside=0):
    return np.where(DISC, inside, outside).astype(np.uint8)


def jpeg_noise(path):
    Image.fromarray(grey()).save(path, quality=20)


def soft(path):
    Image.fromarray(grey()).filter(ImageFilter.GaussianBlur(1)).save(path)


def scaled(path):
    large = Image.fromarray(grey()).resize((1024, 1024), Image.Resampling.NEAREST)
    large.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(path)


SOFT_BRUSH = layers((220, 40, 90), DISC)
SOFT_BRUSH[..., 3] = np.asarray(Image.fromarray(grey()).filter(ImageFilter.GaussianBlur(1)))
GOOD = {
    "black and white": grey(),
    "nearly black and white": grey(230, 20),
    "with colours that JPEG makes": np.dstack([grey(255, 4), grey(250, 0), grey(245, 9)]),
    "JPEG noise": jpeg_noise,
    "soft edges": soft,
    "scaled": scaled,
    "0 and 1 in bytes": DISC.astype(np.uint8),
    "16 bits": grey().astype(np.uint16) * 257,
    "white on a clear layer": layers((255, 255, 255), DISC),
    "white on a clear layer with black below": np.dstack([grey()] * 3 + [grey()]),
    "red on a clear layer": layers((255, 0, 0), DISC),
    "dark blue on a clear layer": layers((0, 0, 128), DISC),
    "grey on a clear layer": layers((128, 128, 128), DISC),
    "paint that compression has changed a little": layers(pixels(SIDE) // 16 + np.uint8([120, 200, 40]), DISC),
    "a brush with soft edges": lambda path: Image.fromarray(SOFT_BRUSH).save(path),
    "a clear hole in a picture": layers(pixels(SIDE), ~DISC),
    "a clear hole in a grey picture": layers(pixels(SIDE)[..., :1], ~DISC),
    "opaque with an alpha channel": layers(grey()[..., None], np.ones_like(DISC)),
}


@pytest.mark.parametrize("what", GOOD)
def test_masks(what, tmp_path, studio, cli):
    """Every way makes the disc anew, and keeps what is around it."""
    picture, made = save(tmp_path / "photo.png", pixels(SIDE)), GOOD[what]
    path = tmp_path / ("mask.jpg" if made is jpeg_noise else "mask.png")
    made(path) if callable(made) else save(path, made)
    blurred = callable(made) * 12  # pixels at the edge
    ways = {
        "Python, a path": dr.as_mask(path),
        "Python, an image": dr.as_mask(Image.open(path), Image.open(picture)),
        "inverted": 1 - dr.as_mask(path, invert=True),
        "the studio": dr.as_mask(kept(studio, path), kept(studio, picture)),
    }
    for way, mask in ways.items():
        assert mask.unique().tolist() == [0, 1], way
        assert (mask[0, 0].numpy() != DISC).sum() <= blurred, way
    result = cli("inpaint", "photo.png", path, "--model", "oracle", "--dry-run")
    assert result.code == 0, result.err
    share = round(100 * float(ways["Python, a path"].mean()))
    assert f"{share} % of the picture is made anew.\n" in result.out
    assert share in (19, 20, 21)  # pi 16² / 64²


THIRD = grey()
THIRD[:12] = 128
RIM = np.hypot(*(np.mgrid[0:SIDE, 0:SIDE] - 31.5)) < 8
BAD = {
    "a photo": (pixels(SIDE), "has colours"),
    "a grey photo": (np.asarray(Image.fromarray(pixels(SIDE)).convert("L")), "neither black nor white"),
    "a gradient": (np.tile(np.arange(SIDE) * 4, (SIDE, 1)).astype(np.uint8), "neither black nor white"),
    "a third level": (THIRD, "neither black nor white"),
    "red on black": (np.dstack([grey(), 0 * grey(), 0 * grey()]), "has colours"),
    "black on a clear layer": (layers((0, 0, 0), DISC), "black on a clear layer"),
    "nearly black on a clear layer": (layers((20, 30, 60), DISC), "black on a clear layer"),
    "black and white on a clear layer": (layers(255 * RIM[..., None], DISC), "black and white on a clear layer"),
    "clear all over": (layers(grey()[..., None], 0 * DISC), "clear all over"),
    "half clear": (np.dstack([grey(255, 255)] * 3 + [THIRD]), "neither clear nor opaque"),
    "white": (grey(255, 255), "all white: nothing would be kept"),
    "black": (grey(0, 0), "all black: nothing would be painted"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_mask_is_refused_with_the_reason(what, tmp_path, studio, refused):
    array, words = BAD[what]
    save(tmp_path / "photo.png", pixels(SIDE))
    path = save(tmp_path / "mask.png", array)
    assert words in refused("inpaint", "photo.png", "mask.png", "--model", "oracle", "--out", "made")
    for source in (path, Image.open(path), kept(studio, path)):
        with pytest.raises(dr.UserError, match=words) as error:
            dr.as_mask(source)
        assert "White is where the picture is made anew, black is kept" in str(error.value)


def test_ones_in_an_array_of_bytes_are_white_and_in_a_picture_nearly_black():
    assert (dr.as_mask(DISC.astype(np.uint8))[0, 0].numpy() == DISC).all()
    assert dr.as_picture(DISC.astype(np.uint8)).max() == pytest.approx(1 / 255)


def test_a_large_mask_is_judged_as_a_small_one(tmp_path):
    """And its soft edges may be as wide as its size makes them."""
    large = Image.fromarray(grey()).resize((2000, 2000), Image.Resampling.BICUBIC)
    assert abs(dr.as_mask(large).mean().item() - DISC.mean()) < 0.002
    third = np.asarray(large).copy()
    third[:120] = 128
    with pytest.raises(dr.UserError, match="neither black nor white"):
        dr.as_mask(third)


def test_the_whole_sizes_must_agree(tmp_path, refused, cli, oracle):
    """Middle squares alike are not enough: a mask that lies across does not fit."""
    wide, mask = pixels(32, 48), np.zeros((32, 48), np.uint8)
    mask[4:10, 12:30] = 255
    exif = Image.Exif()
    exif[274] = 6
    save(tmp_path / "wide.png", wide)
    save(tmp_path / "turned.png", wide, exif=exif)
    save(tmp_path / "mask.png", mask)
    save(tmp_path / "mask-turned.png", mask, exif=exif)
    save(tmp_path / "mask-upright.png", np.rot90(mask, -1))
    common = ("--model", "oracle", "--steps", "1")
    assert "turn one of them" in refused("inpaint", "turned.png", "mask.png", *common, "--out", "made")
    assert "48 x 32" in refused("inpaint", "wide.png", "mask-upright.png", *common, "--out", "made")
    with pytest.raises(dr.UserError, match="48 x 32 pixels and the picture 32 x 48"):
        dr.inpaint(oracle, Image.open(tmp_path / "turned.png"), Image.open(tmp_path / "mask.png"))
    upright = np.rot90(wide, -1)[8:40]
    kept = np.rot90(mask, -1)[8:40] == 0
    cut = dr.as_mask(np.ascontiguousarray(np.rot90(mask, -1)))
    job = dr.inpaint(oracle, tmp_path / "turned.png", cut, steps=1)
    assert (dr.run(job).pixels[0].numpy()[kept] == upright[kept]).all()
    for name in ("mask-turned", "mask-upright"):
        assert cli("inpaint", "turned.png", f"{name}.png", *common, "--out", name).code == 0
        made = read(tmp_path / name / "01-seed180.png")
        assert (made[kept] == upright[kept]).all()
        assert (made[~kept] != upright[~kept]).any()


def test_inverting(tmp_path, cli, oracle):
    """What was kept is made anew, and the other way round, of masks and of boxes."""
    array, disc = pixels(32), DISC[::2, ::2]
    save(tmp_path / "photo.png", array)
    save(tmp_path / "mask.png", disc.astype(np.uint8) * 255)
    result = cli("inpaint", "photo.png", "mask.png", "--invert", "--model", "oracle", "--steps", "1", "--out", "a")
    assert "80 % of the picture is made anew; to keep that part instead, invert the mask.\n" in result.err
    made = read(tmp_path / "a" / "01-seed180.png")
    assert (made[disc] == array[disc]).all()
    assert (made[~disc] != array[~disc]).any(-1).mean() > 0.9
    cli("inpaint", "photo.png", "--box", "4,4,12,30", "--invert", "--model", "oracle", "--steps", "1", "--out", "b")
    made = read(tmp_path / "b" / "01-seed180.png")
    assert (made[4:30, 4:12] == array[4:30, 4:12]).all()
    assert (made[:, 12:] != array[:, 12:]).any(-1).mean() > 0.9
    job = dr.inpaint(oracle, array, disc, invert=True, steps=1)
    assert (dr.run(job, 180).pixels[0].numpy() == read(tmp_path / "a" / "01-seed180.png")).all()
    assert "80 %" in dr.run(job, 180).record["notes"]["mask"]


def test_the_studio_inverts(tmp_path, studio):
    """As the page and the API ask for it, in the files that the studio makes."""
    array, disc = pixels(32), DISC[::2, ::2]
    picture = kept(studio, save(tmp_path / "photo.png", array)).name
    mask = kept(studio, save(tmp_path / "mask.png", layers((255, 255, 255), DISC)[::2, ::2])).name
    for invert, known in ((False, ~disc), (True, disc)):
        data = {"model": "oracle", "image": picture, "mask": mask, "steps": 1, "seed": 1, "invert": invert}
        made = result(studio.http, "inpaint", data)
        assert ("--invert" in made["command"]) is invert
        file = next(f for f in made["files"] if f.endswith("seed1.png"))
        (tmp_path / "made.png").write_bytes(studio.http.get(file).content)
        pixel = read(tmp_path / "made.png")
        assert (pixel[known] == array[known]).all()
        assert (pixel[~known] != array[~known]).any(-1).mean() > 0.9


def result(http, name, data):
    """What an endpoint answers."""
    from gradio_client import Client

    return Client(str(http.base_url), verbose=False).predict(api_name=f"/{name}", **data)


@pytest.mark.parametrize(
    ("white", "words"),
    [(1, "less than 1 %"), (1024, "25 %"), (3000, "73 %"), (4050, "99 %"), (4095, "more than 99 %")],
)
def test_the_share_in_words(white, words):
    mask = torch.zeros(64 * 64)
    mask[:white] = 1
    assert share_anew(mask.view(1, 1, 64, 64)).startswith(f"{words} of the picture is made anew")


@pytest.mark.parametrize(("rows", "share"), [(12, "19 %"), (3, "5 %")])
def test_how_much_of_a_mask_is_of_a_third_level_is_told(rows, share):
    third = np.zeros((SIDE, SIDE), np.uint8)
    third[:, 40:] = 255
    third[:rows] = 128  # 12 of 64 rows are 18.75 %
    with pytest.raises(dr.UserError, match=f"^{share} of the mask is neither black nor white"):
        dr.as_mask(third)


def test_the_part_of_a_mask_that_has_colours_is_told():
    array = np.dstack([grey()] * 3)
    array[:1, :30] = (255, 0, 0)  # 30 of 4096 pixels are 0.7 %
    with pytest.raises(dr.UserError, match=r"has colours \(1 % of it\)"):
        dr.as_mask(array)


@pytest.mark.parametrize(("light", "dark", "fits"), [(193, 62, True), (189, 0, False), (255, 66, False)])
def test_what_is_within_a_quarter_of_black_or_white_is_one_of_them(light, dark, fits):
    """A quarter of 255 is 63.75; what lies further in, with no edge near, is a third level."""
    array = grey(light, dark)
    if fits:
        assert (dr.as_mask(array)[0, 0].numpy() == DISC).all()
    else:
        with pytest.raises(dr.UserError, match="neither black nor white"):
            dr.as_mask(array)


@pytest.mark.parametrize(("apart", "fits"), [(37, True), (40, False)])
def test_greys_may_be_tinted_by_less_than_15_hundredths(apart, fits):
    array = np.dstack([grey(255, apart), grey(255, 0), grey(255, 0)])  # 0.15 of 255 is 38.25
    if fits:
        assert (dr.as_mask(array)[0, 0].numpy() == DISC).all()
    else:
        with pytest.raises(dr.UserError, match="has colours"):
            dr.as_mask(array)


@pytest.mark.parametrize("side", [256, 512])
@pytest.mark.parametrize("wider", [0, 1])
def test_a_soft_edge_is_a_32nd_of_the_mask_at_most(side, wider):
    width = side // 32 + wider * side // 256  # one block more than reaches from white to black
    array = np.zeros((side, side), np.uint8)
    array[:, side // 2 :], array[:, side // 2 - width : side // 2] = 255, 128
    if wider:
        with pytest.raises(dr.UserError, match="no soft edge"):
            dr.as_mask(array)
    else:
        assert dr.as_mask(array).mean() in (0.5, 0.5 + width / side)


@pytest.mark.parametrize(("odd", "fits"), [(8, True), (9, False)])
def test_a_few_pixels_out_of_place_are_what_compression_does(odd, fits):
    """Two in a thousand of 4096 are 8.2."""
    array = np.dstack([grey()] * 3)
    array[0, :odd] = (255, 0, 0)
    if fits:
        assert dr.as_mask(array).mean() == pytest.approx(DISC.mean(), abs=0.003)
    else:
        with pytest.raises(dr.UserError, match="has colours"):
            dr.as_mask(array)
