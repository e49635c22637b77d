"""The scorecard of a model of digits: how often the judge sees what was asked for, and how far the set is from data.

Picture k is drawn from seed k, by the very job that `generate` makes: `duckrabbit generate 3 --seed 600` makes the
first 3 of 2,000 again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from duckrabbit.data.mnist.fetch import load_or_fetch
from duckrabbit.data.mnist.read import Pictures, to_range
from duckrabbit.errors import UserError
from duckrabbit.evaluation.digits.classifier import Classifier, judge, load_classifier
from duckrabbit.evaluation.metrics import Score, frechet, kernel_distance, memorised, per_class, share
from duckrabbit.evaluation.sampling import OnMove, Sampler, Setting, unheard
from duckrabbit.evaluation.scorecard import Line
from duckrabbit.guidance.views.shipped import parse_view
from duckrabbit.models.digits.model import DigitsConfig
from duckrabbit.models.model import Model
from duckrabbit.tasks.run import run
from duckrabbit.tasks.tasks import anagram

BATCH = 250
"""Digits that are drawn at once."""

HALF = "rotate_180"

DIGITS = tuple(f"{digit}" for digit in range(10))


@dataclass(frozen=True, eq=False)
class Reference:
    """What models are measured against: the judge, the test set's features, and the pictures."""

    classifier: Classifier
    features: Tensor
    train: Tensor
    test: Tensor


def reference(classifier: Classifier, train: Pictures, test: Pictures) -> Reference:
    """The reference from the training set and the test set."""
    shown, new = (to_range(p.images, (0.0, 1.0)) for p in (train, test))
    return Reference(classifier, judge(classifier, new)[1], shown, new)


def mnist(say: Callable[[str], None] = unheard) -> Reference:
    """The reference of MNIST, with the judge that comes with duckrabbit; `say` is told of a download."""
    shown, new = (load_or_fetch("mnist", split, say) for split in ("train+validation", "test"))
    return reference(load_classifier()[0], shown, new)


def refuse_unread(config: DigitsConfig, name: str) -> None:
    """Raises UserError for a model that learned something else than the digits that the judge reads."""
    learned = config.training.get("recipe", {}).get("data", "mnist")
    if learned != "mnist" or config.network.channels != 1:
        raise UserError(
            f"{name} draws {learned}; the judge that comes with duckrabbit knows digits only, those of MNIST. "
            "Look at what it draws: duckrabbit generate."
        )


def asked(count: int, classes: bool) -> tuple[list[str], Tensor | None]:
    """What `count` pictures are asked for: a tenth each digit, and their labels (count,); or nothing, and None."""
    if not classes:
        return [""] * count, None
    labels = torch.arange(10).repeat_interleave(count // 10)
    return [str(label) for label in labels.tolist()], labels


def draw(model: Model, count: int, setting: Setting, classes: bool = True) -> Tensor:
    """`count` pictures (count, C, 28, 28), 0 black to 1 white: a tenth each class in turn, or whatever it likes."""
    return Sampler(model, BATCH).draw(asked(count, classes)[0], setting)


def evaluate(
    model: Model,
    against: Reference,
    settings: Sequence[Setting],
    count: int = 2000,
    *,
    memory: bool = False,
    classes: bool = True,
    on_move: OnMove = unheard,
) -> Iterator[Line]:
    """Draw `count` digits in every setting, from the same seeds, and score them.

    memory: also look for training pictures repeated (seconds per thousand pictures). classes: ask
    for each digit as often; without, for none.
    """
    prompts, labels = asked(count, classes)
    scored = partial(score, labels=labels, against=against, memory=memory)
    return Sampler(model, BATCH).evaluate(prompts, settings, scored, on_move)


def score(
    pictures: Tensor, labels: Tensor | None, against: Reference, *, memory: bool = False
) -> Mapping[str, Score | None]:
    """The scores of pictures (N, 1, 28, 28) from 0 to 1 that were to show `labels` (N,), or anything (None).

    "accuracy": the share judged to be what was asked for, "0" to "9": of each digit.
    """
    probabilities, features = judge(against.classifier, pictures)
    right: dict[str, Score | None] = {}
    if labels is not None:
        found = probabilities.argmax(1)
        right = {"accuracy": share(int((found == labels).sum()), len(labels))}
        right |= dict(zip(DIGITS, per_class(found, labels), strict=True))
    return {
        **right,
        "Frechet": frechet(against.features, features),
        "KID": kernel_distance(against.features, features),
        "memorised": memorised(pictures, against.train, against.test[:2000]) if memory else None,
    }


def draw_anagrams(model: Model, first: int, second: int, seeds: range, setting: Setting) -> tuple[Tensor, Tensor]:
    """Pictures (len(seeds), 1, 28, 28), 0 to 1, that show `first`; and the same turned by half, showing `second`."""
    pictures = run(anagram(model, {"identity": str(first), HALF: str(second)}, **setting.options), seeds).unit
    return pictures, parse_view(HALF, pictures.shape[-1])(pictures)


def anagram_rate(
    model: Model, classifier: Classifier, first: int, second: int, seeds: range, setting: Setting
) -> Score:
    """How often a picture is judged to show `first`, and, turned by half, `second`."""
    pairs = draw_anagrams(model, first, second, seeds, setting)
    one, other = (judge(classifier, x)[0].argmax(1) for x in pairs)
    return share(int(((one == first) & (other == second)).sum()), len(one))


def anagram_matrix(model: Model, classifier: Classifier, per_pair: int, setting: Setting) -> Tensor:
    """The rate of every ordered pair of digits (10, 10): row, the digit upright; column, the digit turned by half."""
    matrix = torch.empty(10, 10)
    for first in range(10):
        for second in range(10):
            seeds = range((10 * first + second) * per_pair, (10 * first + second + 1) * per_pair)
            matrix[first, second] = anagram_rate(model, classifier, first, second, seeds, setting).value
    return matrix
