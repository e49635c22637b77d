"""The work behind a ticket: its command, carried out on the shelf, with every state shown."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import typer
from PIL import Image

from duckrabbit.cli.options import Common
from duckrabbit.cli.perform import performed_by, runner, write_figure
from duckrabbit.diffusion.trajectory import State
from duckrabbit.errors import UserError
from duckrabbit.models.digits.model import folder_name
from duckrabbit.report.figures import Extras, Figure, Run
from duckrabbit.report.sheet import enlarge
from duckrabbit.studio.forms.drawings import Form
from duckrabbit.studio.forms.plain import to_plain
from duckrabbit.studio.queue.desk import Ticket
from duckrabbit.studio.shelf.shelf import Shelf
from duckrabbit.tasks.job import Job, cost
from duckrabbit.tasks.pictures import to_pixels, write_png

EVERY = 0.08
"""Seconds between two previews, at least."""
SHOWN = 4
"""So many pictures of a batch are in a preview."""


class Worker:
    """What a desk does: run the command of a ticket's form, and put what it makes on the shelf."""

    def __init__(
        self, commands: typer.Typer, shelf: Shelf, device: str | None = None, dtype: str | None = None
    ) -> None:
        self.commands, self.shelf = commands, shelf
        self.chosen = [part for k, v in (("--device", device), ("--dtype", dtype)) if v for part in (k, v)]

    def __call__(self, ticket: Ticket) -> str:
        """Carry it out; returns the item. Raises UserError, or Stopped within one step of a cancel."""
        form = ticket.form
        folder = self.shelf.begin(form.kind)
        try:
            arguments = self._arguments(form)
            for name in filter(None, form.pictures()):
                if self.shelf.file("inputs", name) is None:
                    raise UserError("The picture is no longer there; upload it again.")
            facts: dict[str, Any] = {}
            with performed_by(_performer(ticket, folder, facts)):
                _call(self.commands, arguments)
            facts |= {"kind": form.kind, "settings": to_plain(form), "command": form.command()}
            facts["made"] = time.strftime("%Y-%m-%d %H:%M:%S")
            return self.shelf.put(folder, facts).id
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def warm(self, form: Form) -> None:
        """Take one step of a form, and keep nothing: imports are made, weights are loaded."""

        def once(common: Common, jobs: Sequence[Job], figure: Callable[[Run], Figure], extras: Extras) -> None:
            figure(runner(lambda job, state: None, common.micro_batch, None))

        with performed_by(once):
            _call(self.commands, self._arguments(replace(form, steps=1, count=1)))

    def _arguments(self, form: Form) -> list[str]:
        """What the command line gets: the form's own, and the device."""
        command, *rest = form.arguments(f"{self.shelf.inputs}/")
        return [command, *(self.chosen if form.computes else []), *rest]


def _call(commands: typer.Typer, arguments: list[str]) -> None:
    import click

    try:
        commands(arguments, standalone_mode=False)
    except click.UsageError as error:
        raise UserError(error.format_message()) from None


def _performer(ticket: Ticket, folder: Path, facts: dict[str, Any]) -> Callable[..., None]:
    """Runs the figure in `folder`, tells the ticket of every move, and fills `facts`."""

    def performer(common: Common, jobs: Sequence[Job], figure: Callable[[Run], Figure], extras: Extras) -> None:
        ticket.moves = sum(len(stage.plan) for job in jobs for stage in job.stages)
        began, shown = time.perf_counter(), 0.0

        def on_move(job: Job, state: State) -> None:
            nonlocal shown
            now = time.perf_counter()
            fresh = now - shown > EVERY
            shown = now if fresh else shown
            ticket.step(preview(job, state) if fresh else None)

        made = figure(runner(on_move, common.micro_batch, folder))
        write_figure(made, folder, extras)
        calls = [price for result in made.results for price in cost(result.job)]
        facts["title"] = ticket.form.title()
        facts["model"] = made.results[0].job.model.card.name if made.results else folder_name(Path(ticket.form.model))
        facts["seconds"] = round(time.perf_counter() - began, 2)
        facts["calls"] = sum(price.calls for price in calls)
        facts["questions"] = sum(price.pictures for price in calls) * len(common.seeds)
        facts["rows"] = _cells(made, folder)
        facts["strips"] = _strips(made, folder)

    return performer


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
