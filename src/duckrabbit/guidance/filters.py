"""Linear filters: the bands of hybrid and factorized images.

A filter's size is told at 64 px and scales with the picture, so that it passes the same frequencies
(in cycles per picture) at every stage. Only the filters are written down; the band that is left
over is the remainder, x - F x, and so the bands of a family always sum to the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from kornia.filters import gaussian_blur2d
from torch import Tensor
from torch.nn.functional import pad

from duckrabbit.errors import UserError
from duckrabbit.registry import table
from duckrabbit.values import number, whole

REFERENCE_SIZE = 64


Filter = Callable[[Tensor], Tensor]
"""A linear map of pictures (B, C, H, W) that does not change their size."""


def _scale(x: Tensor) -> float:
    """How many times as large as the reference a picture is, by its shorter side."""
    return min(x.shape[-2:]) / REFERENCE_SIZE


def taps_at(kernel: int, x: Tensor) -> int:
    """What so many pixels of a 64 px picture are in x (B, C, H, W): an odd number, 3 or more."""
    taps = max(3, int(kernel * _scale(x)))
    return taps + 1 - taps % 2


def moved(x: Tensor, taps: int) -> Tensor:
    """The mean of `taps` pixels of x (B, C, H, W), an odd number, along the diagonal; 0 lies beyond the border."""
    (height, width), total = x.shape[-2:], torch.zeros_like(x)
    padded = pad(x, [taps // 2] * 4)
    for k in range(taps):
        total = total + padded[..., k : k + height, k : k + width]
    return total / taps


def _check_kernel(kernel: int) -> None:
    whole("A blur's kernel", kernel)
    if not 3 <= kernel < 2 * REFERENCE_SIZE or kernel % 2 == 0:
        raise UserError(f"A blur kernel is an odd number of pixels from 3 to 127, not {kernel}.")


@dataclass(frozen=True)
class LowPass:
    """Gaussian blur, reflected at the border: `kernel` taps and `sigma` pixels in a 64 px picture.

    The course's numbers, k = 33 and sigma = 2, are the defaults. At width w both scale with w / 64
    and the kernel is made odd, as in Geng et al. 2024 (133 taps and sigma = 8 at 256 px).
    """

    kernel: int = 33
    sigma: float = 2.0

    def __post_init__(self) -> None:
        _check_kernel(self.kernel)
        number("A blur's sigma", self.sigma, finite=False)
        if not 0 < self.sigma < float("inf"):
            raise UserError(f"A blur's sigma is a positive number of pixels, not {self.sigma}.")

    def __call__(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) blurred; the shorter side is what counts as its size."""
        taps, sigma = taps_at(self.kernel, x), self.sigma * _scale(x)
        return gaussian_blur2d(x, (taps, taps), (sigma, sigma), border_type="reflect")


@dataclass(frozen=True)
class HighPass:
    """What a low pass leaves: x - LowPass(x)."""

    low: LowPass = LowPass()

    def __call__(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) without its low frequencies."""
        return x - self.low(x)


@dataclass(frozen=True)
class InSeries:
    """Filters one after the other, the first one first."""

    filters: tuple[Filter, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) through all of them."""
        for each in self.filters:
            x = each(x)
        return x


@dataclass(frozen=True)
class BandPass:
    """What a fine blur passes and a coarse one after it does not: G_fine x - G_coarse G_fine x."""

    fine: LowPass = LowPass(25, 1.0)
    coarse: LowPass = LowPass(25, 2.0)

    def __call__(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) without its high and its low frequencies."""
        passed = self.fine(x)
        return passed - self.coarse(passed)


@dataclass(frozen=True)
class MotionBlur:
    """The mean of `kernel` pixels along the diagonal from top left to bottom right: K = I_n / n, n taps at 64 px.

    Geng et al. 2024 (Factorized Diffusion, arXiv 2404.11615), section 3.3: n = 7 at 64 px, and at another width w
    n = 7 w / 64, made odd (29 at 256 px). What lies beyond the border counts as 0, as in the authors' code: the
    blur fades out there, and what is left over has what it loses. Raises UserError for a kernel that is not odd.
    """

    kernel: int = 7

    def __post_init__(self) -> None:
        _check_kernel(self.kernel)

    def __call__(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) as if it had moved; the shorter side is what counts as its size."""
        return moved(x, taps_at(self.kernel, x))


@dataclass(frozen=True)
class Remainder:
    """What several filters leave: x - sum_k F_k x, so that they and this one sum to the picture."""

    filters: tuple[Filter, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) without what the filters pass."""
        for passed in [each(x) for each in self.filters]:
            x = x - passed
        return x


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
    "band_pass": BandPass,
    "motion_blur": MotionBlur,
    "grey": Grey,
    "colour": Colour,
}
"""Filters by name; a low pass and its high pass, and grey and colour, sum to the picture."""


table("filter").update(grey=Grey(), colour=Colour())
