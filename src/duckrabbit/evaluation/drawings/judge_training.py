"""Training the judge of drawings, so that it generalises: to drawings by another hand, and to generated pictures.

It begins with features of photographs (lite.py), which hold across hands better than any that few drawings teach. Every
picture is turned, shifted, scaled, mirrored, shrunk and noised a little; three of four have their colours changed
beyond recognition too, so that the subject is not told by its colours. Drawings of other subjects than the judge's help
twice: to tell them apart by the same features, each from its like by other hands, makes the features better for those
it knows; and the style is learned from all, whose colours stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from duckrabbit.data.drawings.drawings import Drawings
from duckrabbit.evaluation.drawings.distort import distort_drawings, distorted, shrunk, whole
from duckrabbit.evaluation.drawings.judge import ENLARGED, SIZE, Judge, classify, cosines, resized
from duckrabbit.evaluation.drawings.vocabulary import Vocabulary
from duckrabbit.evaluation.judge_recipe import JudgeRecipe
from duckrabbit.evaluation.metrics import Score, share
from duckrabbit.training.objectives import Draws

AT_ONCE = 128
"""Drawings that are looked at together where nothing is learned."""


class Labelled(NamedTuple):
    """Drawings as the judge takes them: uint8 (N, 3, 64, 64), the numbers of subject and style (N,).

    A subject that the judge does not know has a number beyond its own; a style that it does not know -1.
    """

    images: Tensor
    subjects: Tensor
    styles: Tensor


def labelled(drawings: Drawings, vocabulary: Vocabulary) -> Labelled:
    """The drawings whose subject is in the vocabulary, with numbers for names."""
    return _numbered(drawings, vocabulary, {name: k for k, name in enumerate(vocabulary.subjects)})


def unknown(drawings: Drawings, vocabulary: Vocabulary) -> Labelled:
    """The drawings whose subject is not in the vocabulary, with numbers from its length on; their styles are in it."""
    others = sorted(set(drawings.subjects) - set(vocabulary.subjects))
    return _numbered(drawings, vocabulary, {name: k for k, name in enumerate(others, len(vocabulary.subjects))})


def _numbered(drawings: Drawings, vocabulary: Vocabulary, subject: Mapping[str, int]) -> Labelled:
    rows = [i for i, name in enumerate(drawings.subjects) if name in subject]
    style = {name: k for k, name in enumerate(vocabulary.styles)}
    images = drawings.images[torch.tensor(rows, dtype=torch.long)].permute(0, 3, 1, 2)
    if images.shape[-1] != SIZE and rows:
        images = interpolate(images.float(), (SIZE, SIZE), mode="area").round().to(torch.uint8)
    subjects = torch.tensor([subject[drawings.subjects[i]] for i in rows], dtype=torch.long)
    styles = torch.tensor([style.get(drawings.styles[i], -1) for i in rows], dtype=torch.long)
    return Labelled(images.contiguous() if rows else torch.empty(0, 3, SIZE, SIZE, dtype=torch.uint8), subjects, styles)


def split(data: Labelled, part: float = 0.06, seed: int = 0) -> tuple[Labelled, Labelled]:
    """What the judge learns from, and the `part` of it that its epoch is chosen on."""
    order = torch.randperm(len(data.images), generator=torch.Generator().manual_seed(seed))
    cut = max(1, round(part * len(order)))
    return Labelled(*(x[order[cut:]] for x in data)), Labelled(*(x[order[:cut]] for x in data))


@dataclass(frozen=True, eq=False)
class SubjectData:
    """Drawings of the judge's subjects, and places for a third as many of `others` (`unknown`), drawn anew each time.

    `digest` names the set.
    """

    known: Labelled
    others: Labelled
    digest: str = ""

    def __len__(self) -> int:
        count = len(self.known.images)
        return count + (count // 3 if len(self.others.images) else 0)

    def to(self, device: str | torch.device) -> SubjectData:
        """The same on a device."""
        known, others = (Labelled(*(x.to(device) for x in part)) for part in (self.known, self.others))
        return SubjectData(known, others, self.digest)

    def identity(self) -> Mapping[str, Any]:
        """How many, and of which set."""
        return {"pictures": len(self.known.images), "others": len(self.others.images), "data": self.digest}

    def drawn(self, places: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """The images (N, 3, H, W), uint8, and the numbers of the subjects (N,) at these places."""
        count = len(self.known.images)
        if len(self) == count:
            return self.known.images[places], self.known.subjects[places]
        other = draws.integers(len(self.others.images), places)
        ours = places < count
        images = self.others.images[other].clone()
        images[ours] = self.known.images[places[ours]]
        return images, self.others.subjects[other].where(~ours, self.known.subjects[places.clamp(max=count - 1)])


class SubjectNet(nn.Module):
    """What tells the subject in a judge, which it begins with; and vectors for `others` that it does not know."""

    def __init__(self, judge: Judge, others: int) -> None:
        super().__init__()
        begun = deepcopy(judge).requires_grad_()
        self.what, self.subjects, self.inverse_temperature = begun.what, begun.subjects, begun.inverse_temperature
        features = self.subjects.shape[1]
        self.more = nn.Parameter(torch.randn(others, features) / features**0.5)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (N, subjects + others) of pictures (N, 3, H, W), 0 to 1."""
        embedded = self.what(resized(pictures, ENLARGED))
        return cosines(embedded, torch.cat([self.subjects, self.more])) * self.inverse_temperature


@dataclass(frozen=True)
class _Begun(JudgeRecipe):
    """A recipe that begins with the weights of `judge`; `start` is the digest of its file, "" for a new one."""

    judge: Judge = field(kw_only=True)
    start: str = ""

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain values, without the weights."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "judge"}


@dataclass(frozen=True)
class SubjectRecipe(_Begun):
    """AdamW, one cycle up to `rate`, a third of it for the trunk, which knows something already.

    An average of the weights over about 50 steps is what is kept. Of four pictures in a batch about one is of the
    `others`, so many subjects that the judge does not know.
    """

    name: str = "judge"
    epochs: int = 14
    batch: int = 64
    rate: float = 3e-3
    weight_decay: float = 0.05
    ema: float = 0.98
    clip: float = 1.0
    warmup: float = 0.15
    others: int = 0

    def build(self) -> nn.Module:
        """The judge's side for subjects."""
        return SubjectNet(self.judge, self.others)

    def rates(self, module: nn.Module) -> list[tuple[list[nn.Parameter], float]]:
        """The trunk, and the rest."""
        assert isinstance(module, SubjectNet)
        rest = [*module.what.leave.parameters(), module.subjects, module.inverse_temperature, module.more]
        return [([*module.what.trunk.parameters()], 1 / 3), (rest, 1.0)]

    def inputs(self, data: SubjectData, rows: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Pictures (N, 3, H, W) from 0 to 1, distorted, three of four in strange colours; and their subjects."""
        images, subjects = data.drawn(rows, draws)
        return distort_drawings(images.float() / 255, draws, len(images) // 4), subjects


@dataclass(frozen=True, eq=False)
class Statistics:
    """What the linear layers for styles are told of drawings: as they are, shrunk to half, and distorted.

    It is worked out once, when it is first asked for, since the trunk stays as it is. Drawings whose style the judge
    does not know are left out.
    """

    data: Labelled
    judge: Judge
    seed: int = 180
    digest: str = ""
    device: str | torch.device = "cpu"

    def __len__(self) -> int:
        return 3 * int((self.data.styles >= 0).sum())

    def to(self, device: str | torch.device) -> Statistics:
        """The same on a device."""
        return replace(self, device=device)

    def identity(self) -> Mapping[str, Any]:
        """How many, and of which set."""
        return {"pictures": len(self), "data": self.digest}

    @cached_property
    def examples(self) -> tuple[Tensor, Tensor]:
        """The statistics (len(self), C), and the numbers of the styles (len(self),)."""
        known = self.data.styles >= 0
        parts = []
        self.judge.how.eval()
        for variant in (whole, shrunk, distorted):
            for step, part in enumerate(self.data.images[known].split(AT_ONCE)):
                parts.append(self.judge.how.statistics(variant(part, Draws(self.seed, step, len(part), slice(None)))))
        return torch.cat(parts).to(self.device), self.data.styles[known].repeat(3).to(self.device)


class StyleNet(nn.Module):
    """What tells the style in a judge, which it begins with, once the statistics are taken."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        begun = deepcopy(judge).requires_grad_()
        self.leave, self.styles = begun.how.leave, begun.styles

    def forward(self, statistics: Tensor) -> Tensor:
        """Logits (N, styles) of statistics (N, C, 1, 1)."""
        return self.styles(self.leave(statistics.flatten(1)))


@dataclass(frozen=True)
class StyleRecipe(_Begun):
    """AdamW, one cycle up to `rate`. The weights at the end are kept."""

    name: str = "judge-styles"
    epochs: int = 40
    batch: int = 256
    rate: float = 2e-3
    weight_decay: float = 0.1
    warmup: float = 0.3

    @property
    def snapshots(self) -> tuple[int, ...]:
        """None: of no epoch are the weights kept."""
        return ()

    def build(self) -> nn.Module:
        """The judge's side for styles."""
        return StyleNet(self.judge)

    def inputs(self, data: Statistics, rows: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Statistics (N, C, 1, 1), and the numbers of the styles."""
        statistics, styles = data.examples
        return statistics[rows][..., None, None], styles[rows]


def with_learned(judge: Judge, weights: Mapping[str, Tensor]) -> Judge:
    """A copy of the judge, ready to judge, with what a SubjectNet or a StyleNet has learned."""
    judge = deepcopy(judge)
    own = {f"how.{k}" if k.startswith("leave.") else k: v for k, v in weights.items() if k != "more"}
    judge.load_state_dict({**judge.state_dict(), **own})
    return judge.eval().requires_grad_(False)


def joined(one: Labelled, other: Labelled) -> Labelled:
    """Both, one after the other."""
    return Labelled(*(torch.cat(pair) for pair in zip(one, other, strict=True)))


def accuracy(judge: Judge, data: Labelled) -> tuple[Score, Score]:
    """The shares of drawings whose subject and whose style (if one of the judge's) come first."""
    judgement = classify(judge, data.images.float() / 255)
    known = data.styles >= 0
    subjects = share(int((judgement.cosines.argmax(1) == data.subjects).sum()), len(data.subjects))
    right = int((judgement.styles[known].argmax(1) == data.styles[known]).sum())
    return subjects, share(right, int(known.sum())) if known.any() else Score(math.nan, math.nan, math.nan)


def tested(judge: Judge, parts: Mapping[str, Labelled]) -> dict[str, float]:
    """What is said of a judge once it is finished: "held-out, subject" and so on, shares of 1, of each part."""
    found: dict[str, float] = {}
    for name, data in parts.items():
        if not len(data.images):
            continue
        subject, style = accuracy(judge, data)
        five = (classify(judge, data.images.float() / 255).rank(data.subjects) <= 5).float().mean()
        found |= {f"{name}, subject": subject.value, f"{name}, subject among five": float(five)}
        if not math.isnan(style.value):
            found[f"{name}, style"] = style.value
    return found
