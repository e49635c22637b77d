"""Constraints: what is known of the result, put back after every move.

A constraint is called with x (B, C, H, W), its level, the noise source and the index of the move,
and returns the corrected x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel, add_noise
from duckrabbit.diffusion.solvers import NoiseSource
from duckrabbit.errors import UserError


@dataclass(frozen=True, eq=False)
class KnownPixels:
    """Keep `image` where `mask` is 0; the mask is 1 where the picture is new (white = repaint).

    image (1 or B, C, H, W) in the model's range; mask (1 or B, 1, H, W) in [0, 1].

    how = "renoised": x <- mask x + (1 - mask) (alpha image + sigma eps), noised to the level of x
    (Lugmayr et al. 2022, eq. 8; CS180 5A, A.5). "clean": the known pixels stay free of noise at
    every level, which is what DeepFloyd IF and its diffusers pipeline do; kept for comparison.
    """

    image: Tensor
    mask: Tensor
    how: Literal["renoised", "clean"] = "renoised"

    def __post_init__(self) -> None:
        (h, w), (mask_h, mask_w) = self.image.shape[-2:], self.mask.shape[-2:]
        if (h, w) != (mask_h, mask_w):
            raise UserError(f"A mask of {mask_w} x {mask_h} pixels does not fit a picture of {w} x {h}; resize it.")
        if not ((self.mask >= 0) & (self.mask <= 1)).all():
            raise UserError("A mask lies in [0, 1]: 1 where the picture is new, 0 where it is kept.")
        if self.how not in ("renoised", "clean"):
            raise UserError(f"Known pixels are renoised or clean, not '{self.how}'.")

    def __call__(self, x: Tensor, at: NoiseLevel, noise: NoiseSource, i: int) -> Tensor:
        """x with the known pixels put back."""
        known = self.image.to(x).expand_as(x)
        if self.how == "renoised" and at.sigma > 0:
            known = add_noise(known, at, noise(x, "known", i))
        mask = self.mask.to(x)
        return mask * x + (1 - mask) * known


@dataclass(frozen=True, eq=False)
class KnownBand:
    """Keep what `band`, a linear filter, sees of `image`: x <- x - F x + F (alpha image + sigma eps).

    Geng et al. 2024 (Factorized Diffusion, arXiv 2404.11615), section 3.4: a hybrid with the
    low frequencies of a photograph.
    """

    image: Tensor
    band: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor, at: NoiseLevel, noise: NoiseSource, i: int) -> Tensor:
        """x with the known band put back."""
        known = self.image.to(x).expand_as(x)
        if at.sigma > 0:
            known = add_noise(known, at, noise(x, "known", i))
        return x + self.band(known - x)
