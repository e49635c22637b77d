"""The scorecard of a text-to-image model of drawings: every score over guidance scales, solvers and steps.

The judge looks at pictures drawn for prompts of two kinds: pairs of a style and a subject that the training drawings
hold, and pairs that they do not, though they hold both apart. All settings share prompts and seeds, so they are
compared like with like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from duckrabbit.data.drawings.drawings import Drawings
from duckrabbit.errors import UserError
from duckrabbit.evaluation.drawings.judge import Judge, Judgement, classify
from duckrabbit.evaluation.drawings.judge_training import labelled
from duckrabbit.evaluation.drawings.vocabulary import Pair, draw_pairs, pairs_in
from duckrabbit.evaluation.metrics import Score, frechet, kernel_distance, memorised, nearness, share
from duckrabbit.evaluation.sampling import OnMove, Sampler, Setting, unheard
from duckrabbit.evaluation.scorecard import Line
from duckrabbit.tasks.pictures import resize

BATCH = 16
"""Prompts that are drawn at once."""

REAL = "held-out drawings"
"""What stands for the solver in the line of drawings."""

Kind = Literal["together", "apart"]


@dataclass(frozen=True)
class Question:
    """A prompt, what the judge is to see in its picture, and whether the pair was there in training."""

    prompt: str
    pair: Pair
    kind: Kind = "together"


@dataclass(frozen=True, eq=False)
class Gallery:
    """Drawings as the judge sees them: pictures (N, 3, S, S), 0 to 1, their pairs' numbers, features (N, F)."""

    pictures: Tensor
    subjects: Tensor
    styles: Tensor
    features: Tensor


@dataclass(frozen=True, eq=False)
class Reference:
    """What models are measured against: the judge, and the drawings of training and those held out from it.

    `styles` are the numbers of the styles that pictures may be of: the judge chooses among these.
    """

    judge: Judge
    train: Gallery
    held_out: Gallery
    styles: Tensor

    def style_of(self, judgement: Judgement) -> Tensor:
        """The number of the likeliest style of each picture (N,)."""
        return self.styles[judgement.styles[:, self.styles].argmax(1)]


def reference(judge: Judge, train: Drawings, held_out: Drawings, styles: set[int] | None = None) -> Reference:
    """The reference, from those drawings whose subject and style the judge knows; `styles`: only these, by number.

    Raises UserError where fewer than two held-out drawings are left.
    """
    wanted = torch.tensor(sorted(styles if styles is not None else range(len(judge.vocabulary.styles))))
    galleries = []
    for drawings in (train, held_out):
        data = labelled(drawings, judge.vocabulary)
        rows = torch.isin(data.styles, wanted)
        pictures = data.images[rows].float() / 255
        judgement = classify(judge, pictures) if rows.any() else None
        features = torch.empty(0, 1) if judgement is None else judgement.features
        galleries.append(Gallery(pictures, data.subjects[rows], data.styles[rows], features))
    if min(len(g.pictures) for g in galleries) < 2:
        raise UserError(
            "There are too few drawings, of training or held out, in the styles and subjects that the judge and the "
            "model share; build the whole set with `duckrabbit data build drawings`."
        )
    shown, kept = galleries
    return Reference(judge, shown, kept, wanted)


def questions(
    asked: Mapping[Pair, str], together: set[Pair], apart: set[Pair], count: int, seed: int = 0
) -> list[Question]:
    """`count` prompts for pairs of each kind, drawn with `seed` from those that the model can be asked.

    asked: its prompts by pair; together: pairs in the training drawings; apart: pairs held out from them, of a style
    and a subject that are both there. Fewer where there are fewer. Raises UserError where there are none.
    """
    kinds: list[tuple[Kind, set[Pair]]] = [("together", together), ("apart", _apart(together, apart))]
    drawn = [(kind, draw_pairs(pairs & set(asked), count, seed)) for kind, pairs in kinds]
    chosen = [Question(asked[pair], pair, kind) for kind, pairs in drawn for pair in pairs]
    if not any(question.kind == "together" for question in chosen):
        raise UserError("The drawings hold none of the pairs of style and subject that the model can be asked for.")
    return chosen


def _apart(together: set[Pair], apart: set[Pair]) -> set[Pair]:
    styles, subjects = {pair.style for pair in together}, {pair.subject for pair in together}
    return {pair for pair in apart - together if pair.style in styles and pair.subject in subjects}


def examination(
    judge: Judge, train: Drawings, held_out: Drawings, prompts: Mapping[Pair, str], count: int
) -> tuple[Reference, list[Question]]:
    """What a model is measured against that can be asked `prompts`, and `count` questions of each kind for it."""
    known = judge.vocabulary
    against = reference(judge, train, held_out, {pair.style for pair in prompts})
    return against, questions(prompts, pairs_in(train, known), pairs_in(held_out, known), count)


def evaluate(
    sampler: Sampler,
    against: Reference,
    asked: Sequence[Question],
    settings: Sequence[Setting],
    *,
    memory: bool = True,
    on_move: OnMove = unheard,
) -> Iterator[Line]:
    """Draw a picture for every question in every setting, question k from seed k, and score them; a line a setting."""
    scored = partial(score, asked=asked, against=against, memory=memory)
    return sampler.evaluate([q.prompt for q in asked], settings, scored, on_move)


def score(
    pictures: Tensor, asked: Sequence[Question], against: Reference, *, memory: bool = True
) -> Mapping[str, Score | None]:
    """The scores of pictures (N, 3, S, S), 0 to 1, that were to show what was `asked`.

    "subject first", "among five", "style": of pairs that training showed; the same with "apart: " before it of
    those that it did not, if any were asked for. "repeated" and "nearness": of training drawings (metrics.memorised,
    metrics.nearness), in the judge's features and in pixels.
    """
    judgement = classify(against.judge, pictures)
    subjects = torch.tensor([q.pair.subject for q in asked])
    styles = torch.tensor([q.pair.style for q in asked])
    apart = torch.tensor([q.kind == "apart" for q in asked])
    scores: dict[str, Score | None] = {
        f"{before}{name}": score
        for before, rows in (("", ~apart), ("apart: ", apart))
        for name, score in _retrieval(judgement, subjects, styles, against, rows).items()
    }
    scores |= _distances(against, judgement.features)
    return scores | _repeated(pictures, judgement.features, against) if memory else scores


def drawings_line(against: Reference, count: int, seed: int = 0) -> Line:
    """What the judge says of drawings: what no model can be expected to beat.

    Subjects and styles of the held-out ones; the distances of `count` training drawings to them, since a distance
    depends on the number.
    """
    held = against.held_out
    judgement = classify(against.judge, held.pictures)
    rows = torch.randperm(len(against.train.pictures), generator=torch.Generator().manual_seed(seed))[:count]
    every = torch.ones(len(held.pictures), dtype=torch.bool)
    own = _retrieval(judgement, held.subjects, held.styles, against, every)
    at = {"solver": REAL, "steps": None, "scale": None, "pictures": len(rows)}
    return Line(at, own | _distances(against, against.train.features[rows]))


def _retrieval(
    judgement: Judgement, subjects: Tensor, styles: Tensor, against: Reference, rows: Tensor
) -> dict[str, Score | None]:
    """How often the right subject comes first, is among the first five, and the right style comes first, in `rows`."""
    ranks, count = judgement.rank(subjects), int(rows.sum())
    hits = {"subject first": ranks == 1, "among five": ranks <= 5, "style": against.style_of(judgement) == styles}
    return {name: share(int(hit[rows].sum()), count) if count else None for name, hit in hits.items()}


def _distances(against: Reference, features: Tensor) -> dict[str, Score | None]:
    real = against.held_out.features
    return {"Frechet": frechet(real, features), "KID": kernel_distance(real, features)}


def _repeated(pictures: Tensor, features: Tensor, against: Reference) -> dict[str, Score | None]:
    size = min(pictures.shape[-1], against.train.pictures.shape[-1])
    train, held = against.train, against.held_out
    compared = {
        "features": (features, train.features, held.features),
        "pixels": (resize(pictures, size), resize(train.pictures, size), resize(held.pictures, size)),
    }
    return {
        f"{name} ({where})": measure(*sets)
        for name, measure in (("repeated", memorised), ("nearness", nearness))
        for where, sets in compared.items()
    }
