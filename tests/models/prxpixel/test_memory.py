"""What weights of the published size take is told before they are loaded; too little of it is a sentence."""

import json
import math
import shutil
import struct

import pytest
import torch
from diffusers import PRXTransformer2DModel
from transformers import Qwen3VLTextConfig, Qwen3VLTextModel

import tiny_prxpixel
from duckrabbit.errors import UserError
from duckrabbit.models.cascade import before, memory, parts
from duckrabbit.models.load import load

NETWORK = {
    "in_channels": 3,
    "patch_size": 16,
    "context_in_dim": 2048,
    "hidden_size": 3584,
    "num_heads": 28,
    "depth": 24,
    "axes_dim": [64, 64],
    "bottleneck_size": 768,
    "resolution_embeds": True,
}
TEXT = {
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
}
GIB = 2**30


def write_hollow(path, module):
    """A safetensors file of the module's shapes in bfloat16, of zeros that take no room on the disk."""
    header, end = {}, 0
    for name, value in module.state_dict().items():
        size = 2 * math.prod(value.shape)
        header[name] = {"dtype": "BF16", "shape": list(value.shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return end


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder of the published sizes, and the bytes of its two parts in bfloat16."""
    folder = tiny_prxpixel.save_prxpixel(tmp_path_factory.mktemp("large") / "large")
    tiny_prxpixel.edit(folder / "transformer" / "config.json", **NETWORK)
    tiny_prxpixel.edit(folder / "model_index.json", default_sample_size=1024, prompt_max_tokens=256)
    config = Qwen3VLTextConfig(**TEXT)
    config.save_pretrained(folder / "text_encoder")
    with torch.device("meta"):
        network, text = PRXTransformer2DModel(**NETWORK), Qwen3VLTextModel(config)
    sizes = (
        write_hollow(folder / "text_encoder" / "model.safetensors", text),
        write_hollow(folder / "transformer" / "diffusion_pytorch_model.safetensors", network),
    )
    yield folder, sizes
    shutil.rmtree(folder)


def test_the_need_of_the_published_sizes(published):
    folder, (words, network) = published
    assert 6.9e9 < network / 2 < 7.1e9  # "about 7 B"
    need = load(folder, dtype="bfloat16").memory.need("bfloat16")
    assert need.parts == {"text encoder": words, "transformer": network}
    assert need.peak == network
    assert load(folder, dtype="bfloat16", memory="resident").memory.need("bfloat16").peak == words + network
    assert load(folder).memory.need("float32").peak == 2 * network
    assert need.seconds == pytest.approx((words + network) / memory.READING)


def test_it_is_told_by_show_and_by_a_dry_run(cli, published, monkeypatch):
    folder, _ = published
    monkeypatch.setattr(parts, "file_hash", lambda path: "0" * 64)
    words = "The weights take 26.1 GiB of memory at once, at most (transformer 26.1 GiB, text encoder 6.4 GiB; float32)"
    assert words in cli("models", "show", folder).out
    dry = cli("generate", "A cat", "--model", folder, "--dry-run")
    assert f"large: {words}" in dry.out, dry.err


def test_it_is_told_before_anything_is_loaded_and_refused_before_the_text_encoder_is(cli, published, monkeypatch):
    folder, (_, network) = published
    monkeypatch.setattr(memory, "free_memory", lambda: 2 * network - 1)

    def loaded(*arguments, **options):
        raise AssertionError

    monkeypatch.setattr(Qwen3VLTextModel, "from_pretrained", loaded)
    result = cli("generate", "A cat", "--model", folder)
    assert result.code == 2
    told, refused = (
        result.err.index("The weights take 26.1 GiB"),
        result.err.index("The transformer (26.1 GiB) does not"),
    )
    assert told < refused
    assert "dtype='bfloat16'" in result.err
    monkeypatch.setattr(memory, "free_memory", lambda: network)
    with pytest.raises(AssertionError):  # in bfloat16 there is room, and the text encoder is loaded
        load(folder, dtype="bfloat16").prepare(["A cat"])


def test_a_transformer_that_fits_no_more_is_a_sentence(tmp_path, monkeypatch):
    """Also in the dtype of its files: it would be read from disk anew at every step."""
    model = load(tiny_prxpixel.save_prxpixel(tmp_path / "small"), memory="strict")
    model.prepare(["A cat"])
    monkeypatch.setattr(before, "free_memory", lambda: 1)
    with pytest.raises(UserError, match=r"The transformer .* does not fit in the memory of cpu"):
        model.network(0)


def test_what_makes_room_counts_as_free(tmp_path, monkeypatch):
    model = load(tiny_prxpixel.save_prxpixel(tmp_path / "small"), memory="strict")
    model.prepare(["A cat"])
    network, text = model.unets[0].size(), model.text.size()
    monkeypatch.setattr(memory, "free_memory", lambda: network - text)
    model.prepare(["a house"])
    monkeypatch.setattr(memory, "free_memory", lambda: network - text - 1)
    with pytest.raises(UserError, match="does not fit"):
        model.prepare(["a tree"])


def test_of_a_folder_without_weights_there_is_nothing_to_tell(tmp_path):
    folder = tiny_prxpixel.save_prxpixel(tmp_path / "small")
    (folder / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    assert load(folder).memory.need("float32") is None


def test_small_models_are_not_talked_about(cli, cascade_folder):
    assert "weights take" not in cli("models", "show", cascade_folder).out
