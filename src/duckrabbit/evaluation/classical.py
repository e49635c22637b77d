"""Classical denoisers: what a network has to beat.

Each is given the noisy picture divided by alpha, so that its brightness is that of the picture, and
the best setting is found with the original in hand: the comparison favours the classics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kornia.filters import gaussian_blur2d, median_blur
from torch import Tensor

from duckrabbit.evaluation.metrics import psnr

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


def blurred(pictures: Tensor, sigma: float) -> Tensor:
    """Pictures (N, C, H, W) through a Gaussian of `sigma` pixels, cut off after 4 of them."""
    taps = min(2 * max(1, round(4 * sigma)) + 1, 2 * (min(pictures.shape[-2:]) - 1) - 1)
    return gaussian_blur2d(pictures, (taps, taps), (sigma, sigma))


def best_gaussian_blur(noisy: Tensor, original: Tensor, sigmas: Sequence[float] = SIGMAS) -> Classical:
    """The Gaussian blur nearest to `original` in PSNR; pictures (B, 3, H, W) in [0, 1] once clean."""
    scale = min(noisy.shape[-2:]) / 64
    return _best(lambda sigma: blurred(noisy, sigma * scale), sigmas, original, "Gaussian blur, sigma {:g} px at 64 px")


def best_median(noisy: Tensor, original: Tensor, sizes: Sequence[int] = MEDIANS) -> Classical:
    """The median filter nearest to `original` in PSNR."""
    return _best(lambda size: median_blur(noisy, (int(size), int(size))), sizes, original, "median, {:g} x {:g} px")


def _best(method: Callable[[float], Tensor], settings: Sequence[float], original: Tensor, words: str) -> Classical:
    tried = [(method(s).clamp(0, 1), s) for s in settings]
    scored = [(float(psnr(image, original).mean()), image, s) for image, s in tried]
    best, image, setting = max(scored, key=lambda row: row[0])
    return Classical(image, words.format(setting, setting), best)
