"""Running and writing: each result is saved as soon as it is there, then the figure with all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from duckrabbit.diffusion.trajectory import State
from duckrabbit.report.figures import Figure, Run
from duckrabbit.report.films import write_gif, write_transition
from duckrabbit.report.pages import write_page
from duckrabbit.report.sheet import draw_sheet
from duckrabbit.tasks import timing
from duckrabbit.tasks.job import Job
from duckrabbit.tasks.pictures import write_png
from duckrabbit.tasks.results import Result, save_result
from duckrabbit.tasks.run import OnState, run

SHEET = "duckrabbit-sheet"
"""The text chunk of a contact sheet: the records of all that is on it, as a JSON list."""


def runner(on_move: Callable[[Job, State], None], micro_batch: int | None, folder: Path | None) -> Run:
    """How a job is run: `on_move` sees every state, each finished result is saved at once."""
    count = 0

    def run_one(job: Job, seeds: Sequence[int], on_state: OnState | None) -> Result:
        nonlocal count

        def watch(position: int, state: State) -> None:
            on_move(job, state)
            if on_state is not None:
                on_state(position, state)

        result = run(job, seeds, micro_batch=micro_batch, on_state=watch)
        timing.learn(result)
        count += 1
        if folder is not None:
            save_result(result, folder, f"{count:02d}")
        return result

    return run_one


def write_figure(figure: Figure, folder: Path) -> None:
    """Write all of a figure but its results, the sheet last."""
    for name, frames in figure.films.items():
        pictures = [np.asarray(Image.fromarray(f).resize((256, 256), Image.Resampling.NEAREST)) for f in frames]
        write_gif(pictures, folder / f"{name}.gif", [80] * (len(pictures) - 1) + [1500])
    for name, frames in figure.ways.items():
        for film in figure.extras.ways:
            write_transition(frames, folder / f"{name}.{film}")
    for name, page in figure.pages.items():
        for kind in figure.extras.pages:
            write_page(page, folder / f"{name}.{kind}")
    records = json.dumps([result.record for result in figure.results], ensure_ascii=False)
    write_png(draw_sheet(figure.sheet), folder / "sheet.png", {SHEET: records})
