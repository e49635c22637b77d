"""The hybrid objective: the noise, and the variance of every step beside it.

    L_hybrid = w(t) L_simple + lambda L_vlb,    L_vlb = sum_t L_t = T E_t[L_t]

(Nichol and Dhariwal 2021, arXiv 2102.09672, eq. 16.) L_t is the divergence of the step that the
network describes from the true one, KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)), and at t = 0 the
negative log likelihood of the picture's 256 levels (Ho et al. 2020, eqs. 5 and 13), in nats for each
number of the picture. The variance of p is interpolated (eq. 15),

    log sigma^2 = f log beta_t + (1 - f) log betatilde_t,    f = (v + 1) / 2.

The bound's gradient is stopped at the mean, so that it trains v alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from duckrabbit.diffusion.levels import DiscreteSchedule
from duckrabbit.diffusion.prediction import Parameterisation
from duckrabbit.errors import UserError
from duckrabbit.training.objectives import Draws, Weighting, snr_weight, target


@dataclass(frozen=True)
class Hybrid:
    """L_hybrid for a network of 2 C channels, the estimate and v, that is told t = 0 ... T - 1.

    bound: lambda. weighting: w, as in `Diffusion`. Times are spread evenly over each batch.
    """

    schedule: DiscreteSchedule
    prediction: Parameterisation = "epsilon"
    weighting: Weighting = "min_snr"
    bound: float = 0.001

    def __post_init__(self) -> None:
        if self.prediction not in ("epsilon", "v_prediction", "sample"):
            raise UserError(f"A cascade is not trained to predict '{self.prediction}'; choose epsilon or v_prediction.")

    def loss(self, net: Any, x0: Tensor, condition: tuple[Tensor, ...], draws: Draws) -> Tensor:
        """The loss of each picture (N,), for x0 (N, C, H, W) in [-1, 1]; net(x_t, t, *condition)."""
        steps = len(self.schedule.alphas_cumprod)
        t = (draws.stratified(x0) * steps).long().clamp_(max=steps - 1)
        table = {k: v.to(x0.device)[t].view(-1, 1, 1, 1) for k, v in self._table.items()}
        alpha, sigma = table["alpha"], table["sigma"]
        eps = draws.normal(x0)
        said, v = net(alpha * x0 + sigma * eps, t, *condition).float().chunk(2, 1)
        error = said - target(self.prediction, x0, eps, alpha, sigma)
        weight = snr_weight(self.weighting, self.prediction, alpha.flatten(), sigma.flatten())
        simple = error.square().flatten(1).mean(1) * weight
        bound = self.divergence(t, x0, error.detach() * table["error_to_x0"], v)
        return simple + self.bound * steps * bound

    def divergence(self, t: Tensor, x0: Tensor, error: Tensor, v: Tensor) -> Tensor:
        """L_t of each picture (N,) at times t (N,), in nats a number; error: of the estimate of x0."""
        table = {k: a.to(x0.device)[t].view(-1, 1, 1, 1) for k, a in self._table.items()}
        f = (v + 1) / 2
        log_variance = f * table["log_beta"] + (1 - f) * table["log_posterior"]
        shift = (table["x0_to_mean"] * error).square()
        kl = 0.5 * (log_variance - table["log_posterior"] - 1)
        kl = kl + 0.5 * ((table["log_posterior"] - log_variance).exp() + shift * (-log_variance).exp())
        first = (t == 0).view(-1, 1, 1, 1)
        kl = torch.where(first, -log_likelihood(x0, x0 + error, log_variance / 2), kl)
        return kl.flatten(1).mean(1)

    @cached_property
    def _table(self) -> dict[str, Tensor]:
        """Everything that depends on t, from double precision."""
        abar = torch.tensor(self.schedule.alphas_cumprod, dtype=torch.float64)
        before = torch.cat([torch.ones(1, dtype=torch.float64), abar[:-1]])
        beta = 1 - abar / before
        posterior = beta * (1 - before) / (1 - abar)
        posterior[0] = posterior[1]  # it is 0, whose logarithm is of no use; as the authors have it
        alpha, sigma = abar.sqrt(), (1 - abar).sqrt()
        per_output = {"epsilon": -sigma / alpha, "v_prediction": -sigma, "sample": torch.ones_like(alpha)}
        table = {
            "alpha": alpha,
            "sigma": sigma,
            "log_beta": beta.log(),
            "log_posterior": posterior.log(),
            "x0_to_mean": before.sqrt() * beta / (1 - abar),
            "error_to_x0": per_output[self.prediction],
        }
        return {k: v.float() for k, v in table.items()}


def log_likelihood(x0: Tensor, mean: Tensor, log_sigma: Tensor) -> Tensor:
    """Of the 256 levels of x0 in [-1, 1], under a Gaussian in bins of 2 / 255 (Ho et al. 2020, eq. 13)."""
    centred, scale = x0 - mean, (-log_sigma).exp()
    above, below = _normal_cdf(scale * (centred + 1 / 255)), _normal_cdf(scale * (centred - 1 / 255))
    inside = (above - below).clamp(min=1e-12).log()
    black, white = above.clamp(min=1e-12).log(), (1 - below).clamp(min=1e-12).log()
    return torch.where(x0 < -0.999, black, torch.where(x0 > 0.999, white, inside))


def _normal_cdf(x: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(x / math.sqrt(2)))
