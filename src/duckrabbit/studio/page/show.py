"""What the page shows of a ticket, of a result and of the shelf, as HTML; its addresses count from the page's own."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from duckrabbit.report.html import data_url
from duckrabbit.studio.forms.plain import to_address
from duckrabbit.studio.queue.desk import Ticket
from duckrabbit.studio.shelf.shelf import Item

_WORDS = {"json": "run record", "gif": "GIF", "mp4": "MP4", "pdf": "print sheet", "png": "PNG"}
MANY = 7
"""More files than these are folded away."""
EMPTY = '<div class="empty"><p>{}</p></div>'


def lacking(commands: Sequence[str]) -> str:
    """That no model of digits is there, and how one comes about."""
    lines = "".join(f"<li><code>{escape(command)}</code></li>" for command in commands)
    return (
        '<div class="empty lacking"><div><p>There is no model for this yet. Train one, then open the studio again:'
        f"</p><ul>{lines}</ul></div></div>"
    )


def progress(ticket: Ticket, ahead: int, seconds: float) -> str:
    """How far a ticket is: its place in the queue, or the picture as it forms."""
    if ticket.state == "waiting":
        where = f" on {escape(ticket.place)}" if ticket.place else ""
        line = f"{ahead} ahead of you{where}, about {max(1, round(seconds))} s" if ahead else "You are next"
        return f'<div class="status" role="status"><p>{line}</p><progress aria-label="waiting"></progress></div>'
    of = f"move {ticket.move} of {ticket.moves}" if ticket.moves else "Reading the model"
    bar = f'<progress aria-label="progress" max="{max(1, ticket.moves)}" value="{ticket.move}"></progress>'
    image = ""
    if ticket.preview:
        source = data_url(ticket.preview, "image/png")
        image = f'<img class="forming" alt="The picture as it forms, {of}" src="{source}">'
    return f'<div class="status"><p>{of}</p>{bar}{image}</div>'


def sentence(words: str, *, failed: bool) -> str:
    """Why there is no picture."""
    kind = ("failed", "alert") if failed else ("stopped", "status")
    return f'<div class="message {kind[0]}" role="{kind[1]}"><p>{escape(words)}</p></div>'


def result(item: Item) -> str:
    """A result: its pictures with captions, the way between, its notes, its files, its command and its cost."""
    facts, base = item.facts, f"shelf/{item.id}"
    rows = "".join(_row(row, base) for row in facts["rows"])
    strips = "".join(_strip(strip, base) for strip in facts["strips"])
    return f"""<article class="result of-{item.form.kind}" aria-label="Result">
<div class="strips">{strips}</div><div class="rows">{rows}</div>
{_notes(facts.get("notes", ()))}{_files(facts["files"], base)}
<p class="cost">{facts["seconds"]:.1f} s{_calls(facts)}</p>
<div class="command"><pre tabindex="0">{escape(facts["command"])}</pre>
<button type="button" class="copy" data-copy="{escape(facts["command"])}">Copy</button></div>
</article>"""


def _notes(notes: Sequence[str]) -> str:
    """What there is to know of what was made, in sentences; nothing of an item that was kept without."""
    return "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


def _calls(facts: dict[str, Any]) -> str:
    if not facts["calls"]:
        return ""
    return f", {facts['calls']} network call{'s' * (facts['calls'] != 1)}, {facts['questions']} pictures through it"


def _row(row: dict[str, Any], base: str) -> str:
    cells = "".join(_cell(cell, base) for cell in row["cells"])
    label = f"<h3>{escape(row['label'])}</h3>" if row["label"] else ""
    wide, narrow = columns(len(row["cells"]))
    return f'<div class="row">{label}<div class="cells" style="--wide:{wide};--narrow:{narrow}">{cells}</div></div>'


def columns(count: int) -> tuple[int, int]:
    """Into how many columns so many pictures go on a wide page and on a narrow one, so that rows are full."""
    if count <= 4:
        return count, min(count, 2)
    wide = next((n for n in (4, 3, 5) if count % n == 0), 4)
    return wide, 3 if wide == 3 else 2


def _cell(cell: dict[str, Any], base: str) -> str:
    caption = escape(cell["caption"])
    width = f' style="width:{cell["side"]}px"' if cell["exact"] else ""
    return (
        f'<figure class="{"exact" if cell["exact"] else ""}"><img src="{base}/{cell["file"]}" '
        f'alt="{caption or "the same, smaller"}"{width}><figcaption>{caption}</figcaption></figure>'
    )


_TURNED = ("Turn to the other view", "From one view to the other")
_LEAFED = {
    "walking": ("Walk away", "Near to far"),
    "fading": ("Take the colour away", "In colour to grey"),
    "shaking": ("Shake it", "Still to shaken"),
}
"""What is said of the film of a way, by the beginning of its name: of its button, and of its slider."""


def _strip(strip: dict[str, Any], base: str) -> str:
    word, way = next((words for name, words in _LEAFED.items() if strip["name"].startswith(name)), _TURNED)
    last = strip["frames"] - 1
    return f"""<div class="flipbook" data-frames="{strip["frames"]}">
<button type="button" class="leaf" aria-label="{word}"
 style="--frames:{strip["frames"]};background-image:url({base}/{strip["file"]})"></button>
<label><span>{way}</span>
<input type="range" min="0" max="{last}" value="0" aria-label="{word}"></label></div>"""


def _files(files: Sequence[str], base: str) -> str:
    """Links to the files; where they are many, the single pictures and their records are folded away."""
    shown = [f for f in files if not f.startswith(("cell-", "strip-")) and f.rpartition(".")[2] in _WORDS]
    shown = sorted((f for f in shown if f != "item.json"), key=lambda f: (f == "sheet.png", f.endswith("json"), f))
    several = "02.json" in files
    folded = [f for f in shown if f != "sheet.png"] if len(shown) > MANY else []

    def links(some: Sequence[str], label: str) -> str:
        every = (f'<a href="{base}/{f}" download="duckrabbit-{f}" title="{f}">{_word(f, several)}</a>' for f in some)
        return f'<div class="files" role="group" aria-label="{label}">{"".join(every)}</div>'

    if not folded:
        return links(shown, "Files")
    single = f"<details><summary>{len(folded)} single files</summary>{links(folded, 'Single files')}</details>"
    return links(["sheet.png"], "Files") + single


def _word(file: str, several: bool) -> str:
    stem, _, suffix = file.rpartition(".")
    if file == "sheet.png":
        return "whole sheet"
    number = f" {int(stem[:2])}" if several and stem[:2].isdigit() else ""
    seed = stem.partition("seed")[2]
    return f"{_WORDS[suffix]}{number}{f' · seed {seed}' if seed and suffix != 'json' else ''}"


def shelf(items: Sequence[Item], folder: str) -> str:
    """Everything that is kept, the newest first."""
    if not items:
        return EMPTY.format("Nothing is here yet. What you make in the other tabs is kept here.")
    cards = "".join(_card(item) for item in items)
    return f'<p class="where">Kept in <code>{escape(folder)}</code></p><ul class="shelf">{cards}</ul>'


def _card(item: Item) -> str:
    facts, base = item.facts, f"shelf/{item.id}"
    made = sorted(f for f in facts["files"] if f[:2].isdigit() and f.endswith(".png"))
    first = next((f for f in made if f[:2] == made[-1][:2]), "sheet.png")
    record = next((f for f in facts["files"] if f.endswith(".json") and f != "item.json"), "item.json")
    title = escape(str(facts["title"])) or item.form.kind
    return f"""<li data-item="{item.id}">
<a class="thumb" href="{base}/sheet.png" target="_blank"><img loading="lazy" src="{base}/{first}" alt="{title}"></a>
<div><h3>{title}</h3><p>{item.form.kind}, {escape(str(facts["model"]))}, {facts["seconds"]:.1f} s, {facts["made"]}</p>
<p class="actions"><a href="{escape(to_address(item.form.kind, item.facts["settings"]))}">Open in its tab</a>
<a href="{base}/{record}" target="_blank">Run record</a>
<button type="button" class="delete" data-item="{item.id}" aria-label="Delete {title}">Delete</button></p></div></li>"""
