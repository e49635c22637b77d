"""A guidance scale that varies with the noise: a straight line between the points that are named."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.errors import UserError
from duckrabbit.values import number, shown


@dataclass(frozen=True)
class Curve:
    """A scale by the share of noise u = sigma / (alpha + sigma), which is 1 for noise and 0 for a picture.

    `points` are (u, scale) pairs in any order; between two neighbours the scale is on a straight line, and beyond
    the outermost ones it stays. Guidance that is weak in the noisiest levels keeps pictures various, and
    weak in the cleanest ones keeps them natural (Wang et al. 2024, arXiv 2404.13040; Kynkaanniemi et al. 2024,
    arXiv 2404.07724). Raises UserError for no point, for two at one place, and for a place outside [0, 1].
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        try:
            pairs = tuple(
                (number("A share of noise", u), number("A scale", scale, finite=False)) for u, scale in self.points
            )
        except (TypeError, ValueError):
            raise UserError(f"A curve is pairs of a share of noise and a scale, not {shown(self.points)}.") from None
        object.__setattr__(self, "points", pairs)
        places = [u for u, _ in self.points]
        if not places or len(set(places)) < len(places):
            raise UserError("A curve of guidance scales has one point or more, each at a place of its own.")
        if not all(0 <= u <= 1 and math.isfinite(scale) for u, scale in self.points):
            raise UserError(
                "The points of a guidance curve are finite scales at a share of noise from 0 to 1, as in 7@0.8,1@0.2."
            )

    def __call__(self, at: NoiseLevel) -> float:
        """The scale at a level."""
        u = at.sigma / (at.alpha + at.sigma)
        points = sorted(self.points)
        if u <= points[0][0]:
            return points[0][1]
        for (before, low), (after, high) in pairwise(points):
            if u <= after:
                return low + (u - before) / (after - before) * (high - low)
        return points[-1][1]

    @classmethod
    def parse(cls, spec: str) -> Curve:
        """The curve that "7@0.8,1@0.2" names: 7 where noise is four fifths or more, falling to 1 at a fifth.

        Raises UserError for what names none.
        """
        try:
            pairs = [tuple(float(number) for number in point.split("@")) for point in spec.split(",")]
            return cls(tuple((u, scale) for scale, u in pairs))
        except ValueError:
            raise UserError(
                f"'{spec}' is no curve of guidance scales; write SCALE@SHARE,..., as in 7@0.8,1@0.2."
            ) from None
