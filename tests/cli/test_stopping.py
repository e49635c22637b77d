"""Ctrl-C and kill -9 in the middle of a run: what is finished is whole, and nothing half-written is left."""

import json
import signal

import pytest
from PIL import Image

from samples import started


@pytest.fixture
def running(tmp_path):
    """A run of forty jobs, each far longer than a file takes to write; stopped after the second is there."""
    steps = ",".join(["400"] * 40)
    words = ("generate", "a red circle", "--model", "oracle", "--steps", steps, "--count", "6", "--out", "made")
    with started(*words, cwd=tmp_path, until=tmp_path / "made" / "02-seed185.png") as process:
        yield process


def whole_pictures(folder):
    """The pictures in a folder, each decoded, and their records."""
    names = sorted(p.name for p in folder.glob("*.png"))
    for name in names:
        with Image.open(folder / name) as image:
            image.load()
            assert image.text["duckrabbit"] == (folder / f"{name[:2]}.json").read_text(encoding="utf-8")
    for record in folder.glob("*.json"):
        assert json.loads(record.read_text())["format"] == 1
    return names


def test_ctrl_c_leaves_what_is_finished(running, tmp_path):
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "Traceback" not in err
    assert out == ""
    made = whole_pictures(tmp_path / "made")
    assert f"Stopped. {len(made)} finished pictures are in made" in err
    assert {f"{k:02d}-seed{s}.png" for k in (1, 2) for s in range(180, 186)} <= set(made)
    assert len(made) < 240
    assert "sheet.png" not in made
    assert [p.name for p in (tmp_path / "made").iterdir() if p.name.startswith(".")] == []


def test_a_kill_leaves_no_half_written_picture(running, tmp_path):
    running.kill()
    running.communicate(timeout=60)
    assert running.returncode == -signal.SIGKILL
    assert len(whole_pictures(tmp_path / "made")) >= 12


def test_ctrl_c_before_anything_is_made(cli, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("duckrabbit.tasks.asking.model_of", stop)
    result = cli("generate", "a cross", "--model", "oracle", "--out", "made")
    assert result.code == 130
    assert "Traceback" not in result.err
    assert result.written == []
