"""SVHN and CIFAR-10 from `train` to pictures: on a handful of them, and networks of two channels."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image

import duckrabbit as dr
import small_sets
from duckrabbit.data.colour.cifar import LABELS
from duckrabbit.data.mnist.read import Pictures
from duckrabbit.errors import UserError
from duckrabbit.models.cards import folder_of
from duckrabbit.models.digits.model import DigitsConfig, load_denoiser
from duckrabbit.networks.unet_28 import UNetConfig, build_unet, count_parameters
from duckrabbit.studio.page.models import digit_menu
from duckrabbit.studio.page.starters import choices_for
from duckrabbit.training.digits.export import export
from duckrabbit.training.digits.recipe import find_recipe
from duckrabbit.training.trainer import Trainer
from samples import read


@pytest.fixture
def colour(training, tmp_path, monkeypatch):
    """The commands; the small sets lie in `downloads`, as they are published, and in the cache folder."""
    for name, files in small_sets.put_in_place(monkeypatch).items():
        (tmp_path / "downloads").mkdir(exist_ok=True)
        for file, content in files.items():
            (tmp_path / "downloads" / file).write_bytes(content)
        assert "is in" in training("data", "fetch", name, "--data-dir", tmp_path / "downloads")
    monkeypatch.chdir(tmp_path)
    return training


def is_coloured(path):
    pixels = read(path).astype(int)
    return np.abs(pixels - pixels.mean(-1, keepdims=True)).max() > 5


def test_a_network_of_colour_is_the_courses_but_for_its_first_and_last_layer():
    """Two planes more into a 3 x 3 convolution of D, and two more out of one, with a bias each: 36 D + 2."""
    for conditioning in ("none", "time", "class"):
        grey, colour = (build_unet(UNetConfig(8, conditioning, channels=c)).state_dict() for c in (1, 3))
        changed = [name for name in grey if grey[name].shape != colour[name].shape]
        assert changed == ["enter.0.0.weight", "leave.1.weight", "leave.1.bias"]
    more = [count_parameters(build_unet(UNetConfig(8, channels=c))) for c in (1, 3)]
    assert more[1] - more[0] == 36 * 8 + 2
    with pytest.raises(UserError, match="1 channel, or of colour, 3; not of 2"):
        UNetConfig(8, channels=2)


def test_a_folder_of_before_is_of_grey_pictures():
    """The models that come with the package say nothing of channels."""
    for name in ("mnist-class", "mnist-time", "mnist-denoiser"):
        facts = json.loads((folder_of(name) / "config.json").read_text(encoding="utf-8"))
        assert "channels" not in facts["network"]
        config = DigitsConfig.read(folder_of(name))
        assert (config.network.channels, config.labels) == (1, ())
        assert dr.load(name).stages[0].channels == 1


def test_the_three_planes_are_learned_each_for_itself(tmp_path):
    """Of pictures that are all of one orange a denoiser that is shown noise alone learns that orange."""
    orange = torch.tensor([230, 140, 20], dtype=torch.uint8)
    data = Pictures(orange.view(1, 3, 1, 1).expand(64, 3, 28, 28).clone(), torch.arange(64) % 10)
    small = {"hidden": 4, "batch": 32, "epochs": 12, "rate": 3e-2}
    recipe = replace(find_recipe("fast-denoiser"), data="cifar-10", pure_noise=True, **small)
    for _ in Trainer(recipe, data, tmp_path / "run", Accelerator(cpu=True)).run():
        pass
    denoise = load_denoiser(export(tmp_path / "run", tmp_path / "model", data))
    with torch.no_grad():
        drawn = denoise(torch.randn(8, 3, 28, 28, generator=torch.Generator().manual_seed(1)))
    assert drawn.shape == (8, 3, 28, 28)
    assert drawn.mean((0, 2, 3)).tolist() == pytest.approx((orange / 255).tolist(), abs=0.08)


def test_train_class_on_cifar_and_draw(colour, cli, tmp_path):
    said = colour("train", "class", "--data", "cifar-10", "--precision", "no")
    run = tmp_path / "runs/fast-class-datacifar-10"
    assert f"duckrabbit generate --model {run / 'model'}" in said
    facts = json.loads((run / "model/config.json").read_text(encoding="utf-8"))
    assert facts["network"]["channels"] == 3
    assert facts["labels"] == list(LABELS)
    card = (run / "model/README.md").read_text(encoding="utf-8")
    assert "in colour" in card
    assert "photographs" in card
    assert is_coloured(run / "samples-002.png")
    with Image.open(run / "curve.png") as curve:
        assert curve.width > 300
    name = run.name
    made = tmp_path / "made"
    colour("generate", "cat", "3", "Ship", "--model", name, "--steps", "2", "--count", "1", "--out", made)
    cat, three, ship = (read(made / f"0{k}-seed180.png") for k in (1, 2, 3))
    assert cat.shape == (28, 28, 3)
    assert np.array_equal(cat, three)
    assert not np.array_equal(cat, ship)
    assert is_coloured(made / "01-seed180.png")
    assert "the same, to the pixel" in cli("replay", made / "01.json", "--model", name).out
    with pytest.raises(UserError, match=r"airplane, automobile, .*truck, or their numbers, 0 to 9; 'duck' is none"):
        colour("generate", "duck", "--model", name, "--steps", "2")
    assert colour("curves", name, "--out", tmp_path / "curves")
    assert name in [choice.model for choice in choices_for("digits", digit_menu(None))]
    assert colour("train", "class", "--data", "cifar-10")  # finished: nothing is left to do


def test_every_task_takes_a_model_of_colour(colour, tmp_path):
    colour("train", "class", "--data", "svhn", "--precision", "no", "--no-pictures")
    model = ("--model", "fast-class-datasvhn", "--steps", "2")
    red = np.zeros((56, 56, 3), np.uint8)
    red[..., 0] = 220
    Image.fromarray(red).save(tmp_path / "red.png")
    for words in (
        ["edit", "red.png", "--strength", "0.5", "--prompt", "3"],
        ["inpaint", "red.png", "--box", "8,8,30,30", "--prompt", "3"],
        ["anagram", "6", "9", "--view", "rotate_180"],
        ["hybrid", "--low", "6", "--high", "8"],
        ["denoise", "red.png", "--t", "100", "--prompt", "7"],
    ):
        colour(*words, *model, "--out", words[0])
        assert is_coloured(f"{words[0]}/sheet.png"), words
    kept = read("inpaint/01-seed180.png")
    assert (kept[-2:] == (220, 0, 0)).all()  # what is not painted over stays red
    with pytest.raises(UserError, match="draws the digits 0 to 9"):
        colour("generate", "cat", *model)


def test_train_a_denoiser_and_a_flow_on_colour(colour, tmp_path):
    colour("train", "denoiser", "--data", "svhn", "--precision", "no")
    run = tmp_path / "runs/fast-denoiser-datasvhn"
    assert is_coloured(run / "samples-002.png")
    text = colour("evaluate", run / "model", "--count", "20", "-o", tmp_path / "judged")
    assert [row.split("|")[1].strip() for row in text.splitlines()[2:9]] == [
        "0",
        "0.2",
        "0.4",
        "0.5",
        "0.6",
        "0.8",
        "1",
    ]
    Image.fromarray(np.full((28, 28, 3), (220, 10, 10), np.uint8)).save("red.png")
    colour("denoise", "red.png", "--model", run.name, "--sigma", "0.3", "--out", "denoised")
    assert is_coloured("denoised/sheet.png")
    colour("train", "time", "--data", "cifar-10", "--preset", "cs180-flow", "--precision", "no")
    flow = "cs180-flow-time-datacifar-10"
    assert "labels" not in json.loads((tmp_path / f"runs/{flow}/model/config.json").read_text(encoding="utf-8"))
    colour("generate", "--model", flow, "--steps", "2", "--out", "flow")
    assert is_coloured("flow/01-seed180.png")
    names = {line.split()[0] for line in colour("figure").splitlines()}
    assert {f"{run.name}-epochs", f"{flow}-epoch-2"} <= names
    colour("figure", f"{run.name}-epochs", "--out", "epochs")
    assert is_coloured("epochs/sheet.png")


def test_what_knows_grey_digits_refuses_colour(colour, tmp_path):
    colour("train", "class", "--data", "svhn", "--precision", "no", "--no-pictures")
    model = tmp_path / "runs/fast-class-datasvhn/model"
    with pytest.raises(UserError, match="draws svhn; the judge that comes with duckrabbit knows digits only"):
        colour("evaluate", model, "--count", "20")
    with pytest.raises(UserError, match="draws svhn; the judge"):
        dr.evaluate(dr.load(model), steps=[2], samples=20)
    with pytest.raises(UserError, match="reads grey pictures, and cifar-10 is in colour"):
        colour("train", "classifier", "--data", "cifar-10")
    with pytest.raises(UserError, match=r"A digit is read from pictures of \(1, 28, 28\)"):
        dr.run(dr.generate(dr.load(model), dr.Gradient(dr.Prompt(None), dr.DigitLoss(3)), steps=2), seeds=(0,))


@pytest.mark.parametrize("labels", [["cat"], [1] * 10, "airplane"])
def test_labels_that_do_not_fit_are_refused(labels, tmp_path):
    facts = json.loads((folder_of("mnist-class") / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**facts, "labels": labels}))
    with pytest.raises(UserError, match="does not describe a digit model"):
        DigitsConfig.read(tmp_path)


def test_python_trains_on_colour_what_the_command_trains(colour, tmp_path):
    colour("train", "class", "--data", "cifar-10", "--precision", "no", "--no-pictures")
    model = dr.train("fast-class", data="cifar-10", folder=tmp_path / "mine", precision="no")
    theirs = tmp_path / "runs/fast-class-datacifar-10/model/model.safetensors"
    assert (model / "model.safetensors").read_bytes() == theirs.read_bytes()
