"""The commands train, data and evaluate, on a tiny network and a handful of pictures."""

import json

import pytest
import torch

from duckrabbit.app import training_figures as figures
from duckrabbit.errors import UserError


def test_train_class_then_evaluate_it(training, tmp_path):
    output = training("train", "class", "--precision", "no")
    folder = tmp_path / "runs" / "fast-class"
    assert str(folder / "model") in output
    assert {"curve.png", "samples-001.png", "samples-002.png", "metrics.jsonl", "checkpoint.safetensors"} <= {
        p.name for p in folder.iterdir()
    }
    assert "fast-class" in training("train", "class")  # finished: nothing is left to do
    out = tmp_path / "judged"
    training("evaluate", folder / "model", "--guidance-scale", "1,2", "--steps", "2", "--count", "20", "-o", out)
    rows = json.loads((out / "scores.json").read_text())
    assert [r["setting"][k] for r in rows for k in ("scale",)] == [1.0, 2.0]
    assert all(r["count"] == 20 and len(r["by_class"]) == 10 for r in rows)
    assert "| 2 | dpm++ | 2 |" in (out / "scores.md").read_text()
    assert (out / "scores.png").stat().st_size > 1000


def test_train_a_denoiser_and_score_it(training, tmp_path):
    training(
        "train", "denoiser", "--epochs", "1", "--sigma", "0.3", "--run", "mine", "--precision", "no", "--no-pictures"
    )
    facts = json.loads((tmp_path / "runs/mine/model/config.json").read_text())
    assert facts["schedule"] == {"kind": "single", "sigma": 0.3}
    assert facts["training"]["recipe"]["name"] == "fast-denoiser-epochs1-sigma0.3"
    text = training("evaluate", tmp_path / "runs/mine/model", "--count", "20", "-o", tmp_path / "judged")
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:9]] == [
        "0",
        "0.2",
        "0.4",
        "0.5",
        "0.6",
        "0.8",
        "1",
    ]


def test_train_a_flow_without_classes_and_score_it(training, tmp_path):
    training("train", "time", "--preset", "cs180-flow", "--precision", "no")
    assert (tmp_path / "runs/cs180-flow-time/samples-002.png").exists()
    model, judged = tmp_path / "runs/cs180-flow-time/model", tmp_path / "judged"
    training("evaluate", model, "--count", "20", "--steps", "2", "--no-memory", "-o", judged)
    assert (
        (judged / "scores.md").read_text(encoding="utf-8").splitlines()[2].startswith("| 1 | sde-dpm++ | 2 | - | - | ")
    )
    with pytest.raises(UserError, match="leave out --guidance-scale"):
        training("evaluate", model, "--guidance-scale", "5", "-o", judged)


def test_wrong_words_are_answered_with_the_right_ones(training):
    with pytest.raises(UserError, match="auto, no or bf16"):
        training("train", "class", "--precision", "half")
    with pytest.raises(UserError, match="choose from cs180-class"):
        training("train", "class", "--preset", "slow")
    with pytest.raises(UserError, match="no data set 'cifar'"):
        training("train", "class", "--data", "cifar")


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
