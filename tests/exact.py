"""Exact answers, derived apart from the code they judge: Gaussian data on three kinds of schedule.

For x_0 ~ N(M, V) in one dimension, x_t ~ N(alpha M, alpha^2 V + sigma^2), E[x_0 | x_t] is a linear
regression, and the probability flow keeps (x_t - alpha M) / sqrt(alpha^2 V + sigma^2) constant:
a monotone map between two Gaussians keeps their quantiles.
"""

import math
from collections import deque
from itertools import pairwise

import torch

from duckrabbit.diffusion.levels import CLEAN, NoiseLevel
from duckrabbit.diffusion.plans import Move
from duckrabbit.diffusion.prediction import Prediction
from duckrabbit.diffusion.trajectory import trajectory

M, V = 0.3, 0.25


def vp(u):
    """Variance preserving, alpha^2 + sigma^2 = 1; u = 1 is noisy (alpha = .07)."""
    return NoiseLevel(u, math.cos(1.5 * u), math.sin(1.5 * u))


def ve(u):
    """Variance exploding, alpha = 1, sigma from .02 to 20 on a logarithmic scale."""
    return NoiseLevel(u, 1.0, 0.02 * 1000**u)


def flow(u):
    """The straight path; u = 1 is pure noise, alpha = 0."""
    return NoiseLevel(u, 1 - u, u)


KINDS = {"vp": vp, "ve": ve, "flow": flow}


class Between:
    """The levels of a kind by their half log SNR: what a schedule answers, each kind inverted by hand."""

    def __init__(self, kind):
        self.kind = kind

    def at(self, half_log_snr):
        ratio = math.exp(-half_log_snr)
        u = {"vp": math.atan(ratio) / 1.5, "ve": math.log(ratio / 0.02, 1000), "flow": ratio / (1 + ratio)}[self.kind]
        return KINDS[self.kind](u)


def path(kind, steps, high=1.0, low=0.02, to_clean=False):
    """`steps` moves from level(high) to level(low), evenly in u; and on to CLEAN if asked."""
    levels = [KINDS[kind](high + (low - high) * k / steps) for k in range(steps + 1)]
    if to_clean:
        levels.append(CLEAN)
    return tuple(Move(a, b) for a, b in pairwise(levels))


def marginal(at):
    """Mean and variance of x_t."""
    return at.alpha * M, at.alpha**2 * V + at.sigma**2


def predict(x, at):
    """E[x_0 | x_t] and E[eps | x_t] by linear regression, each from its own covariance with x_t."""
    mean, var = marginal(at)
    gap = (x - mean) / var
    return Prediction(M + at.alpha * V * gap, at.sigma * gap)


def carried(x, at, to):
    """Where the probability flow takes x from level `at` to level `to`."""
    (m, v), (n, w) = marginal(at), marginal(to)
    return n + math.sqrt(w / v) * (x - m)


def no_noise(like, purpose, i=0):
    raise AssertionError(f"a deterministic run asked for noise: {purpose} {i}")


class Draws:
    """Independent normal noise for moment tests; one generator, any batch."""

    def __init__(self, seed=0):
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, like, purpose, i=0):
        return torch.randn(like.shape, generator=self.generator, dtype=like.dtype)


class Basis:
    """Noise for a run that is affine in its noise: row 0 of the batch gets none, every other row one unit once.

    Then row 0 is the mean of the run's result, and sum_k (row_k - row_0)(row_k - row_0)^T is its covariance:
    exact, without a single random number. `rows` counts what a run needs.
    """

    def __init__(self):
        self.rows = 1

    def __call__(self, like, purpose, i=0):
        unit, pixels = torch.zeros_like(like), like[0].numel()
        hot = torch.arange(self.rows, self.rows + pixels)
        inside = hot < len(like)
        unit.view(len(like), -1)[hot[inside], torch.arange(pixels)[inside]] = 1
        self.rows += pixels
        return unit


def moments(run, shape):
    """Mean (P,) and covariance (P, P) of run(x_start, noise), affine in standard normal noise and start noise.

    `run` takes a zero batch (N, *shape), which it may fill with noise(x, "start"), and the noise source.
    """
    count = Basis()
    run(torch.zeros(1, *shape, dtype=torch.float64), count)
    rows = run(torch.zeros(count.rows, *shape, dtype=torch.float64), Basis()).flatten(1)
    parts = rows[1:] - rows[0]
    return rows[0], parts.T @ parts


def last(*args, **kwargs):
    """The final x of a trajectory."""
    return deque(trajectory(*args, **kwargs), maxlen=1)[0].x


def grid(count=9, low=-2.0, high=2.0):
    """`count` one-pixel pictures (count, 1, 1, 1) in float64."""
    return torch.linspace(low, high, count, dtype=torch.float64).view(-1, 1, 1, 1)
