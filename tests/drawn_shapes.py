"""Drawings made by arithmetic: shapes in colours, filled or as an outline, by families; and a judge that is right."""

import torch

from duckrabbit.data.drawings.drawings import Drawings
from duckrabbit.evaluation.drawings.judge import SIZE, Judge, Shape
from duckrabbit.evaluation.drawings.vocabulary import Vocabulary

SHAPES = ("circle", "square", "triangle", "cross", "bar", "eye")
OTHERS = ("diamond", "corner")
STYLES = ("filled drawing", "outlined drawing")
FAMILIES = ("one", "two", "three", "four", "five")
TINY = Shape(4, 16, 2, 8)
VOCABULARY = Vocabulary(STYLES, SHAPES, {"disc": "circle", "ring": "eye"})


def shape(name, filled, size=SIZE, shift=0.0, colour=(0.8, 0.1, 0.1)):
    """(size, size, 3) from 0 to 1, on white."""
    line = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(line, line - shift, indexing="ij")
    inside = {
        "circle": 0.7 - (x**2 + y**2).sqrt(),
        "square": 0.6 - torch.maximum(x.abs(), y.abs()),
        "triangle": torch.minimum(0.6 - y, (y + 0.7 - 2 * x.abs()) / 5**0.5),
        "cross": torch.minimum(0.7 - torch.maximum(x.abs(), y.abs()), 0.2 - torch.minimum(x.abs(), y.abs())),
        "bar": torch.minimum(0.8 - x.abs(), 0.2 - y.abs()),
        "diamond": 0.7 - x.abs() - y.abs(),
        "corner": torch.minimum(0.6 - torch.maximum(x.abs(), y.abs()), torch.maximum(-x, y) - 0.2),
        "eye": torch.minimum(0.8 - (x**2 + 3 * y**2).sqrt(), (x**2 + y**2).sqrt() - 0.2),
    }[name]
    ink = (inside > 0).float() if filled else (inside.abs() < 0.06).float()
    return 1 - ink[..., None] * (1 - torch.tensor(colour))


def drawings(copies=6, shapes=SHAPES, seed=0, families=FAMILIES, size=SIZE, styles=STYLES):
    """Every shape in both styles by every family, in random colours and places."""
    generator = torch.Generator().manual_seed(seed)
    rows = [(n, s, f) for n in shapes for s in styles for f in families for _ in range(copies)]
    images = []
    for name, style, _ in rows:
        shift, *colour = torch.rand(4, generator=generator).tolist()
        images.append(shape(name, style == STYLES[0], size, 0.3 * (shift - 0.5), [0.8 * c for c in colour]))
    names, styles_, families_ = zip(*rows, strict=True)
    captions = tuple(f"a{'n' if s[0] == 'o' else ''} {s} of a{'n' if n == 'eye' else ''} {n}" for n, s, _ in rows)
    return Drawings(
        (torch.stack(images) * 255).round().to(torch.uint8), captions, styles_, names, families_,
        tuple(("disc",) if n == "circle" else () for n in names), ("CC0",) * len(rows), ("arithmetic",) * len(rows),
    )  # fmt: skip


class Right(Judge):
    """Sees the shape whose drawing is nearest in pixels; its features are the means of 8 x 8 blocks."""

    def __init__(self):
        super().__init__(VOCABULARY, TINY)
        cells = [shape(name, style == STYLES[0]) for name in SHAPES for style in STYLES]
        self.patterns = self._blocks(torch.stack(cells).permute(0, 3, 1, 2))
        self.eval()

    def _blocks(self, pictures):
        ink = torch.nn.functional.interpolate(1 - pictures.mean(1, keepdim=True), (8, 8), mode="area")
        return torch.nn.functional.normalize(ink.flatten(1), dim=1)

    def forward(self, pictures):
        from duckrabbit.evaluation.drawings.judge import Judgement

        features = self._blocks(pictures)
        cosines = (features @ self.patterns.T).view(-1, len(SHAPES), len(STYLES))
        return Judgement(cosines.max(2).values, cosines.max(1).values, features)
