"""What can be done with digits: guidance, steps, anagrams, inpainting and edits, each as one figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from duckrabbit.data.mnist.read import Pictures, to_range
from duckrabbit.evaluation.digits.classifier import judge, load_classifier
from duckrabbit.evaluation.digits.denoising import compare
from duckrabbit.evaluation.digits.scores import anagram_matrix, draw, draw_anagrams
from duckrabbit.evaluation.sampling import Setting
from duckrabbit.models.digits.model import DigitsModel, load_denoiser
from duckrabbit.report import plots as figures
from duckrabbit.tasks.run import run
from duckrabbit.tasks.tasks import edit, inpaint

SCALES = (0.0, 1.0, 2.0, 5.0, 10.0)
WAYS = (("dpm++", 5), ("dpm++", 10), ("dpm++", 20), ("sde-dpm++", 20), ("ddim", 20), ("ddpm-large", 300))
ANAGRAM = Setting(4.0, "ddim", 30)
PER_PAIR = 10


@dataclass(frozen=True)
class ClassFigure:
    """A figure of a model that takes labels: its name, its place, what it shows, the equation, and how."""

    key: str
    section: str
    text: str
    equation: str
    draw: Callable[[DigitsModel, Pictures], Figure]


def guidance(model: DigitsModel, test: Pictures) -> Figure:
    """The same seeds at every guidance scale."""
    rows = {f"scale {s:g}": draw(model, 10, Setting(s)) for s in SCALES}
    return figures.sweep(rows, "Guidance, the same seeds")


def steps(model: DigitsModel, test: Pictures) -> Figure:
    """The same seeds with few steps and many."""
    rows = {f"{name}, {n}": draw(model, 10, Setting(2.0, name, n)) for name, n in WAYS}
    return figures.sweep(rows, "Solvers and steps, the same seeds")


def six_over_nine(model: DigitsModel, test: Pictures) -> Figure:
    """The ten surest of 40 anagrams of a 6 that is a 9 upside down, by the classifier's smaller probability."""
    upright, turned = draw_anagrams(model, 6, 9, range(40), ANAGRAM)
    classifier = load_classifier()[0]
    sure = torch.minimum(judge(classifier, upright)[0][:, 6], judge(classifier, turned)[0][:, 9]).topk(10).indices
    return figures.turned_pairs(upright[sure], turned[sure], "6, and 9 upside down")


def matrix(model: DigitsModel, test: Pictures) -> Figure:
    """Which digits can be turned into which."""
    rates = anagram_matrix(model, load_classifier()[0], PER_PAIR, ANAGRAM)
    return figures.rate_matrix(rates, f"Half-turn anagrams judged right, %, {PER_PAIR} each")


def inpainted(model: DigitsModel, test: Pictures) -> Figure:
    """The upper half of five test digits, continued as every digit (tasks.inpaint)."""
    mask = torch.zeros(1, 1, 28, 28)
    mask[..., 14:, :] = 1
    rows = {}
    for k in range(5):
        picture = _grey(test, k)
        results = [run(inpaint(model, picture, mask, str(digit)), (k,)) for digit in range(10)]
        rows[f"a {int(test.labels[k])}"] = torch.cat([picture[:, :1], *(r.unit for r in results)])
    return figures.sweep(rows, "Test digits (left), the lower half made anew as 0 to 9")


def edited(model: DigitsModel, test: Pictures) -> Figure:
    """A test digit brought back as every other, from more and more noise (tasks.edit)."""
    picture = _grey(test, 0)
    rows = {
        f"strength {s:g}": torch.cat(
            [picture[:, :1]] + [run(edit(model, picture, str(d), strength=s), (0,)).unit for d in range(10)]
        )
        for s in (0.3, 0.5, 0.7, 0.9)
    }
    return figures.sweep(rows, f"A {int(test.labels[0])} (left), edited into 0 to 9")


def scores(folder: Path, test: Callable[[], Pictures], count: int = 500) -> Figure:
    """PSNR and SSIM of the denoiser in `folder`, against the best blur."""
    return figures.denoising_scores(compare(load_denoiser(folder), to_range(test().images[:count], (0.0, 1.0))).lines)


def _grey(test: Pictures, k: int) -> Tensor:
    return to_range(test.images[k : k + 1], (0.0, 1.0)).expand(-1, 3, -1, -1)


_CFG = r"$\epsilon = \epsilon_u + \gamma\,(\epsilon_c - \epsilon_u)$"
_ANAGRAM = r"$\epsilon = \frac{1}{2}(\epsilon_\theta(x_t, t, 6) + R^{-1}\epsilon_\theta(R x_t, t, 9))$"
_INPAINT = r"$x_t \leftarrow \mathbf{m}\,x_t + (1-\mathbf{m})\,\mathrm{forward}(x_{\mathrm{orig}}, t)$"
_FORWARD = r"$x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\epsilon$"

CLASS_FIGURES = (
    ClassFigure("guidance", "2.5 Guidance", "More guidance: surer digits, fewer kinds of them.", _CFG, guidance),
    ClassFigure("steps", "2.5 Steps", "A good solver needs few steps; the old way takes 300.", "", steps),
    ClassFigure(
        "6-9", "Beyond: digit anagrams", "A half turn makes the 6 a 9; the ten surest of 40.", _ANAGRAM, six_over_nine
    ),
    ClassFigure(
        "matrix", "Beyond: all anagrams", "Each picture is read by the classifier as it stands and turned.", "", matrix
    ),
    ClassFigure("inpainted", "Beyond: inpainting", "Half a digit decides little.", _INPAINT, inpainted),
    ClassFigure("edited", "Beyond: edits", "The more noise, the less is left of what it was.", _FORWARD, edited),
)
"""In the order of the page."""
