"""The judge of drawings: which subject a picture shows, in which style.

A convolutional network takes a picture to features z. Every subject k has a vector w_k, the judge's side of the text,
and what is compared is the angle, as in CLIP (Radford et al. 2021, section 2.3):

    S_k = <z / |z|, w_k / |w_k|>,    p(k | picture) = softmax(S / tau)_k,

with a learned temperature tau. A second, smaller network tells the style by the statistics of its features, as texture
is told (Gatys et al. 2016), and by the colours. Distances between sets of pictures are taken in the features of both.
Both networks begin as the first blocks of one that knows photographs (lite.py). The judge is trained on the drawings
that models are trained on and frozen (judge_training.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from duckrabbit.errors import UserError
from duckrabbit.evaluation.drawings.lite import Trunk
from duckrabbit.evaluation.drawings.vocabulary import Vocabulary
from duckrabbit.evaluation.weights_file import read_weights, write_weights
from duckrabbit.folders import ASSETS
from duckrabbit.networks.loading import LOADING

SHIPPED = ASSETS / "judges/drawing-judge.safetensors"
"""The judge that comes with the project."""

SIZE = 64
"""The pixels a side that every picture is brought to before it is judged."""

ENLARGED = 96
"""The pixels a side that the network for subjects sees them at, because it begins with what is told in larger ones."""


COLOURS = 8
"""Points a side of the lattice of colours that a palette counts at."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a judge: blocks of the two networks, of 16 that there are, and features."""

    subject_blocks: int = 11
    subject_features: int = 256
    style_blocks: int = 5
    style_features: int = 96


USUAL = Shape()


@dataclass(frozen=True, eq=False)
class Judgement:
    """What the judge sees in N pictures: cosines (N, subjects), style logits (N, styles), features (N, F)."""

    cosines: Tensor
    styles: Tensor
    features: Tensor

    def rank(self, subjects: Tensor) -> Tensor:
        """The place (N,) of each picture's right subject among all, 1 for the first; ties count against it."""
        right = self.cosines.gather(1, subjects[:, None])
        return (self.cosines >= right).sum(1)


class Subjects(nn.Module):
    """What is drawn: a trunk, one more convolution by pixels, and the mean of its positions."""

    def __init__(self, blocks: int, features: int) -> None:
        super().__init__()
        self.trunk = Trunk(blocks)
        self.leave = nn.Sequential(
            nn.Conv2d(self.trunk.channels[-1], features, 1, bias=False), nn.BatchNorm2d(features), nn.ReLU6()
        )
        self.centre = nn.BatchNorm1d(features, affine=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Features (N, F) of pictures (N, 3, H, W), 0 to 1."""
        return self.centre(self.leave(self.trunk(pictures)[-1]).mean((2, 3)))


class Styles(nn.Module):
    """How it is drawn: what is known of a picture whatever it shows and wherever, and one linear layer.

    That is the means and spreads of a short trunk's features, kept as published, and the palette: hands differ in the
    very colours that they take.
    """

    def __init__(self, blocks: int, features: int) -> None:
        super().__init__()
        self.trunk = Trunk(blocks)
        count = 2 * sum(self.trunk.channels) + COLOURS**3
        self.leave = nn.Sequential(
            nn.BatchNorm1d(count, affine=False), nn.Dropout(0.2), nn.Linear(count, features), nn.ReLU()
        )

    def train(self, mode: bool = True) -> Styles:
        """As usual, but for the trunk, whose norms stay as they are."""
        super().train(mode)
        self.trunk.eval()
        return self

    @torch.no_grad()
    def statistics(self, pictures: Tensor) -> Tensor:
        """What the linear layer is told (N, C) of pictures (N, 3, H, W), 0 to 1."""
        moments = [torch.cat([x.mean((2, 3)), x.flatten(2).std(2)], 1) for x in self.trunk(pictures)]
        return torch.cat([*moments, palette(pictures[..., ::2, ::2])], 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Features (N, F) of pictures (N, 3, H, W), 0 to 1."""
        return self.leave(self.statistics(pictures))


def palette(pictures: Tensor, width: float = 0.06) -> Tensor:
    """The square roots of a histogram (N, COLOURS**3) of the colours in pictures (N, 3, H, W), 0 to 1.

    Every pixel p is shared out among the points c of a lattice by softmax(-|p - c|^2 / (2 width^2)). Roots, as in
    Hellinger's distance, so that the few pixels of an outline count beside the many of the paper.
    """
    line = torch.linspace(0, 1, COLOURS, dtype=pictures.dtype)
    points = torch.cartesian_prod(line, line, line)
    near = pictures.flatten(2).mT @ points.T - points.square().sum(1) / 2
    return (near / width**2).softmax(2).mean(1).clamp(min=1e-5).sqrt()


class Judge(nn.Module):
    """Two networks that look at the same picture, one for the subject and one for the style.

    They share nothing: what tells a subject whoever draws it has to forget the style, and the other way round.
    """

    def __init__(self, vocabulary: Vocabulary, shape: Shape = USUAL) -> None:
        super().__init__()
        self.vocabulary, self.shape = vocabulary, shape
        self.what = Subjects(shape.subject_blocks, shape.subject_features)
        self.how = Styles(shape.style_blocks, shape.style_features)
        self.subjects = nn.Parameter(
            torch.randn(len(vocabulary.subjects), shape.subject_features) / shape.subject_features**0.5
        )
        self.inverse_temperature = nn.Parameter(torch.tensor(16.0))
        self.styles = nn.Sequential(nn.Dropout(0.5), nn.Linear(shape.style_features, len(vocabulary.styles)))

    @property
    def temperature(self) -> float:
        """tau, by which cosines are divided to become logits."""
        return 1 / float(self.inverse_temperature.detach())

    def start(self, weights: dict[str, Tensor]) -> None:
        """Begin both networks with the published weights (lite.published)."""
        self.what.trunk.start(weights)
        self.how.trunk.start(weights)

    def forward(self, pictures: Tensor) -> Judgement:
        """What is seen in pictures (N, 3, H, W), 0 to 1, on white, of any square size."""
        pictures = resized(pictures, SIZE)
        what, how = self.what(resized(pictures, ENLARGED)), self.how(pictures)
        return Judgement(self.cosines(what), self.styles(how), torch.cat([what, how], 1))

    def cosines(self, what: Tensor) -> Tensor:
        """S (N, subjects) of the features (N, F) of what is drawn."""
        return cosines(what, self.subjects)


def cosines(what: Tensor, vectors: Tensor) -> Tensor:
    """S (N, M) of the features `what` (N, F) and the vectors (M, F) of subjects."""
    return normalize(what, dim=1) @ normalize(vectors, dim=1).T


@torch.no_grad()
def classify(judge: Judge, pictures: Tensor, batch: int = 128) -> Judgement:
    """What a judge sees in pictures (N, 3, H, W), 0 to 1, of any square size, some at a time."""
    parts = [judge(part.clamp(0, 1)) for part in pictures.split(batch)]
    return Judgement(*(torch.cat([getattr(p, name) for p in parts]) for name in ("cosines", "styles", "features")))


def save_judge(judge: Judge, path: Path, facts: Mapping[str, object]) -> None:
    """Write a judge in fp16, with its vocabulary and facts about it in the header of the file."""
    write_weights(judge, path, {**facts, "vocabulary": judge.vocabulary.to_json(), "shape": asdict(judge.shape)})


def load_judge(path: Path | None = None) -> tuple[Judge, dict[str, object]]:
    """The judge in `path`, or the shipped one, ready to judge; and facts about it. UserError for any other file."""
    remedy = "train one with `duckrabbit train judge`"
    path = path or SHIPPED
    tensors, facts = read_weights(path, "judge of drawings", remedy)
    try:
        vocabulary = Vocabulary.from_json(facts.pop("vocabulary"))
        with LOADING:
            judge = Judge(vocabulary, Shape(**facts.pop("shape")))
        judge.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"{path} holds no judge of drawings ({error}); {remedy}.") from None
    judge.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return judge.eval().requires_grad_(False), facts


def resized(pictures: Tensor, size: int) -> Tensor:
    """Pictures at size x size: shrunk by the mean of what a pixel covers, enlarged smoothly."""
    if pictures.shape[-1] > size:
        pictures = interpolate(pictures, (size, size), mode="area")
    elif pictures.shape[-1] < size:
        pictures = interpolate(pictures, (size, size), mode="bicubic", align_corners=False).clamp(0, 1)
    return pictures.contiguous(memory_format=torch.channels_last)
