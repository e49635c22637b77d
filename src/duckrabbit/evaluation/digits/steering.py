"""A loss that steers any model of digits to one digit: how surely the classifier reads another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from torch import Tensor

from duckrabbit.errors import UserError
from duckrabbit.evaluation.digits.classifier import Classifier, load_classifier
from duckrabbit.networks.unet_28 import SIZE
from duckrabbit.values import number, whole


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
        whole("A digit", self.digit, 0, 9)
        low, high = self.value_range
        if not number("value_range's low end", low) < number("value_range's high end", high):
            raise UserError(f"A value range is (low, high), not {self.value_range}.")

    def __call__(self, x0: Tensor) -> Tensor:
        """-log p(digit | x0) of each picture."""
        if x0.shape[1:] != (1, SIZE, SIZE):
            raise UserError(f"A digit is read from pictures of (1, {SIZE}, {SIZE}), not of {tuple(x0.shape[1:])}.")
        low, high = self.value_range
        unit = ((x0 - low) / (high - low)).clamp(0, 1)
        return -_classifier(str(x0.device))(unit.float()).log_softmax(1)[:, self.digit]


@lru_cache(maxsize=8)
def _classifier(device: str) -> Classifier:
    """One for each device, so that threads do not move it from under each other."""
    return load_classifier()[0].to(device)
