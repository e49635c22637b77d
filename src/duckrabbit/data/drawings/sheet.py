"""A contact sheet of a set of drawings: a row for each family, a column for each subject."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from duckrabbit.data.drawings.icons import Icon
from duckrabbit.data.drawings.render import Rendered

COLUMNS, LABEL, GAP, HEAD = 16, 230, 8, 34


def contact_sheet(drawings: Sequence[tuple[Icon, Rendered]], size: int) -> Image.Image:
    """The subjects that most families draw, spread over the vocabulary, one drawing of each family."""
    drawn: dict[str, dict[str, bytes]] = defaultdict(dict)
    subjects = {}
    for icon, rendered in drawings:
        if icon.tone is None:
            drawn[icon.family.style].setdefault(icon.emoji.subject, rendered.png)
            subjects[icon.emoji.subject] = icon.emoji.order
    shared = {s: sum(s in row for row in drawn.values()) for s in subjects}
    most = max(shared.values(), default=0)
    often = sorted((s for s in subjects if shared[s] == most), key=subjects.__getitem__)
    chosen = often[:: max(1, len(often) // COLUMNS)][:COLUMNS]
    sheet = Image.new("RGB", (LABEL + len(chosen) * (size + GAP), HEAD + len(drawn) * (size + GAP)), "white")
    pen, font, small = ImageDraw.Draw(sheet), ImageFont.load_default(16), ImageFont.load_default(11)
    for x, subject in enumerate(chosen):
        left = LABEL + x * (size + GAP)
        pen.text((left + size / 2, HEAD / 2), _fitted(subject, pen, small, size + GAP), "#6b7280", small, anchor="mm")
        for y, row in enumerate(drawn.values()):
            if subject in row:
                sheet.paste(Image.open(io.BytesIO(row[subject])), (left, HEAD + y * (size + GAP)))
    for y, style in enumerate(drawn):
        pen.text((GAP, HEAD + y * (size + GAP) + size / 2), style, "#1d2125", font, anchor="lm")
    return sheet


def _fitted(text: str, pen: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, room: int) -> str:
    """The text, its end left out where there is no room for it."""
    if pen.textlength(text, font) <= room:
        return text
    while text and pen.textlength(text + "…", font) > room:
        text = text[:-1]
    return text.rstrip() + "…"
