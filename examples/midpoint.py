"""A solver of your own, in one file: the midpoint rule, and its order measured on the exact oracle.

    python examples/midpoint.py

The probability flow is dx = x0 dalpha + eps dsigma; a move asks at its start and half-way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

import duckrabbit as dr
from duckrabbit.diffusion.prediction import Denoiser
from duckrabbit.diffusion.solvers import Memory, NoiseSource, Step
from duckrabbit.networks.mixture import GaussianMixture


def level(half_log_snr: float) -> dr.NoiseLevel:
    """The variance preserving level with this lambda = log(alpha / sigma)."""
    alpha = 1 / math.sqrt(1 + math.exp(-2 * half_log_snr))
    return dr.NoiseLevel(-half_log_snr, alpha, math.sqrt(1 - alpha**2))


@dataclass(frozen=True)
class Midpoint:
    """x_s = x + x0' (alpha_s - alpha_t) + eps' (sigma_s - sigma_t), with x0', eps' asked half-way; order 2."""

    def step(self, denoise: Denoiser, x: Tensor, move: dr.Move, noise: NoiseSource, i: int, memory: Memory) -> Step:
        """Two questions a move; the move to CLEAN is an Euler step."""
        at, to = move
        p = denoise(x, at)
        if to.sigma == 0:
            return Step(to.alpha * p.x0, p, None)
        half = level((at.half_log_snr + to.half_log_snr) / 2)
        q = denoise(half.alpha * p.x0 + half.sigma * p.eps, half)
        return Step(x + (to.alpha - at.alpha) * q.x0 + (to.sigma - at.sigma) * q.eps, p, None)


def main() -> None:
    """Print the error against the closed-form flow of a Gaussian, and the order it shows."""
    mean, std = 0.3, 0.5
    gaussian = GaussianMixture(torch.full((1, 1, 1, 1), mean, dtype=torch.float64), torch.tensor([std]), torch.ones(1))
    x = torch.linspace(-2, 2, 9, dtype=torch.float64).view(9, 1, 1, 1)
    errors = []
    for steps in (16, 32, 64, 128):
        levels = [level(-2.5 + 5 * k / steps) for k in range(steps + 1)]
        plan = tuple(dr.Move(a, b) for a, b in pairwise(levels))
        *_, last = dr.trajectory(gaussian.predict, x, plan, Midpoint(), dr.Noise(tuple(range(9))))
        spread = [math.hypot(end.alpha * std, end.sigma) for end in (levels[0], levels[-1])]
        exact = levels[-1].alpha * mean + spread[1] / spread[0] * (x - levels[0].alpha * mean)
        errors.append((last.x - exact).abs().max().item())
        order = math.log2(errors[-2] / errors[-1]) if len(errors) > 1 else math.nan
        print(f"{steps:4d} steps: error {errors[-1]:.2e}, order {order:.2f}")


if __name__ == "__main__":
    main()
