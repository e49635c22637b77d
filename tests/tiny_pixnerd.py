"""A tiny PixNerd, made in the process: random weights, scaled so that time, prompt and pixels all matter."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3ForCausalLM, Qwen3Model

from duckrabbit.models.pixnerd.checkpoint import _INNER, _TABLE
from duckrabbit.models.pixnerd.folder import write_config
from duckrabbit.networks.pixnerd import PixNerd, PixNerdConfig

SIZES = PixNerdConfig(
    size=32, patch=8, width=32, heads=2, blocks=2, text_width=24, text_tokens=12, text_blocks=1, field_width=8
)
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,.-Ġ"


def network(seed: int = 0, sizes: PixNerdConfig = SIZES) -> PixNerd:
    torch.manual_seed(seed)
    net = PixNerd(sizes).eval().requires_grad_(False)
    for parameter in net.parameters():
        if parameter.ndim > 1:
            parameter.copy_(torch.randn_like(parameter) / parameter.shape[-1] ** 0.5)
    net.answer.weight.mul_(0.1)
    return net


def tokenizer() -> Qwen2Tokenizer:
    return Qwen2Tokenizer(vocab={t: i for i, t in enumerate(["<|endoftext|>", *LETTERS])}, merges=[])


def text_encoder(width: int = 16, seed: int = 0) -> Qwen3Model:
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=80,
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        initializer_range=0.5,
    )
    return Qwen3Model(config).eval()


def save_text(folder: Path, *, apart: bool = True, width: int = 16) -> None:
    """Tokenizer and encoder, in folders of their own; or side by side, as a hub has them: with a head, in pieces."""
    tokenizer().save_pretrained(folder / "tokenizer" if apart else folder)
    encoder = text_encoder(width)
    if apart:
        encoder.save_pretrained(folder / "text_encoder")
        return
    whole = Qwen3ForCausalLM(encoder.config)
    whole.model.load_state_dict(encoder.state_dict())
    whole.save_pretrained(folder, max_shard_size="20KB")


def save_pixnerd(folder: Path, seed: int = 0) -> Path:
    """A whole model in our format; returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, SIZES, licence="MIT", guidance_scale=4.0, steps=2)
    save_file(network(seed).state_dict(), folder / "model.safetensors")
    save_text(folder)
    return folder


def published(state: dict[str, torch.Tensor], blocks: int) -> dict[str, torch.Tensor]:
    """Weights under the published names: the tables of the source read backwards."""

    def plain(pattern: str) -> str:
        return pattern.replace("\\.", ".").replace("$", "")

    def name(ours: str) -> str:
        head, _, rest = ours.partition(".")
        if head == "readers":
            ours = f"text_refine_blocks.{rest}"
        elif head == "fields":
            number, _, rest = rest.partition(".")
            ours = f"blocks.{int(number) + blocks}.{rest}"
        elif head != "blocks":
            return next((plain(p) + ours.removeprefix(o) for p, o in _TABLE if ours.startswith(o)), ours)
        for pattern, own in _INNER:
            text = plain(pattern).replace("(qkv_x|qkv)", "qkv" if head == "readers" else "qkv_x")
            ours = ours.replace(own, text)
        return ours

    return {name(key): value for key, value in state.items()}


def save_checkpoint(path: Path, seed: int = 0) -> dict[str, torch.Tensor]:
    """A file as Lightning leaves it: both copies of the weights, and what else a training keeps."""
    state = published(network(seed).state_dict(), SIZES.blocks)
    other = {f"denoiser.{key}": torch.zeros_like(value) for key, value in state.items()}
    averaged = {f"ema_denoiser.{key}": value for key, value in state.items()}
    torch.save({"epoch": 3, "global_step": 7, "state_dict": {**other, **averaged}, "loops": {}}, path)
    return averaged
