"""UniPC: a predictor from the last estimates of x0, and a corrector from the one that its guess brings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel, add_noise
from duckrabbit.diffusion.plans import Move
from duckrabbit.diffusion.prediction import Denoiser
from duckrabbit.diffusion.solvers.solver import Memory, NoiseSource, Past, Step
from duckrabbit.errors import UserError
from duckrabbit.values import number

NEARLY_NOISE = math.log(1e-6)


@dataclass(frozen=True)
class UniPC:
    """UniPC-p in x0, with B(h) = e^-h - 1 (Zhao et al. 2023, arXiv 2302.04867, algorithms 1 and 2, "bh2").

    With lambda = log(alpha / sigma), h = lambda_s - lambda_t and D_0 the estimate at the beginning t of a move,

        x_s = sigma_s / sigma_t x_t - alpha_s (e^-h - 1) D_0 - alpha_s B(h) sum_k rho_k (D_k - D_0) / r_k,
        r_k = (lambda_k - lambda_t) / h,

    where the predictor has the p - 1 estimates before t, and the corrector, at the next move, the estimate at
    s besides (r = 1). The rho solve sum_k rho_k r_k^(i-1) = b_i; of one estimate, rho = 1/2. One question a
    move. The first moves are of the order that their estimates allow, and the move to CLEAN is x0 itself.
    """

    order: int = 2

    def __post_init__(self) -> None:
        if number("UniPC's order", self.order, finite=False) not in (1, 2, 3):
            raise UserError(f"UniPC's order is 1, 2 or 3, not {self.order:g}.")

    def step(self, denoise: Denoiser, x: Tensor, move: Move, noise: NoiseSource, i: int, memory: Memory) -> Step:
        """The estimate at x corrects how x was reached, and then leads on."""
        at, to = move
        p = denoise(x, at)
        if to.sigma == 0:
            return Step(p.x0, p, None)
        if at.half_log_snr <= NEARLY_NOISE and to.half_log_snr <= NEARLY_NOISE:
            return Step(add_noise(p.x0, to, p.eps), p, None)
        if memory:
            start = memory[0]
            corrected = _moved(start, Move(start.at, at), [*memory[1:], Past(at, p.x0, x)])
            x = corrected + (x - start.made if start.made is not None else 0)  # what a constraint changed stays
        here = Past(at, p.x0, x)
        known = (memory or ())[: int(self.order) - 1]
        made = _moved(here, move, known)
        return Step(made, p, (here._replace(made=made), *known))


def _moved(start: Past, move: Move, known: Sequence[Past]) -> Tensor:
    """x at the end of a move that begins at `start`, with what is known at other levels besides."""
    at, to = move
    h = _lambda(to) - _lambda(at)
    shrunk = math.expm1(-h)
    x = to.sigma / at.sigma * start.x - to.alpha * shrunk * start.x0
    ratios = [(_lambda(other.at) - _lambda(at)) / h for other in known]
    for rho, r, other in zip(_weights(ratios, h), ratios, known, strict=True):
        x = x - to.alpha * shrunk * rho / r * (other.x0 - start.x0)
    return x


def _lambda(at: NoiseLevel) -> float:
    """log(alpha / sigma); of pure noise, as diffusers has it, that of a millionth of a picture."""
    return max(at.half_log_snr, NEARLY_NOISE)


def _weights(ratios: Sequence[float], h: float) -> list[float]:
    """rho_k, so that sum_k rho_k r_k^(i-1) = b_i for i = 1, ..., len(ratios); 1/2 of one.

    b_i = i! phi_i / B(h), phi_1 = (e^-h - 1) / -h - 1 and phi_(i+1) = phi_i / -h - 1 / (i + 1)!.
    """
    if len(ratios) < 2:
        return [0.5] * len(ratios)
    phi, wanted = math.expm1(-h) / -h - 1, []
    for i in range(1, len(ratios) + 1):
        wanted.append(phi * math.factorial(i) / math.expm1(-h))
        phi = phi / -h - 1 / math.factorial(i + 1)
    powers = torch.tensor([[r**i for r in ratios] for i in range(len(ratios))], dtype=torch.float64)
    solved: list[float] = torch.linalg.solve(powers, torch.tensor(wanted, dtype=torch.float64)).tolist()
    return solved
