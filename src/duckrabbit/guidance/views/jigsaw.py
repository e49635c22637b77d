"""A jigsaw of sixteen pieces with tabs, which can be laid in two ways."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from duckrabbit.errors import UserError
from duckrabbit.guidance.views.pieces import Piece, PieceView, Point, middle, square
from duckrabbit.guidance.views.pixels import SEEDS
from duckrabbit.values import whole

_RING = ((0, 0), (0, 1), (0, 2), (1, 1))
"""Row and column of a piece of each class, in the upper left quarter and above it: corner, edge, its twin, inner."""


@dataclass(frozen=True)
class Jigsaw(PieceView):
    """4 x 4 pieces: corners go to corners, edges to edges, inner ones to inner places, as `seed` draws.

    All tabs point clockwise round the picture, or inwards. So the four pieces of a class are one shape in four turns,
    and an edge piece has the shape of its neighbour on the same side, with which it may change places besides: of
    4!^4 2^4 ways to lay them (Geng et al. 2024, appendix) one is drawn that is not the first. The sides of a picture
    are multiples of 4. The curves of the tabs are finer at a large stage, as is measured by law 4
    (`stage_difference`).
    """

    seed: int = 0
    stage_difference = 0.13

    def __post_init__(self) -> None:
        whole("A view's seed", self.seed, *SEEDS)

    def pieces(self, height: int, width: int) -> tuple[Piece, ...]:
        """Sixteen pieces."""
        side = square(height, width, "A jigsaw")
        if side % 4 or side < 16:
            raise UserError(
                f"A jigsaw is cut of pictures whose side is a multiple of 4, 16 or more, not of {side} pixels."
            )
        orders, swapped = _drawn(self.seed)
        labels, made = cut(side), []
        for kind, places in enumerate(orders):
            for turns, goal in enumerate(places):
                row, column = _turned(*_RING[kind], turns)
                quarters = (turns - goal) % 4  # turns count clockwise, quarters counter-clockwise
                centre = _centre(row, column, side)
                end_kind = 3 - kind if kind in (1, 2) and swapped[goal] else kind
                to = _centre(*_turned(*_RING[end_kind], goal), side)
                made.append(Piece(labels == 4 * row + column, centre, quarters, to))
        return tuple(made)


def cut(side: int) -> Tensor:
    """(side, side): the number of the piece, 4 row + column, that each pixel belongs to."""
    cell = side // 4
    labels = torch.arange(16).view(4, 4).repeat_interleave(cell, 0).repeat_interleave(cell, 1)
    stamp = tab(cell)  # on the upper side of a cell: what of it belongs to the piece above
    # each joint once: the cell that is entered, the side it is entered by (quarters from its upper side), from where
    clockwise = [((0, 1), 1, (0, 0)), ((0, 2), 1, (0, 1)), ((0, 3), 1, (0, 2)), ((1, 2), 1, (1, 1))]
    inwards = [((1, 1), 0, (0, 1)), ((1, 2), 0, (0, 2))]
    for (row, column), quarters, (from_row, from_column) in (*clockwise, *inwards):
        for turns in range(4):
            (r, c), (fr, fc) = _turned(row, column, turns), _turned(from_row, from_column, turns)
            here = torch.rot90(stamp, quarters - turns, (0, 1))
            area = labels[r * cell : (r + 1) * cell, c * cell : (c + 1) * cell]
            area[here] = 4 * fr + fc
    return labels


def tab(cell: int) -> Tensor:
    """(cell, cell), True where a tab comes in through the middle of the upper side: a neck and a round head."""
    y = (torch.arange(cell, dtype=torch.float64)[:, None] + 0.5) / cell
    x = (torch.arange(cell, dtype=torch.float64)[None] + 0.5) / cell - 0.5
    head = (y - 0.15) ** 2 + x**2 < 0.115**2
    neck = (x.abs() < 0.06) & (y < 0.15)
    return head | neck


def _turned(row: int, column: int, turns: int) -> tuple[int, int]:
    """A place of the 4 x 4 after so many quarters clockwise about the middle."""
    for _ in range(turns):
        row, column = column, 3 - row
    return row, column


def _centre(row: int, column: int, side: int) -> Point:
    y, x = middle(side // 4, side // 4)
    return row * (side // 4) + y, column * (side // 4) + x


def _drawn(seed: int) -> tuple[list[list[int]], list[int]]:
    """Where the four turns of each class go, and on which sides the two edge pieces change places.

    Not all of it the identity: it is drawn anew until a piece moves.
    """
    chance = torch.Generator("cpu").manual_seed(seed)
    while True:
        orders = [torch.randperm(4, generator=chance, device="cpu").tolist() for _ in _RING]
        swapped = torch.randint(0, 2, (4,), generator=chance, device="cpu").tolist()
        if any(order != [0, 1, 2, 3] for order in orders) or any(swapped):
            return orders, swapped
