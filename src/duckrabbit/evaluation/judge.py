"""The judge of drawings: which subject a picture shows, in which style.

A small residual network takes a picture to 128 features z. Every subject k has a vector w_k, the judge's side of
the text, and what is compared is the angle, as in CLIP (Radford et al. 2021, section 2.3):

    S_k = <z / |z|, w_k / |w_k|>,    p(k | picture) = softmax(S / tau)_k,

with a learned temperature tau. The style is read off the same features, so distances between sets of pictures in
them see both. The judge is trained on the drawings that models are trained on, heavily distorted, and frozen
(judge_training.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from duckrabbit.errors import UserError
from duckrabbit.evaluation.vocabulary import Vocabulary
from duckrabbit.evaluation.weights_file import read_weights, write_weights

SHIPPED = Path(__file__).parent / "drawing-judge.safetensors"
"""The judge that comes with the project."""

SIZE = 64
"""The pixels a side that every picture is brought to before it is judged."""

FEATURES = 128
WIDTHS = (32, 64, 128, 256)
"""Channels at 32, 16, 8 and 4 pixels."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What the judge sees in N pictures: cosines (N, subjects), style logits (N, styles), features (N, 128)."""

    cosines: Tensor
    styles: Tensor
    features: Tensor

    def rank(self, subjects: Tensor) -> Tensor:
        """The place (N,) of each picture's right subject among all, 1 for the first; ties count against it."""
        right = self.cosines.gather(1, subjects[:, None])
        return (self.cosines >= right).sum(1)


class Judge(nn.Module):
    """Residual blocks, the mean of their last positions, one linear layer to the features, two heads.

    The features also take in the mean and the spread of what the first two blocks see: how it is drawn.
    """

    def __init__(self, vocabulary: Vocabulary, widths: Sequence[int] = WIDTHS, features: int = FEATURES) -> None:
        super().__init__()
        self.vocabulary, self.widths = vocabulary, tuple(widths)
        first, last = widths[0], widths[-1]
        pairs = pairwise(widths)
        self.enter = nn.Sequential(*_conv(3, first, 2), nn.ReLU())
        self.blocks = nn.ModuleList([Residual(first, first, 1), *(Residual(a, b, 2) for a, b in pairs)])
        self.leave = nn.Linear(last + 2 * sum(widths[:2]), features)
        self.subjects = nn.Parameter(torch.randn(len(vocabulary.subjects), features) / features**0.5)
        self.inverse_temperature = nn.Parameter(torch.tensor(16.0))
        self.style = nn.Linear(features, len(vocabulary.styles))

    @property
    def temperature(self) -> float:
        """tau, by which cosines are divided to become logits."""
        return 1 / float(self.inverse_temperature.detach())

    def forward(self, pictures: Tensor, size: int = SIZE) -> Seen:
        """What is seen in pictures (N, 3, H, W), 0 to 1, on white, brought to `size`."""
        if pictures.shape[-1] != size:
            shrinks = pictures.shape[-1] > size
            pictures = interpolate(
                pictures, (size, size), mode="area" if shrinks else "bicubic", align_corners=None if shrinks else False
            ).clamp(0, 1)
        ink = (1 - pictures).contiguous(memory_format=torch.channels_last)
        x, read = self.enter(ink), []
        for k, block in enumerate(self.blocks):
            x = block(x)
            if k < 2:  # the strokes: mean and spread of early features
                read += [x.mean((2, 3)), x.flatten(2).std(2)]
        features = self.leave(torch.cat([*read, x.mean((2, 3))], 1)).float()
        cosines = normalize(features, dim=1) @ normalize(self.subjects, dim=1).T
        return Seen(cosines, self.style(features), features)


@torch.no_grad()
def look(judge: Judge, pictures: Tensor, batch: int = 256, size: int = SIZE) -> Seen:
    """What a judge sees in pictures (N, 3, H, W), 0 to 1, of any square size, some at a time."""
    parts = [judge(part.clamp(0, 1), size) for part in pictures.split(batch)]
    return Seen(*(torch.cat([getattr(p, name) for p in parts]) for name in ("cosines", "styles", "features")))


def save_judge(judge: Judge, path: Path, facts: Mapping[str, object]) -> None:
    """Write a judge in fp16, with its vocabulary and facts about it in the header of the file."""
    write_weights(judge, path, {**facts, "vocabulary": judge.vocabulary.to_json(), "widths": judge.widths})


def load_judge(path: Path = SHIPPED) -> tuple[Judge, dict[str, object]]:
    """The judge in `path`, ready to look, and the facts about it. UserError where it is none."""
    remedy = "train one with `duckrabbit train judge`"
    tensors, facts = read_weights(path, "judge of drawings", remedy)
    try:
        vocabulary = Vocabulary.from_json(facts.pop("vocabulary"))
        judge = Judge(vocabulary, facts.pop("widths"), tensors["subjects"].shape[1])
        judge.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"{path} holds no judge of drawings ({error}); {remedy}.") from None
    judge.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return judge.eval().requires_grad_(False), facts


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
