"""The oracle: the exact denoiser of a Gaussian mixture, without weights.

If x_0 is drawn from sum_k w_k N(mu_k, s_k^2 I), then x_t = alpha x_0 + sigma eps is a mixture too,

    x_t ~ sum_k w_k N(alpha mu_k, (alpha^2 s_k^2 + sigma^2) I),

and the best estimate of x_0 is the posterior mean, in closed form:

    E[x_0 | x_t] = sum_k p(k | x_t) (mu_k + alpha s_k^2 / (alpha^2 s_k^2 + sigma^2) (x_t - alpha mu_k)).

So everything that a solver, a guidance or a task does can be checked against an answer known
beforehand (Karras et al. 2024, arXiv 2406.02507, appendix C, uses the same device).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import Condition, Network, Prediction, Query, from_x0
from duckrabbit.errors import UserError


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """sum_k w_k N(mu_k, s_k^2 I): means (K, C, H, W), standard deviations (K,), weights (K,)."""

    means: Tensor
    stds: Tensor
    weights: Tensor

    def __post_init__(self) -> None:
        if not len(self.means) == len(self.stds) == len(self.weights) > 0:
            raise UserError("A mixture needs as many standard deviations and weights as means, at least one.")
        if (self.stds < 0).any() or (self.weights <= 0).any():
            raise UserError("A mixture's standard deviations are 0 or more, and its weights above 0.")

    def predict(self, x: Tensor, at: NoiseLevel) -> Prediction:
        """The exact E[x_0 | x] and E[eps | x] for x (B, C, H, W) at a level with sigma > 0."""
        mu, s = self.means.to(x), self.stds.to(x)
        var = at.alpha**2 * s**2 + at.sigma**2
        gap = x[:, None] - at.alpha * mu[None]
        dimensions = mu[0].numel()
        log_p = self.weights.to(x).log() - 0.5 * (gap.flatten(2).square().sum(2) / var + dimensions * var.log())
        p = log_p.softmax(1)
        gain = (at.alpha * s**2 / var).view(1, -1, *[1] * (x.ndim - 1))
        x0 = torch.einsum("bk,bk...->b...", p, mu[None] + gain * gap)
        return from_x0(x, at, x0)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` draws (count, C, H, W)."""
        k = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        shape = (count, *self.means.shape[1:])
        noise = torch.randn(shape, generator=generator, dtype=self.means.dtype)
        return self.means[k] + self.stds[k].view(-1, *[1] * (self.means.ndim - 1)) * noise


def oracle_network(mixtures: Mapping[Condition, GaussianMixture]) -> Network:
    """A network that answers each question exactly, from the mixture its condition names."""

    def network(queries: list[Query], at: NoiseLevel) -> list[Prediction]:
        unknown = [q.condition for q in queries if q.condition not in mixtures]
        if unknown:
            known = ", ".join(repr(c) for c in mixtures)
            raise UserError(f"The oracle has no mixture for {unknown[0]!r}; it knows {known}.")
        return [mixtures[q.condition].predict(q.x, at) for q in queries]

    return network
