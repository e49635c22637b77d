"""An exponential moving average of a network's weights, the one that samples.

    w_ema <- d w_ema + (1 - d) w,    d = min(decay, n / (9 + n)),    n = 1, 2, ... the number of the step

The warm-up of d (as in TensorFlow's ExponentialMovingAverage) forgets the random start, which counts as the first of
the averaged. Only parameters are averaged. The running statistics of batch norm are copied: they are averages already,
and an average of them lags. They belong to the raw weights though, so `measure_norms` measures them anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn


def averaged(module: nn.Module, decay: float) -> AveragedModel:
    """The average of `module`'s weights, begun with those it has; `update_parameters` takes in those after a step."""

    def towards(averages: Any, now: Any, _: Tensor | int) -> None:
        n = int(average.n_averaged)  # on the CPU; the one that is handed over is on the device, and would be waited for
        torch._foreach_lerp_(averages, now, 1 - min(decay, n / (9 + n)))

    average = AveragedModel(module, multi_avg_fn=torch.no_grad()(towards))
    average.n_averaged.fill_(1)
    return average


def measure_norms(module: nn.Module, batches: Iterable[tuple[Tensor, Tensor | None, Tensor | None]]) -> None:
    """Measure the batch norm statistics of `module` anew, as plain averages over `batches` (x, t, labels).

    What stochastic weight averaging does (Izmailov et al. 2018, section 3.2).
    """
    update_bn(([batch] for batch in batches), _Together(module).eval())


class _Together(nn.Module):
    """A network that takes its arguments as one."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, arguments: tuple[Tensor, Tensor | None, Tensor | None]) -> Tensor:
        return self.module(*arguments)
