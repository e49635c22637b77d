"""What the figure of denoising compares a network with: filters, and on a flow the velocity that there should be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from duckrabbit.diffusion.levels import add_noise
from duckrabbit.diffusion.streams import Noise
from duckrabbit.evaluation.classical import best_gaussian_blur, best_median
from duckrabbit.evaluation.metrics import psnr, ssim
from duckrabbit.models.model import StageFacts
from duckrabbit.report.sheet import Cell, Row
from duckrabbit.tasks.pictures import to_pixels, to_range
from duckrabbit.tasks.settings import level_words


class Look(NamedTuple):
    """One time of a denoising: its words, and x_t, x0 and the estimate of x0 in one step, (1, C, S, S) in the range."""

    words: str
    x: Tensor
    x0: Tensor
    estimate: Tensor


def noised(facts: StageFacts, picture: Tensor, t: float, seed: int) -> Tensor:
    """A picture (1, C, S, S) in [0, 1], noised to time t, in the model's range: what the job begins with."""
    x0 = to_range(picture, facts.value_range)
    return add_noise(x0, facts.schedule.level(t), Noise((seed,), "stage1")(x0, "start", 0))


def by_filters(facts: StageFacts, picture: Tensor, t: float, seed: int) -> list[Cell]:
    """The picture noised to time t, and what the best blur and the best median make of it, of x_t / alpha."""
    (low, high), noisy = facts.value_range, noised(facts, picture, t, seed)
    bright = (noisy / facts.schedule.level(t).alpha - low) / (high - low)
    found = best_gaussian_blur(bright, picture), best_median(bright, picture)
    return [
        Cell(to_pixels(noisy, facts.value_range)[0].numpy(), f"noisy, {level_words(facts, t)}"),
        *(
            Cell(to_pixels(one.image, (0.0, 1.0))[0].numpy(), f"{one.setting}\n{scores(one.image, picture)}")
            for one in found
        ),
    ]


def velocity_rows(looks: Sequence[Look], value_range: tuple[float, float]) -> list[Row]:
    """x_t, the update t u that the network asks for, the true one x_0 - x_t, and a map of their distance.

    Updates are drawn on one scale for all times, 0 is middle grey; the map is sqrt(mean over RGB of the square),
    dark where it is 0 and light at the largest of all.
    """
    updates = [(look.estimate - look.x, look.x0 - look.x) for look in looks]
    most = max(float(u.abs().max()) for pair in updates for u in pair) or 1.0
    errors = [(said - true).square().mean(1, keepdim=True).sqrt() for said, true in updates]
    worst = max(float(error.max()) for error in errors) or 1.0
    rows = []
    for k, (look, (said, true), error) in enumerate(zip(looks, updates, errors, strict=True)):
        pictures = [
            (to_pixels(look.x, value_range)[0].numpy(), f"x at {look.words}"),
            (to_pixels(said, (-most, most))[0].numpy(), "predicted update"),
            (to_pixels(true, (-most, most))[0].numpy(), "true update"),
            (_heat(error[0, 0] / worst), f"error, mean {float(error.mean()):.3f}, most {float(error.max()):.3f}"),
        ]
        label = "" if k else f"velocity; updates from -{most:.2g} to {most:.2g}, errors to {worst:.2g}"
        rows.append(Row(tuple(Cell(pixels, words) for pixels, words in pictures), label))
    return rows


def scores(image: Tensor, reference: Tensor) -> str:
    """PSNR and SSIM in words, against a picture in [0, 1]."""
    image = image.to(reference)
    if torch.equal(image, reference):
        return "exact"
    return f"{psnr(image, reference).mean():.1f} dB, SSIM {ssim(image, reference).mean():.2f}"


def _heat(share: Tensor) -> np.ndarray:
    """Numbers (H, W) from 0 to 1 as colours, uint8 (H, W, 3)."""
    from matplotlib import colormaps

    drawn: np.ndarray = colormaps["magma"](share.clamp(0, 1).cpu().numpy(), bytes=True)[..., :3]
    return drawn
