"""The model `oracle`: an exact denoiser of twelve drawn shapes, which needs no weights.

Every prompt names a Gaussian mixture whose best estimate is known in closed form
(networks/oracle.py), so everything runs on it in milliseconds, and its answers are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import torch
from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import Condition, Network, Prediction, Query
from duckrabbit.diffusion.schedules import squaredcos_cap_v2
from duckrabbit.errors import UserError
from duckrabbit.models.model import Card, Limiter, StageFacts
from duckrabbit.networks.mixture import GaussianMixture, oracle_network

SIZE = 32
STD = 0.03
COLOURS = {"red": (0.85, 0.1, 0.1), "green": (0.1, 0.6, 0.2), "blue": (0.15, 0.25, 0.85)}
SHAPES = ("circle", "square", "triangle", "cross")


class Oracle:
    """The Model of the twelve shapes: one stage of 32 pixels, RGB in [-1, 1].

    Prompts: "a red circle" and the like name one shape; "a circle" that shape in any colour; "a red
    shape" any shape in that colour; "" all twelve, equally often.
    """

    def __init__(self, card: Card, device: str = "cpu") -> None:
        self.card = card
        self.device = device
        self.dtype = "float32"
        self.stages: tuple[StageFacts, ...] = (
            StageFacts(
                size=(SIZE, SIZE),
                channels=3,
                schedule=squaredcos_cap_v2(),
                prediction_type="sample",
                learned_variance=False,
                variance="small",
                limiter=Limiter(None, 1.0),
                spacing="leading",
                offset=0,
                steps=card.steps[0] if card.steps else 30,
                gflop=0.0,
            ),
        )

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts it knows."""
        return tuple(str(prompt) for prompt in mixtures())

    def condition(self, text: str) -> Condition:
        """`text` without case and surrounding space. Raises UserError for a prompt it does not know."""
        prompt = text.lower().strip()
        if prompt not in mixtures():
            known = ", ".join(f"'{p}'" for p in self.prompts)
            raise UserError(f"The oracle knows no prompt '{text}'. It knows {known}.")
        return prompt

    def prepare(self, conditions: Iterable[Condition]) -> None:
        """Look the prompts up. Raises UserError for one it does not know."""
        for condition in conditions:
            self._key(condition)

    def network(
        self, stage: int, low_res: Tensor | None = None, noise_level: int = 0, micro_batch: int | None = None
    ) -> Network:
        """The exact denoiser. Raises UserError for a second stage, or for a prompt it does not know."""
        if stage != 0 or low_res is not None:
            raise UserError("The oracle has one stage of 32 pixels; ask for stage 0 without a low resolution picture.")
        exact = oracle_network(mixtures())

        def network(queries: list[Query], at: NoiseLevel) -> list[Prediction]:
            return exact([Query(q.x, self._key(q.condition), q.views, q.token) for q in queries], at)

        return network

    def weight_hash(self) -> Mapping[str, str]:
        """Empty: there are no weights."""
        return {}

    def _key(self, condition: Condition) -> Condition:
        return self.condition("" if condition is None else str(condition))


@lru_cache(maxsize=1)
def mixtures() -> Mapping[Condition, GaussianMixture]:
    """The mixture that each prompt names; means (K, 3, 32, 32) in [-1, 1], standard deviation 0.03."""
    drawn = {(colour, shape): draw(shape, rgb) for colour, rgb in COLOURS.items() for shape in SHAPES}
    table: dict[Condition, GaussianMixture] = {}
    for (colour, shape), mean in drawn.items():
        table[f"a {colour} {shape}"] = _mixture([mean])
    for shape in SHAPES:
        table[f"a {shape}"] = _mixture([mean for (_, s), mean in drawn.items() if s == shape])
    for colour in COLOURS:
        table[f"a {colour} shape"] = _mixture([mean for (c, _), mean in drawn.items() if c == colour])
    table[""] = _mixture(list(drawn.values()))
    return table


def draw(shape: str, rgb: tuple[float, float, float], size: int = SIZE) -> Tensor:
    """One shape in one colour (0 to 1) on white, with soft edges: (3, size, size) in [-1, 1]."""
    line = (torch.arange(size, dtype=torch.float32) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    inside = {  # how far a pixel lies inside the shape, in half widths of the picture
        "circle": 0.65 - (x**2 + y**2).sqrt(),
        "square": 0.55 - torch.maximum(x.abs(), y.abs()),
        "triangle": torch.minimum(0.6 - y, (y + 0.7 - 2 * x.abs()) / 5**0.5),
        "cross": torch.minimum(0.65 - torch.maximum(x.abs(), y.abs()), 0.2 - torch.minimum(x.abs(), y.abs())),
    }[shape]
    cover = (inside * size / 2 + 0.5).clamp(0, 1)
    colour = torch.tensor(rgb, dtype=torch.float32).view(3, 1, 1)
    return 2 * (cover * colour + (1 - cover)) - 1


def _mixture(means: list[Tensor]) -> GaussianMixture:
    stacked, one = torch.stack(means), torch.ones(len(means), dtype=torch.float32)
    return GaussianMixture(stacked, STD * one, one / len(means))
