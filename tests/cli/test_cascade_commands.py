"""The commands train text and train upscaler, on coloured shapes, up to a picture through both stages."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import shapes
import tiny
from duckrabbit.cli.commands import requests, train
from duckrabbit.errors import UserError
from duckrabbit.models.cards import DEFAULT, folder_of
from duckrabbit.training.run import read_metrics


@pytest.fixture
def run(monkeypatch, tmp_path):
    """The commands, with drawings and a text encoder in `tmp_path`."""
    shapes.save(tmp_path / "data" / "shapes", shapes.drawings(64))
    tiny.text_encoder().save_pretrained(tmp_path / "words" / "text_encoder")
    tiny.tokenizer().save_pretrained(tmp_path / "words" / "tokenizer")
    monkeypatch.setenv("DUCKRABBIT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DUCKRABBIT_RUNS", str(tmp_path / "runs"))
    app = typer.Typer(pretty_exceptions_enable=False)
    for commands in (train, requests):
        commands.register(app)

    def invoke(*words):
        result = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return invoke


def test_from_drawings_to_a_picture_through_both_stages(run, tmp_path):
    words = ("--data", "shapes", "--precision", "no", "--images", "32")
    output = run("train", "text", "--preset", "tiny", "--text-encoder", tmp_path / "words", "--run", "one", *words)
    folder = tmp_path / "runs" / "one"
    assert f"--model {folder / 'model'}" in output
    assert "\nhouse\n" in (folder / "model" / "prompts.txt").read_text()
    sheets = sorted(p.name for p in folder.glob("samples-*.png"))
    assert sheets == ["samples-00000016.png", "samples-00000032.png"]
    assert (folder / "curve.png").exists()
    words = (*words, "--times", "0.8", "--text-encoder", folder / "model")
    run("train", "upscaler", "--preset", "tiny", "--run", "two", "-o", folder / "model" / "stage_2", *words)
    assert len(list((tmp_path / "runs" / "two").glob("samples-*.png"))) == 2
    recipe = json.loads((tmp_path / "runs" / "two" / "recipe.json").read_text())
    assert (recipe["data"], recipe["recipe"]["name"]) == ("shapes", "upscaler-tiny-images32-times0.8")
    assert recipe["recipe"]["times"] == 0.8

    out = tmp_path / "out"
    run("generate", "a red painting of a house", "--model", folder / "model", "--steps", "3", "--out", out)
    drawn = Image.open(next(out.glob("*180.png")))
    assert drawn.size == (64, 64)
    assert np.asarray(drawn).std() > 1


def test_a_run_stops_in_time_and_goes_on(run, tmp_path):
    words = ("train", "upscaler", "--preset", "tiny", "--data", "shapes", "--precision", "no", "--images", "24")
    assert "Stopped after step 0 of 3" in run(*words, "--minutes", "0", "--no-pictures")
    assert "Stage II is in" in run(*words, "--no-pictures")


def test_what_is_grown_begins_with_the_weights_that_come_with_the_package(run, tmp_path):
    words = ("--preset", "64-grown", "--data", "shapes", "--precision", "no", "--no-pictures")
    assert "Stopped after step 0" in run("train", "text", *words, "--minutes", "0", "--run", "grown")
    recipe = json.loads((tmp_path / "runs" / "grown" / "recipe.json").read_text())["recipe"]
    assert len(recipe["start"]) == 16
    held, shipped = load_file(tmp_path / "runs" / "grown" / "checkpoint.safetensors"), folder_of(DEFAULT)
    unet = load_file(shipped / "unet" / "diffusion_pytorch_model.safetensors")
    kept = "mid_block.resnets.0.conv1.weight"
    assert torch.equal(held[f"model.unet.{kept}"], unet[kept].float())


def test_wrong_words_are_answered_with_the_right_ones(run, tmp_path):
    with pytest.raises(UserError, match="choose tiny, 32, 64, 64-grown"):
        run("train", "text", "--preset", "huge", "--data", "shapes")
    with pytest.raises(UserError, match="which are not enlarged"):
        run("train", "upscaler", "--preset", "256", "--data", "shapes")
    with pytest.raises(UserError, match="holds no drawings"):
        run("train", "upscaler", "--data", "nothing")
    with pytest.raises(UserError, match="a power above 0"):
        run("train", "upscaler", "--preset", "tiny", "--data", "shapes", "--times", "0")
    with pytest.raises(UserError, match="There is no"):
        run("train", "upscaler", "--preset", "tiny", "--data", "shapes", "--start", tmp_path / "words")


def test_a_run_goes_on_though_another_model_is_shipped_by_now(run, tmp_path, monkeypatch):
    from duckrabbit.models import cards

    monkeypatch.setattr(cards, "ASSETS", tmp_path / "assets")
    shipped = tmp_path / "assets" / "weights" / "miniature"
    shutil.copytree(tmp_path / "words", shipped)
    words = (
        "train",
        "text",
        "--preset",
        "tiny",
        "--data",
        "shapes",
        "--precision",
        "no",
        "--images",
        "16",
        "--no-pictures",
    )
    begun = tmp_path / "runs" / "text-tiny-images16" / "tokenizer"
    begun.mkdir(parents=True)
    (begun / "half.json").write_text("{")  # of an attempt that was killed
    assert "Stopped after step 0 of 2" in run(*words, "--minutes", "0")
    assert {f.name for f in begun.iterdir()} == {f.name for f in (tmp_path / "words" / "tokenizer").iterdir()}
    weights = shipped / "text_encoder" / "model.safetensors"
    save_file({k: v + 1 for k, v in load_file(weights).items()}, weights, metadata={"format": "pt"})
    assert "The model is in" in run(*words)
    with pytest.raises(UserError, match="differs in start"):
        run(*words, "--text-encoder", shipped)
    shutil.rmtree(shipped / "tokenizer")
    with pytest.raises(UserError, match="of no use without its tokenizer"):
        run(*words)


def test_two_processes_train_one_model_through_the_command(tmp_path):
    """As docs/training.md says, with real processes: one log, one model, and the losses of one process."""
    shapes.save(tmp_path / "shapes", shapes.drawings(16))
    words = ["train", "text", "--preset", "tiny", "--data", str(tmp_path / "shapes"), "--images", "48", "--no-pictures"]
    logs = []
    for count in (1, 2):
        environment = {**os.environ, "DUCKRABBIT_RUNS": str(tmp_path / str(count)), "OMP_NUM_THREADS": "1"}
        together = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(count), "-m"]
        done = subprocess.run(
            [sys.executable, "-m", *together, "duckrabbit.cli.main", *words, "--precision", "no"],
            capture_output=True, text=True, timeout=300, check=False, env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("The model is in") == 1
        folder = tmp_path / str(count) / "text-tiny-images48"
        assert (folder / "model" / "unet").is_dir()
        logs.append([row["loss"] for row in read_metrics(folder / "metrics.jsonl")])
    assert len(logs[0]) == 6
    assert logs[1] == pytest.approx(logs[0], rel=1e-3)
