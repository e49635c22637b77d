"""Damaged models, output that is not finite, and too little memory: a sentence each."""

import shutil

import pytest
import torch

import duckrabbit as dr


@pytest.fixture
def model(cascade_folder, tmp_path):
    """A copy of the cascade, to be damaged."""
    folder = tmp_path / "model"
    shutil.copytree(cascade_folder, folder)
    return folder


def damage(path, change):
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def poison(name):
    def change(tensors):
        tensors[name].view(-1)[0] = float("nan")

    return change


DAMAGE = {
    "NaN in the weights": lambda f: damage(f / "unet/diffusion_pytorch_model.safetensors", poison("conv_in.weight")),
    "NaN in stage 2": lambda f: damage(f / "stage_2/unet/diffusion_pytorch_model.safetensors", poison("conv_in.bias")),
    "missing weights": lambda f: (f / "unet/diffusion_pytorch_model.safetensors").unlink(),
    "a missing tensor": lambda f: damage(
        f / "unet/diffusion_pytorch_model.safetensors", lambda t: t.pop("conv_in.bias")
    ),
    "cut weights": lambda f: (f / "unet/diffusion_pytorch_model.safetensors").write_bytes(b"\0" * 100),
    "no text encoder": lambda f: shutil.rmtree(f / "text_encoder"),
    "no index": lambda f: (f / "model_index.json").unlink(),
    "an index of nothing": lambda f: (f / "model_index.json").write_text("{}"),
    "a configuration cut": lambda f: (f / "unet/config.json").write_text('{"a": '),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_models(cli, model, what, tmp_path):
    DAMAGE[what](model)
    before = set(tmp_path.rglob("*"))
    result = cli("generate", "a cat", "--model", model, "--steps", "2", "--steps-stage2", "1", "--out", "made")
    assert (result.code, result.out) == (2, ""), result.err
    assert result.err.startswith("Error: ")
    assert "Traceback" not in result.err
    assert [n for n in result.written if n.startswith("made")] == []
    assert set(tmp_path.rglob("*")) - before == set()


def test_nan_in_the_output(refused, cascade_folder, monkeypatch):
    """Finite weights, an output that is not, in float32."""
    from duckrabbit.models.cascade.model import Cascade

    network = Cascade.network

    def broken(self, *arguments, **options):
        inner = network(self, *arguments, **options)
        return lambda queries, at: [dr.Prediction(p.x0 / 0, p.eps, p.var_interp) for p in inner(queries, at)]

    monkeypatch.setattr(Cascade, "network", broken)
    words = refused("generate", "a cat", "--model", cascade_folder, "--steps", "2", "--stage", "1", "--out", "made")
    assert "not finite" in words
    assert "Its weights may be damaged" in words
    assert "float32" not in words  # it is float32 already


def test_memory_that_does_not_reach(refused, monkeypatch):
    def starve(*arguments, **options):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99999999999 bytes.")

    monkeypatch.setattr(torch, "empty", starve)
    assert "--micro-batch" in refused("generate", "a cross", "--model", "oracle", "--out", "made")


def test_a_real_fault_keeps_its_traceback(cli, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(torch, "empty", fail)
    with pytest.raises(RuntimeError, match="shapes"):
        cli("generate", "a cross", "--model", "oracle", "--out", "made")
