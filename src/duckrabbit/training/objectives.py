"""Objectives: what a network is trained to say, as a loss for every picture of a batch.

All noise comes from `Draws`, which draws for the whole batch of a step and hands each process its
rows. So a step is the same whether one process makes it or several, and whenever it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from duckrabbit.diffusion.prediction import Parameterisation
from duckrabbit.diffusion.schedules import DiscreteSchedule
from duckrabbit.diffusion.streams import stream_seed
from duckrabbit.errors import UserError
from duckrabbit.networks.unet_28 import NO_CLASS

Net = Callable[[Tensor, Tensor | None, Tensor | None], Tensor]
"""net(x, t, labels), as networks.unet.UNet."""

Weighting = Literal["uniform", "min_snr"]


class Draws:
    """The random numbers of one step: for `total` pictures, of which the caller holds `rows`.

    They are drawn on `device`: a GPU that draws its own is not kept waiting, but draws other numbers.
    """

    def __init__(self, seed: int, step: int, total: int, rows: slice, device: str | torch.device = "cpu") -> None:
        self._generator = torch.Generator(device).manual_seed(stream_seed(seed, "training", step))
        self._total, self._rows, self._device = total, rows, device

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal noise, shaped like this process's pictures."""
        everybody = torch.randn(self._total, *like.shape[1:], generator=self._generator, device=self._device)
        return everybody[self._rows].to(like)

    def uniform(self, like: Tensor) -> Tensor:
        """Numbers in [0, 1), one for each of this process's pictures (N,)."""
        everybody = torch.rand(self._total, generator=self._generator, device=self._device)
        return everybody[self._rows].to(like.device)

    def stratified(self, like: Tensor) -> Tensor:
        """Numbers in [0, 1) spread evenly over the batch, in random order (Kingma et al. 2021, I.1)."""
        offset = torch.rand(1, generator=self._generator, device=self._device)
        u = (torch.arange(self._total, device=self._device) + offset) / self._total
        order = torch.randperm(self._total, generator=self._generator, device=self._device)
        return u[order][self._rows].to(like.device)

    def integers(self, high: int, like: Tensor) -> Tensor:
        """Whole numbers 0 ... high - 1, one for each of this process's pictures (N,)."""
        everybody = torch.randint(high, (self._total,), generator=self._generator, device=self._device)
        return everybody[self._rows].to(like.device)


class Objective(Protocol):
    """Anything that can be minimised."""

    def loss(self, net: Any, x0: Tensor, condition: Any, draws: Draws, /) -> Tensor:
        """The loss of each picture (N,), for x0 (N, C, H, W) in the model's range and what belongs to it."""


@dataclass(frozen=True)
class Denoising:
    """|| D(z) - x ||^2 with z = x + sigma eps (CS180 5B, section 1.2).

    With `pure_noise` z is eps alone, and nothing of x: the best D then gives the mean of the
    training set (section 1.2.3 of the later editions).
    """

    sigma: float = 0.5
    pure_noise: bool = False

    def loss(self, net: Net, x0: Tensor, labels: Tensor, draws: Draws) -> Tensor:
        """The mean squared error of each picture (N,)."""
        eps = draws.normal(x0)
        z = eps if self.pure_noise else x0 + self.sigma * eps
        return _mse(net(z, None, None), x0)


@dataclass(frozen=True)
class Diffusion:
    """The noise, v or the picture, at a random time of a chain (Ho et al. 2020, eq. 14).

    The network is told (t + 1) / T for t = 0 ... T - 1, the course's t / T for t = 1 ... T.
    p_uncond: how often the label is withheld. weighting: "uniform" counts every time alike;
    "min_snr" is min(snr, 5), carried over to what is predicted (Hang et al. 2023, arXiv 2303.09556,
    section 3.4). stratified: times spread evenly over each batch, for a loss with less noise.
    """

    schedule: DiscreteSchedule
    prediction: Parameterisation = "epsilon"
    conditional: bool = False
    p_uncond: float = 0.1
    weighting: Weighting = "uniform"
    stratified: bool = False

    def __post_init__(self) -> None:
        if self.prediction not in ("epsilon", "v_prediction", "sample"):
            raise UserError(f"A chain is not trained to predict '{self.prediction}'; choose epsilon or v_prediction.")
        if self.prediction == "epsilon" and self._levels[-1, 0] == 0:
            raise UserError("Where no picture is left, the noise says nothing of it: zero terminal SNR needs v.")

    @cached_property
    def _levels(self) -> Tensor:
        abar = torch.tensor(self.schedule.alphas_cumprod, dtype=torch.float64)
        return torch.stack([abar.sqrt(), (1 - abar).sqrt()], 1)

    def loss(self, net: Net, x0: Tensor, labels: Tensor, draws: Draws) -> Tensor:
        """The mean squared error of each picture (N,), weighted by its time."""
        steps = len(self.schedule.alphas_cumprod)
        u = draws.stratified(x0) if self.stratified else draws.uniform(x0)
        t = (u * steps).long().clamp_(max=steps - 1)
        levels = self._levels.to(x0.device)[t].to(x0.dtype)
        alpha, sigma = levels[:, 0].view(-1, 1, 1, 1), levels[:, 1].view(-1, 1, 1, 1)
        eps = draws.normal(x0)
        output = net(alpha * x0 + sigma * eps, (t + 1) / steps, _labels(self, labels, draws, x0))
        error = _mse(output, target(self.prediction, x0, eps, alpha, sigma))
        return error * snr_weight(self.weighting, self.prediction, alpha.flatten(), sigma.flatten())


def target(prediction: Parameterisation, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """What a network of this kind is to say of alpha x_0 + sigma eps. Raises UserError for another kind."""
    if prediction == "epsilon":
        return eps
    if prediction == "sample":
        return x0
    if prediction == "v_prediction":
        return alpha * eps - sigma * x0
    raise UserError(f"A chain is not trained to predict '{prediction}'; choose epsilon or v_prediction.")


def snr_weight(weighting: Weighting, prediction: Parameterisation, alpha: Tensor, sigma: Tensor) -> Tensor | float:
    """The weight of the squared error of what is predicted (N,); see `Diffusion`."""
    if weighting == "uniform":
        return 1.0
    snr = alpha**2 / sigma**2
    per_output = {"epsilon": snr, "sample": torch.ones_like(snr), "v_prediction": snr + 1}[prediction]
    return snr.clamp(max=5.0) / per_output


@dataclass(frozen=True)
class Flow:
    """The velocity x_0 - eps on the straight path x = (1 - t) x_0 + t eps (Lipman et al. 2023).

    The network is told the course's time, 1 - t: 0 at noise and 1 at the picture.
    """

    conditional: bool = False
    p_uncond: float = 0.1
    stratified: bool = False

    def loss(self, net: Net, x0: Tensor, labels: Tensor, draws: Draws) -> Tensor:
        """The mean squared error of each picture (N,)."""
        t = draws.stratified(x0) if self.stratified else draws.uniform(x0)
        eps = draws.normal(x0)
        sigma = t.view(-1, 1, 1, 1)
        output = net((1 - sigma) * x0 + sigma * eps, 1 - t, _labels(self, labels, draws, x0))
        return _mse(output, x0 - eps)


def _labels(objective: Diffusion | Flow, labels: Tensor, draws: Draws, like: Tensor) -> Tensor | None:
    """The labels with some withheld (Ho and Salimans 2022, algorithm 1), or None without conditions."""
    if not objective.conditional:
        return None
    return labels.masked_fill(draws.uniform(like) < objective.p_uncond, NO_CLASS)


def _mse(output: Tensor, target: Tensor) -> Tensor:
    return (output.float() - target).square().flatten(1).mean(1)
