"""Linear filters: the bands of hybrid and factorized images.

A filter's size is told at 64 px and scales with the picture, so that it passes the same frequencies
(in cycles per picture) at every stage. Only the filters are written down; the band that is left
over is the remainder, x - F x, and so the bands of a family always sum to the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kornia.filters import gaussian_blur2d
from torch import Tensor

from duckrabbit.errors import UserError
from duckrabbit.registry import table
from duckrabbit.values import number, whole

REFERENCE_SIZE = 64


Filter = Callable[[Tensor], Tensor]
"""A linear map of pictures (B, C, H, W) that does not change their size."""


@dataclass(frozen=True)
class LowPass:
    """Gaussian blur, reflected at the border: `kernel` taps and `sigma` pixels in a 64 px picture.

    The course's numbers, k = 33 and sigma = 2, are the defaults. At width w both scale with w / 64
    and the kernel is made odd, as in Geng et al. 2024 (133 taps and sigma = 8 at 256 px).
    """

    kernel: int = 33
    sigma: float = 2.0

    def __post_init__(self) -> None:
        whole("A blur's kernel", self.kernel)
        number("A blur's sigma", self.sigma, finite=False)
        if not 3 <= self.kernel < 2 * REFERENCE_SIZE or self.kernel % 2 == 0:
            raise UserError(f"A blur kernel is an odd number of pixels from 3 to 127, not {self.kernel}.")
        if not 0 < self.sigma < float("inf"):
            raise UserError(f"A blur's sigma is a positive number of pixels, not {self.sigma}.")

    def __call__(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) blurred; the shorter side is what counts as its size."""
        scale = min(x.shape[-2:]) / REFERENCE_SIZE
        taps = max(3, int(self.kernel * scale))
        taps += 1 - taps % 2
        sigma = self.sigma * scale
        return gaussian_blur2d(x, (taps, taps), (sigma, sigma), border_type="reflect")


@dataclass(frozen=True)
class HighPass:
    """What a low pass leaves: x - LowPass(x)."""

    low: LowPass = LowPass()

    def __call__(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) without its low frequencies."""
        return x - self.low(x)


@dataclass(frozen=True)
class Grey:
    """The mean of the channels in every channel; what is left over is the colour."""

    def __call__(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) without its colour."""
        return x.mean(1, keepdim=True).expand_as(x)


@dataclass(frozen=True)
class Colour:
    """What grey leaves: every channel minus the mean of the channels."""

    def __call__(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) without its brightness."""
        return x - x.mean(1, keepdim=True)


FILTERS: dict[str, Callable[..., Callable[[Tensor], Tensor]]] = {
    "low_pass": LowPass,
    "high_pass": HighPass,
    "grey": Grey,
    "colour": Colour,
}
"""Filters by name; a low pass and its high pass, and grey and colour, sum to the picture."""


table("filter").update(grey=Grey(), colour=Colour())
