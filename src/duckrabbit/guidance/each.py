"""Guidance row by row: the one node that parts the pictures of a batch, so that many prompts share a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import Prediction, View
from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import combine
from duckrabbit.guidance.tree import Ask, Guidance, ask_all


@dataclass(frozen=True)
class Each(Guidance):
    """Every picture of a batch by a guidance of its own: many prompts in one network call.

    The children have equal shares of x (B, C, H, W), in order: of 6 pictures, the first of two
    children guides pictures 0 to 2.
    """

    children: tuple[Guidance, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.children:
            raise UserError("A batch needs at least one guidance.")

    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """All children's questions in one round. Raises UserError where B is no multiple of their number."""
        share, rest = divmod(len(x), len(self.children))
        if rest or not share:
            raise UserError(
                f"{len(self.children)} guidances, each for its own pictures, need a batch of as many or a multiple, "
                f"not of {len(x)}."
            )
        shares = [tuple(range(k, k + share)) for k in range(0, len(x), share)]
        asks = [
            _about(rows, child.ask(x[list(rows)], at, views)) for rows, child in zip(shares, self.children, strict=True)
        ]
        ps = yield from ask_all(asks)
        return combine(ps, _joined, _joined)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parts))


def _about(rows: tuple[int, ...], ask: Ask) -> Ask:
    """The questions of `ask`, which counts the pictures of its x from 0, said to be about these rows of a batch."""
    try:
        queries = next(ask)
        while True:
            own = [rows if q.rows is None else tuple(rows[b] for b in q.rows) for q in queries]
            queries = ask.send((yield [replace(q, rows=r) for q, r in zip(queries, own, strict=True)]))
    except StopIteration as done:
        result: Prediction = done.value
        return result
