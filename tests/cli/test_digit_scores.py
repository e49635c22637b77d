"""The report on a model of digits: it is there after every setting, and stays when it is stopped."""

import json

import pytest
import typer

from duckrabbit.cli import digit_scores
from duckrabbit.evaluation.metrics import share
from duckrabbit.evaluation.sampling import Setting
from duckrabbit.evaluation.scorecard import Line


def line(setting, right=True):
    some = share(9, 10)
    right = {"accuracy": some, **dict.fromkeys("0123456789", some)} if right else {}
    return Line({**setting.at, "pictures": 10}, {**right, "Frechet": some, "KID": some, "memorised": None}, 0.1)


class Priced:
    def __init__(self, *_):
        self.moves = 1

    def price(self, *_):
        return self


@pytest.fixture
def settings(monkeypatch):
    monkeypatch.setattr(digit_scores, "mnist", lambda *_: None)
    monkeypatch.setattr(digit_scores, "Sampler", Priced)
    return [Setting(1.0), Setting(2.0)]


def test_what_was_finished_is_kept_when_it_is_stopped(monkeypatch, settings, tmp_path, capsys):
    def stopped(model, against, settings, *_, **__):
        yield line(settings[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(digit_scores, "evaluate", stopped)
    with pytest.raises(typer.Exit) as left:
        digit_scores.diffusion_scores(None, settings, 10, False, tmp_path / "new", classes=True)
    assert left.value.exit_code == 130
    assert [row["scale"] for row in json.loads((tmp_path / "new/scores.json").read_text())] == [1.0]
    assert (tmp_path / "new/scores.md").read_text().count("| dpm++ |") == 2  # a line in either table
    assert (tmp_path / "new/scores.png").read_bytes().startswith(b"\x89PNG")
    assert "Stopped after 1 of 2 settings" in capsys.readouterr().err


@pytest.mark.parametrize("classes", [True, False])
def test_what_is_printed_fits_a_terminal(monkeypatch, settings, tmp_path, capsys, classes):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(digit_scores, "evaluate", lambda *_, **__: iter([line(s, classes) for s in settings]))
    digit_scores.diffusion_scores(None, settings, 10, False, tmp_path, classes=classes)
    printed = capsys.readouterr().out
    assert ("accuracy" in printed) == classes
    assert "…" not in printed
    assert "90 [60, 98] %" in printed  # Wilson's interval of 9 of 10, whole on one line
