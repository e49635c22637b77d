"""The commands for pictures, on models of digits: grey, 28 px, classes for prompts, a denoiser without a path."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from duckrabbit.models.digits.model import load_digits
from samples import read
from tiny_digits import train_all


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return train_all(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def seven(tmp_path):
    """A seven in chalk, 56 px, and its path."""
    board = Image.new("L", (56, 56))
    ImageDraw.Draw(board).line([(16, 16), (40, 16), (26, 44)], fill=255, width=5, joint="curve")
    board.save(tmp_path / "seven.png")
    return "seven.png"


def test_classes_are_prompts_and_none_is_any(cli, models):
    class_model = models["fast-class"]
    assert cli("generate", "7", "3", "--model", class_model, "--steps", "2", "--count", "2", "--out", "a").code == 0
    assert read("a/01-seed180.png").shape == (28, 28, 3)
    titles = [json.loads(Path(f"a/0{k}.json").read_text())["title"] for k in (1, 2)]
    assert titles == ["7", "3"]
    for name in ("fast-class", "fast-time"):
        made = cli("generate", "--model", models[name], "--steps", "2", "--out", name)
        assert made.code == 0, made.err
    assert "knows no classes" in cli("generate", "7", "--model", models["fast-time"]).err
    assert "digits 0 to 9" in cli("generate", "a cat", "--model", class_model).err


def test_every_task_takes_a_digit_model(cli, models, seven):
    model = ["--model", models["fast-class"], "--steps", "3"]
    for words in (
        ["edit", seven, "--strength", "0.5,1", "--prompt", "3"],
        ["inpaint", seven, "--box", "8,8,30,30", "--prompt", "3"],
        ["anagram", "6", "9", "--view", "rotate_180", "--animate", "gif", "--print", "pdf"],
        ["hybrid", "--low", "6", "--high", "8"],
        ["denoise", seven, "--t", "100", "--prompt", "7"],
    ):
        made = cli(*words, *model, "--out", words[0])
        assert (made.code, made.err) == (0, made.err), words
        assert f"{words[0]}/sheet.png" in made.written
    sheet = read("denoise/sheet.png")
    assert sheet.std() > 20


def test_a_denoiser_takes_noise_away_in_one_step(cli, models, seven):
    model = ["--model", models["fast-denoiser"]]
    made = cli("denoise", seven, *model, "--sigma", "0.2,0.5", "--out", "d")
    assert made.code == 0, made.err
    records = [json.loads(Path(f"d/0{k}.json").read_text()) for k in (1, 2)]
    assert [r["title"] for r in records] == ["one-step, sigma = 0.2", "one-step, sigma = 0.5"]
    assert [c["calls"] for r in records for c in r["cost"]] == [1, 1]
    assert not [f for f in made.written if f.endswith(".gif")]
    assert "the same, to the pixel" in cli("replay", "d/02.json", *model).out
    for words in (["generate"], ["edit", seven]):
        assert "one step" in cli(*words, *model).err


@pytest.mark.parametrize("name", ["fast-class", "fast-denoiser"])
def test_sigma_is_the_noise_on_a_picture_from_0_to_1(cli, models, seven, name):
    """The noisy picture itself, against x + sigma eps by hand: their difference has that standard deviation."""
    facts = load_digits(models[name]).stages[0]
    assert cli("noise", seven, "--sigma", "0.1", "--model", models[name], "--out", "n").code == 0
    level = json.loads(Path("n/01.json").read_text())["stages"][0]["plan"]["levels"][-1]
    width = facts.value_range[1] - facts.value_range[0]
    assert math.isclose(level[2] / level[1], 0.1 * width, rel_tol=0.05)


def test_times_without_being_asked(cli, models, seven):
    out = cli("denoise", seven, "--model", models["fast-class"], "--dry-run").out
    assert [f"one-step, t = {t}" in out for t in (75, 150, 225)] == [True] * 3
    out = cli("denoise", seven, "--model", models["fast-denoiser"], "--dry-run").out
    assert [f"one-step, sigma = {s}" in out for s in ("0.25", "0.5", "1 ")] == [True] * 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["denoise", "seven.png", "--t", "299"], "nothing is left"),
        (["denoise", "seven.png", "--t", "3", "--sigma", "3"], "not both"),
        (["denoise", "seven.png", "--sigma", "-1"], "amount of noise"),
        (["denoise", "seven.png", "--sigma", "x"], "commas"),
        (["denoise", "seven.png", "--t", "300"], "0 to 299"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(refused, models, seven, words, sentence):
    assert sentence in refused(*words, "--model", models["fast-class"])


def test_curves_of_models_and_of_runs(cli, refused, models, monkeypatch):
    monkeypatch.setenv("DUCKRABBIT_RUNS", str(models["fast-time"].parents[1]))
    made = cli("curves", models["fast-class"], "fast-time", "--out", "c")
    assert (made.code, made.written) == (0, ["c/sheet.png"])
    assert np.unique(read("c/sheet.png").reshape(-1, 3), axis=0).shape[0] > 50
    assert "no log of a training" in refused("curves", "nothing")


def test_a_run_is_a_model_by_its_name(cli, models, monkeypatch):
    monkeypatch.setenv("DUCKRABBIT_RUNS", str(models["fast-time"].parents[1]))
    made = cli("generate", "5", "--model", "fast-class", "--steps", "2", "--out", "g")
    assert made.code == 0, made.err
    record = json.loads(Path("g/01.json").read_text())
    assert record["model"]["name"] == "fast-class"
    assert "the same, to the pixel" in cli("replay", "g/01.json", "--model", "fast-class").out
