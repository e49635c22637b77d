"""The guard, over real HTTP: uploads, paths, hosts, passwords."""

import io
import struct
import zlib

import httpx
import numpy as np
import pytest
from PIL import Image

from duckrabbit.studio.forms.kinds import INPUT
from studio_server import start


def encoded(image, kind="PNG", **more):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **more)
    return buffer.getvalue()


def png(width, height, data):
    """A PNG of 1-bit grey whose header says what it likes."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def jpeg_of_100_megapixels():
    """A small JPEG whose frame header says 10000 x 10000."""
    small = bytearray(encoded(Image.new("RGB", (16, 16)), "JPEG"))
    at = small.index(b"\xff\xc0")
    small[at + 5 : at + 9] = struct.pack(">HH", 10_000, 10_000)
    return bytes(small)


TEXT_BOMB = zlib.compress(b"\0" * 50_000_000, 9)
BAD = {
    "a zip bomb of pixels": (png(60_000, 60_000, zlib.compress(b"\0" * 1_000_000)), 400, "million"),
    "a JPEG of 100 megapixels": (jpeg_of_100_megapixels(), 400, "100"),
    "an SVG with a script": (
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        400,
        "picture",
    ),
    "a renamed program": (b"\x7fELF\x02\x01\x01" + bytes(4000), 400, "not a picture"),
    "a script in a PNG's clothes": (b"\x89PNG\r\n\x1a\n<script>", 400, "picture"),
    "a torn JPEG": (encoded(Image.effect_noise((400, 400), 90), "JPEG")[:9000], 400, "picture"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", 400, "picture"),
    "an animation": (
        encoded(Image.new("L", (32, 32)), "GIF", save_all=True, append_images=[Image.new("L", (32, 32), 9)]),
        400,
        "animation",
    ),
    "nothing": (b"", 400, "empty"),
    "too many bytes": (bytes(21 * 2**20), 413, "20 MB"),
    "a dot": (encoded(Image.new("RGB", (2, 2))), 400, "at least"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_good_picture_is_refused_in_a_sentence(http, studio, what):
    content, status, word = BAD[what]
    before = {p.name for p in studio.shelf.inputs.iterdir()}
    answer = http.post("/pictures", content=content)
    assert answer.status_code == status
    sentence = answer.json()["error"]
    assert word in sentence
    assert "/tmp" not in sentence
    assert str(studio.shelf.folder) not in sentence
    assert {p.name for p in studio.shelf.inputs.iterdir()} == before


def test_a_text_bomb_in_a_png_is_harmless(http):
    """A picture with 50 MB of packed text: refused, or kept without it."""
    good = encoded(Image.new("RGB", (32, 32), "red"))
    body = b"x\0\0" + TEXT_BOMB
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    answer = http.post("/pictures", content=good[:33] + chunk + good[33:])
    assert answer.status_code in (200, 400)


def test_a_length_that_lies_is_found_out(studio):
    def endless():
        for _ in range(30):
            yield bytes(2**20)

    answer = httpx.post(f"{studio.address}/pictures", content=endless(), timeout=60)
    assert answer.status_code == 413


def test_a_picture_is_kept_small_square_and_bare(http, studio):
    big = Image.effect_noise((3000, 2000), 40).convert("RGB")
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    name = http.post("/pictures", content=encoded(big, "JPEG", exif=exif)).json()["name"]
    assert INPUT.fullmatch(name)
    with Image.open(studio.shelf.inputs / name) as kept:
        assert kept.size == (1024, 1024)
        assert not kept.getexif()
        assert not kept.info


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_pictures_of_all_kinds_are_taken(http, studio, kind):
    image = Image.new("RGB", (64, 48), "#3366cc")
    name = http.post("/pictures", content=encoded(image, kind)).json()["name"]
    with Image.open(studio.shelf.inputs / name) as kept:
        assert max(abs(a - b) for a, b in zip(kept.getpixel((20, 20)), (0x33, 0x66, 0xCC), strict=True)) < 6


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "I;16", "F"])
def test_pictures_of_all_modes_are_taken(http, mode):
    kind = "TIFF" if mode in ("F", "CMYK") else "PNG"
    plain = {"I;16": 0, "F": 0.3}
    image = Image.new(mode, (32, 32), plain[mode]) if mode in plain else Image.new("RGB", (32, 32), "red").convert(mode)
    assert http.post("/pictures", content=encoded(image, kind)).status_code == 200


def test_its_own_name_is_of_no_matter(http, studio):
    """The path in a file name is never looked at: a picture is its bytes, and its name their hash."""
    body = encoded(Image.new("RGB", (32, 32), "blue"))
    headers = {"content-disposition": 'attachment; filename="../../../etc/cron.d/x.png"'}
    name = http.post("/pictures/", content=body, headers=headers).json()["name"]
    assert (studio.shelf.inputs / name).is_file()


@pytest.mark.parametrize(
    "path",
    [
        "/shelf/../../etc/passwd",
        "/shelf/inputs/../../../etc/passwd",
        "/shelf/inputs/..%2f..%2fetc%2fpasswd",
        "/shelf/%2e%2e/%2e%2e/etc/passwd",
        "/shelf/inputs/" + "0" * 24 + ".png",
        "/shelf/inputs",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file%3D/etc/passwd",
        "/gradio_api/file%253D/etc/passwd",
        "/file=/etc/passwd",
        "/gradio_api/proxy=http://example.org/",
        "/gradio_api/upload",
        "/gradio_api/file/etc/passwd",
        "/static/../../../../etc/passwd",
        "/assets/..%2f..%2f..%2f..%2fetc%2fpasswd",
    ],
)
def test_no_path_outside_is_read(http, path):
    answer = http.get(path)
    assert "root:" not in answer.text
    assert answer.status_code in (403, 404, 405)


def test_gradio_takes_no_files(http):
    picture = encoded(Image.new("RGB", (32, 32)))
    assert http.post("/gradio_api/upload", files={"files": ("x.png", picture)}).status_code in (404, 413)
    data = {"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]}
    assert http.post("/gradio_api/call/delete", json=data).status_code == 400


def test_long_requests_are_refused(http):
    assert http.post("/gradio_api/call/generate", json={"data": ["x" * 200_000]}).status_code == 413


def test_other_hosts_and_other_pages_are_refused(http):
    assert http.get("/", headers={"host": "evil.example"}).status_code == 403
    answer = http.post("/pictures", content=b"", headers={"origin": "http://evil.example"})
    sentence = (
        "Another page may not use the studio. Behind a proxy, name it with --trusted-proxy and have it send "
        "X-Forwarded-Host; see docs/studio.md."
    )
    assert (answer.status_code, answer.json()["error"]) == (403, sentence)


def test_the_page_may_load_nothing_from_outside(http):
    answer = http.get("/")
    assert answer.status_code == 200
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "fonts.googleapis.com" not in answer.text


def test_a_password_guards_everything(tmp_path):
    running = start(tmp_path / "guarded", password="swordfish")
    try:
        for path in ("/", "/config", "/shelf/inputs/x.png", "/gradio_api/info", "/theme.css"):
            assert httpx.get(running.address + path).status_code == 401
            assert httpx.get(running.address + path, auth=("any", "wrong")).status_code == 401
        assert httpx.post(running.address + "/pictures", content=b"x").status_code == 401
        assert httpx.get(running.address, auth=("any", "swordfish")).status_code == 200
        for odd in ("Basic", "Basic !!!", "Basic \xff", "Bearer swordfish"):
            assert httpx.get(running.address, headers={"authorization": odd.encode("latin-1")}).status_code == 401
    finally:
        running.end()


def test_what_is_not_square_is_cropped_or_framed_in_the_colours_of_its_edges(http, studio):
    wide = Image.new("RGB", (300, 100), "#204060")
    wide.paste("#c08040", (0, 80, 300, 100))
    wide.paste("#ffffff", (20, 20, 280, 80))
    answers = {
        fit: http.post(f"/pictures?fit={fit}", content=encoded(wide, "PNG")).json() for fit in ("middle", "whole")
    }
    assert [(t["width"], t["height"]) for t in answers.values()] == [(300, 100)] * 2
    middle, whole = (np.asarray(Image.open(studio.shelf.inputs / t["name"])) for t in answers.values())
    assert (middle.shape, whole.shape) == ((100, 100, 3), (300, 300, 3))
    assert np.array_equal(middle, np.asarray(wide)[:, 100:200])
    assert np.array_equal(whole[100:200], np.asarray(wide))
    assert {tuple(p) for p in whole[:100].reshape(-1, 3)} == {(0x20, 0x40, 0x60)}
    assert {tuple(p) for p in whole[200:].reshape(-1, 3)} == {(0xC0, 0x80, 0x40)}
