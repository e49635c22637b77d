"""The commands train, data and evaluate, on a tiny network and a handful of pictures."""

import hashlib
import json

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from duckrabbit.app import training_figures as figures
from duckrabbit.app.commands import data, evaluate, train
from duckrabbit.errors import UserError
from duckrabbit.training import data as sets
from duckrabbit.training import recipes
from duckrabbit.training.data import FILES, write_idx


@pytest.fixture
def run(monkeypatch, tmp_path):
    """The commands with 40 + 30 noise pictures for MNIST and networks of 2 channels, in folders of their own."""
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 256, (40, 28, 28)),
        np.arange(40) % 10,
        rng.integers(0, 256, (30, 28, 28)),
        np.arange(30) % 10,
    ]
    files = dict(zip(FILES, (write_idx(a) for a in arrays), strict=True))
    monkeypatch.setitem(sets.HASHES, "mnist", {k: hashlib.sha256(v).hexdigest() for k, v in files.items()})
    monkeypatch.setattr(sets, "TRAIN", 30)
    for folder in ("given", "data/mnist"):
        (tmp_path / folder).mkdir(parents=True)
    for name, content in files.items():
        (tmp_path / "given" / name).write_bytes(content)
    monkeypatch.setenv("DUCKRABBIT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DUCKRABBIT_RUNS", str(tmp_path / "runs"))
    from dataclasses import replace

    small = {k: replace(r, hidden=2, batch=16, epochs=2, snapshots=(1, 2)) for k, r in recipes.RECIPES.items()}
    monkeypatch.setattr(recipes, "RECIPES", small)
    app = typer.Typer(pretty_exceptions_enable=False)
    for commands in (data, train, evaluate):
        commands.register(app)

    def invoke(*words):
        result = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert "given" in invoke("data", "fetch", "mnist", "--data-dir", tmp_path / "given")
    return invoke


def test_train_class_then_evaluate_it(run, tmp_path):
    output = run("train", "class", "--precision", "no")
    folder = tmp_path / "runs" / "fast-class"
    assert str(folder / "model") in output
    assert {"curve.png", "samples-001.png", "samples-002.png", "metrics.jsonl", "checkpoint.safetensors"} <= {
        p.name for p in folder.iterdir()
    }
    assert "fast-class" in run("train", "class")  # finished: nothing is left to do
    out = tmp_path / "judged"
    run("evaluate", folder / "model", "--guidance-scale", "1,2", "--steps", "2", "--count", "20", "-o", out)
    rows = json.loads((out / "scores.json").read_text())
    assert [r["setting"][k] for r in rows for k in ("scale",)] == [1.0, 2.0]
    assert all(r["count"] == 20 and len(r["by_class"]) == 10 for r in rows)
    assert "| 2 | dpm++ | 2 |" in (out / "scores.md").read_text()
    assert (out / "scores.png").stat().st_size > 1000


def test_train_a_denoiser_and_score_it(run, tmp_path):
    run("train", "denoiser", "--epochs", "1", "--sigma", "0.3", "--run", "mine", "--precision", "no", "--no-pictures")
    facts = json.loads((tmp_path / "runs/mine/model/config.json").read_text())
    assert facts["schedule"] == {"kind": "single", "sigma": 0.3}
    assert facts["training"]["recipe"]["name"] == "fast-denoiser-epochs1-sigma0.3"
    text = run("evaluate", tmp_path / "runs/mine/model", "--count", "20", "-o", tmp_path / "judged")
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:9]] == [
        "0",
        "0.2",
        "0.4",
        "0.5",
        "0.6",
        "0.8",
        "1",
    ]


def test_train_a_flow_and_a_judge(run, tmp_path):
    run("train", "time", "--preset", "cs180-flow", "--precision", "no")
    assert (tmp_path / "runs/cs180-flow-time/samples-002.png").exists()
    with pytest.raises(UserError, match="class-conditioned"):
        run("evaluate", tmp_path / "runs/cs180-flow-time/model", "--count", "20", "-o", tmp_path / "judged")


def test_wrong_words_are_answered_with_the_right_ones(run):
    with pytest.raises(UserError, match="auto, no or bf16"):
        run("train", "class", "--precision", "half")
    with pytest.raises(UserError, match="choose from cs180-class"):
        run("train", "class", "--preset", "slow")
    with pytest.raises(UserError, match="no data set 'cifar'"):
        run("train", "class", "--data", "cifar")


def test_a_curve_and_a_matrix_are_drawn(tmp_path):
    log = [{"step": k + 1, "loss": 1 / (k + 1)} for k in range(200)]
    curve = figures.loss_curve({"a": log, "b": log})
    assert [t.get_text() for t in curve.axes[0].get_legend().get_texts()] == ["a", "b"]
    matrix = figures.rate_matrix(torch.eye(10), "pairs")
    assert len(matrix.axes[0].texts) == 100
    grid = figures.digit_grid(torch.arange(40.0).view(40, 1, 1, 1).expand(-1, -1, 28, 28) / 40, "columns")
    first_row = [float(a.images[0].get_array()[0, 0]) for a in grid.axes[:10]]
    assert first_row == pytest.approx([4 * k / 40 for k in range(10)])  # digit k begins at picture 4 k
    assert figures.write(curve, tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
