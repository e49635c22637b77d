"""Figures of part B, as functions that return matplotlib figures; `write` puts one into a file.

Digits, or what else a small model draws, are (N, C, 28, 28), C 1 or 3, 0 black to 1 white. Nothing here trains or
samples.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from duckrabbit.data.mnist.read import Pictures, to_range
from duckrabbit.evaluation.digits.denoising import SIGMAS
from duckrabbit.evaluation.metrics import Score
from duckrabbit.evaluation.scorecard import Line
from duckrabbit.files import write_atomically

DPI = 120


def write(figure: Figure, path: Path) -> Path:
    """The figure as a PNG at `path`."""
    write_atomically(path, _png(figure))
    return path


def picture(path: Path) -> Figure:
    """A picture in a file as a figure, pixel for pixel."""
    with Image.open(path) as image:
        shown = np.asarray(image.convert("RGB"))
    figure = Figure(figsize=(shown.shape[1] / DPI, shown.shape[0] / DPI))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(shown, interpolation="nearest")
    axes.set_axis_off()
    return figure


def pixels(figure: Figure) -> np.ndarray:
    """The figure as uint8 (H, W, 3)."""
    with Image.open(io.BytesIO(_png(figure))) as image:
        return np.asarray(image.convert("RGB"))


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight")
    return buffer.getvalue()


def loss_curve(logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """The loss of every step of each run by its name, and its mean over the tenth around; both axes logarithmic."""
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    for name, log in logs.items():
        steps, loss = (np.array([row[k] for row in log], float) for k in ("step", "loss"))
        (line,) = axes.plot(steps, loss, alpha=0.25, linewidth=0.5)
        at = np.arange(len(loss))
        first, last = at - at // 10, np.minimum(at + at // 10 + 1, len(loss))  # a tenth each way: as wide everywhere
        sums = np.concatenate([[0.0], np.cumsum(loss)])
        axes.plot(steps, (sums[last] - sums[first]) / (last - first), color=line.get_color(), label=name)
    axes.set(xlabel="step", ylabel="loss", xscale="log", yscale="log", title="Training loss")
    axes.legend(frameon=False)
    return figure


def drawing_grid(cells: Tensor, title: str, rows: Sequence[str], columns: Sequence[str] | None = None) -> Figure:
    """Colour pictures (rows, columns, 3, H, W) from 0 to 1, with the names of the rows and columns."""
    return _sheet(cells, title, columns, rows)


def digit_grid(pictures: Tensor, title: str, columns: int | None = None) -> Figure:
    """Pictures row by row; with 10 n of them drawn digit by digit, a column for each digit."""
    columns = columns or (10 if len(pictures) % 10 == 0 else len(pictures))
    rows = len(pictures) // columns
    ordered = pictures.view(columns, rows, *pictures.shape[1:]).transpose(0, 1).flatten(0, 1)
    return _sheet(ordered.view(rows, columns, *pictures.shape[1:]), title)


def noise_levels(data: Pictures, count: int = 5, sigmas: Sequence[float] = SIGMAS) -> Figure:
    """The same pictures, x + sigma eps, with more and more noise (CS180 5B, section 1.2)."""
    clean, eps = _clean_and_noise(data[:count])
    cells = torch.stack([clean + s * eps for s in sigmas], 1)
    return _sheet(cells, "x + sigma eps", columns=[f"sigma {s:g}" for s in sigmas])


def denoising_results(
    denoisers: Mapping[str, Callable[[Tensor], Tensor]], data: Pictures, sigma: float | None = 0.5
) -> Figure:
    """Pictures, noisy, and what each denoiser makes of them: a column for each, by its name.

    sigma None: noise alone, without the pictures.
    """
    clean, eps = _clean_and_noise(data)
    noisy = eps if sigma is None else clean + sigma * eps
    given = {"noise": noisy} if sigma is None else {"picture": clean, f"sigma {sigma:g}": noisy}
    with torch.no_grad():
        columns = [*given.values(), *(denoise(noisy) for denoise in denoisers.values())]
    return _sheet(torch.stack(columns, 1), "One-step denoising", columns=[*given, *denoisers])


def out_of_distribution(
    denoise: Callable[[Tensor], Tensor], data: Pictures, sigmas: Sequence[float] = SIGMAS
) -> Figure:
    """One picture at every noise level, above what a denoiser trained at 0.5 makes of it."""
    clean, eps = _clean_and_noise(data[:1])
    noisy = torch.cat([clean + s * eps for s in sigmas])
    with torch.no_grad():
        cells = torch.stack([noisy, denoise(noisy)])
    names = [f"sigma {s:g}" for s in sigmas]
    return _sheet(cells, "Levels it was not trained for", columns=names, rows=["noisy", "denoised"])


def _clean_and_noise(data: Pictures) -> tuple[Tensor, Tensor]:
    """The pictures from 0 to 1, and standard normal noise shaped like them, always the same."""
    clean = to_range(data.images, (0.0, 1.0))
    return clean, torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))


def sweep(pictures: Mapping[str, Tensor], title: str) -> Figure:
    """A row of pictures for each setting by its name, from the same seeds."""
    return _sheet(torch.stack(list(pictures.values())), title, rows=list(pictures))


def turned_pairs(pictures: Tensor, turned: Tensor, title: str) -> Figure:
    """Anagrams: each picture above itself seen through its view."""
    return _sheet(torch.stack([pictures, turned]), title, rows=["upright", "turned"])


def rate_matrix(rates: Tensor, title: str) -> Figure:
    """Rates (10, 10) from 0 to 1 as a heat map: row, the digit upright; column, the digit turned."""
    figure = Figure(figsize=(6, 5.4))
    axes = figure.subplots()
    image = axes.imshow(rates.numpy(), vmin=0, vmax=1, cmap="viridis")
    for (i, j), value in np.ndenumerate(rates.numpy()):
        axes.text(j, i, f"{100 * value:.0f}", ha="center", va="center", color="white" if value < 0.6 else "black")
    axes.set(xticks=range(10), yticks=range(10), xlabel="turned by 180 degrees", ylabel="upright", title=title)
    figure.colorbar(image, label="judged right both ways")
    return figure


def digit_score_panels(lines: Sequence[Line]) -> Figure:
    """Frechet distance, and accuracy where there is one: against the steps, or the scale where that alone differs.

    A line for each solver, and for each of what is not the axis.
    """
    shown = {"Frechet distance": "Frechet"}
    if all(line.scores.get("accuracy") for line in lines):
        shown["accuracy"] = "accuracy"
    alike = len({line.at["steps"] for line in lines}) == 1 < len({line.at["scale"] for line in lines})
    return score_panels(lines, shown, "scale" if alike else "steps")


def score_panels(lines: Sequence[Line], shown: Mapping[str, str], over: Literal["steps", "scale"]) -> Figure:
    """A panel for each score in `shown`, {label: name}, against the steps or the guidance scale of the lines.

    Points of one solver, and one scale or number of steps, are joined; bars are the scores' intervals.
    """
    other = {"steps": "scale", "scale": "steps"}[over]
    figure = Figure(figsize=(5 * len(shown), 4))
    grid = figure.subplots(1, len(shown), squeeze=False)[0]
    joined: dict[tuple[str, float], list[Line]] = defaultdict(list)
    for line in sorted(lines, key=lambda line: _at(line, over)):
        joined[str(line.at["solver"]), _at(line, other)].append(line)
    for (solver, fixed), own in sorted(joined.items(), key=lambda item: item[0]):
        for axes, name in zip(grid, shown.values(), strict=True):
            bars = _bars([line[name] for line in own])
            at = [_at(line, over) for line in own]
            axes.errorbar(at, *bars, marker="o", capsize=3, label=f"{solver}, {fixed:g}")
    for axes, label in zip(grid, shown, strict=True):
        axes.set(xlabel={"steps": "steps", "scale": "guidance scale"}[over], ylabel=label)
        if over == "steps":
            axes.set_xscale("log")
    grid[0].legend(frameon=False, title=f"solver, {other}")
    return figure


def _at(line: Line, name: str) -> float:
    return float(line.at[name] or 0)


def denoising_scores(lines: Sequence[Line]) -> Figure:
    """PSNR and SSIM of a denoiser and of the best blur, at every noise level."""
    figure = Figure(figsize=(10, 4))
    panels = figure.subplots(1, 2)
    sigmas = [_at(line, "sigma") for line in lines]
    for axes, name in zip(panels, ("PSNR / dB", "SSIM"), strict=True):
        for marker, whose, label in (("o", "", "U-Net"), ("s", "blur's ", "best blur")):
            bars = _bars([line[whose + name] for line in lines])
            axes.errorbar(sigmas, *bars, marker=marker, capsize=3, label=label)
        axes.set(xlabel="sigma", ylabel=name)
        axes.axvline(0.5, color="grey", linestyle=":", label="trained at")
    panels[0].legend(frameon=False)
    return figure


def _bars(scores: Sequence[Score]) -> tuple[list[float], list[list[float]]]:
    """Values, and their distances to the ends of the intervals."""
    values = [s.value for s in scores]
    return values, [[max(0.0, s.value - s.low) for s in scores], [max(0.0, s.high - s.value) for s in scores]]


def _sheet(
    cells: Tensor, title: str, columns: Sequence[str] | None = None, rows: Sequence[str] | None = None
) -> Figure:
    """Pictures (rows, columns, 1 or 3, H, W) with a name over each column and beside each row."""
    down, across = cells.shape[:2]
    beside, above = 0.9 if rows else 0.05, 0.55 if columns else 0.35  # inches, for the words
    side = 0.8 * max(1, cells.shape[-1] / 48)
    width, height = side * across + beside, side * down + above
    figure = Figure(figsize=(width, height))
    edges = {"left": beside / width, "right": 1.0, "bottom": 0.0, "top": 1 - above / height}
    grid = figure.subplots(down, across, squeeze=False, gridspec_kw={"wspace": 0.05, "hspace": 0.05, **edges})
    for i in range(down):
        for j in range(across):
            axes = grid[i][j]
            picture = cells[i, j].clamp(0, 1).permute(1, 2, 0).numpy()
            axes.imshow(picture if picture.shape[2] == 3 else picture[:, :, 0], cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            if columns and i == 0:
                axes.set_title(columns[j], fontsize=7)
            if rows and j == 0:
                axes.set_ylabel(rows[i], fontsize=7, rotation=0, ha="right", va="center")
    figure.suptitle(title, fontsize=9, y=1 - 0.08 / height, va="top")
    return figure
