"""Commands that write a folder refuse one into which another program writes, before they do any work."""

import json
import subprocess
import sys

import pytest

from duckrabbit.errors import UserError
from duckrabbit.training.cascade.sentence_start import write_start
from duckrabbit.training.cascade.stage1 import TEXTS
from samples import environment

HOLDER = """
import sys, time
from pathlib import Path
from duckrabbit.files import only_maker, only_writer

with {"inside": only_writer, "beside": only_maker}[sys.argv[1]](Path(sys.argv[2])):
    print("in", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def held(tmp_path):
    """held("inside" or "beside", name): from now on another process writes into the folder of that name."""
    held = []

    def hold(how, name):
        words = [sys.executable, "-c", HOLDER, how, str(tmp_path / name)]
        held.append(subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True))
        assert held[-1].stdout.readline() == "in\n"

    def let_go():
        while held:
            process = held.pop()
            process.kill()
            process.communicate()

    hold.let_go = let_go
    yield hold
    let_go()


@pytest.fixture
def no_work(monkeypatch):
    """What the commands do first fails the test."""

    def work(*arguments, **options):
        pytest.fail("there was work done")

    for name in (
        "duckrabbit.cli.digit_scores.mnist",
        "duckrabbit.cli.digit_scores.load_or_fetch",
        "duckrabbit.cli.drawing_scores.load_judge",
        "duckrabbit.gallery.build.write_pictures",
        "duckrabbit.cli.perform.perform",
        "duckrabbit.data.drawings.build.read_names",
        "duckrabbit.data.drawings.build.open_package",
        "duckrabbit.training.cascade.start.Start.text_encoder",
        "duckrabbit.cli.cascade_training.load_drawings",
    ):
        monkeypatch.setattr(name, work)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("inside", ("evaluate", "mnist-class", "-o", "made")),
        ("inside", ("evaluate", "mnist-denoiser", "-o", "made")),
        ("inside", ("evaluate", "miniature", "-o", "made")),
        ("inside", ("gallery", "--model", "oracle", "--out", "made")),
        ("inside", ("batch", "rows.jsonl", "--out", "made")),
        ("beside", ("data", "build", "drawings", "--out", "made")),
        ("inside", ("train", "text", "--preset", "tiny", "--run", "made")),
        ("inside", ("train", "upscaler", "--preset", "tiny", "--run", "made")),
    ],
    ids=lambda words: " ".join(words[:2]) if isinstance(words, tuple) else words,
)
def test_a_second_one_is_refused(how, words, held, no_work, refused, tmp_path, monkeypatch):
    monkeypatch.setenv("DUCKRABBIT_RUNS", str(tmp_path))
    (tmp_path / "rows.jsonl").write_text(json.dumps({"verb": "generate", "prompts": ["a cross"], "model": "oracle"}))
    held(how, "made")
    before = set(tmp_path.rglob("*"))
    sentence = refused(*words)
    assert "Another program" in sentence
    assert "made; " in sentence
    assert "(--" in sentence
    assert set(tmp_path.rglob("*")) == before


def test_what_a_batch_would_cost_is_told_all_the_same(held, cli, tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps({"verb": "generate", "prompts": ["a cross"], "model": "oracle"}))
    held("inside", "made")
    result = cli("batch", "rows.jsonl", "--out", "made", "--dry-run")
    assert result.code == 0, result.err
    assert "network calls" in result.out


def test_a_start_for_training_is_not_begun_twice(held, tmp_path):
    held("beside", "made")
    with pytest.raises(UserError, match="Another program"):
        write_start(tmp_path / "nowhere", tmp_path / "made", TEXTS["tiny"], [])


def test_a_finished_run_writes_its_model_when_the_other_is_done(held, training, tmp_path, monkeypatch):
    """What was trained is kept, and the same command does the rest."""
    monkeypatch.setattr("duckrabbit.cli.training.EXPORT_WAIT", 0.0)
    words = ("train", "time", "--precision", "no", "--no-pictures", "-o", tmp_path / "made")
    held("beside", "made")
    with pytest.raises(UserError, match=r"Another program.*made; give the command again"):
        training(*words)
    assert not (tmp_path / "made").exists()
    steps = (tmp_path / "runs" / "fast-time" / "metrics.jsonl").read_bytes()
    held.let_go()
    training(*words)
    assert (tmp_path / "made" / "model.safetensors").is_file()
    assert (tmp_path / "runs" / "fast-time" / "metrics.jsonl").read_bytes() == steps
    assert not list(tmp_path.glob(".*"))
