"""The views that move whole pixels or change their sign, and views one after the other.

A view is a linear map that keeps lengths and angles, so that white noise stays white noise (Geng et
al. 2024, arXiv 2311.17919, section 3.3). It works at any size and looks the same at every size, so that all
stages of a cascade agree. It may also draw the way to itself, for films: `between(x, u)`, u in (0, 1), x in
[-1, 1]; without it, it is faded over.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from duckrabbit.diffusion.prediction import View
from duckrabbit.errors import UserError
from duckrabbit.guidance.views.between import between, folded, slid, turned
from duckrabbit.values import whole

SEEDS = (-(2**63), 2**64 - 1)
"""The least and the largest seed of a torch generator."""


class PixelView(ABC):
    """A view that moves pixels about: their variance moves with them."""

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """V x, for x of shape (B, C, H, W)."""

    @abstractmethod
    def inverse(self, x: Tensor) -> Tensor:
        """V^-1 x."""

    def inverse_var_interp(self, var_interp: Tensor) -> Tensor:
        """The variance of a pixel moves with it."""
        return self.inverse(var_interp)


@dataclass(frozen=True)
class Identity(PixelView):
    """The picture as it is."""

    def __call__(self, x: Tensor) -> Tensor:
        """x."""
        return x

    def inverse(self, x: Tensor) -> Tensor:
        """x."""
        return x


@dataclass(frozen=True)
class Flip(PixelView):
    """Mirrored: `dim` -2 turns the picture upside down, -1 swaps left and right."""

    dim: int = -2

    def __call__(self, x: Tensor) -> Tensor:
        """x mirrored."""
        return x.flip(self.dim)

    def inverse(self, x: Tensor) -> Tensor:
        """The same again."""
        return x.flip(self.dim)

    def between(self, x: Tensor, u: float) -> Tensor:
        """Turned over like a card."""
        return folded(x, self.dim, u)


@dataclass(frozen=True)
class Rotate(PixelView):
    """Turned by `quarters` x 90 degrees, counter-clockwise; square pictures for odd `quarters`."""

    quarters: int = 1

    def __call__(self, x: Tensor) -> Tensor:
        """x turned."""
        return torch.rot90(x, self.quarters, (-2, -1))

    def inverse(self, x: Tensor) -> Tensor:
        """x turned back."""
        return torch.rot90(x, -self.quarters, (-2, -1))

    def between(self, x: Tensor, u: float) -> Tensor:
        """Turned by a part of the angle, the shorter way round."""
        return turned(x, 90 * u * ((self.quarters + 1) % 4 - 1))


@dataclass(frozen=True)
class Negate:
    """Light for dark, -x; for models whose value range is symmetric about 0."""

    needs_symmetric_range = True

    def __call__(self, x: Tensor) -> Tensor:
        """-x."""
        return -x

    def inverse(self, x: Tensor) -> Tensor:
        """-x."""
        return -x

    def inverse_var_interp(self, var_interp: Tensor) -> Tensor:
        """A variance has no sign."""
        return var_interp


@dataclass(frozen=True)
class Permute(PixelView):
    """The picture cut in tiles, shuffled by `seed`; tiles keep their orientation.

    `grid`: so many rows and so many columns of them, or (rows, columns). Raises UserError for fewer than two tiles.
    """

    grid: int | tuple[int, int] = 8
    seed: int = 0

    def __post_init__(self) -> None:
        whole("A view's seed", self.seed, *SEEDS)
        rows, columns = (whole("A view's grid", side, 1) for side in self._sides)
        if rows * columns < 2 or self.grid == 1:
            raise UserError(f"A grid of {self.grid} has nothing to shuffle; choose 2 or more.")

    @property
    def _sides(self) -> tuple[int, int]:
        return self.grid if isinstance(self.grid, tuple) else (self.grid, self.grid)

    def __call__(self, x: Tensor) -> Tensor:
        """x shuffled; its height must be a multiple of the rows of `grid`, its width of the columns."""
        return self._move(x, _shuffle(self._sides, self.seed)[0])

    def inverse(self, x: Tensor) -> Tensor:
        """x put together again."""
        return self._move(x, _shuffle(self._sides, self.seed)[1])

    def between(self, x: Tensor, u: float) -> Tensor:
        """The tiles on their way."""
        return slid(x, self._sides, _shuffle(self._sides, self.seed)[0], u)

    def _move(self, x: Tensor, order: Tensor) -> Tensor:
        b, c, h, w = x.shape
        m, n = self._sides
        if h % m or w % n:
            raise UserError(
                f"A picture of {w} x {h} pixels cannot be cut in {n} x {m} equal tiles; choose another grid."
            )
        tiles = x.view(b, c, m, h // m, n, w // n).transpose(3, 4).reshape(b, c, m * n, h // m, w // n)
        tiles = tiles[:, :, order.to(x.device)]
        return tiles.view(b, c, m, n, h // m, w // n).transpose(3, 4).reshape(b, c, h, w)


@lru_cache(maxsize=64)
def _shuffle(grid: tuple[int, int], seed: int) -> tuple[Tensor, Tensor]:
    order = torch.randperm(grid[0] * grid[1], generator=torch.Generator("cpu").manual_seed(seed), device="cpu")
    return order, order.argsort()


@dataclass(frozen=True)
class Compose:
    """Several views, one after the other: "rotate_90+negate"."""

    views: tuple[View, ...]

    @property
    def needs_symmetric_range(self) -> bool:
        """Whether any of them does."""
        return any(needs_symmetric_range(v) for v in self.views)

    @property
    def stage_difference(self) -> float:
        """At most what those of its views add up to."""
        return sum(float(getattr(view, "stage_difference", 0.0)) for view in self.views)

    def __call__(self, x: Tensor) -> Tensor:
        """The first view first."""
        for view in self.views:
            x = view(x)
        return x

    def inverse(self, x: Tensor) -> Tensor:
        """The last view's inverse first."""
        for view in reversed(self.views):
            x = view.inverse(x)
        return x

    def inverse_var_interp(self, var_interp: Tensor) -> Tensor:
        """Each view's own rule, the last first."""
        for view in reversed(self.views):
            var_interp = view.inverse_var_interp(var_interp)
        return var_interp

    def between(self, x: Tensor, u: float) -> Tensor:
        """One view after the other."""
        k = min(int(u * len(self.views)), len(self.views) - 1)
        for view in self.views[:k]:
            x = view(x)
        return between(self.views[k], x, u * len(self.views) - k)


def needs_symmetric_range(view: View) -> bool:
    """Whether a view makes sense only where values are symmetric about 0 (negation)."""
    return bool(getattr(view, "needs_symmetric_range", False))
