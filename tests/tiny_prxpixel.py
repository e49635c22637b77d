"""A tiny PRXPixel, made in the process: random weights, scaled so that time, size, prompt and pixels all matter."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, PRXPixelPipeline, PRXTransformer2DModel
from transformers import Qwen2Tokenizer, Qwen3VLTextConfig, Qwen3VLTextModel

WIDTH, PATCH, LENGTH, SIZE = 24, 8, 12, 32
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,.-&;Ġ"


def transformer(seed: int = 0) -> PRXTransformer2DModel:
    """Three layers. Those that PRX begins at zero, and so without time or size, are random too."""
    torch.manual_seed(seed)
    network = PRXTransformer2DModel(
        in_channels=3,
        patch_size=PATCH,
        context_in_dim=WIDTH,
        hidden_size=32,
        mlp_ratio=2.0,
        num_heads=2,
        depth=3,
        axes_dim=[8, 8],
        bottleneck_size=16,
        resolution_embeds=True,
    )
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.data = torch.randn_like(parameter) / parameter.shape[-1] ** 0.5
    return network.eval().requires_grad_(False)


def tokenizer(side: str = "right") -> Qwen2Tokenizer:
    vocab = {token: i for i, token in enumerate(["<|endoftext|>", *LETTERS])}
    return Qwen2Tokenizer(vocab=vocab, merges=[], padding_side=side, model_max_length=LENGTH)


def text_encoder(seed: int = 0) -> Qwen3VLTextModel:
    torch.manual_seed(seed)
    config = Qwen3VLTextConfig(
        vocab_size=80,
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        initializer_range=0.5,
        rope_parameters={"rope_type": "default", "rope_theta": 5e6, "mrope_section": [4, 2, 2]},
    )
    return Qwen3VLTextModel(config).eval()


def pipeline(shift: float = 3.0, seed: int = 0, side: str = "right") -> PRXPixelPipeline:
    pipe = PRXPixelPipeline(
        transformer=transformer(seed),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=shift),
        text_encoder=text_encoder(seed),
        tokenizer=tokenizer(side),
        default_sample_size=SIZE,
        prompt_max_tokens=LENGTH,
        noise_scale=2.0,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def save_prxpixel(folder: Path, **options: object) -> Path:
    """A whole folder as diffusers writes it; returns `folder`."""
    pipeline(**options).save_pretrained(folder)
    return folder


def edit(path: Path, drop: tuple[str, ...] = (), **values: object) -> None:
    """Change a JSON file: fields set, and fields taken out."""
    content = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({k: v for k, v in content.items() if k not in drop}))
