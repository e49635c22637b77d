"""U-Nets of a small cascade in DeepFloyd IF's block layout, and what surrounds them in training.

Both stages answer with 6 channels, the estimate and the v of the learned variance, and are plain
`diffusers.UNet2DConditionModel`s (Saharia et al. 2022, arXiv 2205.11487, for the two stages).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

_DOWN, _UP = "ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"
_CROSS_DOWN, _CROSS_UP = "SimpleCrossAttnDownBlock2D", "SimpleCrossAttnUpBlock2D"
_SHARED: dict[str, Any] = {
    "out_channels": 6,
    "act_fn": "gelu",
    "resnet_time_scale_shift": "scale_shift",
}


def first_stage(
    size: int,
    channels: Sequence[int],
    *,
    layers: int = 1,
    thin: int = 0,
    attention: int = 2,
    cross: int = 192,
    text: int = 256,
) -> nn.Module:
    """A text-conditional U-Net for pictures of `size` pixels, with random weights.

    channels: of each level, a multiple of 32; every level halves the size. attention: so many of the
    deepest levels look at the prompt. text: the width of the text encoder's states. layers: residual blocks of a
    level on its way down, and one more on its way up; the `thin` outermost levels have none down and one up.
    """
    from diffusers import UNet2DConditionModel

    plain = len(channels) - attention
    return UNet2DConditionModel(
        sample_size=size,
        in_channels=3,
        block_out_channels=tuple(channels),
        layers_per_block=(0,) * thin + (layers,) * (len(channels) - thin) if thin else layers,
        down_block_types=(_DOWN,) * plain + (_CROSS_DOWN,) * attention,
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=(_CROSS_UP,) * attention + (_UP,) * plain,
        cross_attention_dim=cross,
        attention_head_dim=32,
        encoder_hid_dim=text,
        encoder_hid_dim_type="text_proj",
        addition_embed_type="text",
        addition_embed_type_num_heads=8,
        **_SHARED,
    )


def second_stage(size: int, channels: Sequence[int], *, layers: int = 1, text: int = 256) -> nn.Module:
    """A U-Net that enlarges to `size` pixels, told the noise level of the low resolution picture.

    It has convolutions only, so that it can be trained on crops. What the prompt says as a whole, the
    style say, is added to what it is told of time and noise level, so that inks can be set right; at
    first nothing is. text: the width of the text encoder's states.
    """
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=size,
        in_channels=6,
        block_out_channels=tuple(channels),
        layers_per_block=layers,
        down_block_types=(_DOWN,) * len(channels),
        mid_block_type="UNetMidBlock2D",
        up_block_types=(_UP,) * len(channels),
        cross_attention_dim=text,
        class_embed_type="timestep",
        addition_embed_type="text",
        addition_embed_type_num_heads=8,
        **_SHARED,
    )
    nn.init.zeros_(unet.add_embedding.norm2.weight)
    return unet


def text_states(encoder: Any, tokens: Tensor) -> Tensor:
    """A T5 encoder's states (N, L, D) of tokens (N, L), where 0 is padding."""
    states: Tensor = encoder(input_ids=tokens, attention_mask=(tokens != 0).long())[0]
    return states


class TextToImage(nn.Module):
    """A text encoder and the U-Net it serves, trained as one."""

    def __init__(self, unet: nn.Module, text_encoder: nn.Module) -> None:
        super().__init__()
        self.unet, self.text_encoder = unet, text_encoder

    def forward(self, x: Tensor, t: Tensor, tokens: Tensor) -> Tensor:
        """The answer (N, 6, H, W) to pictures x at times t (N,), told tokens (N, L), where 0 is padding.

        As in IF the padding is hidden from the text encoder and not from the U-Net.
        """
        return self.unet(x, t, encoder_hidden_states=text_states(self.text_encoder, tokens), return_dict=False)[0]


class Upscaler(nn.Module):
    """The U-Net of a second stage."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, x: Tensor, t: Tensor, low: Tensor, level: Tensor, states: Tensor) -> Tensor:
        """The answer (N, 6, H, W); low (N, 3, H, W) is enlarged and noised to `level` (N,).

        states (N, L, D): of the prompt, by stage I's text encoder.
        """
        stacked = torch.cat([x, low], 1)
        return self.unet(stacked, t, encoder_hidden_states=states, class_labels=level, return_dict=False)[0]
