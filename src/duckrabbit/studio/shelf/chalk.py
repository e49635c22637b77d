"""Digits to begin with, drawn by code: white on black, as the models of digits know them."""

from __future__ import annotations

from PIL import Image, ImageDraw

SIDE, OVER = 280, 3
_STROKES = (
    ((32, 30, 66, 29), (66, 29, 60, 46), (60, 46, 50, 62), (50, 62, 45, 76)),
    ((34, 34, 44, 26), (44, 26, 57, 27), (57, 27, 61, 36), (61, 36, 54, 46), (54, 46, 45, 49), (45, 49, 58, 52),
     (58, 52, 63, 62), (63, 62, 57, 73), (57, 73, 44, 76), (44, 76, 34, 70)),
    ((60, 26, 46, 38), (46, 38, 38, 54), (38, 54, 39, 68), (39, 68, 48, 76), (48, 76, 59, 72), (59, 72, 62, 61),
     (62, 61, 54, 53), (54, 53, 43, 57), (43, 57, 39, 64)),
)  # fmt: skip
"""The strokes of a 7, a 3 and a 6: from x, y to x, y, in hundredths of the picture."""


def chalk_digits() -> list[Image.Image]:
    """The drawings, RGB, SIDE x SIDE."""
    return [_drawn(strokes) for strokes in _STROKES]


def _drawn(strokes: tuple[tuple[int, int, int, int], ...]) -> Image.Image:
    board = Image.new("L", (SIDE * OVER, SIDE * OVER))
    pen, unit = ImageDraw.Draw(board), SIDE * OVER / 100
    radius = 3.6 * unit
    for stroke in strokes:
        x0, y0, x1, y1 = (v * unit for v in stroke)
        pen.line([(x0, y0), (x1, y1)], fill=255, width=round(2 * radius))
        for x, y in ((x0, y0), (x1, y1)):
            pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=255)
    return board.resize((SIDE, SIDE), Image.Resampling.BOX).convert("RGB")
