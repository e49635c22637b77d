"""A tiny PixNerd: loaded from a folder, asked, sampled from and replayed; and a sentence for what cannot be."""

import json
import os
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import duckrabbit as dr
import tiny_pixnerd
from duckrabbit.diffusion.prediction import Query
from duckrabbit.errors import UserError
from duckrabbit.folders import cache_folder
from duckrabbit.models.cascade import before
from duckrabbit.models.cascade.text_encoder import read_prompts
from duckrabbit.models.cascade.text_rules import TextRules
from duckrabbit.models.load import digits_folder, load
from duckrabbit.models.pixnerd.checkpoint import PREFIX, our_name
from tiny_pixnerd import SIZES


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_pixnerd.save_pixnerd(tmp_path_factory.mktemp("pixnerd") / "small")


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "model")


def ask(model, prompts=("A cat",), t=0.75, x=None):
    x = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32) if x is None else x
    return model.network(0)([Query(x, model.condition(p)) for p in prompts], model.stages[0].schedule.level(t))


def test_it_is_told_the_time_of_the_picture_and_answers_with_the_velocity(folder):
    model = load(folder)
    facts = model.stages[0]
    assert (facts.size, facts.prediction_type, facts.told, facts.steps) == ((32, 32), "flow", "1-t", 2)
    assert (model.card.guidance_scale, model.card.solver, model.card.licence) == (4.0, "ddim", "MIT")
    assert digits_folder(str(folder)) is None
    x = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    text = model.encode(["A cat"]).embeddings["A cat"]
    u = tiny_pixnerd.network()(x, torch.tensor([0.25]), text[None])
    answer = ask(model, x=x)[0]
    assert torch.allclose(answer.x0, x + 0.75 * u, atol=1e-5)
    assert torch.allclose(answer.eps, x - 0.25 * u, atol=1e-5)


def test_a_prompt_is_read_as_it_is_typed_and_padded_with_zeros_to_the_width(folder):
    model = load(folder)
    table = model.encode(["A Cat", "a cat", ""])
    assert set(table.embeddings) == {"A Cat", "a cat", ""}
    wide = table.embeddings["A Cat"]
    assert wide.shape == (SIZES.text_tokens, SIZES.text_width)
    assert not torch.allclose(wide, table.embeddings["a cat"])
    assert (wide[:, 16:] == 0).all()
    tokens = tiny_pixnerd.tokenizer()("A Cat", return_tensors="pt")
    bare = tiny_pixnerd.text_encoder()(**tokens)[0][0]
    assert torch.allclose(wide[: len(bare), :16], bare, atol=1e-5)


def test_states_wider_than_the_network_takes_are_cut(folder):
    encoder = tiny_pixnerd.text_encoder(width=32)
    from duckrabbit.models.pixnerd.parts import QwenEncoder

    rules = TextRules(case="kept", cleaning="none", length=12)

    def states(width):
        return QwenEncoder(tiny_pixnerd.tokenizer(), encoder, False, rules, width)(["a cat"]).embeddings["a cat"]

    assert torch.equal(states(24), states(32)[:, :24])


def test_the_empty_prompt_is_padding_that_sees_itself(folder):
    """All its tokens and so its values are one, and attention's mean of equal values is that value, at any place."""
    empty = load(folder).encode([""]).embeddings[""]
    assert torch.allclose(empty, empty[:1].expand_as(empty), atol=1e-5)
    alone = tiny_pixnerd.text_encoder()(input_ids=torch.zeros(1, 1, dtype=torch.long))[0][0]
    assert torch.allclose(empty[:1, :16], alone, atol=1e-5)


def test_a_prompt_too_long_is_told(folder):
    model = load(folder)
    model.prepare(["a very very long prompt"])
    (note,) = model.notes_on(["a very very long prompt"]).values()
    assert "longer than 12 tokens" in note


def test_one_row_alone_is_as_in_a_batch(folder):
    model = load(folder)
    together = ask(model, ["A cat", "", "a house"])
    alone = [ask(model, [p])[0] for p in ("A cat", "", "a house")]
    for one, among in zip(alone, together, strict=True):
        assert torch.allclose(one.x0, among.x0, atol=1e-5)


def test_bfloat16_is_near_float32(folder):
    exact, rough = (ask(load(folder, dtype=dtype))[0].x0 for dtype in ("float32", "bfloat16"))
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max()


def test_gradients_flow_to_x(folder):
    x = torch.zeros(1, 3, 32, 32, requires_grad=True)
    ask(load(folder), x=x)[0].x0.square().sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad.abs().max() > 0


def test_one_part_is_in_memory_at_a_time(folder):
    model = load(folder, memory="strict")
    model.prepare(["A cat"])
    assert model.memory.loaded == ("text encoder",)
    before = ask(model)[0].x0
    assert model.memory.loaded == ("network of PixNerd",)
    assert model.memory.peak == 1
    again = pickle.loads(pickle.dumps(model))
    assert again.memory.loaded == ()
    assert torch.equal(ask(again)[0].x0, before)


def test_a_picture_is_generated_and_replayed_to_the_pixel(folder, tmp_path):
    result = dr.run(dr.generate(load(folder), "A red cat", steps=2), [3, 4])
    assert result.images.shape == (2, 3, 32, 32)
    assert result.images.isfinite().all()
    (path, _) = result.save(tmp_path)
    again = dr.replay(path, model=load(folder))
    assert again.same
    assert set(again.result.prompts) == {"A red cat"}


def test_two_steps_are_those_of_euler_with_guidance(folder):
    """From noise at 0 to the picture at 1: x + u / 2 twice, u = u(null) + 4 (u(prompt) - u(null))."""
    model, net = load(folder), tiny_pixnerd.network()
    table = model.encode(["A red cat", ""]).embeddings
    text, null = table["A red cat"][None], table[""][None]
    x = dr.Noise((3,), "stage1")(torch.zeros(1, 3, 32, 32), "start")
    for time in (torch.tensor([0.0]), torch.tensor([0.5])):
        u = net(x, time, null)
        x = x + 0.5 * (u + 4 * (net(x, time, text) - u))
    assert torch.allclose(dr.run(dr.generate(model, "A red cat", steps=2), [3]).images, x, atol=1e-4)


def test_the_command_line_samples_and_replays(cli, folder, tmp_path):
    made = cli("generate", "A red cat", "--model", folder, "--steps", "2", "--out", tmp_path / "made")
    assert made.code == 0
    picture = next((tmp_path / "made").glob("*seed*.png"))
    assert cli("replay", picture, "--model", folder).out == "the same, to the pixel\n"
    shown = cli("models", "show", folder).out
    assert "predicts flow" in shown


def test_prompts_from_a_file_need_no_text_encoder(folder, copy, tmp_path):
    load(folder).encode(["A cat", ""]).save(tmp_path / "p.safetensors")
    assert set(read_prompts(tmp_path / "p.safetensors", rules=None).embeddings) == {"A cat", ""}
    shutil.rmtree(copy / "text_encoder")
    model = load(copy, prompts=tmp_path / "p.safetensors")
    assert torch.allclose(ask(model)[0].x0, ask(load(folder))[0].x0, atol=1e-6)
    with pytest.raises(UserError, match="not in the prompt file"):
        model.condition("a cat")
    wrong = {"A cat": torch.zeros(3, 24)}
    with pytest.raises(UserError, match="another model"):
        load(copy, prompts=dr.models.cascade.text_encoder.PromptTable(wrong))


def test_the_checkpoint_is_read_under_its_prefix_and_converted_once(folder, copy):
    expected = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    averaged = tiny_pixnerd.save_checkpoint(copy / "model.ckpt")
    assert f"{PREFIX}blocks.0.attn.qkv_x.weight" in averaged
    assert f"{PREFIX}blocks.3.param_generator1.0.bias" in averaged
    assert torch.equal(ask(load(copy))[0].x0, ask(load(folder))[0].x0)
    written = load_file(copy / "model.safetensors")
    assert set(written) == set(expected)
    assert all(torch.equal(written[k], expected[k]) for k in expected)
    (copy / "model.ckpt").unlink()
    assert set(load(copy).weight_hash()) == {"model.safetensors", "text_encoder/model.safetensors"}
    assert not list(copy.glob("*unfinished*"))


def test_a_folder_that_cannot_be_written_is_converted_in_the_cache(folder, copy, monkeypatch):
    (copy / "model.safetensors").unlink()
    tiny_pixnerd.save_checkpoint(copy / "model.ckpt")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert torch.equal(ask(load(copy))[0].x0, ask(load(folder))[0].x0)
    assert not (copy / "model.safetensors").exists()
    assert len(list((cache_folder() / "pixnerd").glob("*.safetensors"))) == 1


def test_a_folder_with_the_checkpoint_alone_is_of_the_published_sizes(tmp_path):
    tiny_pixnerd.save_checkpoint(tmp_path / "model.ckpt")
    model = load(tmp_path, memory="strict")
    assert model.stages[0].size == (512, 512)
    with pytest.raises(UserError, match="not of one model"):
        model.network(0)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("s_embedder.proj.weight", "patches.weight"),
        ("x_embedder.embedder.0.bias", "points.bias"),
        ("t_embedder.mlp.2.weight", "clock.second.weight"),
        ("y_embedder.norm.weight", "words_norm.weight"),
        ("y_pos_embedding", "places"),
        ("final_layer.linear.bias", "answer.bias"),
        ("blocks.15.attn.kv_y.weight", "blocks.15.attention.text_kv.weight"),
        ("blocks.2.attn.q_norm.weight", "blocks.2.attention.q_norm.weight"),
        ("blocks.2.adaLN_modulation.0.bias", "blocks.2.modulation.bias"),
        ("blocks.17.param_generator1.0.weight", "fields.1.weights.weight"),
        ("blocks.16.norm.weight", "fields.0.norm.weight"),
        ("text_refine_blocks.3.attn.qkv.weight", "readers.3.attention.qkv.weight"),
        ("text_refine_blocks.0.mlp.w12.weight", "readers.0.mlp.up.weight"),
        ("text_refine_blocks.0.norm2.weight", "readers.0.mlp_norm.weight"),
    ],
)
def test_published_names_are_ours(theirs, ours):
    assert our_name(theirs, 16) == ours


def damage(path, kind):
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-5000])
    elif kind == "text":
        path.write_text("not a checkpoint")
    elif kind == "code":
        torch.save({"state_dict": {}, "hyper": PixelThief()}, path)
    elif kind == "no average":
        torch.save({"state_dict": {"denoiser.a": torch.zeros(1)}}, path)
    elif kind == "no state":
        torch.save({"weights": 1}, path)
    else:
        content = torch.load(path, weights_only=True)
        name = f"{PREFIX}blocks.0.mlp.w3.weight"
        if kind == "lacks":
            del content["state_dict"][name]
        else:
            content["state_dict"][name] = torch.zeros(2, 2)
        torch.save(content, path)


class PixelThief:
    """What a pickle could run."""


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("cut", "cannot be read"),
        ("text", "more than plain tensors|cannot be read"),
        ("code", "could run code"),
        ("no average", "no averaged weights"),
        ("no state", "cannot be read"),
        ("lacks", r"lack blocks.0.mlp.down.weight"),
        ("shape", r"blocks.0.mlp.down.weight is \(2, 2\)"),
    ],
)
def test_a_damaged_checkpoint_is_a_sentence_and_leaves_nothing(copy, kind, words):
    (copy / "model.safetensors").unlink()
    tiny_pixnerd.save_checkpoint(copy / "model.ckpt")
    damage(copy / "model.ckpt", kind)
    with pytest.raises(UserError, match=words):
        ask(load(copy))
    assert not (copy / "model.safetensors").exists()
    assert not list(copy.glob("*unfinished*"))


@pytest.mark.parametrize("kind", ["cut", "nan", "missing", "foreign"])
def test_damaged_weights_are_a_sentence(copy, kind):
    path = copy / "model.safetensors"
    tensors = load_file(path)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    elif kind == "missing":
        path.unlink()
    elif kind == "nan":
        save_file({**tensors, "answer.bias": torch.full((3,), float("nan"))}, path)
    else:
        save_file({**tensors, "extra": torch.zeros(1)}, path)
    words = {"cut": "whole safetensors", "nan": "NaN", "missing": "holds no weights", "foreign": "extra"}[kind]
    with pytest.raises(UserError, match=words):
        ask(load(copy))


@pytest.mark.parametrize("part", ["network of PixNerd", "text encoder"])
def test_too_little_memory_is_a_sentence(copy, part, monkeypatch):
    path = copy / ("model.safetensors" if part == "network of PixNerd" else "text_encoder/model.safetensors")
    save_file({k: v.bfloat16() for k, v in load_file(path).items()}, path, {"format": "pt"})
    monkeypatch.setattr(before, "free_memory", lambda: 1)
    model = load(copy)
    with pytest.raises(UserError, match=f"The {part} .* does not fit in the memory of cpu"):
        ask(model)


def test_options_that_cannot_be_are_a_sentence(folder, copy):
    with pytest.raises(UserError, match="one stage"):
        load(folder, stage2=str(folder))
    config = json.loads((copy / "config.json").read_text())
    for wrong in ({**config["pixnerd"], "depth": 3}, {**config["pixnerd"], "patch": 7}, [3]):
        (copy / "config.json").write_text(json.dumps({**config, "pixnerd": wrong}))
        with pytest.raises(UserError, match="does not describe"):
            load(copy)
    (copy / "config.json").write_text(json.dumps({**config, "steps": "many"}))
    with pytest.raises(UserError, match="does not describe"):
        load(copy)
