"""models, prompts and check."""

import json

import pytest
import torch

from duckrabbit.models.cards import cards
from duckrabbit.models.cascade.text_encoder import read_prompts
from samples import pixels, save


def test_the_list_has_every_card(cli):
    result = cli("models", "list")
    assert result.code == 0
    for card in cards().values():
        (line,) = [row for row in result.out.splitlines() if row.split()[:1] == [card.name]]
        assert line.split()[-1] == ("no" if card.name.startswith(("deepfloyd-", "pixnerd", "prxpixel")) else "yes")


def test_a_model_in_the_hubs_cache_is_here(cli, tmp_path, monkeypatch):
    """The cache's layout is huggingface_hub's own: models--OWNER--NAME/snapshots/COMMIT."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for name, parts in (("DeepFloyd/IF-I-M-v1.0", ("text_encoder", "unet")), ("DeepFloyd/IF-II-M-v1.0", ("unet",))):
        root = tmp_path / "hub" / ("models--" + name.replace("/", "--"))
        (root / "refs").mkdir(parents=True)
        (root / "refs" / "main").write_text("abc")
        for part in parts:
            folder = root / "snapshots" / "abc" / part
            folder.mkdir(parents=True)
            (folder / "config.json").write_text("{}")
            (folder / ("model" if part == "text_encoder" else "diffusion_pytorch_model")).with_suffix(
                ".fp16.safetensors"
            ).write_bytes(b"")
    rows = {row.split()[0]: row.split()[-1] for row in cli("models", "list").out.splitlines() if row.strip()}
    assert rows["deepfloyd-m"] == "yes"
    assert rows["deepfloyd-l"] == "no"


@pytest.mark.parametrize("name", ["miniature", "oracle"])
def test_show_tells_licence_and_stages(cli, name):
    out = cli("models", "show", name).out
    assert "Apache-2.0" in out
    assert "stage 1: 32 x 32 px" in out or "stage 1: 64 x 64 px" in out


def test_show_of_a_folder_tells_both_stages(cli, cascade_folder):
    out = cli("models", "show", cascade_folder).out
    assert "stage 1: 16 x 16 px, predicts epsilon" in out
    assert "stage 2: 32 x 32 px" in out
    assert "quantile 0.95" in out
    assert out.count("sha256") == 3


def test_show_of_a_model_that_is_not_here_asks_no_network(cli, monkeypatch):
    import socket

    def refuse(*arguments):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    result = cli("models", "show", "deepfloyd-xl")
    assert result.code == 0
    assert "DeepFloyd IF License Agreement" in result.out
    assert "not on this machine" in result.out


def test_what_is_here_is_not_fetched(cli):
    result = cli("models", "fetch", "miniature")
    assert result.code == 0
    assert result.out.splitlines()[-1] == "miniature is on this machine already; there is nothing to fetch."


@pytest.mark.parametrize("words", [["show", "nothing"], ["fetch", "nothing"], ["show", "no-model"]])
def test_models_that_are_none(refused, files, words):
    assert refused("models", *words)


def test_what_is_cut_of_a_prompt_is_told_when_it_is_encoded_and_when_it_is_used(cli, tmp_path, cascade_folder):
    long = "red " * 100
    encoded = cli("prompts", "encode", long, "a house", "--model", cascade_folder, "-o", "p.safetensors")
    (told,) = (line for line in encoded.err.splitlines() if "longer than 77 tokens" in line)
    assert told in cli("prompts", "show", "p.safetensors").out
    made = cli(
        "generate", long, "--model", cascade_folder, "--prompts", "p.safetensors", "--stage", "1", "--steps", "2",
        "--out", "made",
    )  # fmt: skip
    assert made.err.splitlines().count(told) == 1
    assert told in json.loads((tmp_path / "made" / "01.json").read_text())["notes"].values()


def test_prompts_are_encoded_and_used_without_the_encoder(cli, tmp_path, cascade_folder, monkeypatch):
    from duckrabbit.models.cascade.text_encoder import TextEncoder

    result = cli("prompts", "encode", "a Cat", "a house", "--model", cascade_folder, "-o", "p.safetensors")
    assert result.code == 0, result.err
    assert result.out.strip() == "3 prompts in p.safetensors"
    assert set(read_prompts(tmp_path / "p.safetensors").embeddings) == {"a cat", "a house", ""}
    with_encoder = ["generate", "a cat", "--model", cascade_folder, "--steps", "2", "--stage", "1", "--out"]
    assert cli(*with_encoder, "a").code == 0

    def refuse(self, prompts):
        raise AssertionError("the text encoder was asked")

    monkeypatch.setattr(TextEncoder, "__call__", refuse)
    assert cli(*with_encoder, "b", "--prompts", "p.safetensors").code == 0
    hashes = [json.loads((tmp_path / f / "01.json").read_text())["pixels"] for f in "ab"]
    assert hashes[0] == hashes[1]
    assert (
        "not in the prompt file" in cli(*with_encoder, "c", "--prompts", "p.safetensors", "--negative-prompt", "x").err
    )
    again = cli("replay", "b/01.json", "--model", cascade_folder, "--prompts", "p.safetensors")
    assert again.out.strip() == "the same, to the pixel"


def test_the_courses_embeddings_are_converted(cli, tmp_path):
    embeddings = {"a rocket ship": torch.randn(1, 77, 16), "": torch.randn(1, 77, 16)}
    torch.save(embeddings, tmp_path / "course.pth")
    result = cli("prompts", "convert", "course.pth", "-o", "p.safetensors")
    assert result.code == 0, result.err
    table = read_prompts(tmp_path / "p.safetensors")
    assert torch.equal(table.embeddings["a rocket ship"], embeddings["a rocket ship"][0])
    shown = cli("prompts", "show", "p.safetensors").out
    assert "77 x 16  a rocket ship" in shown
    assert "77 x 16  (the empty prompt)" in shown


class Payload:
    def __reduce__(self):
        import os

        return os.mkdir, ("hacked",)


def test_a_pth_cannot_run_code(refused, tmp_path):
    torch.save({"a": Payload()}, tmp_path / "evil.pth")
    refused("prompts", "convert", "evil.pth", "-o", "p.safetensors")
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["encode", ""],
        ["encode", "a cat", "-o", "p.pth"],
        ["encode", "a cross", "--model", "oracle"],
        ["encode", "a cat", "-o", "file/p.safetensors"],
        ["show", "gone.safetensors"],
        ["show", "photo.png"],
        ["convert", "photo.png"],
        ["convert", "gone.pth"],
    ],
)
def test_prompt_files_that_are_none(refused, files, words):
    refused("prompts", *words)


def test_everything_shipped_keeps_its_laws(cli):
    result = cli("check")
    assert result.code == 0, result.out
    assert " NO" not in result.out
    for subject in (
        "rotate_90",
        "pixel_permutation",
        "partition of unity",
        "miniature, stage 1",
        "lowered = recursive",
    ):
        assert subject in result.out


@pytest.mark.parametrize("model", ["oracle", "cascade"])
def test_a_model_keeps_its_laws(cli, model, cascade_folder):
    result = cli("check", "--model", cascade_folder if model == "cascade" else model, "--view", "rotate_90")
    assert result.code == 0, result.out
    assert ("views reach the picture" in result.out) == (model == "cascade")


GOOD = """
from dataclasses import dataclass
import torch

@dataclass(frozen=True)
class Roll:
    by: int = 1
    def __call__(self, x):
        return x.roll(self.by * x.shape[-1] // 4, -1)
    def inverse(self, x):
        return x.roll(-self.by * x.shape[-1] // 4, -1)
    def inverse_var_interp(self, v):
        return self.inverse(v)
"""
BROKEN = {
    "no inverse": (GOOD.replace("-self.by *", "self.by *"), "isometry"),
    "a blur": (GOOD.replace("x.roll(self.by * x.shape[-1] // 4, -1)", "(x + x.roll(1, -1)) / 2"), "isometry"),
    "another size": (GOOD.replace("self.by * x.shape[-1] // 4", "16").replace("-16", "-16"), "resolution"),
    "not linear": (GOOD.replace("x.roll(self.by * x.shape[-1] // 4, -1)", "x.abs()"), "linearity"),
    "not hashable": (GOOD.replace("frozen=True", "eq=True"), "hashable"),
    "a fault": (GOOD.replace("self.by *", "self.bye *"), "AttributeError"),
}


def test_a_view_of_ones_own(cli, tmp_path):
    (tmp_path / "my_view.py").write_text(GOOD)
    result = cli("check", "--view", "my_view.py:Roll")
    assert result.code == 0, result.out
    assert "all 5 laws hold" in result.out


def test_a_view_of_ones_own_makes_anagrams_that_replay(cli, tmp_path):
    (tmp_path / "my_view.py").write_text(GOOD)
    made = cli(
        "anagram", "a red circle", "a blue circle", "--view", "my_view.py:Roll", "--model", "oracle", "--out", "o"
    )
    assert made.code == 0, made.err
    again = cli("replay", "o/01.json", "--view", "my_view.py:Roll")
    assert again.out == "the same, to the pixel\n"


def test_a_pickle_that_could_run_code_is_a_sentence(refused, tmp_path):
    torch.save({"a": tmp_path}, tmp_path / "evil.pth")
    assert "could run code" in refused("prompts", "show", "evil.pth")


def test_views_of_one_name_from_two_files_replay_each_as_it_was(cli, refused, tmp_path):
    """Their names are that of a shipped view, too: a record tells all three apart."""
    for by in (1, 2):
        source = GOOD.replace("class Roll", "class Flip").replace("self.by *", f"{by} *")
        (tmp_path / f"view_{by}.py").write_text(source)
        words = ("a red circle", "a blue circle", "--model", "oracle", "--steps", "6", "--out", f"o{by}")
        assert cli("anagram", *words, "--view", f"view_{by}.py:Flip").code == 0
    made = [(tmp_path / f"o{by}" / "01-seed180.png").read_bytes() for by in (1, 2)]
    assert made[0] != made[1]
    both = ("--own", "view_1.py:Flip", "--own", "view_2.py:Flip")
    for by in (1, 2):
        assert cli("replay", f"o{by}/01.json", *both).out == "the same, to the pixel\n"


@pytest.mark.parametrize("what", BROKEN)
def test_a_view_that_breaks_a_law(cli, tmp_path, what):
    source, law = BROKEN[what]
    (tmp_path / "my_view.py").write_text(source)
    result = cli("check", "--view", "my_view.py:Roll")
    assert result.code == 1
    assert "NO" in result.out
    assert any(law in line for line in result.out.splitlines() if line.startswith("broken:"))
    assert "Traceback" not in result.err


def test_a_view_in_a_package(cli):
    assert cli("check", "--view", "duckrabbit.guidance.views.pixels:Negate").code == 0


@pytest.mark.parametrize(
    "view", ["gone.py:Roll", "photo.png:Roll", "no.such.module:View", "duckrabbit.guidance.views.pixels:Nothing",
             "upside", "duckrabbit.guidance.nodes:Prompt", "broken.py:Roll"]
)  # fmt: skip
def test_views_that_are_none(refused, files, tmp_path, view):
    (tmp_path / "broken.py").write_text("this is not python")
    save(tmp_path / "photo.png", pixels(16))
    refused("check", "--view", view)
