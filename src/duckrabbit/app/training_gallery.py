"""Part B of the gallery: every figure made from finished runs and their models.

`pieces` yields what the runs at hand allow, in the order of the page: name, caption, figure. Weights
of single epochs come from a run's snapshots; nothing is trained here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from duckrabbit.app import training_figures as figures
from duckrabbit.evaluation.classifier import Classifier, judge, load_classifier
from duckrabbit.evaluation.report import anagram_matrix, matrix_of
from duckrabbit.evaluation.sampling import Setting, draw_anagrams, draw_classes, draw_free
from duckrabbit.guidance.views import parse_view
from duckrabbit.models.digits import DigitsModel, load_denoiser, load_digits
from duckrabbit.tasks.run import run
from duckrabbit.tasks.tasks import edit, inpaint
from duckrabbit.training.data import Pictures, to_range
from duckrabbit.training.export import export
from duckrabbit.training.loop import CHECKPOINT, METRICS, read_metrics

SCALES = (0.0, 1.0, 2.0, 5.0, 10.0)
ANAGRAM = Setting(3.0, "ddim", 50)


class Piece(NamedTuple):
    """A figure of the page: a name for its file, a caption of a sentence or two, the figure."""

    name: str
    caption: str
    figure: Figure


def pieces(runs: Mapping[str, Path], train: Pictures, test: Pictures) -> Iterator[Piece]:
    """All figures for `runs`, folders by the names of their recipes ("fast-class", "cs180-time", ...)."""
    runs = {name: folder for name, folder in runs.items() if (folder / CHECKPOINT).exists()}
    yield Piece("noise", "The training pictures with more and more noise.", figures.noise_levels(test))
    if runs:
        logs = {name: read_metrics(folder / METRICS) for name, folder in runs.items()}
        yield Piece("curves", "Training loss, from the logs of the runs.", figures.loss_curve(logs))
    with tempfile.TemporaryDirectory() as scratch:
        for name, folder in runs.items():
            snapshots = sorted(int(p.stem.removeprefix("epoch-")) for p in folder.glob("epoch-*.safetensors"))
            models = {e: export(folder, Path(scratch) / f"{name}-{e}", train, snapshot=e) for e in snapshots}
            if "denoiser" in name:
                yield from denoiser_pieces(name, models, test)
            else:
                yield from sample_pieces(name, models)
        for name in ("fast-class", "cs180-class"):
            if name in runs:
                yield from class_pieces(load_digits(export(runs[name], Path(scratch) / name, train)), test)
                break


def denoiser_pieces(name: str, models: Mapping[int, Path], test: Pictures) -> Iterator[Piece]:
    """What a denoiser makes of noisy test pictures after each kept epoch, and beyond its noise level."""
    nets = {f"epoch {e}": load_denoiser(folder) for e, folder in models.items()}
    if nets:
        yield Piece(f"{name}-results", f"{name}: after each epoch.", figures.denoising_results(nets, test[:5]))
        last = list(nets.values())[-1]
        yield Piece(f"{name}-levels", f"{name}: at other noise levels.", figures.out_of_distribution(last, test))


def sample_pieces(name: str, models: Mapping[int, Path]) -> Iterator[Piece]:
    """Samples after each kept epoch: the course's sampler for its presets, 20 steps for ours."""
    for epoch, folder in models.items():
        model = load_digits(folder)
        steps = model.stages[0].steps
        ours = Setting(5.0 if "class" in name else 1.0, "ddpm-large" if steps > 100 else "dpm++", steps)
        drawn = draw_classes(model, 40, ours)[0] if "class" in name else draw_free(model, 40, ours)
        title = f"{name} after epoch {epoch}: {ours.solver}, {steps} steps, scale {ours.scale:g}"
        yield Piece(f"{name}-epoch-{epoch}", title + ".", figures.digit_grid(drawn, title))


def class_pieces(model: DigitsModel, test: Pictures, per_pair: int = 10) -> Iterator[Piece]:
    """What a model that takes labels can do: guidance, anagrams, inpainting, edits."""
    rows = {f"scale {s:g}": draw_classes(model, 10, Setting(s))[0] for s in SCALES}
    yield Piece("guidance", "More guidance: surer digits, fewer kinds of them.", figures.sweep(rows, "Guidance"))
    classifier, _ = load_classifier()
    pictures = best_anagrams(model, classifier, 6, 9)
    turned = parse_view("rotate_180", 28)(pictures)
    yield Piece("anagram-6-9", "A 6 that is a 9 upside down.", figures.turned_pairs(pictures, turned, "6 over 9"))
    rates = matrix_of(list(anagram_matrix(model, classifier, per_pair, ANAGRAM)))
    title = f"Half-turn anagrams judged right, %, {per_pair} each"
    yield Piece("anagram-matrix", "Which digits can be turned into which.", figures.rate_matrix(rates, title))
    yield Piece("inpainted", "The lower half made anew, as each digit.", inpainted(model, test))
    yield Piece("edited", "A test digit, noised and brought back as another.", edited(model, test))


def best_anagrams(model: DigitsModel, classifier: Classifier, first: int, second: int, count: int = 10) -> Tensor:
    """The `count` surest of four times as many anagrams, by the classifier's smaller probability."""
    drawn = draw_anagrams(model, first, second, "rotate_180", range(4 * count), ANAGRAM)
    sure = [judge(classifier, x)[0] for x in (drawn, parse_view("rotate_180", 28)(drawn))]
    both = torch.minimum(sure[0][:, first], sure[1][:, second])
    return drawn[both.topk(count).indices]


def inpainted(model: DigitsModel, test: Pictures) -> Figure:
    """The upper half of five test digits, continued as every digit (tasks.inpaint)."""
    mask = torch.zeros(1, 1, 28, 28)
    mask[..., 14:, :] = 1
    rows = {}
    for k in range(5):
        picture = _grey(test, k)
        results = [run(inpaint(model, picture, mask, str(digit)), (k,)) for digit in range(10)]
        rows[f"a {int(test.labels[k])}"] = torch.cat([_unit(model, r.images) for r in results])
    return figures.sweep(rows, "Upper half kept, lower half as 0 to 9")


def edited(model: DigitsModel, test: Pictures) -> Figure:
    """A test digit brought back as every other, from more and more noise (tasks.edit)."""
    picture = _grey(test, 0)
    rows = {
        f"strength {s:g}": torch.cat(
            [_unit(model, run(edit(model, picture, str(d), strength=s), (0,)).images) for d in range(10)]
        )
        for s in (0.3, 0.5, 0.7, 0.9)
    }
    return figures.sweep(rows, f"A {int(test.labels[0])}, edited into 0 to 9")


def _grey(test: Pictures, k: int) -> Tensor:
    return to_range(test.images[k : k + 1], (0.0, 1.0)).expand(-1, 3, -1, -1)


def _unit(model: DigitsModel, images: Tensor) -> Tensor:
    low, high = model.stages[0].value_range
    return ((images - low) / (high - low)).clamp(0, 1)
