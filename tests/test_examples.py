"""The examples do what they say."""

import re
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from duckrabbit.cli.main import app

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_the_loop_by_hand_writes_its_film(monkeypatch, tmp_path):
    run("loop_by_hand.py", monkeypatch, "--out", str(tmp_path / "loop.gif"))
    with Image.open(tmp_path / "loop.gif") as film:
        assert film.n_frames == 30
        film.seek(29)
        middle = film.convert("RGB").getpixel((128, 128))
    assert middle[0] > 150 > max(middle[1:])  # a red circle


def test_the_midpoint_rule_shows_order_2(monkeypatch, capsys):
    run("midpoint.py", monkeypatch)
    orders = [float(m) for m in re.findall(r"order (\d\.\d+)", capsys.readouterr().out)]
    assert orders[-1] == pytest.approx(2, abs=0.15)


def test_a_view_of_ones_own_keeps_the_laws_and_makes_an_anagram(tmp_path):
    view = f"{EXAMPLES / 'kaleidoscope.py'}:SwapHalves"
    checked = CliRunner().invoke(app, ["check", "--view", view], catch_exceptions=False)
    assert checked.exit_code == 0
    words = ["anagram", "a red circle", "a blue square", "--view", view, "--model", "oracle", "--out", str(tmp_path)]
    made = CliRunner().invoke(app, words, catch_exceptions=False)
    assert made.exit_code == 0
    assert (tmp_path / "01-seed180.png").is_file()
