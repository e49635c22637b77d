"""How well a denoiser does, against the Gaussian blur that does best, at every noise level."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from duckrabbit.evaluation.classical import blurred
from duckrabbit.evaluation.metrics import mean_score, psnr, ssim
from duckrabbit.evaluation.scorecard import Line, Scorecard

SIGMAS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)
"""The noise levels of the course's test; the network is trained at 0.5 alone."""

BLURS = (0.3, 0.5, 0.7, 0.9, 1.1, 1.4, 1.8)
"""Standard deviations, in pixels, among which the best blur is chosen for each noise level."""


def compare(
    denoise: Callable[[Tensor], Tensor], clean: Tensor, sigmas: Sequence[float] = SIGMAS, seed: int = 0
) -> Scorecard:
    """A line for each noise level, z = x + sigma eps, over clean pictures (N, C, H, W) from 0 to 1.

    The noise is the same for both, and at every level. The blur is given the choice that is best
    on these very pictures, which favours it; "best blur / px" is its standard deviation.
    """
    eps = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    lines = []
    for sigma in sigmas:
        noisy = clean + sigma * eps
        own = torch.cat([denoise(part) for part in noisy.split(250)]).clamp(0, 1)
        blurs = {b: blurred(noisy, b).clamp(0, 1) for b in BLURS}
        best = max(blurs, key=lambda b: float(psnr(blurs[b], clean).mean()))
        scores = {
            f"{whose}{name}": mean_score(metric(found, clean))
            for whose, found in (("", own), ("blur's ", blurs[best]))
            for name, metric in (("PSNR / dB", psnr), ("SSIM", ssim))
        }
        lines.append(Line({"sigma": sigma, "best blur / px": best}, scores))
    return Scorecard(tuple(lines))
