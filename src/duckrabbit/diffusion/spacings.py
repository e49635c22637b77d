"""Spacings: at which of a schedule's levels a run of n steps stops.

On a chain of T times, as the scheduler classes of diffusers have them (Lin et al. 2024, arXiv 2305.08891,
table 2): "leading", "trailing" and "linspace" are those of DDPM and DDIM; "leading-open" and "linspace-open",
of the multistep schedulers (DPM-Solver++, UniPC), space n + 1 times and leave out the cleanest. A flow has
"trailing", even times, and those of its schedulers in diffusers, "flow-euler", "flow-dpm" and "flow-unipc".
On either, by sigma = sigma / alpha of a level: "karras" (Karras et al. 2022, arXiv 2206.00364, eq. 5, rho = 7)
and "exponential", evenly in log sigma, which is evenly in log SNR ("log-snr").
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

from duckrabbit.diffusion.levels import Schedule
from duckrabbit.errors import UserError
from duckrabbit.registry import table

Spacing = Literal[
    "leading",
    "trailing",
    "linspace",
    "leading-open",
    "linspace-open",
    "flow-euler",
    "flow-dpm",
    "flow-unipc",
    "karras",
    "exponential",
    "log-snr",
]
table("schedule").update({name: name for name in get_args(Spacing)})  # each stands for itself: a schedule knows them

FLOW_TIMES = 1000
"""The times that a flow is trained on in diffusers: 1/1000, ..., 1."""
RHO = 7.0

_GRIDS: dict[str, Callable[[int, int], tuple[list[float], bool]]] = {
    "leading": lambda n, usable: ([i * (usable // n) for i in range(n)], True),
    "leading-open": lambda n, usable: ([i * (usable // (n + 1)) for i in range(1, n + 1)], True),
    "linspace": lambda n, usable: ([i * ((usable - 1) / max(n - 1, 1)) for i in range(n)], False),
    "linspace-open": lambda n, usable: ([i * ((usable - 1) / n) for i in range(1, n + 1)], False),
}
"""Rising times of n steps on the first so many times, and whether an offset moves them."""
_BY_SIGMA: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "karras": (lambda sigma: sigma ** (1 / RHO), lambda u: u**RHO),
    "exponential": (math.log, math.exp),
    "log-snr": (math.log, math.exp),
}
"""In what a spacing is even, and the way back from there."""


def grid_times(spacing: str, steps: int, total: int, usable: int, offset: int) -> list[int]:
    """Whole times of a chain in falling order; of its `total` times the first `usable` are used."""
    if spacing == "trailing":
        stride = usable - (usable - total / steps)  # rounded as numpy.arange rounds it
        count = min(steps, -(-usable * steps // total))
        return [t for i in range(count) if (t := round(usable - i * stride) - 1) >= 0]
    if spacing not in _GRIDS:
        raise UserError(
            f"A chain of levels has no spacing '{spacing}'; choose trailing, {', '.join([*_GRIDS, *_BY_SIGMA])}."
        )
    times, moves = _GRIDS[spacing](steps, usable)
    return [round(t) + (offset if moves else 0) for t in reversed(times)]


def flow_times(spacing: str, steps: int, shift: float) -> tuple[float, ...]:
    """Times of a flow in falling order, moved towards the noise by `shift`.

    "flow-euler": the ends of the training times are shifted, n times spread evenly between them, and shifted again.
    The others shift once the first n of n + 1 times: "flow-dpm" from the last but one training time to 0,
    "flow-unipc" from the last to the first.
    """

    def shifted(b: float) -> float:
        return shift * b / (1 + (shift - 1) * b)

    one = 1 / FLOW_TIMES
    ends = {
        "trailing": (1.0, 0.0, steps),
        "flow-euler": (1.0, shifted(one), max(steps - 1, 1)),
        "flow-dpm": (1 - one, 0.0, steps),
        "flow-unipc": (1.0, one, steps),
    }
    if spacing not in ends:
        raise UserError(f"A flow has no spacing '{spacing}'; choose {', '.join([*ends, *_BY_SIGMA])}.")
    first, last, gaps = ends[spacing]
    return tuple(shifted(first - i * (first - last) / gaps) for i in range(steps))


def is_by_sigma(spacing: str) -> bool:
    """Whether a spacing is one of sigma / alpha, which every schedule has."""
    return spacing in _BY_SIGMA


def sigma_times(schedule: Schedule, steps: int, spacing: str) -> tuple[float, ...]:
    """Times between the ends of the schedule's span, evenly in what the spacing goes by.

    Pure noise has no finite sigma: on a schedule that begins there, that time takes the place of the noisiest.
    """
    there, back = _BY_SIGMA[spacing]
    noisiest, cleanest = schedule.span
    first = _pure_noise(schedule) or (noisiest.t,)
    if steps == 1:
        return first
    high, low = there(noisiest.noise_to_signal), there(cleanest.noise_to_signal)
    inner = [schedule.at_sigma(back(high + (low - high) * i / (steps - 1))).t for i in range(1, steps - 1)]
    return (*first, *inner, cleanest.t)


def _pure_noise(schedule: Schedule) -> tuple[float, ...]:
    """The time without any picture, if there is one."""
    try:
        return (schedule.at(-math.inf).t,)
    except UserError:
        return ()
