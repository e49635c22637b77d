"""The judge: a small convolutional classifier of digits, trained by the project.

It says which digit a picture shows, and its last features are the space in which sets of pictures
are compared. It learns from the first 50,000 training pictures, shifted, turned and scaled a little;
the epoch is chosen on the other 10,000; the test set is read once, at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from duckrabbit.data.mnist.read import Pictures, to_range
from duckrabbit.errors import UserError
from duckrabbit.evaluation.distort import distort
from duckrabbit.evaluation.weights_file import read_weights, write_weights
from duckrabbit.training.ema import Ema
from duckrabbit.training.objectives import Draws

SHIPPED = Path(str(files("duckrabbit").joinpath("assets/judges/digit-classifier.safetensors")))
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


class Epoch(NamedTuple):
    """What is known after an epoch of training the classifier; accuracies are between 0 and 1."""

    epoch: int
    loss: float
    validation: float


def train_classifier(
    classifier: Classifier, train: Pictures, validation: Pictures, *, epochs: int = 8, batch: int = 128, seed: int = 180
) -> Iterator[Epoch]:
    """Train in place, and yield after every epoch; at the end it holds the averaged weights that did best.

    Adam, one cycle up to 4e-3, labels smoothed by 0.1, and an exponential moving average of the
    weights, which is what is validated and kept.
    """
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(classifier.parameters(), betas=(0.9, 0.99), fused=True)
    per_epoch = len(train) // batch
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=max(2, per_epoch * epochs), pct_start=0.2)
    average = Ema(classifier, 0.998)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)
    best, judge = -1.0, Classifier(classifier.head.out_features)
    kept = {k: v.clone() for k, v in average.state().items()}
    for epoch in range(epochs):
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed + epoch))
        classifier.train()
        total = 0.0
        for k in range(per_epoch):
            rows = order[k * batch : (k + 1) * batch]
            images = distort(
                to_range(train.images[rows], (0, 1)), Draws(seed, epoch * per_epoch + k, batch, slice(None))
            )
            loss = loss_of(classifier(images.contiguous(memory_format=torch.channels_last)), train.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
            average.update(classifier, epoch * per_epoch + k)
            total += float(loss.detach())
        judge.load_state_dict(average.state())
        found = accuracy(judge.eval(), validation)
        if found > best:
            best, kept = found, {k: v.clone() for k, v in average.state().items()}
        yield Epoch(epoch + 1, total / per_epoch, found)
    classifier.load_state_dict(kept)
    classifier.eval()


@torch.no_grad()
def judge(classifier: Classifier, images: Tensor, batch: int = 500) -> tuple[Tensor, Tensor]:
    """Probabilities (N, 10) and features (N, 128) of images (N, 1, 28, 28) from 0 to 1."""
    features = torch.cat([classifier.features(part.clamp(0, 1)) for part in images.split(batch)])
    return classifier.head(features).softmax(1), features


def accuracy(classifier: Classifier, data: Pictures) -> float:
    """The share of pictures whose most likely class is their label."""
    probabilities, _ = judge(classifier, to_range(data.images, (0, 1)))
    return float((probabilities.argmax(1) == data.labels).float().mean())


def save_classifier(classifier: Classifier, path: Path, facts: dict[str, object]) -> None:
    """Write the classifier in fp16 with facts about it in the header of the file."""
    write_weights(classifier, path, facts)


def load_classifier(path: Path = SHIPPED) -> tuple[Classifier, dict[str, object]]:
    """The classifier in `path`, ready to judge, and the facts about it. UserError where it is none."""
    remedy = "train one with `duckrabbit train classifier`"
    tensors, facts = read_weights(path, "classifier", remedy)
    try:
        classifier = Classifier(len(tensors["head.bias"]))
        classifier.load_state_dict(tensors)
    except (KeyError, RuntimeError) as error:
        raise UserError(f"{path} holds no classifier ({error}); {remedy}.") from None
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return classifier.eval().requires_grad_(False), facts


def _layer(c_in: int, c_out: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()
