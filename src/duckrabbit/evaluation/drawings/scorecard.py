"""The scorecard of a text-to-image model of drawings: every score over guidance scales, solvers and steps.

The judge looks at pictures drawn for prompts of two kinds: pairs of a style and a subject that the training drawings
hold, and pairs that they do not, though they hold both apart. All settings share prompts and seeds, so they are
compared like with like.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from duckrabbit.data.drawings.drawings import Drawings
from duckrabbit.errors import UserError
from duckrabbit.evaluation.drawings.each_prompt import EACH, EachPrompt
from duckrabbit.evaluation.drawings.judge import Judge, Seen, look
from duckrabbit.evaluation.drawings.judge_training import labelled
from duckrabbit.evaluation.drawings.scorecard_lines import Line, Memory, Retrieval
from duckrabbit.evaluation.drawings.vocabulary import Pair, draw_pairs
from duckrabbit.evaluation.scores import frechet, kernel_distance, memorised, nearness, share
from duckrabbit.evaluation.settings import Setting
from duckrabbit.models.model import Model
from duckrabbit.tasks.job import Job, cost
from duckrabbit.tasks.pictures import resize
from duckrabbit.tasks.run import run
from duckrabbit.tasks.tasks import generate

SEED = 0
"""The first seed of the pictures, one for each prompt: prompt k is drawn from seed SEED + k."""

BATCH = 16
"""Prompts that are drawn at once."""

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

    def style_of(self, seen: Seen) -> Tensor:
        """The number of the likeliest style of each picture (N,)."""
        return self.styles[seen.styles[:, self.styles].argmax(1)]


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
        seen = look(judge, pictures) if rows.any() else None
        features = torch.empty(0, 1) if seen is None else seen.features
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


def job_for(model: Model, prompt: str, setting: Setting, stages: int = 1) -> Job:
    """The job that draws a prompt in a setting, up to stage `stages`."""
    return generate(
        model, prompt, guidance_scale=setting.scale, solver=setting.solver, steps=setting.steps, stage=stages
    )


class Price(NamedTuple):
    """What drawing costs: moves of the loop, network calls, and by stage the pictures through the network."""

    moves: int
    calls: int
    pictures: tuple[int, ...]


def price(model: Model, settings: Sequence[Setting], count: int, stages: int = 1) -> Price:
    """What `count` prompts in every one of `settings` cost."""
    asking = EachPrompt(model, ("",))
    every = [cost(job_for(asking, EACH, setting, stages)) for setting in settings]
    batches = math.ceil(count / BATCH)
    # the first stage asks for a batch at once, later ones for every picture
    calls = sum(c[0].calls * batches + sum(later.calls for later in c[1:]) * count for c in every)
    moves = batches * sum(stage.moves for c in every for stage in c)
    return Price(moves, calls, tuple(count * sum(c[k].pictures for c in every) for k in range(stages)))


def draw(
    model: Model,
    prompts: Sequence[str],
    setting: Setting,
    stages: int = 1,
    on_move: Callable[[str], None] = lambda prompt: None,
    first_seed: int = SEED,
) -> Tensor:
    """A picture for each prompt, each from its own seed: (N, 3, S, S), 0 to 1.

    BATCH prompts share a network call. `on_move` hears the first prompt of the batch after each of its moves.
    """
    low, high = model.stages[stages - 1].value_range
    model.prepare([model.condition(p) for p in dict.fromkeys(prompts)])  # the text encoder is loaded once
    parts = []
    for start in range(0, len(prompts), BATCH):
        own = tuple(prompts[start : start + BATCH])
        seeds = tuple(range(first_seed + start, first_seed + start + len(own)))
        job = job_for(EachPrompt(model, own), EACH, setting, stages)
        images = run(job, seeds, on_state=lambda *_, words=own[0]: on_move(words)).images  # type: ignore[misc]
        parts.append(((images - low) / (high - low)).clamp(0, 1))
    return torch.cat(parts)


def evaluate(
    model: Model,
    against: Reference,
    asked: Sequence[Question],
    settings: Sequence[Setting],
    stages: int = 1,
    *,
    memory: bool = True,
    on_move: Callable[[str], None] = lambda prompt: None,
) -> Iterator[Line]:
    """Draw a picture for every question in every setting, from the same seeds, and score it; a line a setting."""
    for setting in settings:
        start = time.perf_counter()
        pictures = draw(model, [q.prompt for q in asked], setting, stages, on_move)
        seconds = time.perf_counter() - start
        yield score(pictures, asked, against, setting, seconds, memory=memory)


def score(
    pictures: Tensor,
    asked: Sequence[Question],
    against: Reference,
    setting: Setting | None,
    seconds: float = 0.0,
    *,
    memory: bool = True,
) -> Line:
    """The scores of pictures (N, 3, S, S), 0 to 1, that were to show what was `asked`."""
    seen = look(against.judge, pictures)
    ranks = seen.rank(torch.tensor([q.pair.subject for q in asked]))
    styles = against.style_of(seen) == torch.tensor([q.pair.style for q in asked])

    def retrieval(kind: Kind) -> Retrieval | None:
        rows = torch.tensor([q.kind == kind for q in asked])
        if not rows.any():
            return None
        hits = (ranks[rows] == 1, ranks[rows] <= 5, styles[rows])
        return Retrieval(*(share(int(hit.sum()), int(rows.sum())) for hit in hits))

    together = retrieval("together")
    assert together is not None
    return Line(
        setting, len(pictures), together, retrieval("apart"),
        frechet(against.held_out.features, seen.features), kernel_distance(against.held_out.features, seen.features),
        _memory(pictures, seen.features, against) if memory else None, seconds,
    )  # fmt: skip


def drawings_line(against: Reference, count: int, seed: int = 0) -> Line:
    """What the judge says of drawings: what no model can be expected to beat.

    Subjects and styles of the held-out ones; the distances of `count` training drawings to them, since a distance
    depends on the number.
    """
    held = against.held_out
    seen = look(against.judge, held.pictures)
    ranks, n = seen.rank(held.subjects), len(held.pictures)
    hits = (ranks == 1, ranks <= 5, against.style_of(seen) == held.styles)
    rows = torch.randperm(len(against.train.pictures), generator=torch.Generator().manual_seed(seed))[:count]
    some = against.train.features[rows]
    own = Retrieval(*(share(int(hit.sum()), n) for hit in hits))
    distances = frechet(held.features, some), kernel_distance(held.features, some)
    return Line(None, len(rows), own, None, *distances, None, 0.0)


def _memory(pictures: Tensor, features: Tensor, against: Reference) -> Memory:
    size = min(pictures.shape[-1], against.train.pictures.shape[-1])
    train, held = against.train, against.held_out
    in_pixels = resize(pictures, size), resize(train.pictures, size), resize(held.pictures, size)
    in_features = features, train.features, held.features
    return Memory(memorised(*in_features), memorised(*in_pixels), nearness(*in_features), nearness(*in_pixels))
