"""The markup of a picture field: upload, paste, drop, draw, paint a mask."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

CROPS = (("middle", "Its middle"), ("whole", "All of it, with a border"))
"""How what is not square becomes so, and what people are told."""


def pad(kind: str, name: str, label: str, samples: Sequence[str], mask: str = "", *, chalk: bool = False) -> str:
    """The markup of a picture field; pad.js makes it work. chalk: white on black, drawn on at once."""
    thumbs = "".join(
        f'<button type="button" class="sample" data-name="{s}" aria-label="Example picture {k + 1}">'
        f'<img src="shelf/inputs/{s}" alt=""></button>'
        for k, s in enumerate(samples)
    )
    ink, paper, width = ("#ffffff", "#000000", 9) if chalk else ("#1d2125", "#ffffff", 10)
    draw = f'<button type="button" data-do="draw" aria-pressed="{str(chalk).lower()}">Draw</button>'
    colour = f'<input type="color" value="{ink}" aria-label="Colour" class="colour pen">'
    draw, colour = ("", "") if mask else (draw, "" if chalk else colour)
    hint = "Draw a digit here" if chalk else "Drop, paste or upload a picture"
    blank = (
        f'width="512" height="512" role="img" aria-label="{escape(label)}: none yet" '
        'aria-description="When drawing, arrow keys move the pen and space paints."'
    )
    over = '<canvas class="mask" width="512" height="512"></canvas>' if mask else ""
    return f"""<div class="pad" data-box="{kind}-{name}" data-mask="{f"{kind}-{mask}" if mask else ""}"
 data-ink="{ink}" data-paper="{paper}" data-drawing="{"yes" if chalk or mask else ""}">
<div class="name">{escape(label)}</div>
<div class="surface"><canvas class="picture" tabindex="0" {blank}></canvas>{over}
<span class="cursor" aria-hidden="true"></span><p class="hint">{hint}</p></div>
<div class="aside"><div class="tools">
<label class="tool">Upload<input type="file" accept="image/*" aria-label="Upload a picture"></label>
<button type="button" data-do="paste">Paste</button>{draw}
<button type="button" data-do="clear">Clear</button>
<input type="range" class="size pen" min="2" max="30" value="{width}" aria-label="Width of the brush">{colour}</div>
<fieldset class="crop"><legend>It is not square</legend>{_crops(f"{kind}-{name}")}</fieldset>
<div class="samples">{thumbs}</div></div><p class="complaint" role="alert"></p></div>"""


def _crops(name: str) -> str:
    return "".join(
        f'<label><input type="radio" name="{name}-crop" value="{value}"{" checked" * (k == 0)}>{words}</label>'
        for k, (value, words) in enumerate(CROPS)
    )
