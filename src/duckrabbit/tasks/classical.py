"""Classical denoisers: what a network has to beat.

Each is given the noisy picture divided by alpha, so that its brightness is that of the picture, and
the best setting is found with the original in hand: the comparison favours the classics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from kornia.filters import gaussian_blur2d, median_blur
from kornia.metrics import ssim
from torch import Tensor

SIGMAS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.5, 8.0)
"""Blur widths to choose from, in pixels of a 64 px picture."""
MEDIANS = (3, 5, 7, 9, 11)
"""Median windows to choose from, in pixels."""


@dataclass(frozen=True, eq=False)
class Classical:
    """The best of a family: the picture, its setting in words, its PSNR in dB."""

    image: Tensor
    setting: str
    psnr: float


def psnr(image: Tensor, reference: Tensor, data_range: float = 1.0) -> float:
    """10 log10(data_range^2 / mean square error), in dB, over the whole batch."""
    return (10 * torch.log10(data_range**2 / (image - reference).square().mean())).item()


def structural_similarity(image: Tensor, reference: Tensor) -> float:
    """Mean SSIM (Wang et al. 2004) with a Gaussian window of 11 pixels; pictures in [0, 1]."""
    return ssim(image, reference, 11).mean().item()


def best_gaussian_blur(noisy: Tensor, original: Tensor, sigmas: Sequence[float] = SIGMAS) -> Classical:
    """The Gaussian blur nearest to `original` in PSNR; pictures (B, 3, H, W) in [0, 1] once clean."""
    scale = noisy.shape[-1] / 64

    def blur(sigma: float) -> Tensor:
        taps = 2 * int(4 * sigma * scale + 0.5) + 1
        taps = min(max(taps, 3), 2 * (noisy.shape[-1] - 1) - 1)
        return gaussian_blur2d(noisy, (taps, taps), (sigma * scale, sigma * scale), border_type="reflect")

    return _best(blur, sigmas, original, "Gaussian blur, sigma {:g} px at 64 px")


def best_median(noisy: Tensor, original: Tensor, sizes: Sequence[int] = MEDIANS) -> Classical:
    """The median filter nearest to `original` in PSNR."""
    return _best(lambda size: median_blur(noisy, (int(size), int(size))), sizes, original, "median, {:g} x {:g} px")


def _best(method: Callable[[float], Tensor], settings: Sequence[float], original: Tensor, words: str) -> Classical:
    tried = [(method(s).clamp(0, 1), s) for s in settings]
    scored = [(psnr(image, original), image, s) for image, s in tried]
    best, image, setting = max(scored, key=lambda row: row[0])
    return Classical(image, words.format(setting, setting), best)
