"""A trained digit model is an ordinary model: its answers, its refusals, and any task on it."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

import duckrabbit as dr
from duckrabbit.diffusion.levels import CLEAN
from duckrabbit.diffusion.plans import plan_through
from duckrabbit.diffusion.prediction import Query
from duckrabbit.diffusion.solvers import DDIM
from duckrabbit.diffusion.streams import Noise
from duckrabbit.diffusion.trajectory import trajectory
from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import CFG, Mean, Prompt, Viewed
from duckrabbit.guidance.tree import lower
from duckrabbit.guidance.views.pixels import Rotate
from duckrabbit.models.digits.model import WEIGHTS, DigitsConfig, load_denoiser, load_digits, load_unet
from duckrabbit.models.load import load
from duckrabbit.models.model import Card
from duckrabbit.networks.unet_28 import NO_CLASS
from tiny_digits import train

RECIPES = ["fast-class", "fast-time", "fast-denoiser", "cs180-class", "cs180-time", "cs180-flow-class"]
PICTURE = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model of each kind, trained for two steps."""
    root = tmp_path_factory.mktemp("digits")
    for name in RECIPES:
        train(name, root / "runs", root / name)
    return root


@pytest.mark.parametrize("name", ["fast-class", "cs180-class", "cs180-flow-class"])
def test_answers_are_the_networks_own_with_batch_norm_folded_in(folders, name):
    model = load_digits(folders / name)
    schedule, raw = model.stages[0].schedule, load_unet(folders / name, DigitsConfig.read(folders / name))
    t = 0.25 if "flow" in name else 74.0
    at, time = schedule.level(t), 0.75 if "flow" in name else 0.25
    x = torch.randn(2, 1, 28, 28)
    found = model.network(0)([Query(x, 3), Query(x, None)], at)
    for p, label in zip(found, (3, NO_CLASS), strict=True):
        out = raw(x, torch.full((2,), time), torch.full((2,), label))
        target = {
            "epsilon": p.eps,
            "v_prediction": at.alpha * p.eps - at.sigma * p.x0,
            "flow": p.x0 - p.eps,
        }[model.config.prediction_type]
        torch.testing.assert_close(target, out, atol=2e-4, rtol=1e-3)
        torch.testing.assert_close(at.alpha * p.x0 + at.sigma * p.eps, x, atol=1e-4, rtol=1e-4)


def test_guidance_views_and_solvers_work_on_it(folders):
    model = load_digits(folders / "fast-class")
    guidance = Mean((CFG(Prompt(6), Prompt(None), 3.0), Viewed(Rotate(2), CFG(Prompt(9), Prompt(None), 3.0))))
    schedule = model.stages[0].schedule
    plan = plan_through(schedule, schedule.times(4, model.stages[0].spacing))
    assert plan[0].at.alpha == 0  # zero terminal SNR: it starts from pure noise
    *_, last = trajectory(lower(guidance, model.network(0)), torch.randn(1, 1, 28, 28), plan, DDIM(), Noise((1,)))
    assert last.at == CLEAN
    assert torch.isfinite(last.x).all()


def test_facts_follow_from_the_configuration(folders):
    fast, course = (load_digits(folders / n).stages[0] for n in ("fast-class", "cs180-class"))
    assert (fast.value_range, course.value_range) == ((-1.0, 1.0), (0.0, 1.0))
    assert fast.limiter is not None
    assert course.limiter is None
    assert course.schedule.level(299).alpha ** 2 == pytest.approx(0.0481, abs=1e-4)
    assert fast.schedule.level(299).alpha == 0


def test_conditions(folders):
    model, free = load_digits(folders / "fast-class"), load_digits(folders / "fast-time")
    assert [model.condition(text) for text in ("7", " 0 ", "")] == [7, 0, None]
    model.prepare([None, 0, 9, "3", ""])
    for wrong in ("ten", "10", "-1"):
        with pytest.raises(UserError, match="digits 0 to 9"):
            model.condition(wrong)
    with pytest.raises(UserError, match="0 to 9"):
        model.prepare([12])
    with pytest.raises(UserError, match="knows no classes"):
        free.condition("3")
    with pytest.raises(UserError, match="knows none"):
        free.prepare([3])
    with pytest.raises(UserError, match="one stage"):
        model.network(1)


def test_a_denoiser_denoises_and_does_not_sample(folders):
    net = load_denoiser(folders / "fast-denoiser")
    assert net(torch.rand(3, 1, 28, 28)).shape == (3, 1, 28, 28)
    model = load_digits(folders / "fast-denoiser")
    z = torch.randn(2, 1, 28, 28)
    at = model.stages[0].schedule.level(0.3)
    (answer,) = model.network(0)([Query(z, None)], at)
    torch.testing.assert_close(answer.x0, net(z))
    assert (at.alpha, at.sigma) == (1, 0.3)
    for task in (lambda: dr.generate(model, ""), lambda: dr.edit(model, PICTURE, strength=0.5)):
        with pytest.raises(UserError, match="cannot make pictures"):
            task()
    with pytest.raises(UserError, match="load_digits"):
        load_denoiser(folders / "fast-time")


def test_denoising_in_one_step_is_the_network_on_x_plus_sigma_eps(folders):
    """The task, from a picture to a picture, against the definition."""
    model = load_digits(folders / "fast-denoiser")
    job = dr.denoise(model, PICTURE, 0.5, method="one-step")
    grey = torch.nn.functional.interpolate(PICTURE, (28, 28), mode="bicubic", antialias=True).clamp(0, 1).mean(1, True)
    eps = Noise((7,), "stage1")(grey, "start", 0)
    wanted = load_denoiser(folders / "fast-denoiser")(grey + 0.5 * eps)
    torch.testing.assert_close(dr.run(job, [7]).images, wanted, atol=1e-5, rtol=1e-4)


def test_a_card_names_a_digit_model_in_the_package(folders, monkeypatch, tmp_path):
    from duckrabbit.models import load as loading
    from duckrabbit.models.weights import hash_bytes

    digest = hash_bytes(folders / "fast-class" / "model.safetensors")
    card = Card("my-digits", "Digits", "package:my-digits", "Apache-2.0", guidance_scale=5, sha256={WEIGHTS: digest})
    monkeypatch.setattr(loading, "cards", lambda: {"my-digits": card})
    monkeypatch.setattr(loading, "folder_of", lambda name: folders / "fast-class")
    model = load("my-digits")
    assert model.card is card
    model.network(0)
    monkeypatch.setattr(loading, "cards", lambda: {"my-digits": replace(card, sha256={WEIGHTS: "0" * 64})})
    with pytest.raises(UserError, match="not the file its card describes"):
        load("my-digits").network(0)


def test_the_folder_is_whole_and_small(folders):
    folder = folders / "fast-class"
    assert {p.name for p in folder.iterdir()} == {"config.json", "model.safetensors", "README.md", "metrics.jsonl"}
    weights = load_file(folder / "model.safetensors")
    assert {v.dtype for v in weights.values() if v.ndim > 1} == {torch.float16}
    assert "trained with the recipe `fast-class`" in (folder / "README.md").read_text().lower()
    assert len(load_digits(folder).weight_hash()["model.safetensors"]) == 64


def changed(**fields):
    """The config.json of a good model with some fields changed."""
    network = {
        "architecture": "duckrabbit.unet",
        "hidden": 4,
        "conditioning": "class",
        "edition": "ddpm",
        "classes": 10,
    }
    good = {"network": network, "prediction_type": "epsilon", "value_range": [0, 1]}
    return json.dumps({**good, "schedule": {"kind": "linear", "steps": 300}, **fields}).encode()


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("config.json", None, "no .*config.json"),
        ("config.json", b"{}", "does not describe"),
        ("config.json", b"not json", "does not describe"),
        ("config.json", b'{"network": [1]}', "does not describe"),
        ("config.json", changed(schedule="linear"), "does not describe"),
        ("config.json", changed(schedule={"kind": "linear"}), "does not describe"),
        ("config.json", changed(schedule={"kind": "linear", "steps": "x"}), "does not describe"),
        ("config.json", changed(value_range=["a", "b"]), "does not describe"),
        ("config.json", changed(prediction_type="foo"), "does not describe"),
        ("config.json", changed(network={"architecture": "duckrabbit.unet", "hidden": 2.5}), "whole numbers"),
        ("model.safetensors", b"junk", "cannot be read"),
        ("model.safetensors", None, "cannot be read"),
    ],
)
def test_a_broken_folder_is_refused(folders, tmp_path, file, content, sentence):
    for path in (folders / "fast-class").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        load_digits(tmp_path).network(0)


def test_weights_of_another_size_are_refused(folders, tmp_path):
    for path in (folders / "fast-class").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["network"]["hidden"] = 6
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"not those of its config\.json"):
        load_digits(tmp_path).network(0)


def test_load_takes_a_digit_folder_by_its_path(folders):
    model = load(folders / "fast-class")
    assert model.card.name == "fast-class"
    assert model.condition("3") == 3
    with pytest.raises(UserError, match="takes no prompts"):
        load(folders / "fast-class", prompts="prompts.safetensors")
