"""Views that are pieces of the picture, each moved and turned as a whole: what can be cut out of paper.

A piece is a set of pixels, turned by quarters about its pivot and carried to another place. The pieces of a view
fill each other's places exactly, so that it is a permutation of pixels; what belongs to no piece stays where it is.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from duckrabbit.errors import UserError
from duckrabbit.guidance.views.between import WHITE
from duckrabbit.guidance.views.by_order import ByOrder

Point = tuple[float, float]
"""(y, x) in pixels, of a pixel's centre: the corner pixel's is (0, 0), so the middle of h x w is ((h - 1) / 2, ...)."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Some pixels of a picture, turned by `quarters` x 90 degrees counter-clockwise about `pivot`, which goes to `to`.

    mask (H, W), True where the piece is. Turned and carried it has to lie on pixels.
    """

    mask: Tensor
    pivot: Point
    quarters: int = 0
    to: Point | None = None

    @property
    def end(self) -> Point:
        """Where the pivot ends."""
        return self.pivot if self.to is None else self.to

    @property
    def turn(self) -> float:
        """Degrees counter-clockwise, the shorter way round."""
        return 90.0 * ((self.quarters + 1) % 4 - 1)


class PieceView(ByOrder):
    """A view made of pieces. A subclass is a frozen dataclass, and cuts a picture of a size into `pieces`."""

    @abstractmethod
    def pieces(self, height: int, width: int) -> tuple[Piece, ...]:
        """The pieces that move. Raises UserError for a size that cannot be cut so."""

    def order(self, height: int, width: int) -> Tensor:
        """Where the pieces' pixels come from; the others stay."""
        order = torch.arange(height * width).view(height, width)
        for piece in _kept(self, height, width):
            y, x = piece.mask.nonzero(as_tuple=True)
            dy, dx = y - piece.pivot[0], x - piece.pivot[1]
            for _ in range(piece.quarters % 4):
                dy, dx = -dx, dy
            rows, columns = (dy + piece.end[0]).round().long(), (dx + piece.end[1]).round().long()
            order[rows, columns] = y * width + x
        return order.flatten()

    def between(self, x: Tensor, u: float) -> Tensor:
        """The pieces on their way, on what stays."""
        height, width = x.shape[-2:]
        pieces = _kept(self, height, width)
        taken = torch.stack([piece.mask for piece in pieces]).any(0).to(x.device)
        canvas = torch.where(taken, torch.full_like(x, WHITE), x)
        for piece in pieces:
            seen, cover = _carried(x, piece, u)
            canvas = canvas * (1 - cover) + seen
        return canvas


@lru_cache(maxsize=64)
def _kept(view: PieceView, height: int, width: int) -> tuple[Piece, ...]:
    return view.pieces(height, width)


def _carried(x: Tensor, piece: Piece, u: float) -> tuple[Tensor, Tensor]:
    """A piece a part of its way, on nothing: its colours times its cover, and its cover (1, 1, H, W)."""
    height, width = x.shape[-2:]
    (y0, x0), (y1, x1) = piece.pivot, piece.end
    y, x_ = y0 + u * (y1 - y0), x0 + u * (x1 - x0)
    a = math.radians(piece.turn * u)
    cos, sin = math.cos(a), math.sin(a)
    # from the place of a pixel to where it comes from, first in pixels about the pivots, then from -1 to 1
    to_unit = torch.tensor([[2 / width, 0, (1 - width) / width], [0, 2 / height, (1 - height) / height], [0, 0, 1]])
    back = torch.tensor(
        [[cos, -sin, x0 - cos * x_ + sin * y], [sin, cos, y0 - sin * x_ - cos * y], [0, 0, 1]], dtype=torch.float32
    )
    theta = (to_unit @ back @ torch.linalg.inv(to_unit))[:2]
    places = affine_grid(theta[None].to(x).expand(len(x), 2, 3), list(x.shape), align_corners=False)
    cover = piece.mask.to(x)[None, None].expand(len(x), 1, -1, -1)
    both = torch.cat([x * cover, cover], dim=1)
    seen = grid_sample(both, places, mode="bilinear", padding_mode="zeros", align_corners=False)
    return seen[:, :-1], seen[:, -1:]


def square(height: int, width: int, what: str) -> int:
    """The side of a square picture. Raises UserError for one that is none."""
    if height != width:
        raise UserError(f"{what} needs a square picture, not one of {width} x {height} pixels.")
    return height


def distances(height: int, width: int) -> Tensor:
    """(H, W): how far each pixel's centre is from the middle, in pixels."""
    y = torch.arange(height, dtype=torch.float64)[:, None] - (height - 1) / 2
    x = torch.arange(width, dtype=torch.float64)[None] - (width - 1) / 2
    return (y**2 + x**2).sqrt()


def middle(height: int, width: int) -> Point:
    """The point about which a picture turns."""
    return (height - 1) / 2, (width - 1) / 2


def box(height: int, width: int, top: int, left: int, high: int, wide: int) -> tuple[Tensor, Point]:
    """The mask (H, W) of a rectangle, and its middle."""
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[top : top + high, left : left + wide] = True
    return mask, (top + (high - 1) / 2, left + (wide - 1) / 2)
