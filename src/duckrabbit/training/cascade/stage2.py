"""Stage II: enlarging by four, learned on crops of drawings.

The low resolution picture is the drawing shrunk by area, enlarged again as in sampling, and noised
to a level that the network is told: in sampling it comes from a stage I that makes mistakes (Ho et
al. 2022, arXiv 2106.15282, section 4.2). Noise hides small ones. Contrast, saturation and inks that
are off, and uneven, it does not; such mistakes can be made in training too (`mistakes`), which did
not help (docs/log.md). The network learns v, which is of use at high noise too, so that eight steps
are enough (Salimans and Ho 2022, arXiv 2202.00512, section 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from duckrabbit.networks.enlarge import enlarge
from duckrabbit.networks.unet_if import Upscaler, second_stage, text_states
from duckrabbit.training.cascade.recipe import TIMES, CascadeRecipe, to_unit
from duckrabbit.training.cascade.words import Wordings
from duckrabbit.training.objectives import Draws
from duckrabbit.training.values import PictureSet

FACTOR = 4


@dataclass(frozen=True, eq=False)
class Enlargements(PictureSet):
    """Pictures (N, S, S, 3) and the same shrunk by area (N, S / 4, S / 4, 3), both uint8, and wordings of each.

    text_encoder: of the stage I that goes before; it learns nothing here. `digest` names the set.
    """

    images: Tensor
    low: Tensor
    wordings: Wordings
    text_encoder: nn.Module
    digest: str

    @torch.no_grad()
    def states(self, tokens: Tensor) -> Tensor:
        """The text encoder's states (N, 77, D) of tokens (N, 77)."""
        return text_states(self.text_encoder, tokens)


def enlargements(images: Tensor, wordings: Wordings, text_encoder: nn.Module, digest: str) -> Enlargements:
    """The pictures (N, S, S, 3) uint8 with what they are to be made from."""
    low = [avg_pool2d(part.permute(0, 3, 1, 2).float(), FACTOR).round_().byte() for part in images.split(256)]
    small = torch.cat(low).permute(0, 2, 3, 1).contiguous()
    return Enlargements(images, small, wordings, text_encoder.eval().requires_grad_(False), digest)


@dataclass(frozen=True)
class UpscalerRecipe(CascadeRecipe):
    """crop: the width and height of what is shown of each picture.

    mistakes: how large those of the low resolution picture are, 0 for none; see `colour_jitter`.
    """

    stage: ClassVar[str] = "upscaler"

    crop: int = 64
    mistakes: float = 0.0

    def build(self) -> nn.Module:
        """The network, with random weights."""
        return Upscaler(second_stage(self.size, self.channels, layers=self.layers, text=self.text))

    def inputs(self, data: Enlargements, rows: Tensor, draws: Draws) -> tuple[Tensor, tuple[Tensor, ...]]:
        """A crop of each picture, with the same crop of its low resolution version, noised to a level.

        The levels are floor(T u^2), u uniform: all of them, the low ones that are of use more often.
        """
        images, low = data.images[rows], to_unit(data.low[rows])
        if self.mistakes:
            low = colour_jitter(low, self.mistakes, draws)
        low = enlarge(low, self.size)
        places = self.size - self.crop + 1
        top, left = draws.integers(places, images), draws.integers(places, images)
        x0 = to_unit(window(images, top, left, self.crop))
        low = window(low.permute(0, 2, 3, 1), top, left, self.crop).permute(0, 3, 1, 2)
        level = (draws.uniform(x0).square() * TIMES).long().clamp_(max=TIMES - 1)
        abar = self._abar.to(x0.device)[level].view(-1, 1, 1, 1)
        noised = abar.sqrt() * low + (1 - abar).sqrt() * draws.normal(x0)
        states = data.states(data.wordings.draw(rows, self.p_uncond, draws, x0))
        return x0, (noised.contiguous(memory_format=torch.channels_last), level, states)

    @cached_property
    def _abar(self) -> Tensor:
        return torch.tensor(self.schedule.alphas_cumprod, dtype=torch.float64).float()


def colour_jitter(low: Tensor, size: float, draws: Draws) -> Tensor:
    """Pictures low (N, 3, H, W) in [-1, 1] as a stage I might have drawn them; one in four is left as it is.

    Ink is what a picture lacks of white. With z standard normal, one for each picture, or for each channel of it:
    all ink times exp(0.15 size z), its saturation times exp(0.15 size z), every channel's ink times
    exp(0.05 size z), and ink that is not even, times exp(0.04 size |z| x): x is the sum of noise of s = 1, 2, 4 and 8
    pixels, enlarged, of deviation sqrt(s). So large are about the mistakes in drawings that stage I made anew from
    t = 500 (docs/log.md).
    """
    picture = low[:, :, :1, :1]
    strength = torch.where(draws.uniform(low) < 0.25, 0.0, size).view(-1, 1, 1, 1)
    contrast, saturation = ((0.15 * strength * draws.normal(picture[:, :1])).exp() for _ in range(2))
    inks = 0.05 * strength * draws.normal(picture)
    uneven = sum(s**0.5 * enlarge(draws.normal(low[:, :, ::s, ::s]), low.shape[-1]) for s in (1, 2, 4, 8))
    ink = (1 - low) * contrast * (inks + 0.04 * strength * draws.normal(picture[:, :1]).abs() * uneven).exp()
    grey = ink.mean(1, keepdim=True)
    return (1 - grey - saturation * (ink - grey)).clamp(-1, 1)


def window(images: Tensor, top: Tensor, left: Tensor, size: int) -> Tensor:
    """The windows (N, size, size, C) of images (N, H, W, C) whose corners are at top (N,) and left (N,)."""
    span = torch.arange(size, device=images.device)
    rows, columns = top[:, None] + span, left[:, None] + span
    n = torch.arange(len(images), device=images.device)
    return images[n[:, None, None], rows[:, :, None], columns[:, None, :]]


_SMALL = UpscalerRecipe(
    "upscaler-128",
    size=128,
    channels=(32, 64, 128),
    layers=1,
    prediction="v_prediction",
    batch=32,
    images=1_000_000,
    rate=1e-3,
    weighting="uniform",
    wordings=8,
)
UPSCALERS: Mapping[str, UpscalerRecipe] = {
    "tiny": replace(
        _SMALL, name="upscaler-tiny", size=64, channels=(32, 32), crop=16, batch=8, images=4000, ema=0.99, sheets=2
    ),
    "128": _SMALL,
    "128-polish": replace(
        _SMALL, name="upscaler-128-polish", crop=128, batch=8, images=16_000, rate=5e-4, ema=0.995, times=0.75
    ),
    "256": replace(_SMALL, name="upscaler-256", size=256, batch=256, images=3_000_000, rate=2e-3),
}
"""The presets, by name: 128 (32 to 128 px) for a CPU, 128-polish to go on from it with whole pictures, whose means
and spreads are not those of crops, and 256 (64 to 256 px) for a GPU."""
