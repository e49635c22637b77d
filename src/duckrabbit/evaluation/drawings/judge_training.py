"""Training the judge of drawings, so that it generalises: to drawings by another hand, and to generated pictures.

It begins with features of photographs (lite.py), which hold across hands better than any that few drawings teach. Every
picture is turned, shifted, scaled, mirrored, shrunk and noised a little; three of four have their colours changed
beyond recognition too, so that the subject is not told by its colours. Drawings of other subjects than the judge's help
twice: to tell them apart by the same features, each from its like by other hands, makes the features better for those
it knows; and the style is learned from all, whose colours stay.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from duckrabbit.data.drawings.drawings import Drawings
from duckrabbit.evaluation.distort import distort
from duckrabbit.evaluation.drawings.judge import ENLARGED, SIZE, Judge, look, resized
from duckrabbit.evaluation.drawings.vocabulary import Vocabulary
from duckrabbit.evaluation.metrics import Score, share
from duckrabbit.training.ema import Ema
from duckrabbit.training.objectives import Draws

AT_ONCE = 128
"""Drawings that are looked at together where nothing is learned."""


class Epoch(NamedTuple):
    """What is known after an epoch; accuracies, of subject and style, are between 0 and 1."""

    epoch: int
    loss: float
    subject: float
    style: float


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


def train_subjects(
    judge: Judge,
    train: Labelled,
    validation: Labelled,
    others: Labelled | None = None,
    *,
    epochs: int = 14,
    rate: float = 3e-3,
    batch: int = 48,
    seed: int = 180,
) -> Iterator[Epoch]:
    """Train what tells the subject, in place; yields after every epoch, and at the end keeps the weights that did best.

    others: drawings of other subjects (`unknown`), a third as many a batch. AdamW, one cycle up to `rate`, a third of
    it for the trunk, which knows something already; weight decay 0.05, labels smoothed by 0.1, gradients no longer than
    1. An average of the weights over about 50 steps is what is validated and kept. What is random follows from the seed
    and the step.
    """
    judge.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    per_epoch = max(1, len(train.images) // batch)
    known, features = judge.subjects.shape
    count = known if others is None or not len(others.images) else int(others.subjects.max()) + 1
    more = nn.Parameter(torch.randn(count - known, features) / features**0.5)
    optimizer, cycle = _optimizer(judge, more, rate, per_epoch * epochs)
    average, examiner = Ema(judge, 0.98), Judge(judge.vocabulary, judge.shape)
    best, kept = -1.0, {k: v.clone() for k, v in average.state().items()}
    for epoch in range(epochs):
        order = torch.randperm(len(train.images), generator=torch.Generator().manual_seed(seed + epoch))
        chance = torch.Generator().manual_seed(seed + epoch)
        judge.train()
        total = 0.0
        for k in range(per_epoch):
            step, data = epoch * per_epoch + k, _rows(train, order[k * batch : (k + 1) * batch])
            if others is not None:
                data = _some(joined(data, _some(others, chance, batch // 3)), chance)
            loss = _subject_loss(judge, more, data, Draws(seed, step, len(data.images), slice(None)))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
            optimizer.step()
            cycle.step()
            average.update(judge, step)
            total += float(loss.detach())
        examiner.load_state_dict(average.state())
        subject, style = accuracy(examiner.eval(), validation)
        if subject.value > best:
            best, kept = subject.value, {k: v.clone() for k, v in average.state().items()}
        yield Epoch(epoch + 1, total / per_epoch, subject.value, style.value)
    judge.load_state_dict(kept)
    judge.eval()


def _optimizer(
    judge: Judge, more: Tensor, rate: float, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    trunk = [*judge.what.trunk.parameters()]
    groups: list[dict[str, Any]] = [
        {"params": trunk},
        {"params": [*judge.what.leave.parameters(), judge.subjects, judge.inverse_temperature, more]},
    ]
    optimizer = torch.optim.AdamW(groups, rate, betas=(0.9, 0.99), weight_decay=0.05, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, [rate / 3, rate], total_steps=max(2, steps), pct_start=0.15)
    return optimizer, cycle


def _rows(data: Labelled, rows: Tensor) -> Labelled:
    return Labelled(*(x[rows] for x in data))


def joined(one: Labelled, other: Labelled) -> Labelled:
    """Both, one after the other."""
    return Labelled(*(torch.cat(pair) for pair in zip(one, other, strict=True)))


def _some(data: Labelled, chance: torch.Generator, count: int | None = None) -> Labelled:
    """`count` different ones, or all, in random order."""
    return _rows(data, torch.randperm(len(data.images), generator=chance)[:count])


def _subject_loss(judge: Judge, more: Tensor, data: Labelled, draws: Draws) -> Tensor:
    """Cross entropy of the subject, among the judge's and those whose vectors are `more` (M, F).

    Three of four pictures have strange colours.
    """
    pictures = distort_drawings(data.images.float() / 255, draws, len(data.images) // 4)
    cosines = judge.cosines(judge.what(resized(pictures, ENLARGED)), more)
    return cross_entropy(cosines * judge.inverse_temperature, data.subjects, label_smoothing=0.1)


def train_styles(
    judge: Judge,
    data: Labelled,
    *,
    epochs: int = 40,
    rate: float = 2e-3,
    batch: int = 256,
    seed: int = 180,
    advance: Callable[[str], None] = lambda word: None,
) -> None:
    """Train what tells the style, in place: on drawings as they are, as they look when shrunk to half, and distorted.

    The statistics are taken once, since the trunk stays as it is. AdamW, one cycle up to `rate`, weight decay 0.1,
    labels smoothed by 0.1. Drawings whose style the judge does not know are left out. `advance` is called as often as
    `looks` says.
    """
    known = data.styles >= 0
    images, styles = data.images[known], data.styles[known].repeat(3)
    judge.how.eval()
    parts = []
    for seen in (_whole, _shrunk, _distorted):
        for step, part in enumerate(images.split(AT_ONCE)):
            parts.append(judge.how.statistics(seen(part, Draws(seed, step, len(part), slice(None)))))
            advance("styles")
    told = torch.cat(parts)
    learned = nn.ModuleList([judge.how.leave, judge.styles])
    optimizer = torch.optim.AdamW(learned.parameters(), rate, weight_decay=0.1)
    steps = epochs * math.ceil(len(told) / batch)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=max(2, steps))
    learned.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(told)).split(batch):
            if len(rows) < 2:  # of one picture a norm knows no spread
                continue
            loss = cross_entropy(judge.styles(judge.how.leave(told[rows])), styles[rows], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
    judge.eval()


def looks(data: Labelled) -> int:
    """How often `train_styles` looks at AT_ONCE drawings."""
    return 3 * math.ceil(int((data.styles >= 0).sum()) / AT_ONCE)


def _whole(images: Tensor, draws: Draws) -> Tensor:
    """Drawings (N, 3, H, W), uint8, as pictures from 0 to 1."""
    return resized(images.float() / 255, SIZE)


def _shrunk(images: Tensor, draws: Draws) -> Tensor:
    """The same by way of half the size, as what comes out of a small stage I looks."""
    return resized(resized(images.float() / 255, SIZE // 2), SIZE)


def _distorted(images: Tensor, draws: Draws) -> Tensor:
    """The same distorted, colours nearly true: what a model paints has no exact inks and no clean planes."""
    return distort_drawings(images.float() / 255, draws, len(images))


def distort_drawings(images: Tensor, draws: Draws, whole: int) -> Tensor:
    """Pictures (N, 3, H, W), 0 to 1, distorted at random; in the first `whole` colours stay nearly true.

    Turned by up to 14 degrees, scaled by up to 20 %, shifted by up to 5 pixels, mirrored half the time; shrunk to
    half or less and enlarged again six times in ten; with noise of up to 0.06 half the time.
    """
    strength = torch.ones(len(images))
    strength[:whole] = 0.04
    dark = distort(1 - images, draws, turn=14, scale=0.2, shift=5)  # what moves in is white
    pictures = recolour(1 - dark, strength, draws)
    mirrored = draws.uniform(images) < 0.5
    pictures[mirrored] = pictures[mirrored].flip(-1)
    size, factor = images.shape[-2:], draws.uniform(images)
    for low, high, small in ((0.0, 0.25, 0.375), (0.25, 0.6, 0.5)):
        rows = (low <= factor) & (factor < high)
        shrunk = interpolate(pictures[rows], scale_factor=small, mode="area")
        pictures[rows] = interpolate(shrunk, size, mode="bicubic", align_corners=False)
    noise = 0.06 * (draws.uniform(images) - 0.5).clamp(min=0) * 2
    return (pictures + noise.view(-1, 1, 1, 1) * draws.normal(images)).clamp(0, 1)


def recolour(images: Tensor, strength: Tensor, draws: Draws) -> Tensor:
    """Pictures (N, 3, H, W) with hue, saturation and contrast changed, by `strength` (N,) from 0 to 1; white stays.

    Colours turn about the grey axis by up to 180 degrees, and are stretched away from it or drawn to it; then all
    values are stretched away from white.
    """
    turn, stretch, contrast, grey = (draws.uniform(images) * 2 - 1 for _ in range(4))
    angle = strength * turn * math.pi
    saturation = 1 + 0.5 * strength * stretch
    saturation[grey < -1 + 0.6 * (strength > 0.5)] = 0.0
    axis = torch.ones(3, 3) / 3
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / 3**0.5
    cos, sin = ((f(angle) * saturation).view(-1, 1, 1) for f in (torch.cos, torch.sin))
    matrix = axis + cos * (torch.eye(3) - axis) + sin * cross  # Rodrigues' rotation about (1, 1, 1)
    dark = torch.einsum("nij,njhw->nihw", matrix, 1 - images) * (1 + 0.25 * strength.sqrt() * contrast).view(
        -1, 1, 1, 1
    )
    return (1 - dark).clamp(0, 1)


def accuracy(judge: Judge, data: Labelled) -> tuple[Score, Score]:
    """The shares of drawings whose subject and whose style (if one of the judge's) come first."""
    seen = look(judge, data.images.float() / 255)
    known = data.styles >= 0
    subjects = share(int((seen.cosines.argmax(1) == data.subjects).sum()), len(data.subjects))
    right = int((seen.styles[known].argmax(1) == data.styles[known]).sum())
    return subjects, share(right, int(known.sum())) if known.any() else Score(math.nan, math.nan, math.nan)


def tested(judge: Judge, parts: Mapping[str, Labelled]) -> dict[str, float]:
    """What is said of a judge once it is finished: "held-out, subject" and so on, shares of 1, of each part."""
    found: dict[str, float] = {}
    for name, data in parts.items():
        if not len(data.images):
            continue
        subject, style = accuracy(judge, data)
        five = (look(judge, data.images.float() / 255).rank(data.subjects) <= 5).float().mean()
        found |= {f"{name}, subject": subject.value, f"{name}, subject among five": float(five)}
        if not math.isnan(style.value):
            found[f"{name}, style"] = style.value
    return found
