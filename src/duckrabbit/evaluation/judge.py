"""The judge of drawings: which subject a picture shows, in which style.

A small residual network takes a picture to features z. Every subject k has a vector w_k, the judge's side of the text,
and what is compared is the angle, as in CLIP (Radford et al. 2021, section 2.3):

    S_k = <z / |z|, w_k / |w_k|>,    p(k | picture) = softmax(S / tau)_k,

with a learned temperature tau. A second, smaller network tells the style by the statistics of its features, as texture
is told (Gatys et al. 2016). Distances between sets of pictures are taken in the features of both. The judge is trained
on the drawings that models are trained on, heavily distorted, and frozen (judge_training.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from duckrabbit.errors import UserError
from duckrabbit.evaluation.vocabulary import Vocabulary
from duckrabbit.evaluation.weights_file import read_weights, write_weights
from duckrabbit.training.folders import judge_file

SIZE = 64
"""The pixels a side that every picture is brought to before it is judged."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a judge: channels of its two networks, which halve the picture from each to the next, and features.

    The network for subjects begins at half the size of the picture, the one for styles at the whole.
    """

    subject_widths: tuple[int, ...] = (32, 64, 128, 256)
    subject_features: int = 128
    style_widths: tuple[int, ...] = (32, 48, 64, 64)
    style_features: int = 32


USUAL = Shape()


@dataclass(frozen=True, eq=False)
class Seen:
    """What the judge sees in N pictures: cosines (N, subjects), style logits (N, styles), features (N, F)."""

    cosines: Tensor
    styles: Tensor
    features: Tensor

    def rank(self, subjects: Tensor) -> Tensor:
        """The place (N,) of each picture's right subject among all, 1 for the first; ties count against it."""
        right = self.cosines.gather(1, subjects[:, None])
        return (self.cosines >= right).sum(1)


class Subjects(nn.Module):
    """What is drawn: residual blocks, the mean of their last positions, and one linear layer to the features.

    The features also take in the mean and the spread of what the first two blocks see.
    """

    def __init__(self, widths: Sequence[int], features: int) -> None:
        super().__init__()
        first, last = widths[0], widths[-1]
        self.enter = nn.Sequential(*_conv(3, first, 2), nn.ReLU())
        self.blocks = nn.ModuleList([Residual(first, first, 1), *(Residual(a, b, 2) for a, b in pairwise(widths))])
        self.leave = nn.Linear(last + 2 * sum(widths[:2]), features)

    def forward(self, dark: Tensor) -> Tensor:
        """Features (N, F) of `dark` (N, 3, H, W), 0 where the paper is white."""
        x, early = self.enter(dark), []
        for k, block in enumerate(self.blocks):
            x = block(x)
            if k < 2:
                early.append(_statistics(x))
        return self.leave(torch.cat([*early, x.mean((2, 3))], 1)).float()


class Styles(nn.Module):
    """How it is drawn: a few convolutions, whose means and spreads over all positions forget what and where.

    Beside them a network of single pixels, whose means are a learned histogram of colours: hands differ in palette.
    """

    def __init__(self, widths: Sequence[int], features: int) -> None:
        super().__init__()
        steps = zip((3, *widths), widths, (1, *[2] * (len(widths) - 1)), strict=False)
        self.layers = nn.ModuleList([nn.Sequential(*_conv(a, b, stride), nn.ReLU()) for a, b, stride in steps])
        colours = widths[-1]
        self.colours = nn.Sequential(nn.Conv2d(3, colours, 1), nn.ReLU(), nn.Conv2d(colours, colours, 1), nn.ReLU())
        self.leave = nn.Linear(colours + 2 * sum(widths[1:]), features)

    def forward(self, dark: Tensor) -> Tensor:
        """Features (N, F) of `dark` (N, 3, H, W)."""
        x, seen = dark, []
        for layer in self.layers:
            x = layer(x)
            seen.append(_statistics(x))
        return self.leave(torch.cat([self.colours(dark).mean((2, 3)), *seen[1:]], 1)).float()


class Judge(nn.Module):
    """Two networks that look at the same picture, one for the subject and one for the style.

    They share nothing: what tells a subject whoever draws it has to forget the style, and the other way round.
    """

    def __init__(self, vocabulary: Vocabulary, shape: Shape = USUAL) -> None:
        super().__init__()
        self.vocabulary, self.shape = vocabulary, shape
        self.what = Subjects(shape.subject_widths, shape.subject_features)
        self.how = Styles(shape.style_widths, shape.style_features)
        self.subjects = nn.Parameter(
            torch.randn(len(vocabulary.subjects), shape.subject_features) / shape.subject_features**0.5
        )
        self.inverse_temperature = nn.Parameter(torch.tensor(16.0))
        self.styles = nn.Linear(shape.style_features, len(vocabulary.styles))

    @property
    def temperature(self) -> float:
        """tau, by which cosines are divided to become logits."""
        return 1 / float(self.inverse_temperature.detach())

    def forward(self, pictures: Tensor, size: int = SIZE) -> Seen:
        """What is seen in pictures (N, 3, H, W), 0 to 1, on white. `size`: what the subject is looked for at."""
        what, how = self.what(ink(pictures, size)), self.how(ink(pictures, SIZE))
        return Seen(self.cosines(what), self.styles(how), torch.cat([what, how], 1))

    def cosines(self, what: Tensor, more: Tensor | None = None) -> Tensor:
        """S (N, subjects) of the features (N, F) of what is drawn; (N, subjects + M) with the vectors `more` (M, F)."""
        vectors = self.subjects if more is None else torch.cat([self.subjects, more])
        return normalize(what, dim=1) @ normalize(vectors, dim=1).T


@torch.no_grad()
def look(judge: Judge, pictures: Tensor, batch: int = 256, size: int = SIZE) -> Seen:
    """What a judge sees in pictures (N, 3, H, W), 0 to 1, of any square size, some at a time."""
    parts = [judge(part.clamp(0, 1), size) for part in pictures.split(batch)]
    return Seen(*(torch.cat([getattr(p, name) for p in parts]) for name in ("cosines", "styles", "features")))


def save_judge(judge: Judge, path: Path, facts: Mapping[str, object]) -> None:
    """Write a judge in fp16, with its vocabulary and facts about it in the header of the file."""
    write_weights(judge, path, {**facts, "vocabulary": judge.vocabulary.to_json(), "shape": asdict(judge.shape)})


def load_judge(path: Path | None = None) -> tuple[Judge, dict[str, object]]:
    """The judge in `path`, or the one that was trained here; ready to look, with facts about it. UserError without."""
    remedy = "train one with `duckrabbit train judge`"
    path = path or judge_file()
    if not path.exists():
        raise UserError(f"There is no judge of drawings in {path}; {remedy}.")
    tensors, facts = read_weights(path, "judge of drawings", remedy)
    try:
        vocabulary = Vocabulary.from_json(facts.pop("vocabulary"))
        kept = facts.pop("shape")
        shape = Shape(
            tuple(kept["subject_widths"]), kept["subject_features"],
            tuple(kept["style_widths"]), kept["style_features"],
        )  # fmt: skip
        judge = Judge(vocabulary, shape)
        judge.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"{path} holds no judge of drawings ({error}); {remedy}.") from None
    judge.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return judge.eval().requires_grad_(False), facts


def ink(pictures: Tensor, size: int) -> Tensor:
    """1 - pictures, at size x size: shrunk by the mean of what a pixel covers, enlarged smoothly."""
    if pictures.shape[-1] > size:
        pictures = interpolate(pictures, (size, size), mode="area")
    elif pictures.shape[-1] < size:
        pictures = interpolate(pictures, (size, size), mode="bicubic", align_corners=False).clamp(0, 1)
    return (1 - pictures).contiguous(memory_format=torch.channels_last)


def _statistics(x: Tensor) -> Tensor:
    """Mean and spread of each channel over all positions: (N, C, H, W) to (N, 2 C)."""
    return torch.cat([x.mean((2, 3)), x.flatten(2).std(2)], 1)


def _conv(c_in: int, c_out: int, stride: int = 1) -> tuple[nn.Module, ...]:
    return nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out)


class Residual(nn.Module):
    """Two convolutions and a way around them (He et al. 2016), shrunk by the mean of 2 x 2 where the stride is 2."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(*_conv(c_in, c_out, stride), nn.ReLU(), *_conv(c_out, c_out))
        self.around = nn.Sequential(
            nn.AvgPool2d(stride), nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out)
        ) if stride > 1 else nn.Identity()  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Of x (N, c_in, H, W): (N, c_out, H / stride, W / stride)."""
        return torch.relu(self.main(x) + self.around(x))
