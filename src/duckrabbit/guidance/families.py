"""Families of hybrids: the linear filters that part a picture into components, each of which a prompt may have.

Geng et al. 2024 (Factorized Diffusion, arXiv 2404.11615), section 3.3, with the numbers of its authors' code. Law 6
holds of each family: its components sum to the picture, since the first is what the others leave.
"""

from __future__ import annotations

from duckrabbit.errors import UserError
from duckrabbit.guidance.components import COMPONENTS
from duckrabbit.guidance.filters import BandPass, Filter, Grey, InSeries, LowPass, MotionBlur, Remainder

FILTERS_OF: dict[str, tuple[Filter, ...]] = {
    "low-high": (LowPass(),),
    "triple": (BandPass(), InSeries((LowPass(25, 1.0), LowPass(25, 2.0)))),
    "colour": (Grey(),),
    "motion": (MotionBlur(),),
}
"""The filters of a family's components after the first, in the order of COMPONENTS.

    low-high    G_2 (33 taps) |                    near, far
    triple      G_1 - G_2 G_1 | G_2 G_1            near, half way, far; 25 taps each
    colour      the mean of the channels           in colour, in grey
    motion      I_n / n along the diagonal, n = 7  still, shaken
"""


def filters_of(family: str) -> tuple[Filter, ...]:
    """The filters of a family's components after the first. Raises UserError, with the names, for no family."""
    if family not in FILTERS_OF:
        raise UserError(f"There is no family of hybrids '{family}'; there is {', '.join(FILTERS_OF)}.")
    return FILTERS_OF[family]


def parts_of(family: str) -> dict[str, Filter]:
    """The filter of every component of a family, by its name; they sum to the identity."""
    filters = filters_of(family)
    names = [component.name for component in COMPONENTS[family]]
    return dict(zip(names, (Remainder(filters), *filters), strict=True))


def kept_by(band: Filter) -> Filter:
    """What keeps a band of a photograph: the band itself, and of motion, the band twice.

    Move by move x becomes x + F (known - x), which multiplies what is wrong of a wave by 1 - f, f the gain of F. A mean
    of equal taps has negative gains, down to -0.22, and would make it grow. With F twice it is the step of steepest
    descent on |F x - F known|^2 / 2 (Landweber 1951), for F is symmetric, and 1 - f^2 is from 0 to 1.
    """
    return InSeries((band, band)) if isinstance(band, MotionBlur) else band
