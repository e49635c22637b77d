"""What a network is asked, what it answers, and how its answers are read.

The waist of the project is here: above it guidance, below it networks, and neither knows the other.

    Query  -> Network  -> Prediction      many questions, one batched call
    (x, level) -> Denoiser -> Prediction  what a solver sees
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.plans import Move
from duckrabbit.errors import UserError

Parameterisation = Literal["epsilon", "sample", "v_prediction", "flow", "flow_prediction"]
Condition = str | int | None
"""What a question is about: a prompt, a class label, or None for a network without conditions."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a denoiser says about x at a level; x = alpha x0 + sigma eps holds.

    x0, eps: (B, C, H, W) in the model's value range; both are formed from the network's own
    parameterisation, so that nothing is divided by an alpha near 0. `var_interp` (B, C, H, W),
    nominally in [-1, 1], interpolates the log variance where the network has learned it.
    """

    x0: Tensor
    eps: Tensor
    var_interp: Tensor | None = None


class View(Protocol):
    """A linear isometry of pictures, hashable: what an anagram looks through."""

    def __call__(self, x: Tensor) -> Tensor:
        """V x, for x of shape (B, C, H, W)."""

    def inverse(self, x: Tensor) -> Tensor:
        """V^-1 x."""

    def inverse_var_interp(self, var_interp: Tensor) -> Tensor:
        """How a per-pixel variance comes back: it moves with its pixel, and has no sign."""


@dataclass(frozen=True, eq=False)
class Query:
    """One question for the network: what is in `x` (B, C, H, W), given `condition`?

    `views` are the views x has gone through, outermost first; a spatial condition (the low
    resolution picture of a second stage) has to go through the same. `rows` are the pictures of the
    loop's batch that x shows, None for all. Two questions of one round with the same `key` are taken
    to be the same: whoever asks about an x that it changed in any other way gives the query a fresh
    `token` (any hashable object). `network` names the model that is asked, None for the run's own.
    """

    x: Tensor
    condition: Condition
    views: tuple[View, ...] = ()
    token: object = None
    rows: tuple[int, ...] | None = None
    network: str | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal keys mean equal questions."""
        return (self.network, self.condition, self.views, self.token, self.rows)


Network = Callable[[list[Query], NoiseLevel], list[Prediction]]
"""The batch boundary: all questions of a round in one call."""

Denoiser = Callable[[Tensor, NoiseLevel], Prediction]
"""The waist: what a solver walks with."""


def from_x0(x: Tensor, at: NoiseLevel, x0: Tensor, var_interp: Tensor | None = None) -> Prediction:
    """The prediction with this estimate of the picture, eps = (x - alpha x0) / sigma; needs sigma > 0."""
    return Prediction(x0, (x - at.alpha * x0) / at.sigma, var_interp)


def from_eps(x: Tensor, at: NoiseLevel, eps: Tensor, var_interp: Tensor | None = None) -> Prediction:
    """The prediction with this estimate of the noise, x0 = (x - sigma eps) / alpha.

    Raises UserError where alpha is 0: there the noise says nothing about the picture.
    """
    if at.alpha == 0:
        raise UserError(
            f"A model that predicts noise cannot start at t = {at.t:g}, where no picture is left (alpha = 0); "
            "start lower, or use a model that predicts v or the picture."
        )
    return Prediction((x - at.sigma * eps) / at.alpha, eps, var_interp)


def read_output(
    kind: Parameterisation, x: Tensor, at: NoiseLevel, output: Tensor, var_interp: Tensor | None = None
) -> Prediction:
    """A network's output (B, C, H, W) as a prediction, by what it was trained to say.

    epsilon: the noise. sample: the picture. v_prediction: v = alpha eps - sigma x0 (Salimans and
    Ho 2022, appendix D; alpha^2 + sigma^2 = 1). flow: the velocity u = x0 - s eps towards the
    picture, for alpha = 1 - t and sigma = s t, so x0 = x + t u and s eps = x - alpha u. flow_prediction: -u.
    """
    if kind == "epsilon":
        return from_eps(x, at, output, var_interp)
    if kind == "sample":
        return from_x0(x, at, output, var_interp)
    if kind == "v_prediction":
        return Prediction(at.alpha * x - at.sigma * output, at.sigma * x + at.alpha * output, var_interp)
    if kind in ("flow", "flow_prediction"):
        u, t = (output if kind == "flow" else -output), 1 - at.alpha
        return Prediction(x + t * u, t / at.sigma * (x - at.alpha * u), var_interp)
    raise UserError(f"Unknown prediction type '{kind}'; known are {', '.join(get_args(Parameterisation))}.")


def clip(p: Prediction, x: Tensor, at: NoiseLevel, limit: float = 1.0) -> Prediction:
    """Clamp x0 to [-limit, limit] and derive eps anew, so that x = alpha x0 + sigma eps still holds."""
    return from_x0(x, at, _counted(p.x0).clamp(-limit, limit), p.var_interp)


def dynamic_threshold(
    p: Prediction, x: Tensor, at: NoiseLevel, ratio: float = 0.95, max_value: float = 1.5
) -> Prediction:
    """Clamp x0 to +-s and divide by s, s = quantile(|x0|, ratio) of each picture, held in [1, max_value].

    Saharia et al. 2022 (Imagen, arXiv 2205.11487), section 2.3; DeepFloyd IF uses (0.95, 1.5) in its
    first stage and (0.95, 1.0), a plain clip, in its second. eps is derived anew.
    """
    x0 = _counted(p.x0)
    s = x0.flatten(1).abs().quantile(ratio, dim=1).clamp(1.0, max_value).view(-1, *[1] * (x0.ndim - 1))
    return from_x0(x, at, torch.minimum(torch.maximum(x0, -s), s) / s, p.var_interp)


def _counted(x0: Tensor) -> Tensor:
    """`x0`, infinities as NaN: an overflow in half precision, clamped, would pass for black or white."""
    return x0.where(x0.isfinite(), math.nan)


def transition_variance(move: Move) -> float:
    """The noise between two levels, sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2, t = at and s = to.

    For a variance preserving chain this is beta_t = 1 - abar_t / abar_s of the respaced chain.
    """
    at, to = move
    return at.sigma**2 - (at.alpha / to.alpha * to.sigma) ** 2


def diffuse(x: Tensor, move: Move, eps: Tensor) -> Tensor:
    """An upward move: x_to = r x + sqrt(sigma_to^2 - r^2 sigma_at^2) eps, r = alpha_to / alpha_at."""
    at, to = move
    return to.alpha / at.alpha * x + math.sqrt(transition_variance(Move(to, at))) * eps


def posterior_variance(move: Move) -> float:
    """Var[x_s | x_t, x_0] = transition_variance sigma_s^2 / sigma_t^2 (Ho et al. 2020, eq. 7)."""
    return transition_variance(move) * (move.to.sigma / move.at.sigma) ** 2


def learned_log_var(var_interp: Tensor, move: Move) -> Tensor:
    """log var = f log beta + (1 - f) log beta~, f = (var_interp + 1) / 2.

    Nichol and Dhariwal 2021, eq. 15, on the respaced chain of the plan; (B, C, H, W). Needs a
    move that does not end at CLEAN, where the posterior variance is 0.
    """
    f = (var_interp + 1) / 2
    return f * math.log(transition_variance(move)) + (1 - f) * math.log(posterior_variance(move))
