"""Drawings as another hand, a model or a small stage I might have made them: what the judge of drawings learns from."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from duckrabbit.evaluation.distort import distort
from duckrabbit.evaluation.drawings.judge import SIZE, resized
from duckrabbit.training.objectives import Draws


def whole(images: Tensor, draws: Draws) -> Tensor:
    """Drawings (N, 3, H, W), uint8, as pictures from 0 to 1."""
    return resized(images.float() / 255, SIZE)


def shrunk(images: Tensor, draws: Draws) -> Tensor:
    """The same by way of half the size, as what comes out of a small stage I looks."""
    return resized(resized(images.float() / 255, SIZE // 2), SIZE)


def distorted(images: Tensor, draws: Draws) -> Tensor:
    """The same distorted, colours nearly true: what a model paints has no exact inks and no clean planes."""
    return distort_drawings(images.float() / 255, draws, len(images))


def distort_drawings(images: Tensor, draws: Draws, whole: int) -> Tensor:
    """Pictures (N, 3, H, W), 0 to 1, distorted at random; in the first `whole` colours stay nearly true.

    Turned by up to 14 degrees, scaled by up to 20 %, shifted by up to 5 pixels, mirrored half the time; shrunk to
    half or less and enlarged again six times in ten; with noise of up to 0.06 half the time.
    """
    strength = torch.ones(len(images))
    strength[:whole] = 0.04
    dark = distort(1 - images, draws, turn=14, scale=0.2, shift=5)  # what moves in is white
    pictures = recolour(1 - dark, strength, draws)
    mirrored = draws.uniform(images) < 0.5
    pictures[mirrored] = pictures[mirrored].flip(-1)
    size, factor = images.shape[-2:], draws.uniform(images)
    for low, high, small in ((0.0, 0.25, 0.375), (0.25, 0.6, 0.5)):
        rows = (low <= factor) & (factor < high)
        shrunk = interpolate(pictures[rows], scale_factor=small, mode="area")
        pictures[rows] = interpolate(shrunk, size, mode="bicubic", align_corners=False)
    noise = 0.06 * (draws.uniform(images) - 0.5).clamp(min=0) * 2
    return (pictures + noise.view(-1, 1, 1, 1) * draws.normal(images)).clamp(0, 1)


def recolour(images: Tensor, strength: Tensor, draws: Draws) -> Tensor:
    """Pictures (N, 3, H, W) with hue, saturation and contrast changed, by `strength` (N,) from 0 to 1; white stays.

    Colours turn about the grey axis by up to 180 degrees, and are stretched away from it or drawn to it; then all
    values are stretched away from white.
    """
    turn, stretch, contrast, grey = (draws.uniform(images) * 2 - 1 for _ in range(4))
    angle = strength * turn * math.pi
    saturation = 1 + 0.5 * strength * stretch
    saturation[grey < -1 + 0.6 * (strength > 0.5)] = 0.0
    axis = torch.ones(3, 3) / 3
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / 3**0.5
    cos, sin = ((f(angle) * saturation).view(-1, 1, 1) for f in (torch.cos, torch.sin))
    matrix = axis + cos * (torch.eye(3) - axis) + sin * cross  # Rodrigues' rotation about (1, 1, 1)
    dark = torch.einsum("nij,njhw->nihw", matrix, 1 - images) * (1 + 0.25 * strength.sqrt() * contrast).view(
        -1, 1, 1, 1
    )
    return (1 - dark).clamp(0, 1)
