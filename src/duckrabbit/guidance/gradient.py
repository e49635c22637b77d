"""Guidance by the gradient of a loss: whatever can be said of a picture in numbers can steer it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import Prediction, View
from duckrabbit.errors import UserError
from duckrabbit.guidance.tree import Ask, Guidance, asked_as
from duckrabbit.values import number

Loss = Callable[[Tensor], Tensor]
"""loss(x0): (B, C, H, W) in the model's range to (B,), differentiable; minus a log probability, as an example."""


@dataclass(frozen=True)
class Gradient(Guidance):
    """Steer towards a smaller `loss` of x0: eps + scale sigma grad_x loss(x0(x)).

    With loss = -log p(y | x0) and scale 1 it is the score of the conditional distribution, as far as x0 stands for
    the pictures behind x (Dhariwal and Nichol 2021, arXiv 2105.05233, algorithm 2; Bansal et al. 2023, Universal
    Guidance, arXiv 2302.07121, eq. 6). The gradient goes through the network. Raises UserError where it passes none on.
    """

    child: Guidance
    loss: Loss
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.loss) or not math.isfinite(number("A gradient's scale", self.scale, finite=False)):
            raise UserError("A gradient guidance takes a loss to call, of x0, and a finite scale.")

    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """The child's questions about an x with a gradient, shared with no other branch."""
        asked, token = x.detach().requires_grad_(), object()
        own = asked_as(self.child.ask(asked, at, views), lambda q: replace(q, token=(q.token, token)))
        p = yield from own
        if not p.x0.requires_grad:
            raise UserError(
                "No gradient comes back from the network, so that no loss can steer it: its model has to pass it on, "
                "torch.no_grad() must not be around the run, and no Gradient lies in another."
            )
        losses = self.loss(p.x0)
        if not isinstance(losses, Tensor) or not losses.requires_grad:
            raise UserError("The loss of a gradient guidance is a tensor that depends on x0 differentiably.")
        if losses.shape != (len(x),):
            raise UserError(f"A loss has one number for each picture, ({len(x)},), not {tuple(losses.shape)}.")
        (slope,) = torch.autograd.grad(losses.sum(), asked)
        eps = p.eps.detach() + self.scale * at.sigma * slope
        x0 = p.x0.detach() - self.scale * at.sigma**2 / at.alpha * slope if at.alpha > 0 else p.x0.detach()
        return Prediction(x0, eps, None if p.var_interp is None else p.var_interp.detach())
