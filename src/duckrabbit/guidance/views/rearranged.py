"""Any rearrangement of pixels, from an array or out of a picture."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from duckrabbit.errors import UserError
from duckrabbit.guidance.views.pixels import PixelView

MOST = 1024 * 1024
"""The most cells of an order."""


@dataclass(frozen=True, eq=False)
class Rearranged(PixelView):
    """The cells of a grid in another order: at each place of it, the cell that `order` names there.

    order (rows, columns), whole numbers, each from 0 to rows x columns - 1 once, cells counted in reading order. A
    picture has a multiple of as many pixels, and a cell is a block of them, so that it looks the same at every size.
    Raises UserError for what is no order.
    """

    order: Tensor

    def __post_init__(self) -> None:
        places = self.order.flatten()
        if len(places) > MOST:
            raise UserError(f"An order has at most {MOST:,} cells, not {len(places):,}; shrink it.")
        plain = self.order.dtype not in (torch.bool, torch.float16, torch.bfloat16, torch.float32, torch.float64)
        whole = self.order.ndim == 2 and plain and not self.order.is_complex() and len(places) > 1
        if not whole or not torch.equal(places.long().sort().values, torch.arange(len(places))):
            raise UserError(
                "An order of cells is an array (rows, columns) of whole numbers that has each from 0 to rows x columns "
                f"- 1 once; this one is {tuple(self.order.shape)}, {self.order.dtype}."
            )

    @cached_property
    def _known(self) -> tuple[tuple[int, ...], str]:
        cells = self.order.long().contiguous().numpy()
        return tuple(self.order.shape), hashlib.sha256(cells.tobytes()).hexdigest()

    @cached_property
    def _ways(self) -> tuple[Tensor, Tensor]:
        there = self.order.long().flatten()
        return there, there.argsort()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rearranged) and self._known == other._known

    def __hash__(self) -> int:
        return hash(self._known)

    def __call__(self, x: Tensor) -> Tensor:
        """x in that order. Raises UserError where its size is no multiple of the grid."""
        return self._moved(x, self._ways[0])

    def inverse(self, x: Tensor) -> Tensor:
        """x in the order of before."""
        return self._moved(x, self._ways[1])

    def _moved(self, x: Tensor, order: Tensor) -> Tensor:
        (b, c, h, w), (rows, columns) = x.shape, self.order.shape
        if h % rows or w % columns:
            raise UserError(
                f"A picture of {w} x {h} pixels has no {columns} x {rows} equal cells; choose another size."
            )
        cells = x.view(b, c, rows, h // rows, columns, w // columns).transpose(3, 4).flatten(2, 3)
        moved = cells[:, :, order.to(x.device)].view(b, c, rows, columns, h // rows, w // columns)
        return moved.transpose(3, 4).reshape(x.shape)
