"""Training throughput of the class-conditioned U-Net (D = 64): the textbook loop against ours, in one run.

    python benchmarks/training_throughput.py --threads 1 --rounds 7

Textbook: float32, NCHW, eager, `Adam` as it comes, the same batch. Ours: what `duckrabbit train
class` does, through its Trainer. The textbook goes first: the advice to keep memory cannot be taken
back. The convolution rate is that of the network's commonest
convolution (64 -> 64, 3 x 3, 28 x 28), forward and backward, in the precision of our loop: what a
network of nothing but convolutions could reach.

The numbers of docs/log.md were taken while nothing else was running.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState

from duckrabbit.data.mnist.read import Pictures
from duckrabbit.networks.unet_28 import UNetConfig, build_unet
from duckrabbit.training.digits.recipe import find_recipe
from duckrabbit.training.speed import Speed, fastest, keep_memory
from duckrabbit.training.trainer import Trainer

BATCH = 128


def training_gflop() -> float:
    """Multiply-adds x 2 of one picture, forward and both gradients, in 1e9: counted, not derived."""
    from torch.utils.flop_counter import FlopCounterMode

    net = build_unet(UNetConfig(64, "class"))
    with FlopCounterMode(display=False) as counter:
        net(torch.rand(2, 1, 28, 28), torch.rand(2), torch.tensor([0, 1])).sum().backward()
    return counter.get_total_flops() / 2 / 1e9


def textbook(data: Pictures) -> Callable[[], None]:
    """The loop of a first tutorial."""
    net = build_unet(UNetConfig(64, "class")).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    abar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 300), 0)

    def step() -> None:
        rows = torch.randint(0, len(data), (BATCH,))
        x0 = data.images[rows][:, None].float() / 255
        t = torch.randint(0, 300, (BATCH,))
        a = abar[t].view(-1, 1, 1, 1)
        eps = torch.randn_like(x0)
        out = net(a.sqrt() * x0 + (1 - a).sqrt() * eps, (t + 1) / 300, data.labels[rows])
        loss = torch.nn.functional.mse_loss(out, eps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def ours(data: Pictures, speed: Speed, folder: str) -> Callable[[], None]:
    """A step of the trainer, as the command runs it."""
    recipe = replace(find_recipe("cs180-class"), epochs=10_000)
    accelerator = Accelerator(mixed_precision=speed.precision)
    steps = Trainer(recipe, data, Path(folder), accelerator, speed, checkpoint_seconds=1e9).run()
    return lambda: (next(steps), None)[1]


def convolution_gflops(speed: Speed, device: str) -> float:
    """The rate of the commonest convolution, forward and both gradients, in 1e9 a second."""
    dtype = torch.bfloat16 if speed.precision == "bf16" else torch.float32
    x, w, g = (
        torch.randn(s, device=device, dtype=dtype) for s in ((BATCH, 64, 28, 28), (64, 64, 3, 3), (BATCH, 64, 28, 28))
    )
    x, w, g = (v.to(memory_format=speed.memory_format) for v in (x, w, g))

    def both() -> None:
        torch.conv2d(x, w, padding=1)
        torch.ops.aten.convolution_backward(
            g, x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, True, False]
        )

    with torch.no_grad():
        return 3 * 2 * BATCH * 64 * 64 * 9 * 28 * 28 / min(seconds(both, device) for _ in range(8)) / 1e9


def seconds(step: Callable[[], None], device: str) -> float:
    start = time.perf_counter()
    step()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = PartialState().device.type
    speed = fastest(device)
    generator = torch.Generator().manual_seed(0)
    data = Pictures(
        torch.randint(0, 256, (60_000, 28, 28), generator=generator, dtype=torch.uint8), torch.arange(60_000) % 10
    )
    rate = convolution_gflops(speed, device)
    times: dict[str, list[float]] = {"textbook": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        first = textbook(data)
        for _ in range(2):
            first()
        times["textbook"] = [seconds(first, device) for _ in range(options.rounds)]  # before malloc is told to keep
        keep_memory()
        second = ours(data, speed, folder)
        for _ in range(2):
            second()
        times["ours"] = [seconds(second, device) for _ in range(options.rounds)]
    rates = {name: BATCH / statistics.median(values) for name, values in times.items()}
    print(json.dumps({
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "precision": speed.precision,
        "images_per_second": {k: round(v, 1) for k, v in rates.items()},
        "spread": {k: [round(BATCH / max(v), 1), round(BATCH / min(v), 1)] for k, v in times.items()},
        "times_textbook": round(rates["ours"] / rates["textbook"], 2),
        "gflop_per_image": round(training_gflop(), 3),
        "convolution_gflops": round(rate, 1),
        "share_of_convolution_rate": round(rates["ours"] * training_gflop() / rate, 3),
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
