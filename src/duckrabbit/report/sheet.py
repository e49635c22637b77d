"""Contact sheets: labelled grids of pictures, drawn pixel for pixel.

Pictures smaller than a cell are enlarged by a whole number with square pixels, so that what is
shown is what was made; larger ones are shown as they are.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

CELL = 192
GAP, MARGIN = 12, 24
INK, SOFT, PAPER = "#1d2125", "#6b7280", "#ffffff"


@dataclass(frozen=True, eq=False)
class Cell:
    """A picture, uint8 (H, W, 3), and up to three lines of caption. `exact`: never enlarged."""

    pixels: np.ndarray
    caption: str = ""
    exact: bool = False


@dataclass(frozen=True, eq=False)
class Row:
    """Cells side by side, with a label over them."""

    cells: tuple[Cell, ...]
    label: str = ""


@dataclass(frozen=True, eq=False)
class Sheet:
    """Rows under a title."""

    rows: tuple[Row, ...]
    title: str = ""
    notes: tuple[str, ...] = field(default_factory=tuple)


@lru_cache(maxsize=16)
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib carries: it has the Greek letters and the dashes."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(f"{get_data_path()}/fonts/ttf/{name}", size)


def enlarge(pixels: np.ndarray, cell: int = CELL) -> np.ndarray:
    """`pixels` with every pixel a square of whole size, to about `cell` wide; never smaller."""
    factor = max(1, round(cell / pixels.shape[1]))
    return pixels.repeat(factor, 0).repeat(factor, 1)


def draw_sheet(sheet: Sheet) -> Image.Image:
    """The sheet as a picture."""
    rows = [_Row(row) for row in sheet.rows]
    heading = _wrap(sheet.title, 22, max(40, max((r.width for r in rows), default=0) // 13))
    width = max([r.width for r in rows] + [420]) + 2 * MARGIN
    notes = [line for note in sheet.notes for line in _wrap(note, 13, width // 8)]
    top = MARGIN + 30 * len(heading)
    height = top + sum(r.height for r in rows) + (18 * len(notes) + 10 if notes else 0) + MARGIN
    canvas = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(canvas)
    for k, line in enumerate(heading):
        pen.text((MARGIN, MARGIN - 6 + 30 * k), line, INK, font(22, bold=True))
    y = top
    for row in rows:
        row.draw(canvas, pen, y)
        y += row.height
    for k, line in enumerate(notes):
        pen.text((MARGIN, y + 4 + 18 * k), line, SOFT, font(13))
    return canvas


class _Row:
    """A row, measured."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.images = [cell.pixels if cell.exact else enlarge(cell.pixels) for cell in row.cells]
        self.widths = [max(image.shape[1], 96) for image in self.images]
        self.captions = [_wrap(c.caption, 13, w // 8) for c, w in zip(row.cells, self.widths, strict=True)]
        self.label_height = 26 if row.label else 4
        self.tall = max(image.shape[0] for image in self.images)
        lines = max(len(c) for c in self.captions)
        self.height = self.label_height + self.tall + 17 * lines + 20
        self.width = sum(self.widths) + GAP * (len(self.widths) - 1)

    def draw(self, canvas: Image.Image, pen: ImageDraw.ImageDraw, y: int) -> None:
        if self.row.label:
            pen.text((MARGIN, y), self.row.label, INK, font(15))
        y += self.label_height
        x = MARGIN
        for image, width, caption in zip(self.images, self.widths, self.captions, strict=True):
            top = y + self.tall - image.shape[0]
            canvas.paste(Image.fromarray(image), (x, top))
            pen.rectangle((x - 1, top - 1, x + image.shape[1], top + image.shape[0]), outline="#d1d5db")
            for k, line in enumerate(caption):
                pen.text((x, y + self.tall + 4 + 17 * k), line, SOFT, font(13))
            x += width + GAP


def _wrap(text: str, size: int, columns: int) -> Sequence[str]:
    return [line for part in text.split("\n") for line in textwrap.wrap(part, max(8, columns))] if text else []
