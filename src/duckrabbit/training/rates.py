"""Learning rates, as functions of the step."""

from __future__ import annotations

import math


def one_cycle(highest: float, step: int, total: int, warmup: float) -> float:
    """The rate of step 0, 1, ... of `total`: a linear rise over the part `warmup` of them, then half a cosine to 0."""
    rise = max(1, round(warmup * total))
    if step < rise:
        return highest * (step + 1) / rise
    return highest * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))
