"""Contact sheets: labelled grids of pictures, drawn pixel for pixel.

Pictures smaller than a cell are enlarged by a whole number with square pixels, so that what is
shown is what was made; larger ones are shown as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from duckrabbit.report.lettering import one_line, printable, wrap, write

CELL = 192
GAP, MARGIN = 12, 24
NARROWEST = 96
"""The least width of a cell with its caption, in pixels."""
INK, SOFT, PAPER = "#1d2125", "#6b7280", "#ffffff"


@dataclass(frozen=True, eq=False)
class Cell:
    """A picture, uint8 (H, W, 3), and its caption, in lines. `exact`: never enlarged."""

    pixels: np.ndarray
    caption: str = ""
    exact: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "caption", printable(self.caption))


@dataclass(frozen=True, eq=False)
class Row:
    """Cells side by side, with a label over them."""

    cells: tuple[Cell, ...]
    label: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", one_line(self.label))


@dataclass(frozen=True, eq=False)
class Sheet:
    """Rows under a title."""

    rows: tuple[Row, ...]
    title: str = ""
    notes: tuple[str, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", one_line(self.title))


def enlarge(pixels: np.ndarray, cell: int = CELL) -> np.ndarray:
    """`pixels` with every pixel a square of whole size, to about `cell` wide; never smaller."""
    factor = max(1, round(cell / pixels.shape[1]))
    return pixels.repeat(factor, 0).repeat(factor, 1)


def draw_sheet(sheet: Sheet) -> Image.Image:
    """The sheet as a picture."""
    room = max([_width(_images(row)) for row in sheet.rows] + [420])
    rows = [_MeasuredRow(row, room) for row in sheet.rows]
    heading = wrap(sheet.title, 22, room, bold=True)
    notes = [line for note in sheet.notes for line in wrap(note, 13, room)]
    top = MARGIN + 30 * len(heading)
    height = top + sum(r.height for r in rows) + (18 * len(notes) + 10 if notes else 0) + MARGIN
    canvas = Image.new("RGB", (room + 2 * MARGIN, height), PAPER)
    pen = ImageDraw.Draw(canvas)
    for k, line in enumerate(heading):
        write(pen, (MARGIN, MARGIN - 6 + 30 * k), line, INK, 22, bold=True)
    y = top
    for row in rows:
        row.draw(canvas, pen, y)
        y += row.height
    for k, line in enumerate(notes):
        write(pen, (MARGIN, y + 4 + 18 * k), line, SOFT, 13)
    return canvas


def _images(row: Row) -> list[np.ndarray]:
    return [cell.pixels if cell.exact else enlarge(cell.pixels) for cell in row.cells]


def _width(images: Sequence[np.ndarray]) -> int:
    return sum(max(image.shape[1], NARROWEST) for image in images) + GAP * (len(images) - 1)


class _MeasuredRow:
    """A row, measured; its label has the sheet's `room` in pixels, a caption that of its picture."""

    def __init__(self, row: Row, room: float) -> None:
        self.images = _images(row)
        self.widths = [max(image.shape[1], NARROWEST) for image in self.images]
        self.captions = [wrap(c.caption, 13, w) for c, w in zip(row.cells, self.widths, strict=True)]
        self.label = wrap(row.label, 15, room)
        self.label_height = 6 + 20 * len(self.label) if self.label else 4
        self.tall = max(image.shape[0] for image in self.images)
        lines = max(len(c) for c in self.captions)
        self.height = self.label_height + self.tall + 17 * lines + 20

    def draw(self, canvas: Image.Image, pen: ImageDraw.ImageDraw, y: int) -> None:
        for k, line in enumerate(self.label):
            write(pen, (MARGIN, y + 20 * k), line, INK, 15)
        y += self.label_height
        x = MARGIN
        for image, width, caption in zip(self.images, self.widths, self.captions, strict=True):
            top = y + self.tall - image.shape[0]
            canvas.paste(Image.fromarray(image), (x, top))
            pen.rectangle((x - 1, top - 1, x + image.shape[1], top + image.shape[0]), outline="#d1d5db")
            for k, line in enumerate(caption):
                write(pen, (x, y + self.tall + 4 + 17 * k), line, SOFT, 13)
            x += width + GAP
