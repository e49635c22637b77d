"""Part B of the gallery, on tiny networks: every figure that the models and runs at hand allow, and each only once."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from duckrabbit.errors import UserError
from duckrabbit.evaluation.sampling import Setting
from duckrabbit.gallery import digits as training_gallery
from duckrabbit.report import digit_figures

OF_CLASSES = {"guidance", "steps", "6-9", "matrix", "inpainted", "edited"}


@pytest.fixture
def trained(training, tmp_path, monkeypatch):
    """A class-conditioned model and a denoiser, shipped as it were, and their runs."""
    for task in ("class", "denoiser"):
        training("train", task, "--precision", "no", "--no-pictures")
    folders = {f"mnist-{task}": tmp_path / f"runs/fast-{task}/model" for task in ("class", "denoiser")}
    monkeypatch.setattr(training_gallery, "shipped", lambda: folders)
    monkeypatch.setattr("duckrabbit.folders.KEPT", tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    monkeypatch.setattr("duckrabbit.models.load.folder_of", lambda name: folders.get(name, Path(name)))
    monkeypatch.setattr(digit_figures, "PER_PAIR", 1)
    monkeypatch.setattr(digit_figures, "WAYS", (("dpm++", 2), ("ddim", 3)))
    monkeypatch.setattr(digit_figures, "ANAGRAM", Setting(4.0, "ddim", 2))
    return training


def test_part_b_shows_what_models_and_runs_allow(trained, tmp_path):
    words = ("gallery", "--model", "oracle", "--part", "b", "--out", tmp_path / "page")
    page = trained(*words) and (tmp_path / "page/index.html").read_text(encoding="utf-8")
    assert "Not made" not in page
    made = {f.parent.name: f.stat().st_mtime_ns for f in (tmp_path / "page/figures").glob("*/sheet.png")}
    assert set(made) == {
        *("noise", "curves", "mnist-denoiser-levels", "mnist-denoiser-scores", "fast-denoiser-epochs"),
        *("mnist-class-samples", "fast-class-epoch-1", "fast-class-epoch-2"),
        *(f"mnist-class-{name}" for name in OF_CLASSES),
    }
    for key in made:
        assert (f"<pre>duckrabbit figure {key}</pre>" if key != "curves" else "<pre>duckrabbit curves ") in page
    (tmp_path / "runs/fast-class/epoch-002.safetensors").touch()  # its content is what counts
    (tmp_path / "runs/fast-class/epoch-001.safetensors").write_bytes(
        (tmp_path / "runs/fast-class/epoch-002.safetensors").read_bytes()
    )
    trained(*words)
    again = {f.parent.name: f.stat().st_mtime_ns for f in (tmp_path / "page/figures").glob("*/sheet.png")}
    assert {key for key in made if made[key] != again[key]} == {"fast-class-epoch-1"}


def test_a_figure_can_be_had_alone_and_an_unknown_one_is_answered_with_those_there_are(trained, tmp_path):
    assert {line.split()[0] for line in trained("figure").splitlines()} >= {"noise", "mnist-class-guidance"}
    trained("figure", "mnist-class-guidance", "--out", tmp_path / "alone")
    assert (tmp_path / "alone/sheet.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match="no figure 'nosuch'; there are noise, "):
        trained("figure", "nosuch")


def test_what_is_kept_of_a_run_is_shown_until_there_is_a_run_of_that_name(trained, tmp_path):
    grey = np.arange(60 * 90, dtype=np.uint8).reshape(60, 90)
    kept = {"cs180-class": "epoch-20", "fast-class": "epoch-2", "cs180-denoiser": "epochs"}
    for run, what in {**kept, "fast-denoiser-epochs1-purenoiseTrue": "noise"}.items():
        (tmp_path / "kept" / run).mkdir()
        Image.fromarray(grey).save(tmp_path / "kept" / run / f"{what}.png")
    (tmp_path / "kept/cs180-class/metrics.jsonl").write_text(
        (tmp_path / "runs/fast-class/metrics.jsonl").read_text(encoding="utf-8"), encoding="utf-8"
    )
    trained("figure", "cs180-class-epoch-20", "--out", tmp_path / "shown")
    with Image.open(tmp_path / "shown/sheet.png") as shown:
        seen = np.asarray(shown.convert("L"))
    where = [(y, x) for y in range(len(seen) - 59) for x in range(seen.shape[1] - 89)]
    assert any((seen[y : y + 60, x : x + 90] == grey).all() for y, x in where)  # pixel for pixel, in a margin
    trained("figure", "fast-class-epoch-2", "--out", tmp_path / "own")
    with Image.open(tmp_path / "own/sheet.png") as own:
        assert own.width > 500  # drawn from the run at hand
    pieces = {piece.key: piece for piece in training_gallery.pieces()}
    assert "train class --preset cs180" in pieces["cs180-class-epoch-20"].text
    assert "cs180" not in pieces["fast-class-epoch-2"].text
    of_noise = pieces["fast-denoiser-epochs1-purenoiseTrue-noise"]
    assert "`duckrabbit train denoiser --preset fast --epochs 1 --pure-noise` makes" in of_noise.text
    assert of_noise.section.startswith("B 1.2.3 ")
    order = [piece.section.split()[1] for piece in pieces.values()]
    assert order == sorted(order)
    assert order[list(pieces).index("cs180-denoiser-epochs")] == "1.2.1"
    trained("curves", "cs180-class", "--out", tmp_path / "curves")
    assert (tmp_path / "curves/sheet.png").stat().st_size > 5000


def test_a_run_is_what_its_recipe_says_whatever_its_name(trained, tmp_path):
    trained("train", "denoiser", "--epochs", "1", "--run", "mine", "--precision", "no", "--no-pictures")
    trained("train", "class", "--epochs", "1", "--run", "my-denoiser", "--precision", "no", "--no-pictures")
    (tmp_path / "runs/text-32").mkdir()
    (tmp_path / "runs/text-32/recipe.json").write_text('{"recipe": {"stage": "text", "name": "text-32"}}')
    (tmp_path / "runs/text-32/metrics.jsonl").write_text('{"step": 1, "loss": 1.0}')
    for k, foreign in enumerate(("", "[1]", '{"serves": 4}', '{"recipe": 7}')):
        (tmp_path / f"runs/dinner-{k}").mkdir()
        (tmp_path / f"runs/dinner-{k}/recipe.json").write_text(foreign)
    found = {piece.key for piece in training_gallery.pieces()}
    assert {"mine-epochs", "my-denoiser-epoch-1"} <= found
    assert not {"mine-epoch-1", "my-denoiser-epochs"} & found
    assert "text-32" not in training_gallery.logs()
    trained("figure", "mine-epochs", "--out", tmp_path / "alone")
    assert (tmp_path / "alone/sheet.png").stat().st_size > 1000


def test_the_gallery_has_two_parts(training):
    with pytest.raises(UserError, match="a, b or ab"):
        training("gallery", "--part", "c")


def test_what_saw_nothing_but_noise_is_shown_beside_the_mean_of_all_digits(training):
    """The least mean square error without a hint is the mean's (section 1.2.3 of the course's page)."""
    training("train", "denoiser", "--pure-noise", "--precision", "no", "--no-pictures")
    piece = training_gallery.find("fast-denoiser-purenoiseTrue-noise")
    assert piece.section.startswith("B 1.2.3 ")
    axes = piece.draw().axes
    columns = [a.get_title() for a in axes if a.get_title()]
    assert columns == ["noise", "epoch 1", "epoch 2", "mean digit"]
    digits = np.random.default_rng(0).integers(0, 256, (40, 28, 28))  # as the fixture makes them
    for row in range(5):
        shown = axes[row * 4 + 3].images[0].get_array()
        np.testing.assert_allclose(shown, digits.mean(0) / 255, atol=1e-5)
