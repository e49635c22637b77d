"""Running and writing: each result is saved as soon as it is there, then the figure with all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import chain, count
from pathlib import Path

import numpy as np
from PIL import Image

from duckrabbit.diffusion.trajectory import State
from duckrabbit.report.figures import Figure, Run
from duckrabbit.report.films import write_gif, write_transition
from duckrabbit.report.print_pages import write_page
from duckrabbit.report.sheet import draw_sheet
from duckrabbit.tasks import timing
from duckrabbit.tasks.job import Job
from duckrabbit.tasks.pictures import write_png
from duckrabbit.tasks.results import Result, results_in, save_result
from duckrabbit.tasks.run import OnState, run

SHEET = "duckrabbit-sheet"
"""The text chunk of a contact sheet: the records of all that is on it, as a JSON list."""


def runner(on_move: Callable[[Job, State], None], micro_batch: int | None, folder: Path | None) -> Run:
    """How a job is run: `on_move` sees every state, each finished result is saved at once.

    They are numbered 01, 02 and so on; in a folder that holds such already, the numbers go on.
    """
    taken = results_in(folder) if folder is not None and folder.is_dir() else ()
    number = max((int(name) for name in taken if name.isdecimal()), default=0)

    def run_one(job: Job, seeds: Sequence[int], on_state: OnState | None) -> Result:
        nonlocal number

        def watch(position: int, state: State) -> None:
            on_move(job, state)
            if on_state is not None:
                on_state(position, state)

        result = run(job, seeds, micro_batch=micro_batch, on_state=watch)
        timing.learn(result)
        number += 1
        if folder is not None:
            save_result(result, folder, f"{number:02d}")
        return result

    return run_one


def write_figure(figure: Figure, folder: Path) -> Path:
    """Write all of a figure but its results, beside those that are there; returns the sheet, which comes last."""
    extras = figure.extras
    names = [
        *((name, "gif") for name in figure.films),
        *((name, kind) for name in figure.ways for kind in extras.ways),
        *((name, kind) for name in figure.pages for kind in extras.pages),
        ("sheet", "png"),
    ]
    more = _free(folder, names)
    for name, frames in figure.films.items():
        pictures = [np.asarray(Image.fromarray(f).resize((256, 256), Image.Resampling.NEAREST)) for f in frames]
        write_gif(pictures, folder / f"{name}{more}.gif", [80] * (len(pictures) - 1) + [1500])
    for name, frames in figure.ways.items():
        for film in extras.ways:
            write_transition(frames, folder / f"{name}{more}.{film}")
    for name, page in figure.pages.items():
        for kind in extras.pages:
            write_page(page, folder / f"{name}{more}.{kind}")
    records = json.dumps([result.record for result in figure.results], ensure_ascii=False)
    write_png(draw_sheet(figure.sheet), folder / f"sheet{more}.png", {SHEET: records})
    return folder / f"sheet{more}.png"


def _free(folder: Path, names: Sequence[tuple[str, str]]) -> str:
    """What to add to all of these names (stem, kind) so that none is there: nothing, or -2, or -3."""
    added = chain([""], (f"-{k}" for k in count(2)))
    return next(more for more in added if not any((folder / f"{stem}{more}.{kind}").exists() for stem, kind in names))
