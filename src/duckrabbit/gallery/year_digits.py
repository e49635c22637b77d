"""Part B of a year's page: what its own training runs show, and what the package keeps where they are not at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from duckrabbit.gallery.digits import LOSS, PURE_NOISE, Piece, logs, pieces, stamp
from duckrabbit.gallery.experiments import Experiment
from duckrabbit.gallery.years import ASKED, of_year
from duckrabbit.training.digits.recipe import find_recipe


@dataclass(frozen=True)
class Trained:
    """A training of a year: the number of its figure, the run's name and command, the epochs that the page shows."""

    number: str
    task: str
    run: str
    command: str
    epochs: tuple[int, ...]
    curve: str = ""

    def figures(self) -> dict[str, str]:
        """The keys of its figures, and the epochs in each, in words."""
        if self.task != "denoiser":
            return {f"{self.run}-epoch-{epoch}": f"{epoch}" for epoch in self.epochs}
        epochs = " and ".join(map(str, self.epochs))
        return {f"{self.run}-{'noise' if PURE_NOISE in self.run else 'epochs'}": epochs}


def trainings(preset: str) -> list[Trained]:
    """The trainings that a year's page asks for, in its order; `curve` is the number of the loss, where it has one."""
    year = of_year(preset)

    def trained(number: str, task: str, epochs: tuple[int, ...], curve: str, more: str = "", told: str = "") -> Trained:
        command = f"duckrabbit train {task} --preset {year}{more}"
        return Trained(number, task, find_recipe(f"{year}-{task}").name + told, command, epochs, curve)

    denoiser = trained("1.2.1", "denoiser", (1, 5), "1.2.1")
    if year == "cs180-2024":
        return [denoiser, trained("2.3", "time", (5, 20), "2.2"), trained("2.5", "class", (5, 20), "2.4")]
    return [
        denoiser,
        trained("1.2.3", "denoiser", (1, 5), "1.2.3", " --pure-noise", PURE_NOISE),
        trained("2.3", "time", (1, 5, 10), "2.2"),
        trained("2.6", "class", (1, 5, 10), "2.5"),
        trained("2.6", "class", (1, 5, 10), "", " --decay constant --ema 0.998", "-decayconstant-ema0.998"),
    ]


def part_b(preset: str) -> list[Experiment]:
    """Part B of a year; of a training that is not at hand ours is shown, and the command that makes it is told."""
    found, at_hand = {piece.key: piece for piece in pieces()}, logs()
    made = [_of(found["noise"], "1.2")]
    for each in trainings(preset):
        made += _curve(each, at_hand)
        made += _samples(each, found)
        if each.number == "1.2.1":
            made += [_of(piece, "1.2.2") for key, piece in found.items() if "-levels" in key or "-scores" in key]
    order = {number: k for k, number in enumerate(dict.fromkeys(e.answers[0] for e in _by_number(made)))}
    return sorted(made, key=lambda e: order[e.answers[0]])


def asked_in(preset: str, made: Sequence[Experiment]) -> dict[str, str]:
    """What a year's part B asks for, by number; with the command of a training of which nothing is among `made`."""
    asked = {number: words for number, words in ASKED[of_year(preset)].items() if number.startswith("B")}
    for each in trainings(preset):
        own = any(key in experiment.key for key in each.figures() for experiment in made)
        if not own and not any(f"`{each.command}`" in experiment.text for experiment in made):
            asked[f"B {each.number}"] += f"; not at hand, made by {each.command}"
    return asked


def _by_number(made: list[Experiment]) -> list[Experiment]:
    return sorted(made, key=lambda e: tuple(map(int, e.answers[0].split()[1].split("."))))


def _of(piece: Piece, number: str, more: str = "") -> Experiment:
    """A piece as an experiment of the page, under its number there."""
    words = piece.section.split(" ", 2)[2]
    return Experiment(
        f"B-{number}-{piece.key}", f"B {number} {words}", f"{piece.text}{more}", piece.equation,
        ("figure", piece.key), piece.stamp(), (f"B {number}",),
    )  # fmt: skip


def _curve(each: Trained, at_hand: Mapping[str, Path]) -> Iterator[Experiment]:
    """The loss of a training, or of ours of the same kind."""
    of_noise = [name for name in at_hand if name.startswith("fast-") and PURE_NOISE in name]
    ours = of_noise if PURE_NOISE in each.run else [f"mnist-{each.task}"]
    name = next((name for name in (each.run, *ours) if name in at_hand), None)
    if not each.curve or name is None:
        return
    text = "Every training step, and the running mean."
    if name != each.run:
        text += f" This is {name}; the page's own run is made by `{each.command}`."
    yield Experiment(
        f"B-{each.curve}-curve-{name}", f"B {each.curve} Training curve: {name}", text, LOSS,
        ("curves", name), stamp("curves", [at_hand[name]]), (f"B {each.curve}",),
    )  # fmt: skip


def _samples(each: Trained, found: Mapping[str, Piece]) -> list[Experiment]:
    """What a training shows after the epochs of the page; ours of the same kind where there is nothing of it."""
    own = [key for key in each.figures() if key in found]
    missing = [epochs for key, epochs in each.figures().items() if key not in found]
    said = ""
    if own and missing:
        said = f" Not at hand: after epoch {', '.join(missing)}; `{each.command}` makes it."
    elif missing:
        own = _ours(each, found)
        said = f" The page's own run is not at hand; `{each.command}` makes it."
    return [_of(found[key], each.number, said) for key in own]


def _ours(each: Trained, found: Mapping[str, Piece]) -> list[str]:
    """The keys of what our own recipe showed in the same task; none for a run without a schedule, as ours has one."""
    if not each.curve:
        return []
    if PURE_NOISE in each.run:
        return [key for key in found if key.startswith("fast-") and key.endswith(f"{PURE_NOISE}-noise")]
    return [key for key in found if key.startswith(f"fast-{each.task}-epoch")]
