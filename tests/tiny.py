"""Tiny cascades in DeepFloyd IF's layout, made in the process: every mechanism, no training.

Their weights are random, but scaled so that what the tests look for matters: the prompt changes the
estimate, and the variance channels span both signs (tests/models/test_tiny.py asserts it).
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDPMScheduler, IFPipeline, IFSuperResolutionPipeline, UNet2DConditionModel
from transformers import T5Config, T5EncoderModel, T5Tokenizer

WIDTH = 32
WORDS = ["a", "an", "of", "the", "cat", "house", "red", "blue", "old", "man", "campfire", "painting", "photo"]
SCHEDULE = {"beta_schedule": "squaredcos_cap_v2", "variance_type": "learned_range", "prediction_type": "epsilon"}
STAGE_1 = {**SCHEDULE, "thresholding": True, "dynamic_thresholding_ratio": 0.95, "sample_max_value": 1.5}
STAGE_2 = {**SCHEDULE, "thresholding": True, "dynamic_thresholding_ratio": 0.95, "sample_max_value": 1.0}


def tokenizer() -> T5Tokenizer:
    pieces = ["▁" + word for word in WORDS] + ["▁"] + list("abcdefghijklmnopqrstuvwxyz0123456789,.-")
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + [(p, -1.0 - 0.01 * i) for i, p in enumerate(pieces)]
    return T5Tokenizer(vocab=vocab, extra_ids=0, model_max_length=77)


def text_encoder(seed: int = 0) -> T5EncoderModel:
    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=128,
        d_model=WIDTH,
        d_ff=64,
        d_kv=8,
        num_heads=4,
        num_layers=2,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
    )
    return T5EncoderModel(config).eval()


def unet(size: int, *, second: bool = False, seed: int = 0, out_channels: int = 6) -> UNet2DConditionModel:
    torch.manual_seed(seed)
    model = UNet2DConditionModel(
        sample_size=size,
        in_channels=6 if second else 3,
        out_channels=out_channels,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=8,
        encoder_hid_dim=WIDTH,
        encoder_hid_dim_type="text_proj",
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        class_embed_type="timestep" if second else None,
        resnet_time_scale_shift="scale_shift",
        act_fn="gelu",
    ).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "encoder_hid_proj" in name or "add_embedding" in name or "add_v_proj" in name:
                p.mul_(3.0)
    return model.requires_grad_(False)


def first_pipeline(size: int = 16, seed: int = 0, **scheduler: object) -> IFPipeline:
    return IFPipeline(
        tokenizer=tokenizer(),
        text_encoder=text_encoder(seed),
        unet=unet(size, seed=seed),
        scheduler=DDPMScheduler(**{**STAGE_1, **scheduler}),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )


def second_pipeline(first: IFPipeline, size: int = 32, seed: int = 1, **scheduler: object) -> IFSuperResolutionPipeline:
    return IFSuperResolutionPipeline(
        tokenizer=first.tokenizer,
        text_encoder=first.text_encoder,
        unet=unet(size, second=True, seed=seed),
        scheduler=DDPMScheduler(**{**STAGE_2, **scheduler}),
        image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )


def save_cascade(folder: Path, seed: int = 0) -> Path:
    """Both stages in the diffusers format, the second in the subfolder stage_2; returns `folder`."""
    first = first_pipeline(seed=seed)
    first.save_pretrained(folder)
    second_pipeline(first, seed=seed + 1).save_pretrained(folder / "stage_2")
    return folder
