"""Building the gallery: run what has changed, keep what has not, write the page after each figure."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import duckrabbit
from duckrabbit.cli.perform import STOPPED, console, progress
from duckrabbit.errors import UserError
from duckrabbit.files import only_writer, write_text
from duckrabbit.gallery.experiments import Experiment, experiments, part_b
from duckrabbit.gallery.page import Shown, given_to, render
from duckrabbit.gallery.years import ASKED, of_year, part_a
from duckrabbit.models.load import load
from duckrabbit.models.model import Model
from duckrabbit.tasks.courses import course_of
from duckrabbit.tasks.samples import write_pictures

DONE = "done.json"


def build(
    app: typer.Typer,
    out: Path,
    chosen: dict[str, str],
    only: str | None = None,
    parts: str = "ab",
    preset: str | None = None,
) -> tuple[Path, list[str]]:
    """Make the gallery in `out`; returns its page, and the keys of the experiments that could not be made.

    `chosen` are the options (model, device, dtype, prompts) that every command of part A gets;
    `only` keeps the experiments whose key starts with it; `parts` is "a", "b" or "ab"; `preset` the course whose
    page it is to be (years.py), None for the project's own. Ctrl-C leaves what is finished on the page. Raises
    UserError for a model that the course cannot be walked on, and where nothing is chosen.
    """
    out = out.resolve()
    model = load(chosen["model"], **{k: v for k, v in chosen.items() if k != "model"})  # type: ignore[arg-type]
    every = [*(_part_a(model, preset) if "a" in parts else ()), *(_part_b(preset) if "b" in parts else ())]
    plan = [e for e in every if e.key.startswith(only or "")]
    if not plan:
        raise UserError(f"No experiment is called '{only}'; there are {', '.join(e.key for e in every)}.")
    shown: list[Shown] = []
    asked = {} if preset is None else _asked(preset, parts, every)
    try:
        with only_writer(out), progress(len(plan)) as bar, _among_pictures(out / "pictures"):
            for experiment in plan:
                bar(experiment.section, 0)
                shown.append(_one(app, experiment, out / "figures" / experiment.key, model, chosen))
                write_text(out / "index.html", render(model.card, shown, len(plan), chosen, asked))
                bar(experiment.section, 1)
    except KeyboardInterrupt:
        console.print(f"Stopped after {len(shown)} of {len(plan)} figures; they are kept. Start it again to go on.")
        raise typer.Exit(STOPPED) from None
    return out / "index.html", [each.experiment.key for each in shown if each.failure]


def _part_a(model: Model, preset: str | None) -> list[Experiment]:
    if preset is None:
        return experiments(model.card, len(model.stages))
    course = course_of(preset, model)
    if course is not None and not course.suits(model.stages[0].schedule):
        raise UserError(f"The year {preset} walks a chain of levels, and {model.card.name} is no such; choose another.")
    return part_a(preset, model.card)


def _part_b(preset: str | None) -> list[Experiment]:
    from duckrabbit.gallery import year_digits

    return part_b() if preset is None else year_digits.part_b(preset)


def _asked(preset: str, parts: str, every: list[Experiment]) -> dict[str, str]:
    """What a year's page asks for in these parts, by number."""
    from duckrabbit.gallery.year_digits import asked_in

    of_a = {number: words for number, words in ASKED[of_year(preset)].items() if number.startswith("A")}
    return {**(of_a if "a" in parts else {}), **(asked_in(preset, every) if "b" in parts else {})}


def _one(app: typer.Typer, experiment: Experiment, folder: Path, model: Model, chosen: dict[str, str]) -> Shown:
    """Run an experiment, unless its folder holds the result of the same command, code and weights."""
    given = given_to(experiment, chosen)
    arguments = [*experiment.arguments, *(p for k, v in given.items() for p in (f"--{k}", v))]
    stamp = _stamp(arguments, experiment.stamp or json.dumps(dict(model.weight_hash())))
    done = _read(folder / DONE)
    if done.get("stamp") == stamp and (folder / "sheet.png").is_file():
        return Shown(experiment, folder, float(done["seconds"]), str(done["failure"]))
    for old in folder.glob("*"):
        old.unlink()
    began, failure = time.perf_counter(), ""
    try:
        if app([*arguments, "--out", str(folder), "--quiet"], standalone_mode=False) == STOPPED:
            raise KeyboardInterrupt
    except UserError as error:
        failure = str(error)
    seconds = time.perf_counter() - began
    if not failure:
        write_text(folder / DONE, json.dumps({"stamp": stamp, "seconds": seconds, "failure": failure}))
    return Shown(experiment, folder, seconds, failure)


def _stamp(arguments: list[str], sources: str) -> str:
    """A hash of all that decides a figure: the command, the program's own code, and what it is made from."""
    digest = hashlib.sha256(json.dumps([arguments, sources]).encode())
    package = Path(duckrabbit.__file__).parent
    for file in sorted(package.rglob("*.py")):
        if "gallery" not in file.parts or file.name == "drawings.py":
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}


@contextlib.contextmanager
def _among_pictures(folder: Path) -> Iterator[None]:
    """Work in `folder`, with the pictures of the gallery in it, so that commands name them as a reader would."""
    write_pictures(folder)
    with contextlib.chdir(folder):
        yield
