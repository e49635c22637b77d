"""Views whose pieces are turned in place, or change places: discs, rings, hinged squares, tiles, halves."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from duckrabbit.errors import UserError
from duckrabbit.guidance.views.pieces import Piece, PieceView, box, distances, middle, square
from duckrabbit.guidance.views.pixels import SEEDS
from duckrabbit.values import whole


@dataclass(frozen=True)
class InnerCircle(PieceView):
    """The disc of 3/8 of the shorter side as its radius, turned upside down; the rest stays (Geng et al. 2024).

    The rim of the disc is finer at a large stage, as is measured by law 4 (`stage_difference`).
    """

    stage_difference = 0.12

    def pieces(self, height: int, width: int) -> tuple[Piece, ...]:
        """One disc."""
        disc = distances(height, width) < 3 / 8 * min(height, width)
        return (Piece(disc, middle(height, width), 2),)


@dataclass(frozen=True)
class Rings(PieceView):
    """A disc in the shorter side, cut into `count` rings of equal width; every second one, from outside, is turned.

    Each by 180 degrees; the outermost ring stays, and so do the corners. Raises UserError for fewer than two rings.
    """

    count: int = 4

    @property
    def stage_difference(self) -> float:
        """As is measured by law 4: more rims differ more."""
        return min(0.045 * self.count, 0.35)

    def __post_init__(self) -> None:
        whole("The number of rings", self.count, 2, 64)

    def pieces(self, height: int, width: int) -> tuple[Piece, ...]:
        """Every second ring."""
        far, thick = distances(height, width), min(height, width) / 2 / self.count
        ends = [(k * thick, (k + 1) * thick) for k in range(self.count - 2, -1, -2)]
        return tuple(Piece((far >= near) & (far < end), middle(height, width), 2) for near, end in ends)


@dataclass(frozen=True)
class Hinge(PieceView):
    """3 x 3 squares, joined at their corners, each turned a quarter, neighbours in opposite senses (Geng et al. 2024).

    The squares have a third of the side, rounded down; what is left at the right and at the bottom stays. A small and
    a large stage round differently, by up to a pixel of the small one (`stage_difference`, by law 4, is that of 32 px;
    it is 0.42 from 64 to 256 px, and nothing where 3 divides both).
    """

    stage_difference = 1.3

    def pieces(self, height: int, width: int) -> tuple[Piece, ...]:
        """Nine squares; the middle and the corners turn clockwise."""
        side = square(height, width, "A square hinge") // 3
        made = []
        for row in range(3):
            for column in range(3):
                mask, centre = box(height, width, row * side, column * side, side, side)
                made.append(Piece(mask, centre, 3 if (row + column) % 2 == 0 else 1))
        return tuple(made)


@dataclass(frozen=True)
class TurnedTiles(PieceView):
    """The picture cut in grid x grid square tiles, each turned by its own quarters in place, drawn by `seed`.

    No tile stays as it is. Raises UserError for a grid that does not fit.
    """

    grid: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        whole("A view's seed", self.seed, *SEEDS)
        whole("A view's grid", self.grid, 2)

    def pieces(self, height: int, width: int) -> tuple[Piece, ...]:
        """Every tile."""
        n = self.grid
        side, rest = divmod(square(height, width, "A picture whose tiles turn"), n)
        if rest:
            raise UserError(f"A picture of {width} pixels cannot be cut in {n} x {n} equal tiles; choose another grid.")
        chance = torch.Generator("cpu").manual_seed(self.seed)
        quarters = torch.randint(1, 4, (n * n,), generator=chance, device="cpu").tolist()
        tiles = [box(height, width, r * side, c * side, side, side) for r in range(n) for c in range(n)]
        return tuple(Piece(mask, centre, q) for (mask, centre), q in zip(tiles, quarters, strict=True))


@dataclass(frozen=True)
class Halves(PieceView):
    """The two halves change places: `dim` -1 the left and the right one, -2 the upper and the lower one.

    Raises UserError for an odd number of pixels.
    """

    dim: int = -1

    def pieces(self, height: int, width: int) -> tuple[Piece, ...]:
        """Both halves."""
        side = width if self.dim == -1 else height
        if side % 2:
            raise UserError(f"A side of {side} pixels has no halves; choose an even size.")
        down, right = (0, width // 2) if self.dim == -1 else (height // 2, 0)
        high, wide = height - down, width - right
        first, from_ = box(height, width, 0, 0, high, wide)
        second, to = box(height, width, down, right, high, wide)
        return Piece(first, from_, 0, to), Piece(second, to, 0, from_)
