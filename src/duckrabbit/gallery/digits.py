"""Part B of the gallery: figures of the models of digits that come with duckrabbit, and of training runs.

`pieces` lists what can be drawn from the models and the runs at hand, and loads none of them; a
piece draws itself when it is asked to. Nothing is trained here: of runs that take hours the package
keeps the figures and the log, in gallery/kept, which a run of the same name at hand replaces.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from duckrabbit.data.mnist.read import Pictures, Split, to_range
from duckrabbit.data.sets import load_or_fetch
from duckrabbit.errors import UserError
from duckrabbit.evaluation.digits.scores import draw
from duckrabbit.evaluation.sampling import Setting
from duckrabbit.folders import kept_runs, runs_folder
from duckrabbit.models.cards import cards, folder_of
from duckrabbit.models.digits.model import WEIGHTS, DigitsConfig, is_digits, load_denoiser, load_digits
from duckrabbit.report import digit_figures
from duckrabbit.report import plots as figures
from duckrabbit.training.digits.export import export
from duckrabbit.training.run import METRICS, RECIPE, read_identity

DENOISING = r"$L = \mathbb{E}\,\|D_\theta(x + \sigma\epsilon) - x\|^2,\qquad \sigma = 0.5$"
NOISE = r"$z = x + \sigma\epsilon,\qquad \epsilon\sim\mathcal{N}(0, I)$"
LOSS = (
    r"$L = \mathbb{E}\,\|\epsilon_\theta(\sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\epsilon,"
    r"\ t, c) - \epsilon\|^2$"
)
MEAN = r"$\arg\min_D \mathbb{E}\,\|D(\epsilon) - x\|^2 = \mathbb{E}\,x$"
PURE_NOISE = "-purenoiseTrue"
"""What the name of a run tells that saw nothing but noise."""
EULER_STEPS = 50
"""The steps of Euler's rule, x += u / T, that a flow of the course is drawn with; its page does not tell T."""
VELOCITY = r"$v = \sqrt{\bar\alpha_t}\,\epsilon - \sqrt{1-\bar\alpha_t}\,x_0,\qquad \bar\alpha_T = 0$"


@dataclass(frozen=True)
class Piece:
    """A figure: its name, its place, what it shows, the equation, what it is made from, and how."""

    key: str
    section: str
    text: str
    equation: str
    sources: tuple[Path, ...]
    draw: Callable[[], Figure]

    def stamp(self) -> str:
        """A hash of what it is made from."""
        return stamp(self.key, self.sources)


def stamp(key: str, sources: Iterable[Path]) -> str:
    """A hash of a figure's name and of the files that it is made from."""
    digest = hashlib.sha256(key.encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()


def pieces() -> list[Piece]:
    """Every figure that the models and runs at hand allow, and those kept of others, in the order of the course."""
    made = {piece.key: piece for piece in (*_kept(), *_denoiser(), *_samples(), *_of_runs(), *_classes())}
    return sorted(made.values(), key=lambda piece: piece.section.split()[1])


def find(key: str) -> Piece:
    """The piece of that name. Raises UserError, with the names there are."""
    found = {piece.key: piece for piece in pieces()}
    if key not in found:
        raise UserError(f"There is no figure '{key}'; there are {', '.join(found)}. More come with more training runs.")
    return found[key]


def shipped() -> dict[str, Path]:
    """The models of digits among the cards, by name: their folders."""
    return {name: folder for name in cards() if is_digits(folder := folder_of(name))}


def runs() -> dict[str, Path]:
    """The folders of training runs of digits, by the run's name."""
    root = runs_folder()
    found = [f for f in sorted(root.iterdir()) if (f / RECIPE).is_file()] if root.is_dir() else []
    return {f.name: f for f in found if "task" in _recipe(f)}


def logs() -> dict[str, Path]:
    """The logs of training at hand, by the name of the model or the run."""
    everything = {name: folder / METRICS for name, folder in {**shipped(), **kept_runs(), **runs()}.items()}
    return {name: log for name, log in everything.items() if log.is_file() and log.stat().st_size}


def _snapshots(run: Path) -> dict[int, Path]:
    return {int(p.stem.removeprefix("epoch-")): p for p in sorted(run.glob("epoch-*.safetensors"))}


def _denoiser() -> Iterator[Piece]:
    yield Piece("noise", "B 1.2 Noisy digits", "The course's levels.", NOISE, (), lambda: figures.noise_levels(_test()))
    for name, folder in _of("none").items():
        weights = (folder / WEIGHTS,)
        text = "Trained at one level; below it the network over-smooths, far above it it guesses."
        levels = lambda f=folder: figures.out_of_distribution(load_denoiser(f), _test())  # noqa: E731
        yield Piece(f"{name}-levels", f"B 1.2.2 One step, at every level: {name}", text, DENOISING, weights, levels)
        text = "Against the Gaussian blur that is best at each level, over 500 test digits."
        yield Piece(
            f"{name}-scores",
            f"B 1.2.2 PSNR and SSIM: {name}",
            text,
            "",
            weights,
            partial(digit_figures.scores, folder, _test),
        )


def _samples() -> Iterator[Piece]:
    for name, folder in {**_of("time"), **_of("class")}.items():
        text = "What comes with duckrabbit: 20 steps of DPM-Solver++, with noise drawn anew where there is no class."
        yield Piece(
            f"{name}-samples",
            f"B 2 Samples: {name}",
            text,
            VELOCITY,
            (folder / WEIGHTS,),
            partial(_drawn, folder, name),
        )


def _of_runs() -> Iterator[Piece]:
    for name, run in runs().items():
        weights, recipe = _snapshots(run), _recipe(run)
        if recipe["task"] != "denoiser":
            for epoch, file in weights.items():
                yield _while_training(name, f"epoch-{epoch}", (file,), partial(_after, run, epoch))
        elif weights:
            what = "noise" if recipe["pure_noise"] else "epochs"
            yield _while_training(name, what, tuple(weights.values()), partial(_epochs, run))


def _kept() -> Iterator[Piece]:
    """A figure for every picture gallery/kept/RUN/WHAT.png."""
    for name, folder in kept_runs().items():
        for file in sorted(folder.glob("*.png")):
            yield _while_training(name, file.stem, (file,), partial(figures.picture, file), kept=True)


def _while_training(
    run: str, what: str, sources: tuple[Path, ...], draw: Callable[[], Figure], kept: bool = False
) -> Piece:
    """What a run shows: "epochs", digits denoised after several of them; "noise", what it makes of noise alone; or
    "epoch-5", samples after the fifth.
    """
    if what.startswith("epoch-"):
        section, equation = f"B 2 Samples: {run}, epoch {what.removeprefix('epoch-')}", LOSS
        text = "The course's sampler for its recipes, 20 steps of DPM-Solver++ for ours."
    elif what == "noise":
        section, equation = f"B 1.2.3 Trained on pure noise: {run}", MEAN
        text = "Noise tells nothing of the digit: the least error is that of the mean of all digits, the last column."
    else:
        section, equation = f"B 1.2.1 While it trains: {run}", DENOISING
        text = "Test digits at sigma 0.5, and what it made of them after some epochs."
    if kept:
        text += f" Drawn when this run was made; `{_command(run)}` makes your own."
    return Piece(f"{run}-{what}", section, text, equation, sources, draw)


def _command(run: str) -> str:
    """The command of a run by its name, as "fast-denoiser-epochs1-purenoiseTrue"; other changes are not known."""
    preset, task, changes = re.fullmatch(r"(.+?)-(denoiser|time|class)(.*)", run).groups()  # type: ignore[union-attr]
    options = re.sub(r"-epochs(\d+)", r" --epochs \1", changes).replace(PURE_NOISE, " --pure-noise")
    return f"duckrabbit train {task} --preset {preset}{options}"


def _classes() -> Iterator[Piece]:
    for name, folder in _of("class").items():
        for row in digit_figures.CLASS_FIGURES:
            model = partial(load_digits, folder)
            make = lambda row=row, model=model: row.draw(model(), _test())  # noqa: E731
            yield Piece(
                f"{name}-{row.key}", f"B {row.section}: {name}", row.text, row.equation, (folder / WEIGHTS,), make
            )


def _of(conditioning: str) -> dict[str, Path]:
    return {n: f for n, f in shipped().items() if DigitsConfig.read(f).network.conditioning == conditioning}


def _drawn(folder: Path, title: str) -> Figure:
    model = load_digits(folder)
    classes = model.config.network.conditioning == "class"
    scale, flow = 5.0 if classes else 1.0, model.config.schedule["kind"] == "flow"
    setting = Setting(scale, "ddim", EULER_STEPS) if flow else Setting(scale, model.card.solver, model.stages[0].steps)
    drawn = draw(model, 40, setting, classes)
    guided = f", scale {setting.scale:g}" if classes else ""
    return figures.digit_grid(drawn, f"{title}: {setting.solver}, {setting.steps} steps{guided}")


def _after(run: Path, epoch: int) -> Figure:
    with tempfile.TemporaryDirectory() as scratch:
        model = export(run, Path(scratch) / run.name, _shown(run, "train+validation"), snapshot=epoch)
        return _drawn(model, f"{run.name}, epoch {epoch}")


def _epochs(run: Path) -> Figure:
    nets: dict[str, Callable[[Tensor], Tensor]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        data, recipe = _shown(run, "train+validation"), _recipe(run)
        for epoch in _snapshots(run):
            nets[f"epoch {epoch}"] = load_denoiser(export(run, Path(scratch) / str(epoch), data, snapshot=epoch))
        if recipe["pure_noise"]:
            mean = to_range(data.images, (0.0, 1.0)).mean(0, keepdim=True)
            nets["mean digit"] = lambda x: mean.expand_as(x)
        return figures.denoising_results(
            nets, _shown(run, "test")[:5], None if recipe["pure_noise"] else recipe["sigma"]
        )


def _recipe(run: Path) -> dict[str, Any]:
    """The recipe of a run, as plain values; {} where there is none to be read."""
    return read_identity(run)["recipe"]


def _shown(run: Path, split: Split) -> Pictures:
    """A part of the set that a run learned from."""
    return load_or_fetch(_recipe(run)["data"], split)


def _test() -> Pictures:
    return load_or_fetch("mnist", "test")
