"""A solver of your own, in one file: the midpoint rule, and its order measured on the exact oracle.

    python examples/midpoint.py
    duckrabbit generate "a glossy emoji of a cat" --solver examples/midpoint.py:Midpoint --steps 12

The probability flow is dx = x0 dalpha + eps dsigma; a move asks at its start and half-way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

import duckrabbit as dr


@dataclass(frozen=True)
class Midpoint:
    """x_s = x + x0' (alpha_s - alpha_t) + eps' (sigma_s - sigma_t), with x0', eps' asked half-way; order 2."""

    schedule: dr.Schedule | None = None

    def on(self, schedule: dr.Schedule) -> Midpoint:
        """The solver on the schedule that a run has: it says what level lies half-way."""
        return replace(self, schedule=schedule)

    def step(
        self, denoise: dr.Denoiser, x: Tensor, move: dr.Move, noise: dr.NoiseSource, i: int, memory: dr.Memory
    ) -> dr.Step:
        """Two questions a move; the move to CLEAN is an Euler step."""
        at, to = move
        p = denoise(x, at)
        if to.sigma == 0:
            return dr.Step(to.alpha * p.x0, p, None)
        assert self.schedule is not None
        half = self.schedule.level((at.t + to.t) / 2)
        q = denoise(half.alpha * p.x0 + half.sigma * p.eps, half)
        return dr.Step(x + (to.alpha - at.alpha) * q.x0 + (to.sigma - at.sigma) * q.eps, p, None)


def main() -> None:
    """Print the error against the closed-form flow of a Gaussian, and the order it shows."""
    mean, std = 0.3, 0.5
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    schedule = dr.DiscreteSchedule(tuple((1 - betas).cumprod(0).tolist()))
    solver = Midpoint().on(schedule)

    def predict(x: Tensor, at: dr.NoiseLevel) -> dr.Prediction:
        gap = (x - at.alpha * mean) / (at.alpha**2 * std**2 + at.sigma**2)
        return dr.Prediction(mean + at.alpha * std**2 * gap, at.sigma * gap)

    x = torch.linspace(-2, 2, 9, dtype=torch.float64).view(9, 1, 1, 1)
    errors: list[float] = []
    for steps in (16, 32, 64, 128):
        levels = [schedule.at(-2.5 + 5 * k / steps) for k in range(steps + 1)]
        plan = tuple(dr.Move(a, b) for a, b in pairwise(levels))
        *_, last = dr.trajectory(predict, x, plan, solver, dr.Noise(tuple(range(9))))
        spread = [math.hypot(end.alpha * std, end.sigma) for end in (levels[0], levels[-1])]
        exact = levels[-1].alpha * mean + spread[1] / spread[0] * (x - levels[0].alpha * mean)
        errors.append((last.x - exact).abs().max().item())
        order = math.log2(errors[-2] / errors[-1]) if len(errors) > 1 else math.nan
        print(f"{steps:4d} steps: error {errors[-1]:.2e}, order {order:.2f}")


if __name__ == "__main__":
    main()
