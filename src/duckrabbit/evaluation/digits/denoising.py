"""How well a denoiser does, against the Gaussian blur that does best, at every noise level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from kornia.filters import gaussian_blur2d
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from duckrabbit.evaluation.scores import Score, mean_score

SIGMAS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)
"""The noise levels of the course's test; the network is trained at 0.5 alone."""

BLURS = (0.3, 0.5, 0.7, 0.9, 1.1, 1.4, 1.8)
"""Standard deviations, in pixels, among which the best blur is chosen for each noise level."""


class Row(NamedTuple):
    """Scores at one noise level; `blur` is the best blur's standard deviation in pixels."""

    sigma: float
    psnr: Score
    ssim: Score
    blur: float
    blur_psnr: Score
    blur_ssim: Score


def compare(
    denoise: Callable[[Tensor], Tensor], clean: Tensor, sigmas: Sequence[float] = SIGMAS, seed: int = 0
) -> list[Row]:
    """A row for each noise level, z = x + sigma eps, over clean pictures (N, 1, H, W) from 0 to 1.

    The noise is the same for both, and at every level. The blur is given the choice that is best
    on these very pictures, which favours it.
    """
    eps = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    rows = []
    for sigma in sigmas:
        noisy = clean + sigma * eps
        own = torch.cat([denoise(part) for part in noisy.split(250)]).clamp(0, 1)
        candidates = [(b, blurred(noisy, b)) for b in BLURS]
        best, blur = max(candidates, key=lambda c: float(psnr(c[1], clean).mean()))
        scores = [mean_score(m(x, clean)) for x in (own, blur) for m in (psnr, ssim)]
        rows.append(Row(sigma, scores[0], scores[1], best, scores[2], scores[3]))
    return rows


def blurred(pictures: Tensor, sigma: float) -> Tensor:
    """Pictures (N, 1, H, W) through a Gaussian of `sigma` pixels, clipped to [0, 1]."""
    size = 2 * max(1, round(3 * sigma)) + 1
    return gaussian_blur2d(pictures, (size, size), (sigma, sigma)).clamp(0, 1)


def psnr(found: Tensor, clean: Tensor) -> Tensor:
    """10 log10(1 / MSE) in dB of each picture (N,), values from 0 to 1; 100 where they are equal."""
    return -10 * (found - clean).square().flatten(1).mean(1).clamp(min=1e-10).log10()


def ssim(found: Tensor, clean: Tensor) -> Tensor:
    """Structural similarity of each picture (N,) (Wang et al. 2004), with its Gaussian window."""
    values = structural_similarity_index_measure(found, clean, data_range=1.0, reduction="none")
    return values if isinstance(values, Tensor) else values[0]
