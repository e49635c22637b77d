"""A view of your own, in one file.

duckrabbit check --view examples/kaleidoscope.py:SwapHalves
duckrabbit anagram "a red circle" "a blue square" --view examples/kaleidoscope.py:SwapHalves --model oracle
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from duckrabbit import PixelView


@dataclass(frozen=True)
class SwapHalves(PixelView):
    """The left half on the right; the width has to be even."""

    def __call__(self, x: Tensor) -> Tensor:
        """The halves swapped."""
        return x.roll(x.shape[-1] // 2, -1)

    def inverse(self, x: Tensor) -> Tensor:
        """The same again."""
        return x.roll(-(x.shape[-1] // 2), -1)
