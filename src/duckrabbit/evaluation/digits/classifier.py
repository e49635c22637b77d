"""The judge: a small convolutional classifier of digits, trained by the project.

It says which digit a picture shows, and its last features are the space in which sets of pictures
are compared. It learns from the first 50,000 training pictures, shifted, turned and scaled a little;
the epoch is chosen on the other 10,000; the test set is read once, at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from duckrabbit.data.mnist.read import Pictures, to_range
from duckrabbit.errors import UserError
from duckrabbit.evaluation.distort import distort
from duckrabbit.evaluation.judge_recipe import JudgeRecipe
from duckrabbit.evaluation.weights_file import read_weights
from duckrabbit.folders import ASSETS
from duckrabbit.networks.loading import LOADING
from duckrabbit.training.objectives import Draws

SHIPPED = ASSETS / "judges/digit-classifier.safetensors"
"""The classifier that comes with the project."""

FEATURES = 128


class Classifier(nn.Module):
    """Four convolutions with batch norm and ReLU, the mean of the 7 x 7 positions, one linear layer."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_layer(1, 32), nn.MaxPool2d(2),
            *_layer(32, 64), *_layer(64, 64), nn.MaxPool2d(2),
            *_layer(64, FEATURES),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(FEATURES, classes)

    def features(self, images: Tensor) -> Tensor:
        """The last features (N, 128) of images (N, 1, 28, 28), 0 black to 1 white."""
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, 10) of images (N, 1, 28, 28), 0 black to 1 white."""
        return self.head(self.features(images))


@dataclass(frozen=True)
class ClassifierRecipe(JudgeRecipe):
    """Adam, one cycle up to 4e-3, pictures distorted a little, and an average of the weights, which is kept.

    data: the name of the set.
    """

    name: str = "classifier"
    epochs: int = 9
    batch: int = 128
    rate: float = 4e-3
    ema: float = 0.998
    data: str = "mnist"

    def build(self) -> nn.Module:
        """The classifier, with random weights."""
        return Classifier()

    def inputs(self, data: Pictures, rows: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """The pictures of these rows (N, 1, 28, 28) from 0 to 1, distorted, and their labels."""
        return distort(to_range(data.images[rows], (0.0, 1.0)), draws), data.labels[rows]


@torch.no_grad()
def judge(classifier: Classifier, images: Tensor, batch: int = 500) -> tuple[Tensor, Tensor]:
    """Probabilities (N, 10) and features (N, 128) of images (N, 1, 28, 28) from 0 to 1.

    Raises UserError for pictures in colour.
    """
    if images.shape[1] != 1:
        raise UserError(f"The judge of digits reads grey pictures, not such of {images.shape[1]} channels.")
    features = torch.cat([classifier.features(part.clamp(0, 1)) for part in images.split(batch)])
    return classifier.head(features).softmax(1), features


def accuracy(classifier: Classifier, data: Pictures) -> float:
    """The share of pictures whose most likely class is their label."""
    probabilities, _ = judge(classifier, to_range(data.images, (0, 1)))
    return float((probabilities.argmax(1) == data.labels).float().mean())


def with_weights(weights: Mapping[str, Tensor]) -> Classifier:
    """The classifier with these weights, ready to judge. Raises KeyError or RuntimeError where they are no one's."""
    with LOADING:
        classifier = Classifier(len(weights["head.bias"]))
    classifier.load_state_dict(weights)
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return classifier.eval().requires_grad_(False)


def load_classifier(path: Path = SHIPPED) -> tuple[Classifier, dict[str, object]]:
    """The classifier in `path`, ready to judge, and the facts about it. UserError where it is none."""
    remedy = "train one with `duckrabbit train classifier`"
    tensors, facts = read_weights(path, "classifier", remedy)
    try:
        return with_weights(tensors), facts
    except (KeyError, RuntimeError) as error:
        raise UserError(f"{path} holds no classifier ({error}); {remedy}.") from None


def _layer(c_in: int, c_out: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()
