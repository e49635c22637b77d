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

from duckrabbit.diffusion.prediction import Parameterisation
from duckrabbit.diffusion.schedules import DiscreteSchedule
from duckrabbit.errors import UserError
from duckrabbit.training.objectives import Draws, Weighting, snr_weight, target


@dataclass(frozen=True)
class HybridObjective:
    """L_hybrid for a network of 2 C channels, the estimate and v, that is told t = 0 ... T - 1.

    bound: lambda. weighting: w, as in `Diffusion`. times: t / T = u^(1 / times), where u is spread
    evenly over each batch, so that the density of times goes with t^(times - 1): 1 is the paper's;
    above 1 the noisier pictures come more often, in which it is decided what will be seen (and L_vlb
    weighs them likewise, which moves no minimum of v). strides: the bound is that of a chain of
    T / stride steps, the stride drawn for every picture. 1 is the paper's. There beta and betatilde
    hardly differ, so v has next to no effect and wanders off; but in a run of few steps they differ
    much, and such a v ruins it. With strides of such runs it is learned where it matters.
    """

    schedule: DiscreteSchedule
    prediction: Parameterisation = "epsilon"
    weighting: Weighting = "min_snr"
    bound: float = 0.001
    strides: tuple[int, ...] = (1,)
    times: float = 1.0

    def __post_init__(self) -> None:
        if self.prediction not in ("epsilon", "v_prediction", "sample"):
            raise UserError(f"A cascade is not trained to predict '{self.prediction}'; choose epsilon or v_prediction.")

    def loss(self, net: Any, x0: Tensor, condition: tuple[Tensor, ...], draws: Draws) -> Tensor:
        """The loss of each picture (N,), for x0 (N, C, H, W) in [-1, 1]; net(x_t, t, *condition)."""
        steps = len(self.schedule.alphas_cumprod)
        t = (draws.stratified(x0) ** (1 / self.times) * steps).long().clamp_(max=steps - 1)
        stride = torch.tensor(self.strides, device=x0.device)[draws.integers(len(self.strides), x0)]
        abar = self._abar.to(x0.device)[t].view(-1, 1, 1, 1)
        alpha, sigma = abar.sqrt().float(), (1 - abar).sqrt().float()
        eps = draws.normal(x0)
        said, v = net(alpha * x0 + sigma * eps, t, *condition).float().chunk(2, 1)
        error = said - target(self.prediction, x0, eps, alpha, sigma)
        weight = snr_weight(self.weighting, self.prediction, alpha.flatten(), sigma.flatten())
        simple = error.square().flatten(1).mean(1) * weight
        to_x0 = {"epsilon": -sigma / alpha, "v_prediction": -sigma, "sample": 1.0}[self.prediction]
        bound = self.divergence(t, stride, x0, error.detach() * to_x0, v)
        return simple + self.bound * steps / stride * bound

    def divergence(self, t: Tensor, stride: Tensor, x0: Tensor, error: Tensor, v: Tensor) -> Tensor:
        """L_t of each picture (N,) for steps from t (N,) to t - stride (N,), or to 0 where that is less.

        In nats a number; error: of the estimate of x0.
        """
        schedule = self._abar.to(t.device)
        abar = schedule[t]
        before = torch.where(t > 0, schedule[(t - stride).clamp(min=0)], torch.ones_like(abar))
        beta = 1 - abar / before
        # At t = 0 the variance of the true step is 0, whose logarithm is of no use; as the authors have it.
        true = torch.where(t > 0, beta * (1 - before) / (1 - abar), self._second)
        x0_to_mean = before.sqrt() * beta / (1 - abar)
        log_beta, log_true, x0_to_mean = (a.float().view(-1, 1, 1, 1) for a in (beta.log(), true.log(), x0_to_mean))
        f = (v + 1) / 2
        log_variance = f * log_beta + (1 - f) * log_true
        kl = 0.5 * (log_variance - log_true - 1)
        kl = kl + 0.5 * ((log_true - log_variance).exp() + (x0_to_mean * error).square() * (-log_variance).exp())
        first = (t == 0).view(-1, 1, 1, 1)
        kl = torch.where(first, -log_likelihood(x0, x0 + error, log_variance / 2), kl)
        return kl.flatten(1).mean(1)

    @cached_property
    def _abar(self) -> Tensor:
        return torch.tensor(self.schedule.alphas_cumprod, dtype=torch.float64)

    @cached_property
    def _second(self) -> float:
        """The variance of the true step from t = 1 to 0."""
        first, second = self.schedule.alphas_cumprod[:2]
        return (1 - second / first) * (1 - first) / (1 - second)


def log_likelihood(x0: Tensor, mean: Tensor, log_sigma: Tensor) -> Tensor:
    """Of the 256 levels of x0 in [-1, 1], under a Gaussian in bins of 2 / 255 (Ho et al. 2020, eq. 13)."""
    centred, scale = x0 - mean, (-log_sigma).exp()
    above, below = _normal_cdf(scale * (centred + 1 / 255)), _normal_cdf(scale * (centred - 1 / 255))
    inside = (above - below).clamp(min=1e-12).log()
    black, white = above.clamp(min=1e-12).log(), (1 - below).clamp(min=1e-12).log()
    return torch.where(x0 < -0.999, black, torch.where(x0 > 0.999, white, inside))


def _normal_cdf(x: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(x / math.sqrt(2)))
