"""The sheet of views, and the command that tells and shows them."""

import numpy as np
import pytest

import duckrabbit as dr
from duckrabbit.guidance.views.shipped import VIEWS, parse_view
from duckrabbit.report.view_sheet import SIDE, told, view_figure
from samples import pixels, save


def test_every_view_is_told_by_a_sentence_of_its_own_with_its_options():
    words = dict(told(()))
    assert list(words) == list(VIEWS)
    assert all(sentence[0].isupper() or sentence[0].isdigit() for sentence in words.values())
    assert words["skew"].endswith("Options: factor.")
    assert "Options" not in words["inner_circle"]


def test_the_sheet_shows_what_the_views_do():
    picture = dr.as_picture(pixels(SIDE))
    figure = view_figure(picture, (), "gif")
    cells = [cell for row in figure.sheet.rows for cell in row.cells]
    assert [cell.caption for cell in cells] == list(VIEWS)
    for cell in cells:
        seen = parse_view(cell.caption)(2 * picture - 1)
        assert np.abs((seen[0].permute(1, 2, 0).numpy() + 1) * 127.5 - cell.pixels).max() <= 0.5 + 1e-4
    assert set(figure.ways) == set(VIEWS)


def test_views_on_the_command_line(cli):
    assert "jigsaw" in cli("views").out
    save("photo.png", pixels(80, 60))
    made = cli(
        "views", "photo.png", "--view", "jigsaw:seed=3", "--view", "rings+flip", "--animate", "gif", "--out", "v"
    )
    assert (made.code, made.written) == (0, ["v/jigsaw-seed-3.gif", "v/rings-flip.gif", "v/sheet.png"]), made.err


@pytest.mark.parametrize("words", [("--animate", "gif"), ("--out", "v")])
def test_without_a_picture_nothing_is_written(refused, words):
    assert "without a picture nothing is written" in refused("views", *words)


def test_slips(refused):
    assert "no view 'spin'" in refused("views", "--view", "spin")
    assert "gone.png" in refused("views", "gone.png")
