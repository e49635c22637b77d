"""--animate and --print: films that play, pages of the right size."""

import av
import numpy as np
import pytest
from PIL import Image

TURN = ("anagram", "a red triangle", "a red circle", "--view", "rotate_180", "--model", "oracle", "--quiet")
WALK = ("hybrid", "--low", "a blue square", "--high", "a blue triangle", "--model", "oracle", "--quiet")


def frames_of(path):
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


@pytest.mark.parametrize(("command", "stem"), [(TURN, "turning"), (WALK, "walking")])
def test_a_film_begins_and_ends_at_the_picture(cli, tmp_path, command, stem):
    assert cli(*command, "--out", "o", "--animate", "mp4,gif").code == 0
    frames = frames_of(tmp_path / "o" / f"{stem}-seed180.mp4")
    picture = np.asarray(Image.open(tmp_path / "o" / "01-seed180.png")).repeat(8, 0).repeat(8, 1).astype(float)
    assert len(frames) > 40
    assert np.abs(frames[0] - picture).mean() < 8  # half the colour's resolution, and lossy
    assert np.abs(frames[-1] - picture).mean() < 16
    with Image.open(tmp_path / "o" / f"{stem}-seed180.gif") as film:
        assert film.n_frames >= 40  # equal frames become one
        assert np.abs(np.asarray(film.convert("RGB")) - picture).mean() < 8


def test_a_turn_arrives_upside_down(cli, tmp_path):
    cli(*TURN, "--out", "o", "--animate", "mp4")
    picture = np.asarray(Image.open(tmp_path / "o" / "01-seed180.png")).repeat(8, 0).repeat(8, 1).astype(float)
    turned = frames_of(tmp_path / "o" / "turning-seed180.mp4")[14 + 24 + 5]
    assert np.abs(turned - picture[::-1, ::-1]).mean() < 8


def test_every_further_view_has_its_film(cli):
    done = cli("anagram", "a red circle", "a red cross", "a red square", "--view", "flip", "--view", "negate",
               "--model", "oracle", "--quiet", "--out", "o", "--animate", "gif")  # fmt: skip
    assert [p for p in done.written if p.endswith(".gif")] == ["o/turning-1-seed180.gif", "o/turning-2-seed180.gif"]


def test_a_page_is_a4_at_300_dpi(cli, tmp_path):
    assert cli(*TURN, "--out", "o", "--print", "png,pdf").code == 0
    with Image.open(tmp_path / "o" / "print-seed180.png") as page:
        assert page.size == (2480, 3508)
        assert [round(d) for d in page.info["dpi"]] == [300, 300]
    document = (tmp_path / "o" / "print-seed180.pdf").read_bytes()
    assert document.startswith(b"%PDF")
    assert b"595.2" in document  # points, the width of A4


@pytest.mark.parametrize("wrong", [("--animate", "webm"), ("--print", "doc"), ("--animate", "")])
def test_unknown_formats_are_refused_before_anything_runs(cli, wrong):
    done = cli(*TURN, *wrong)
    assert done.code == 2
    assert wrong[0] in done.err
    assert not done.written
