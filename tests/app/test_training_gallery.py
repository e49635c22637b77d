"""Part B of the gallery, on tiny networks: every figure that the models and runs at hand allow, and each only once."""

from pathlib import Path

import pytest

from duckrabbit.app import digit_figures, training_gallery
from duckrabbit.errors import UserError
from duckrabbit.evaluation.sampling import Setting

OF_CLASSES = {"guidance", "steps", "6-9", "matrix", "inpainted", "edited"}


@pytest.fixture
def trained(training, tmp_path, monkeypatch):
    """A class-conditioned model and a denoiser, shipped as it were, and their runs."""
    for task in ("class", "denoiser"):
        training("train", task, "--precision", "no", "--no-pictures")
    folders = {f"mnist-{task}": tmp_path / f"runs/fast-{task}/model" for task in ("class", "denoiser")}
    monkeypatch.setattr(training_gallery, "shipped", lambda: folders)
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


def test_the_gallery_has_two_parts(training):
    with pytest.raises(UserError, match="a, b or ab"):
        training("gallery", "--part", "c")
