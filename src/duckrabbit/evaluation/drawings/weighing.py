"""How well an anagram can be read already, for weights that adapt: the judge's view of each prompt."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from duckrabbit.diffusion.prediction import View
from duckrabbit.errors import UserError
from duckrabbit.evaluation.drawings.judge import Judge, classify, load_judge


@dataclass(frozen=True)
class DrawingScores:
    """S_kk: the cosine of what the judge sees through view k with the subject of prompt k, for dr.Adaptive.

        dr.anagram(model, {"identity": "a pear", "rotate_180": "a light bulb"}, combine="adaptive")

    `value_range` is that of the model. Called with x0 (B, 3, H, W) it gives (B, n), from -1 to 1. Raises UserError for
    another number of prompts than views, and for a prompt whose subject the judge does not know.
    """

    views: tuple[View, ...]
    prompts: tuple[str, ...]
    value_range: tuple[float, float] = (-1.0, 1.0)

    def __post_init__(self) -> None:
        if not self.views or len(self.views) != len(self.prompts):
            raise UserError(f"{len(self.views)} views are read by as many prompts, not {len(self.prompts)}.")
        for prompt in self.prompts:
            _judge().vocabulary.subject(prompt)

    def __call__(self, x0: Tensor) -> Tensor:
        """How well each prompt is seen through its view, on the processor, where the judge is."""
        judge, (low, high) = _judge(), self.value_range
        unit = ((x0.detach().float().cpu() - low) / (high - low)).clamp(0, 1)
        seen = []
        for view, prompt in zip(self.views, self.prompts, strict=True):
            subject = judge.vocabulary.subject(prompt)
            seen.append(classify(judge, (view(2 * unit - 1) + 1) / 2).cosines[:, subject])
        return torch.stack(seen, 1).to(x0)


@lru_cache(maxsize=1)
def _judge() -> Judge:
    return load_judge()[0]
