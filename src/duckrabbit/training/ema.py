"""An exponential moving average of a network's weights, the one that samples.

    w_ema <- d w_ema + (1 - d) w,    d = min(decay, (1 + step) / (10 + step))

The warm-up of d (as in TensorFlow's ExponentialMovingAverage) forgets the random start. Only
parameters are averaged. The running statistics of batch norm are copied: they are averages already,
and an average of them lags. They belong to the raw weights though, so `settle` measures them anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


class Ema:
    """The average of `module`'s parameters, with a copy of its buffers; names as in its state_dict."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self._parameters = {k: p.detach().clone() for k, p in module.named_parameters()}
        self._buffers = {k: b.detach().clone() for k, b in module.named_buffers()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights after step `step` (0, 1, ...)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        now = [p.detach() for p in module.parameters()]
        torch._foreach_lerp_(list(self._parameters.values()), now, 1 - decay)
        for name, buffer in module.named_buffers():
            self._buffers[name].copy_(buffer)

    def state(self) -> dict[str, Tensor]:
        """Parameters and buffers, for `load_state_dict` of the module."""
        return {**self._parameters, **self._buffers}

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        for name, value in (self._parameters | self._buffers).items():
            value.copy_(state[name])


@torch.no_grad()
def settle(module: nn.Module, batches: Iterable[tuple[Tensor, Tensor | None, Tensor | None]]) -> None:
    """Measure the batch norm statistics of `module` anew, as plain averages over `batches` (x, t, labels).

    What stochastic weight averaging does (Izmailov et al. 2018, section 3.2). Leaves eval mode.
    """
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    module.train()
    for x, t, labels in batches:
        module(x, t, labels)
    module.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
