"""The work behind a ticket: its command, carried out on the shelf, with every state shown."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from duckrabbit.diffusion.trajectory import State
from duckrabbit.errors import UserError
from duckrabbit.models.digits.model import folder_name
from duckrabbit.report.asked import described, figure_of, notes_of, planned
from duckrabbit.report.figures import Figure
from duckrabbit.report.sheet import enlarge
from duckrabbit.report.write import runner, write_figure
from duckrabbit.studio.forms.kinds import Form
from duckrabbit.studio.forms.plain import to_settings
from duckrabbit.studio.queue.desk import Ticket
from duckrabbit.studio.shelf.shelf import Shelf
from duckrabbit.studio.shelf.uploads import GONE, check_mask
from duckrabbit.tasks.asking import ask
from duckrabbit.tasks.job import Job, canvas, cost
from duckrabbit.tasks.pictures import to_pixels, write_png
from duckrabbit.tasks.requests import Request
from duckrabbit.values import words_of

EVERY = 0.08
"""Seconds between two previews, at least."""
LARGEST = 4
"""So many times a model's own area is the most that a picture has."""
SHOWN = 4
"""So many pictures of a batch are in a preview."""


class Worker:
    """What a desk does: run the request of a ticket's form, and put what it makes on the shelf."""

    def __init__(self, shelf: Shelf, device: str | None = None, dtype: str | None = None) -> None:
        self.shelf = shelf
        self.chosen = {name: value for name, value in (("device", device), ("dtype", dtype)) if value}

    def __call__(self, ticket: Ticket) -> str:
        """Carry it out; returns the item. Raises UserError, or Stopped within one step of a cancel."""
        form, began = ticket.form, time.perf_counter()
        given = form.pictures()
        if any(self.shelf.file("inputs", name) is None for name in given.values()):
            raise UserError(GONE)
        if "mask" in given:
            check_mask(self.shelf, given["mask"], given["image"])
        folder = self.shelf.begin(form.kind)
        try:
            request = self._placed(form)
            asked = ask(request)
            _check_room(asked.jobs)
            ticket.moves = sum(len(stage.plan) for job, _ in planned(request, asked.jobs) for stage in job.stages)
            made = figure_of(request, asked, runner(_watching(ticket), None, folder))
            write_figure(made, folder)
            facts = {**_facts(form, made, folder), "seconds": round(time.perf_counter() - began, 2)}
            return self.shelf.put(folder, facts).id
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def warm(self, form: Form) -> None:
        """Take one step of a form, and keep nothing: imports are made, weights are loaded."""
        request: Any = self._placed(form)
        few = {"steps": (1,) if isinstance(request.steps, tuple) else 1, "count": 1}
        request = replace(request, **few)
        figure_of(request, ask(request), runner(lambda job, state: None, None, None))

    def _placed(self, form: Form) -> Request:
        """The request with its pictures where the shelf keeps them, on the device of this desk."""
        places = {name: self.shelf.inputs / picture for name, picture in form.pictures().items()}
        known = {f.name for f in fields(form.request)}
        return replace(form.request, **places, **{k: v for k, v in self.chosen.items() if k in known})  # type: ignore[arg-type]


def _check_room(jobs: list[Job]) -> None:
    """Raises UserError for pictures that are larger than the studio makes, whoever asks."""
    for job in jobs:
        (height, width), own = canvas(job), job.model.stages[0].size
        if height * width > LARGEST * own[0] * own[1]:
            raise UserError(
                f"The studio makes pictures of at most {LARGEST} times the {words_of(own)} pixels of "
                f"{job.model.card.name}, and {width} x {height} is more; choose a smaller size."
            )


def _watching(ticket: Ticket) -> Callable[[Job, State], None]:
    """Tells the ticket of every move, with a picture now and then."""
    shown = 0.0

    def on_move(job: Job, state: State) -> None:
        nonlocal shown
        now = time.perf_counter()
        fresh = now - shown > EVERY
        shown = now if fresh else shown
        ticket.step(preview(job, state) if fresh else None)

    return on_move


def _facts(form: Form, made: Figure, folder: Path) -> dict[str, Any]:
    """What item.json says of what was made."""
    prices = [(price, result.repeats) for result in made.results for price in cost(result.job)]
    return {
        "kind": form.kind,
        "settings": to_settings(form),
        "command": form.command(),
        "made": time.strftime("%Y-%m-%d %H:%M:%S"),
        "title": described(form.request),
        "notes": notes_of(made.results),
        "model": made.results[0].job.model.card.name if made.results else folder_name(Path(form.model)),
        "calls": sum(price.calls for price, _ in prices),
        "questions": sum(price.pictures * seeds for price, seeds in prices),
        "rows": _cells(made, folder),
        "strips": _strips(made, folder),
    }


def preview(job: Job, state: State) -> bytes:
    """The state as a small PNG, its pictures side by side."""
    low, high = job.model.stages[0].value_range
    pixels = to_pixels(state.x[:SHOWN], (low, high)).numpy()
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(list(pixels), axis=1)).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _cells(figure: Figure, folder: Path) -> list[dict[str, Any]]:
    """The cells of the sheet as files, for the page."""
    rows = []
    for r, row in enumerate(figure.sheet.rows):
        cells = []
        for c, cell in enumerate(row.cells):
            name = f"cell-{r:02d}-{c:02d}.png"
            write_png(Image.fromarray(cell.pixels), folder / name)
            cells.append({"file": name, "caption": cell.caption, "exact": cell.exact, "side": cell.pixels.shape[1]})
        rows.append({"label": row.label, "cells": cells})
    return rows


def _strips(figure: Figure, folder: Path) -> list[dict[str, Any]]:
    """The frames of every way side by side, to be leafed through in the page."""
    strips = []
    for name, every in figure.ways.items():
        frames = [*every[:-1:2], every[-1]]
        large = [enlarge(frame, 256) for frame in frames]
        write_png(Image.fromarray(np.concatenate(large, axis=1)), folder / f"strip-{name}.png")
        strips.append({"file": f"strip-{name}.png", "frames": len(frames), "name": name})
    return strips
