"""The way between a picture and its view, for films: turning, folding, sliding.

Pictures here are (B, 3, H, W) in [-1, 1], and what a moving picture uncovers is white. A view draws
its own way with a method `between(x, u)`, u from 0 (the picture) to 1 (the view); one without it is
faded over.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from duckrabbit.diffusion.prediction import View

WHITE = 1.0


def between(view: View, x: Tensor, u: float) -> Tensor:
    """`x` on its way to `view(x)`: exactly the one at u <= 0, exactly the other at u >= 1."""
    if u <= 0 or u >= 1:
        return x if u <= 0 else view(x)
    own = getattr(view, "between", None)
    return own(x, u) if callable(own) else faded(x, view(x), u)


def faded(x: Tensor, y: Tensor, u: float) -> Tensor:
    """One picture fading into the other."""
    return (1 - u) * x + u * y


def turned(x: Tensor, degrees: float) -> Tensor:
    """`x` turned counter-clockwise, made smaller just so far that its corners stay in the frame."""
    a = math.radians(degrees)
    grow = abs(math.cos(a)) + abs(math.sin(a))
    cos, sin = grow * math.cos(a), grow * math.sin(a)
    return _sampled(x, [[cos, -sin, 0.0], [sin, cos, 0.0]])


def folded(x: Tensor, dim: int, u: float) -> Tensor:
    """`x` turned over about its middle line like a card, its back the mirrored picture; dim is -2 or -1."""
    wide = math.cos(math.pi * u)
    side = x if wide > 0 else x.flip(dim)
    size = max(1, round(abs(wide) * x.shape[dim]))
    shape = (size, x.shape[-1]) if dim == -2 else (x.shape[-2], size)
    return _centred(interpolate(side, shape, mode="area"), x)


def slid(x: Tensor, grid: tuple[int, int], order: Tensor, u: float) -> Tensor:
    """The tiles of `x`, (rows, columns) of them, on their way; `order[k]` is the tile that ends at place k."""
    height, width = x.shape[-2] // grid[0], x.shape[-1] // grid[1]
    canvas = torch.full_like(x, WHITE)
    for place, tile in enumerate(order.tolist()):
        (r0, c0), (r1, c1) = divmod(tile, grid[1]), divmod(place, grid[1])
        top, left = (round(((1 - u) * a + u * b) * side) for a, b, side in ((r0, r1, height), (c0, c1, width)))
        piece = x[..., r0 * height : (r0 + 1) * height, c0 * width : (c0 + 1) * width]
        canvas[..., top : top + height, left : left + width] = piece
    return canvas


def walked_away(x: Tensor, u: float, far: float = 0.125) -> Tensor:
    """`x` seen from further off: at u = 1 it is `far` as large, on white."""
    size = [max(1, round(side * far**u)) for side in x.shape[-2:]]
    return x if size == list(x.shape[-2:]) else _centred(interpolate(x, size, mode="area"), x)


def _sampled(x: Tensor, matrix: list[list[float]]) -> Tensor:
    theta = torch.tensor([matrix], dtype=x.dtype, device=x.device).expand(len(x), 2, 3)
    places = affine_grid(theta, list(x.shape), align_corners=False)
    return grid_sample(x - WHITE, places, mode="bilinear", padding_mode="zeros", align_corners=False) + WHITE


def _centred(small: Tensor, like: Tensor) -> Tensor:
    canvas = torch.full_like(like, WHITE)
    (h, w), (top, left) = small.shape[-2:], ((a - b) // 2 for a, b in zip(like.shape[-2:], small.shape[-2:]))
    canvas[..., top : top + h, left : left + w] = small
    return canvas
