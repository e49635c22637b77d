"""The report on a model of digits: it is there after every setting, and stays when it is stopped."""

import json

import pytest
import typer

from duckrabbit.cli import digit_scores
from duckrabbit.evaluation.digits.report import Line
from duckrabbit.evaluation.scores import share
from duckrabbit.evaluation.settings import Setting


def line(setting, right=True):
    some = share(9, 10)
    return Line(setting, 10, some if right else None, [some] * 10 if right else [], some, some, None, 1.0)


@pytest.fixture
def settings(monkeypatch):
    monkeypatch.setattr(digit_scores, "load_or_fetch", lambda *_: None)
    monkeypatch.setattr(digit_scores, "reference", lambda *_: None)
    return [Setting(1.0), Setting(2.0)]


def test_what_was_finished_is_kept_when_it_is_stopped(monkeypatch, settings, tmp_path, capsys):
    def stopped(model, against, settings, *_, **__):
        yield line(settings[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(digit_scores, "evaluate", stopped)
    with pytest.raises(typer.Exit) as left:
        digit_scores.diffusion_scores(None, settings, 10, False, tmp_path / "new", classes=True)
    assert left.value.exit_code == 130
    assert [row["setting"]["scale"] for row in json.loads((tmp_path / "new/scores.json").read_text())] == [1.0]
    assert (tmp_path / "new/scores.md").read_text().count("| dpm++ |") == 1
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
    assert "0.9 [0.5958, 0.9821]" in printed  # Wilson's interval of 9 of 10, whole on one line
