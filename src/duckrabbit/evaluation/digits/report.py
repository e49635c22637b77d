"""The scorecard of a model: every score over guidance scales, solvers and steps, as data, text and a plot."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from duckrabbit.data.mnist.read import Pictures, to_range
from duckrabbit.evaluation.digits.classifier import Classifier, judge
from duckrabbit.evaluation.digits.sampling import OnMove, draw_anagrams, draw_classes, draw_free, unheard
from duckrabbit.evaluation.scores import Score, frechet, kernel_distance, memorised, per_class, share, table
from duckrabbit.evaluation.settings import Setting
from duckrabbit.models.model import Model


@dataclass(frozen=True)
class Line:
    """What was found for one setting. accuracy: the share of pictures judged to be what was asked for.

    It is None, and by_class empty, for a model that cannot be asked for anything.
    """

    setting: Setting
    count: int
    accuracy: Score | None
    by_class: list[Score]
    frechet: Score
    kernel: Score
    memorised: Score | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The line as plain values."""
        return asdict(self)


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
    for setting in settings:
        start = time.perf_counter()
        if classes:
            pictures, labels = draw_classes(model, count, setting, on_move=on_move)
        else:
            pictures, labels = draw_free(model, count, setting, on_move=on_move), None
        seconds = time.perf_counter() - start
        yield score(pictures, labels, against, setting, seconds, memory=memory)


def score(
    pictures: Tensor,
    labels: Tensor | None,
    against: Reference,
    setting: Setting,
    seconds: float,
    *,
    memory: bool = False,
) -> Line:
    """The scores of pictures (N, 1, 28, 28) from 0 to 1 that were to show `labels` (N,), or anything (None)."""
    probabilities, features = judge(against.classifier, pictures)
    found = probabilities.argmax(1)
    return Line(
        setting,
        len(pictures),
        None if labels is None else share(int((found == labels).sum()), len(labels)),
        [] if labels is None else per_class(found, labels),
        frechet(against.features, features),
        kernel_distance(against.features, features),
        memorised(pictures, against.train, against.test[:2000]) if memory else None,
        seconds,
    )


def anagram_rate(
    model: Model,
    classifier: Classifier,
    first: int,
    second: int,
    seeds: range,
    setting: Setting,
    view: str = "rotate_180",
) -> Score:
    """How often a picture is judged to show `first`, and `second` through the view."""
    from duckrabbit.guidance.views.shipped import parse_view

    pictures = draw_anagrams(model, first, second, view, seeds, setting)
    turned = parse_view(view, pictures.shape[-1])(pictures)
    one, other = (judge(classifier, x)[0].argmax(1) for x in (pictures, turned))
    return share(int(((one == first) & (other == second)).sum()), len(pictures))


def anagram_matrix(
    model: Model, classifier: Classifier, per_pair: int, setting: Setting, view: str = "rotate_180"
) -> Iterator[tuple[int, int, Score]]:
    """The rate of every ordered pair of digits, (first, second, rate)."""
    for first in range(10):
        for second in range(10):
            seeds = range((10 * first + second) * per_pair, (10 * first + second + 1) * per_pair)
            yield first, second, anagram_rate(model, classifier, first, second, seeds, setting, view)


def rows_of(lines: Sequence[Line]) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, and the lines as words."""
    head = ["scale", "solver", "steps", "accuracy", "worst digit", "Frechet", "KID", "memorised", "s / 1000"]
    rows = []
    for line in lines:
        right, worst = (line.accuracy.percent(), _worst(line.by_class)) if line.accuracy else ("-", "-")
        rows.append(
            [
                *(f"{line.setting.scale:g}", line.setting.solver, str(line.setting.steps)),
                *(right, worst, str(line.frechet), str(line.kernel)),
                line.memorised.percent() if line.memorised else "-",
                f"{1000 * line.seconds / line.count:.1f}",
            ]
        )
    return head, rows


def as_table(lines: Sequence[Line], columns: Sequence[str] = ()) -> str:
    """The lines as a Markdown table: these columns of it, by default all."""
    head, rows = rows_of(lines)
    kept = [head.index(name) for name in columns or head]
    return table([head[k] for k in kept], [[row[k] for k in kept] for row in rows])


def by_digit(lines: Sequence[Line]) -> str:
    """How often each digit was right, as a Markdown table with a row for each line; "" where none was asked for."""
    asked = [line for line in lines if line.by_class]
    head = ["setting", *(str(digit) for digit in range(len(asked[0].by_class)))] if asked else []
    rows = [[str(line.setting), *(f"{100 * s.value:.1f} %" for s in line.by_class)] for line in asked]
    return table(head, rows) if asked else ""


def _worst(by_class: Sequence[Score]) -> str:
    """The class that is right least often, and how often."""
    worst = min(range(len(by_class)), key=lambda c: by_class[c].value)
    return f"{worst}: {by_class[worst].percent()}"


def best(lines: Sequence[Line]) -> Line:
    """The line with the smallest Frechet distance."""
    return min(lines, key=lambda line: line.frechet.value)


def matrix_of(rates: Sequence[tuple[int, int, Score]]) -> Tensor:
    """The rates (10, 10): row, the digit upright; column, the digit through the view."""
    matrix = torch.full((10, 10), float("nan"))
    for first, second, rate in rates:
        matrix[first, second] = rate.value
    return matrix
