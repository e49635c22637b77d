"""What is cut away, shrunk and made anew is told: on the terminal, in a dry run, in the record and to Python."""

import json

import numpy as np
import pytest

import duckrabbit as dr
from samples import pixels, save

CUT = "long.png: the middle 40 x 40 of 1600 x 40 pixels is used; 97 % is cut away."
SMALL = "long.png: 40 x 40 pixels are shrunk to the model's 32 x 32."
COMMANDS = {
    "edit": ["edit", "long.png", "--start", "20,28"],
    "noise": ["noise", "long.png", "--t", "100,200"],
    "denoise": ["denoise", "long.png", "--t", "100"],
    "inpaint": ["inpaint", "long.png", "--box", "0,0,20,20", "--steps", "2"],
    "hybrid": ["hybrid", "--image", "long.png", "--high", "a cross", "--steps", "2"],
}


@pytest.fixture
def long(tmp_path):
    return save(tmp_path / "long.png", np.tile(pixels(40), (1, 40, 1)))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_it_once(long, cli, name, tmp_path):
    words = [*COMMANDS[name], "--model", "oracle"]
    dry = cli(*words, "--dry-run")
    assert dry.written == []
    result = cli(*words, "--out", "made")
    for output in (dry.out, result.err):
        assert output.splitlines().count(CUT) == 1
        assert output.splitlines().count(SMALL) == 1
        assert output.count("25 % of the picture is made anew.") == (name == "inpaint")
    notes = json.loads((tmp_path / "made" / "01.json").read_text())["notes"]
    assert (notes["cut"], notes["size"]) == (CUT, SMALL)
    assert str(tmp_path) not in json.dumps(notes)
    quiet = cli(*words, "--out", "quiet", "--quiet")
    assert (quiet.out, quiet.err) == ("", "")


def test_an_upscaling_says_that_it_makes_the_picture_small_first(long, cli, cascade_folder):
    for more in (["--dry-run"], []):
        result = cli("upscale", "long.png", "--model", cascade_folder, "--steps-stage2", "2", *more)
        assert result.code == 0, result.err
        lines = (result.out + result.err).splitlines()
        assert lines.count(CUT) == 1
        assert "long.png: 40 x 40 pixels are first shrunk to the model's 16 x 16." in lines


def test_nothing_is_said_where_nothing_is_done(cli, tmp_path):
    save(tmp_path / "photo.png", pixels(32))
    result = cli("edit", "photo.png", "--start", "25", "--model", "oracle")
    assert "photo.png" not in result.err
    assert "photo.png" not in cli("edit", "photo.png", "--start", "25", "--model", "oracle", "--dry-run").out


def test_python_is_told_in_the_results_notes(oracle, long):
    mask = np.zeros((40, 1600), np.uint8)
    mask[:20, 780:800] = 255
    result = dr.run(dr.inpaint(oracle, long, mask, steps=1))
    assert result.notes == {"cut": CUT, "size": SMALL, "mask": "25 % of the picture is made anew."}
    assert result.record["notes"] == result.notes
    tall = dr.edit(oracle, pixels(33, 32), start=5)
    note = "The picture: the middle 32 x 32 of 32 x 33 pixels is used; 3 % is cut away."
    assert dr.run(tall).notes == {"cut": note}
    assert dr.edit(oracle, pixels(1000, 999), start=5).notes["cut"].endswith("less than 1 % is cut away.")
    assert dr.edit(oracle, pixels(16), start=5).notes == {
        "size": "The picture: 16 x 16 pixels are enlarged to the model's 32 x 32."
    }
    assert dr.run(dr.generate(oracle, "a cross", steps=1)).notes == {}
