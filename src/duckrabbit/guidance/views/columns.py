"""Views that roll lines of pixels along themselves: columns, and rings of squares."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from duckrabbit.errors import UserError
from duckrabbit.guidance.views.by_order import ByOrder, moved
from duckrabbit.values import number

MOST = 1000.0
"""The largest factor, and the most turns."""


def _bounded(name: str, value: float) -> None:
    if abs(number(name, value)) > MOST:
        raise UserError(f"{name} is from {-MOST:g} to {MOST:g}, not {value:g}.")


class _Rolled(ByOrder):
    """A view whose order can be had for a part of the way too."""

    @abstractmethod
    def rolled(self, height: int, width: int, share: float) -> Tensor:
        """(H W,): the pixel that is at each place, `share` of the way there."""

    def order(self, height: int, width: int) -> Tensor:
        """The whole way."""
        return self.rolled(height, width, 1.0)

    def between(self, x: Tensor, u: float) -> Tensor:
        """The lines on their way."""
        height, width = x.shape[-2:]
        return moved(x, self.rolled(height, width, u))


@dataclass(frozen=True)
class Skew(_Rolled):
    """Column i of w rolled down by int(factor (i - w // 2)) pixels: slanted, and round the edge (Geng et al. 2024).

    A large stage has finer steps (`stage_difference`).
    """

    factor: float = 1.5

    @property
    def stage_difference(self) -> float:
        """Law 4 was seen to be off by 0.37 at -0.7, 0.46 at 1.5 and 0.99 at 9, from 32 to 128 px."""
        return min(1.2, 0.3 + 0.15 * abs(self.factor)) if self.factor else 0.0

    def __post_init__(self) -> None:
        _bounded("A skew's factor", self.factor)

    def rolled(self, height: int, width: int, share: float) -> Tensor:
        """Each column further than the one before."""
        rows, columns = torch.arange(height)[:, None], torch.arange(width)[None]
        down = torch.tensor([int(share * self.factor * (i - width // 2)) for i in range(width)])[None]
        return (((rows - down) % height) * width + columns).flatten()


@dataclass(frozen=True)
class Spiral(_Rolled):
    """Every ring of pixels about the middle of a picture rolled along itself, the inner ones further: a twist.

    The outermost ring stays and the innermost goes `turns` of the way round. A large stage has finer rings
    (`stage_difference`).
    """

    turns: float = 0.5

    @property
    def stage_difference(self) -> float:
        """Law 4 was seen to be off by 1.1 for each turn, from 32 to 128 px."""
        return min(1.3, 1.3 * abs(self.turns))

    def __post_init__(self) -> None:
        _bounded("A spiral's turns", self.turns)

    def rolled(self, height: int, width: int, share: float) -> Tensor:
        """Each ring further than the one around it."""
        order, deepest = torch.arange(height * width), (min(height, width) - 1) // 2
        for k in range(1, deepest + 1):
            ring = _ring(height, width, k)
            order[ring] = ring.roll(round(share * self.turns * k / deepest * len(ring)))
        return order


def _ring(height: int, width: int, k: int) -> Tensor:
    """The pixels of the k-th ring from outside, clockwise from its upper left corner; of a line, each once."""
    places = torch.arange(height * width).view(height, width)[k : height - k, k : width - k]
    if 1 in places.shape:
        return places.flatten()
    return torch.cat([places[0], places[1:, -1], places[-1, :-1].flip(0), places[1:-1, 0].flip(0)])
