"""A model that gives each picture of a batch its own prompt, so that many prompts share a network call.

Guidance speaks of one condition for all pictures of a batch. Here that condition is a stand-in, EACH, and the network
answers a question about it row by row: as many questions, of one picture each, in one call. Everything else, solvers
and guidance and later stages, runs as it always does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import Condition, Network, Prediction, Query
from duckrabbit.models.model import Card, Model, StageFacts

EACH = "each its own prompt"
"""The prompt that stands for the one of each row."""


@dataclass(eq=False)
class EachPrompt:
    """`model`, where EACH means prompts[b] for row b; a Model itself. Every batch has len(prompts) rows."""

    model: Model
    prompts: tuple[str, ...]
    card: Card = field(init=False)
    stages: tuple[StageFacts, ...] = field(init=False)
    device: str = field(init=False)
    dtype: str = field(init=False)

    def __post_init__(self) -> None:
        self.card, self.stages = self.model.card, self.model.stages
        self.device, self.dtype = self.model.device, self.model.dtype

    def condition(self, text: str) -> Condition:
        """EACH as it is, anything else as the model says."""
        return EACH if text == EACH else self.model.condition(text)

    def prepare(self, conditions: Iterable[Condition]) -> None:
        """Make ready what is asked for; for EACH, all prompts."""
        wanted = list(conditions)
        own = [self.model.condition(p) for p in dict.fromkeys(self.prompts)] if EACH in wanted else []
        self.model.prepare([*own, *(c for c in wanted if c != EACH)])

    def network(
        self, stage: int, low_res: Tensor | None = None, noise_level: int = 0, micro_batch: int | None = None
    ) -> Network:
        """The model's network, asked row by row: in one call, or where rows have their own `low_res`, in one each."""
        rows = range(len(self.prompts))
        conditions = [self.model.condition(p) for p in self.prompts]
        if low_res is None:
            whole = self.model.network(stage, None, noise_level, micro_batch)
        else:
            single = [self.model.network(stage, low_res[b : b + 1], noise_level, micro_batch) for b in rows]

        def network(queries: list[Query], at: NoiseLevel) -> list[Prediction]:
            own = [[_row(q, b, conditions[b]) for q in queries] for b in rows]
            if low_res is None:
                answers = whole([q for part in own for q in part], at)
                parts = [answers[b * len(queries) : (b + 1) * len(queries)] for b in rows]
            else:
                parts = [single[b](own[b], at) for b in rows]
            return [_together(list(answer)) for answer in zip(*parts, strict=True)]

        return network

    def weight_hash(self) -> Mapping[str, str]:
        """The model's."""
        return self.model.weight_hash()


def _row(query: Query, b: int, condition: Condition) -> Query:
    return replace(query, x=query.x[b : b + 1], condition=condition if query.condition == EACH else query.condition)


def _together(rows: list[Prediction]) -> Prediction:
    """Predictions of single rows as one of all."""
    x0, eps, var_interp = zip(*((row.x0, row.eps, row.var_interp) for row in rows), strict=True)
    return Prediction(torch.cat(x0), torch.cat(eps), None if var_interp[0] is None else torch.cat(var_interp))
