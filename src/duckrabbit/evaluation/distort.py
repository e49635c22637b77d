"""Pictures as another hand might have drawn them: what judges learn from."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from duckrabbit.training.objectives import Draws


def distort(images: Tensor, draws: Draws, turn: float = 12, scale: float = 0.12, shift: float = 2) -> Tensor:
    """Images (N, C, H, W) turned by up to `turn` degrees, scaled by up to the share `scale`, shifted by up to
    `shift` pixels, each at random; what moves in is 0.
    """
    turned, scaled, right, down = ((draws.uniform(images) * 2 - 1) for _ in range(4))
    angle, size = turned * math.radians(turn), 1 + scale * scaled
    shift = 2 * shift / images.shape[-1]
    cos, sin = angle.cos() / size, angle.sin() / size
    theta = torch.stack([cos, -sin, right * shift, sin, cos, down * shift], 1).view(-1, 2, 3)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    return grid_sample(images, grid, align_corners=False)
