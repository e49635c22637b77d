"""A loss that steers any model of digits to one digit: how surely the classifier reads another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from torch import Tensor

from duckrabbit.errors import UserError
from duckrabbit.evaluation.digits.classifier import Classifier, load_classifier


@dataclass(frozen=True)
class DigitLoss:
    """-log p(digit | x0) of the classifier that comes with duckrabbit, for dr.Gradient.

        model = dr.load("mnist-time")
        dr.generate(model, dr.Gradient(dr.Prompt(None), dr.DigitLoss(3), scale=4), steps=50)

    `value_range` is that of the model. Called with (B, 1, 28, 28) it gives (B,), and a gradient.
    """

    digit: int
    value_range: tuple[float, float] = (-1.0, 1.0)

    def __post_init__(self) -> None:
        if self.digit not in range(10):
            raise UserError(f"A digit is from 0 to 9, not {self.digit}.")

    def __call__(self, x0: Tensor) -> Tensor:
        """-log p(digit | x0) of each picture."""
        low, high = self.value_range
        unit = ((x0 - low) / (high - low)).clamp(0, 1)
        return -_classifier().to(x0.device)(unit.float()).log_softmax(1)[:, self.digit]


@lru_cache(maxsize=1)
def _classifier() -> Classifier:
    return load_classifier()[0]
