"""A network of one schedule, asked at the levels of another."""

from __future__ import annotations

import math
from dataclasses import replace

from duckrabbit.diffusion.levels import NoiseLevel, Schedule
from duckrabbit.diffusion.prediction import Network, Prediction, Query, from_x0
from duckrabbit.errors import UserError


def recast(network: Network, schedule: Schedule) -> Network:
    """`network`, which knows the levels of `schedule`, at any level of sigma > 0.

    Two levels of one signal-to-noise ratio differ by a factor: c (alpha x0 + sigma eps) lies on `schedule` for
    c = sigma' / sigma, and the answer about c x is the answer about x (Karras et al. 2022, arXiv 2206.00364,
    section 4 and table 1: c_in, c_noise). Beyond the ends of `schedule`, where no such level is, the nearest is
    asked and eps follows from x0.
    """

    def asked(queries: list[Query], at: NoiseLevel) -> list[Prediction]:
        own = _level(schedule, at)
        if own == at:
            return network(queries, at)
        factor = own.sigma / at.sigma if own.sigma > own.alpha or at.alpha == 0 else own.alpha / at.alpha
        answers = network([replace(q, x=factor * q.x) for q in queries], own)
        exact = math.isclose(own.noise_to_signal, at.noise_to_signal, rel_tol=1e-9)
        return answers if exact else [
            from_x0(q.x, at, p.x0, p.var_interp) for q, p in zip(queries, answers, strict=True)
        ]  # fmt: skip

    return asked


def _level(schedule: Schedule, at: NoiseLevel) -> NoiseLevel:
    """The level of `schedule` with this signal-to-noise ratio, or the nearest."""
    try:
        return schedule.at(at.half_log_snr)
    except UserError:
        noisiest, cleanest = schedule.span
        return noisiest if at.half_log_snr <= noisiest.half_log_snr else cleanest
