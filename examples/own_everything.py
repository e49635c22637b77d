"""One of each, in one file: a view, a filter, a constraint, a guidance, a solver, a schedule and a model of your own.

duckrabbit anagram "a red circle" "a blue cross" --view examples/own_everything.py:Slide --model oracle
duckrabbit hybrid --low "a red circle" --high "a blue cross" --filter examples/own_everything.py:Box --model oracle
duckrabbit generate "a red circle" --constraint examples/own_everything.py:Bounded --model oracle
duckrabbit generate "a red circle" --guidance examples/own_everything.py:Geometric --model oracle
duckrabbit generate "a red circle" --solver examples/own_everything.py:Euler --model oracle
duckrabbit generate "a red circle" --spacing examples/own_everything.py:quadratic --model oracle
duckrabbit generate "grey" --model examples/own_everything.py:Plain
duckrabbit replay out/anagram-001/01.json --own examples/own_everything.py:Slide

In Python the same things are arguments: dr.generate(model, "a red circle", solver=Euler()).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import avg_pool2d

import duckrabbit as dr


@dataclass(frozen=True)
class Slide(dr.PixelView):
    """The picture moved to the right by a quarter, around the edge."""

    def __call__(self, x: Tensor) -> Tensor:
        """To the right."""
        return x.roll(x.shape[-1] // 4, -1)

    def inverse(self, x: Tensor) -> Tensor:
        """To the left."""
        return x.roll(-(x.shape[-1] // 4), -1)


@dataclass(frozen=True)
class Box:
    """A low pass: the mean of a square of pixels, of an odd width."""

    width: int = 5

    def __call__(self, x: Tensor) -> Tensor:
        """The low frequencies."""
        return avg_pool2d(x, self.width, 1, self.width // 2, count_include_pad=False)


@dataclass(frozen=True)
class Bounded:
    """No pixel further from its level's mean than so many standard deviations of noise, and the picture's range."""

    deviations: float = 4.0

    def __call__(self, x: Tensor, at: dr.NoiseLevel, noise: dr.NoiseSource, i: int) -> Tensor:
        """The state, clipped."""
        bound = at.alpha + self.deviations * at.sigma
        return x.clamp(-bound, bound)


@dataclass(frozen=True)
class Geometric(dr.Guidance):
    """Classifier-free guidance whose scale falls to 1 as the noise does: scale^sigma."""

    conditional: dr.Guidance
    unconditional: dr.Guidance
    scale: float

    def ask(self, x: Tensor, at: dr.NoiseLevel, views: tuple[dr.View, ...] = ()) -> dr.Ask:
        """That of CFG with this level's scale."""
        guided = dr.CFG(self.conditional, self.unconditional, self.scale**at.sigma)
        return (yield from guided.ask(x, at, views))


@dataclass(frozen=True)
class Euler:
    """The straight move along (x0, eps): DDIM without noise."""

    def step(
        self, denoise: dr.Denoiser, x: Tensor, move: dr.Move, noise: dr.NoiseSource, i: int, memory: dr.Memory
    ) -> dr.Step:
        """One question a move."""
        p = denoise(x, move.at)
        return dr.Step(move.to.alpha * p.x0 + move.to.sigma * p.eps, p, None)


def quadratic(schedule: dr.Schedule, steps: int) -> tuple[float, ...]:
    """Times that lie the closer the less noise there is: (k / steps)^2 of the first of them."""
    top = schedule.times(1, "trailing")[0]
    return tuple(round(top * (k / steps) ** 2) for k in range(steps, 0, -1))


class Plain:
    """A model without weights: whatever it is asked, its picture is one grey."""

    def __init__(self) -> None:
        oracle = dr.load("oracle")
        self.card = dr.Card(name="plain", title="Plain", source="own", licence="Apache-2.0", guidance_scale=1.0)
        self.stages, self.device, self.dtype = oracle.stages, "cpu", "float32"

    def condition(self, text: str) -> dr.Condition:
        """Any text."""
        return text

    def prepare(self, conditions: Iterable[dr.Condition]) -> None:
        """Nothing to prepare."""

    def network(
        self, stage: int, low_res: Tensor | None = None, noise_level: int = 0, micro_batch: int | None = None
    ) -> dr.Network:
        """x0 = 0 everywhere, so eps = x / sigma."""
        return lambda queries, at: [dr.Prediction(0 * q.x, q.x / at.sigma) for q in queries]

    def weight_hash(self) -> Mapping[str, str]:
        """There are none."""
        return {}
