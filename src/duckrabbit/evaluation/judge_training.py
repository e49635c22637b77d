"""Training the judge of drawings, so that it generalises: to drawings by another hand, and to generated pictures.

Every picture is turned, shifted, scaled, mirrored, shrunk and noised a little. Most of each batch has its colours
changed beyond recognition too, so that the subject is not told by its colours, and its early features exchange their
statistics (MixStyle, Zhou et al. 2021, arXiv 2104.02008, section 3.2), which are what tells drawing families apart.
Drawings of other subjects than the judge's help twice: to tell them apart by the same features, each from its like by
other hands, makes the features better for those it knows; and the style is learned from all, whose colours stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from duckrabbit.drawings.drawings import Drawings
from duckrabbit.evaluation.classifier import distort
from duckrabbit.evaluation.judge import SIZE, Judge, ink, look
from duckrabbit.evaluation.scores import Score, share
from duckrabbit.evaluation.vocabulary import Vocabulary
from duckrabbit.training.ema import Ema
from duckrabbit.training.objectives import Draws
from duckrabbit.training.speed import fastest


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


def train_judge(
    judge: Judge,
    train: Labelled,
    validation: Labelled,
    others: Labelled | None = None,
    *,
    epochs: int = 80,
    rate: float = 4e-3,
    small_first: bool = True,
    batch: int = 64,
    seed: int = 180,
) -> Iterator[Epoch]:
    """Train in place, and yield after every epoch; at the end it holds the averaged weights that did best.

    others: drawings of other subjects (`unknown`), half as many a batch. small_first: begin with small pictures
    (`size_at`). AdamW, one cycle up to `rate`, weight decay 0.05, labels smoothed by 0.1. An average of the weights
    over about 50 steps is what is validated, at the size of the epoch, and kept of the epochs at full size. What is
    random follows from the seed and the step. The network runs in bf16 where that is fast (training.speed).
    """
    judge.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    per_epoch = max(1, len(train.images) // batch)
    styled = train if others is None else _joined(train, others)
    known, features = judge.subjects.shape
    more = nn.Parameter(torch.randn(max(0, int(styled.subjects.max()) + 1 - known), features) / features**0.5)
    parameters = [*judge.parameters(), more]
    optimizer = torch.optim.AdamW(parameters, rate, betas=(0.9, 0.99), weight_decay=0.05, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=max(2, per_epoch * epochs), pct_start=0.2)
    average, examiner = Ema(judge, 0.98), Judge(judge.vocabulary, judge.shape)
    half = fastest("cpu").precision == "bf16"
    best, kept = -1.0, {k: v.clone() for k, v in average.state().items()}
    for epoch in range(epochs):
        order = torch.randperm(len(train.images), generator=torch.Generator().manual_seed(seed + epoch))
        chance = torch.Generator().manual_seed(seed + epoch)
        judge.train()
        total, size = 0.0, size_at((epoch + 1) / epochs) if small_first else SIZE
        for k in range(per_epoch):
            step, data = epoch * per_epoch + k, _rows(train, order[k * batch : (k + 1) * batch])
            if others is not None:
                data = _some(_joined(data, _some(others, chance, batch // 2)), chance)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                loss = _subject_loss(judge, more, data, Draws(seed, step, len(data.images), slice(None)), size)
                data = _rows(styled, torch.randint(len(styled.images), (max(2, batch // 2),), generator=chance))
                loss = loss + _style_loss(judge, data, Draws(seed + 1, step, len(data.images), slice(None)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
            average.update(judge, step)
            total += float(loss.detach())
        examiner.load_state_dict(average.state())
        subject, style = accuracy(examiner.eval(), validation, size)
        if size == SIZE and subject.value > best:
            best, kept = subject.value, {k: v.clone() for k, v in average.state().items()}
        yield Epoch(epoch + 1, total / per_epoch, subject.value, style.value)
    judge.load_state_dict(kept)
    judge.eval()


def size_at(progress: float) -> int:
    """The pixels a side to train at: 32 for half the time, then 48, and SIZE for the last quarter.

    What is learned small, at a fourth of the cost, need not be learned again (progressive resizing, as in Tan and Le
    2021, arXiv 2104.00298, section 4).
    """
    return 32 if progress <= 0.5 else 48 if progress <= 0.75 else SIZE


def _rows(data: Labelled, rows: Tensor) -> Labelled:
    return Labelled(*(x[rows] for x in data))


def _joined(one: Labelled, other: Labelled) -> Labelled:
    return Labelled(*(torch.cat(pair) for pair in zip(one, other, strict=True)))


def _some(data: Labelled, chance: torch.Generator, count: int | None = None) -> Labelled:
    """`count` different ones, or all, in random order."""
    return _rows(data, torch.randperm(len(data.images), generator=chance)[:count])


def _subject_loss(judge: Judge, more: Tensor, data: Labelled, draws: Draws, size: int) -> Tensor:
    """Cross entropy of the subject, among the judge's and those whose vectors are `more` (M, F).

    Three of four pictures have strange colours and exchanged statistics.
    """
    whole = len(data.images) // 4
    pictures = distort_drawings(data.images.float() / 255, draws, whole)
    with _mixed_styles(judge, whole, draws):
        cosines = judge.cosines(judge.what(ink(pictures, size)), more)
    return cross_entropy(cosines * judge.inverse_temperature, data.subjects, label_smoothing=0.1)


def _style_loss(judge: Judge, data: Labelled, draws: Draws) -> Tensor:
    """Cross entropy of the style."""
    pictures = distort_drawings(data.images.float() / 255, draws, len(data.images))
    return cross_entropy(judge.styles(judge.how(ink(pictures, SIZE))), data.styles, label_smoothing=0.1)


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


class _mixed_styles:
    """While it is entered, the rows from `first` on exchange the mean and spread of their early features."""

    def __init__(self, judge: Judge, first: int, draws: Draws) -> None:
        self.layers = list(judge.what.blocks)[:2]
        self.first, self.draws = first, draws

    def __enter__(self) -> None:
        self.hooks = [layer.register_forward_hook(self._mix) for layer in self.layers]

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def _mix(self, layer: nn.Module, given: object, x: Tensor) -> Tensor:
        """Half of the pictures become like another one in statistics, by a share from 0 to 1."""
        own = x[self.first :]
        mean, std = own.mean((2, 3), keepdim=True).detach(), own.std((2, 3), keepdim=True).detach() + 1e-5
        other = torch.arange(len(own)).roll(1)  # the order of a batch is random already
        share = (1 - 2 * self.draws.uniform(x)[self.first :]).clamp(min=0).view(-1, 1, 1, 1).to(x)
        new_mean, new_std = torch.lerp(mean, mean[other], share), torch.lerp(std, std[other], share)
        return torch.cat([x[: self.first], (own - mean) / std * new_std + new_mean])


def accuracy(judge: Judge, data: Labelled, size: int = SIZE) -> tuple[Score, Score]:
    """The shares of drawings, seen at `size`, whose subject and whose style (if one of the judge's) come first."""
    seen = look(judge, data.images.float() / 255, size=size)
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
