"""How fast a step is: precision, memory format and memory, none of which changes what is learned.

Measured, not assumed: bf16 is twice as fast on a chip with matrix units for it and four times
slower on one that has to imitate it (docs/log.md).
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

Precision = Literal["no", "bf16"]
"""Accelerate's names; "no" is float32 throughout. (fp16 would need its loss scale in the checkpoint.)"""

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Speed:
    """What a run computes in. channels_last: pixels side by side hold one pixel's channels."""

    precision: Precision = "no"
    channels_last: bool = True

    @property
    def memory_format(self) -> torch.memory_format:
        """PyTorch's name of the format."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def arrange(self, module: Module) -> Module:
        """`module` with its weights in the memory format, and its group norms as SingleGroupNorm."""
        module.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        for part in module.modules():
            if type(part) is nn.GroupNorm:
                part.__class__ = SingleGroupNorm
        return module

    def attention(self, device: str) -> AbstractContextManager[object]:
        """On a CPU, attention as plain matrix products, the same function: in bf16 its fused gradient is slower."""
        return sdpa_kernel(SDPBackend.MATH) if device == "cpu" else nullcontext()


class SingleGroupNorm(nn.GroupNorm):
    """Group norm that computes in float32 on a CPU, whatever it is given: the same function, closer to it.

    In bf16, channels last, with few channels to a group, PyTorch takes the gradient five times more slowly.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Of x (N, C, ...), in the precision of x."""
        return super().forward(x.float()).to(x.dtype) if x.device.type == "cpu" else super().forward(x)


def fastest(device: str) -> Speed:
    """The fastest way on this machine, found by timing one convolution (a fraction of a second)."""
    x = torch.randn(16, 64, 28, 28, device=device).to(memory_format=torch.channels_last)
    weight = torch.randn(64, 64, 3, 3, device=device).to(memory_format=torch.channels_last)
    half = x.bfloat16(), weight.bfloat16()
    single = best_time(lambda: torch.conv2d(x, weight, padding=1), device)
    return Speed("bf16" if best_time(lambda: torch.conv2d(*half, padding=1), device) < 0.8 * single else "no")


def best_time(compute: Callable[[], Tensor], device: str, repeats: int = 5) -> float:
    """The shortest of `repeats` timings in seconds, after one that does not count."""
    times = []
    with torch.no_grad():
        for _ in range(repeats + 1):
            start = time.perf_counter()
            compute()
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
    return min(times[1:])


def keep_memory() -> bool:
    """Ask the C library to keep freed memory instead of giving it back; True where that worked.

    A training step frees and takes a gigabyte. Giving it back costs a page fault for every 4 kB
    when it is taken again: a fifth of the time here (glibc's mallopt; nothing happens elsewhere).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4
    return bool(mallopt(m_mmap_max, 0) and mallopt(m_trim_threshold, 2**31 - 1) and mallopt(m_top_pad, 64 * 2**20))
