"""Views that put every pixel in another place, by an order of pixels for each size of picture."""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache

from torch import Tensor

from duckrabbit.guidance.views.pixels import PixelView


class ByOrder(PixelView):
    """A view by a permutation of pixels. A subclass is a frozen dataclass, and gives the `order` for a size."""

    @abstractmethod
    def order(self, height: int, width: int) -> Tensor:
        """(H W,): the pixel that ends at each place, in reading order. Raises UserError for a size that has none."""

    def __call__(self, x: Tensor) -> Tensor:
        """x with every pixel in its place."""
        return moved(x, _ways(self, *x.shape[-2:])[0])

    def inverse(self, x: Tensor) -> Tensor:
        """x with every pixel back."""
        return moved(x, _ways(self, *x.shape[-2:])[1])


def moved(x: Tensor, order: Tensor) -> Tensor:
    """x (B, C, H, W) in an order (H W,) of its pixels."""
    return x.flatten(-2)[..., order.to(x.device)].view(x.shape)


@lru_cache(maxsize=64)
def _ways(view: ByOrder, height: int, width: int) -> tuple[Tensor, Tensor]:
    """There and back."""
    order = view.order(height, width)
    return order, order.argsort()
