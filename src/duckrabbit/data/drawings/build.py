"""The data set builder: packages of drawings become captioned pictures in shards.

Packages, names, icons, pixels, parts, shards: each step is a module; this one puts them together.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, get_args

from duckrabbit.data.drawings.attribution import attribution
from duckrabbit.data.drawings.captions import plain_caption
from duckrabbit.data.drawings.drawings import INDEX, Part, read_index
from duckrabbit.data.drawings.icons import Icon, read_icons
from duckrabbit.data.drawings.names import read_names
from duckrabbit.data.drawings.packages import open_package
from duckrabbit.data.drawings.render import SIZES, Rendered, render
from duckrabbit.data.drawings.shards import Sample, data_hash, shuffled, write_shards
from duckrabbit.data.drawings.sheet import contact_sheet
from duckrabbit.data.drawings.sources import Family, words
from duckrabbit.data.drawings.split import near_duplicates, part_of
from duckrabbit.errors import UserError
from duckrabbit.files import atomic_folder

FORMAT = 1


@dataclass(frozen=True)
class Wanted:
    """What to build. subjects: only these, all if None."""

    size: int
    families: tuple[Family, ...]
    subjects: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if not SIZES[0] <= self.size <= SIZES[1]:
            raise UserError(f"--size is from {SIZES[0]} to {SIZES[1]} pixels, not {self.size}.")

    @property
    def request(self) -> dict[str, Any]:
        """What the index says was asked for."""
        return {
            "size": self.size,
            "families": [f.family for f in self.families],
            "packages": [f.name for f in self.families],
            "subjects": sorted(self.subjects) if self.subjects is not None else None,
        }


def build(
    wanted: Wanted,
    out: Path,
    packages: Path,
    *,
    fetch: bool = True,
    processes: int = 1,
    report: Callable[[str], None] = lambda line: None,
    on_drawing: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Any]:
    """Build the set into the folder `out`, which appears when it is whole; returns its index.

    packages: the folder of archives; those missing are fetched by npm if `fetch`. `on_drawing` is told how many of
    how many are rendered. Where `out` holds what is wanted, nothing is done. Raises UserError where it holds
    anything else, where a package cannot be had or is damaged, and where nothing is left to draw.
    """
    if (out / INDEX).is_file() and (index := read_index(out))["request"] == wanted.request:
        report(f"{out} holds these drawings already, and is whole.")
        return index
    if out.exists():
        raise UserError(f"{out} holds something else; give another folder with --out, or delete it.")
    with atomic_folder(out) as folder:
        icons = _icons(wanted, packages, fetch, report)
        report(f"Drawing {len(icons)} icons at {wanted.size} px ...")
        drawn = list(_drawn(icons, wanted.size, processes, report, on_drawing))
        dropped = near_duplicates([rendered.thumb for _, rendered in drawn])
        kept = [pair for pair, left_out in zip(drawn, dropped, strict=True) if not left_out]
        if not kept:
            raise UserError("No drawing is left; name other --families or --subjects.")
        report(f"{len(icons) - len(drawn)} show nothing, {sum(dropped)} are nearly another: left out.")
        return _write(wanted, kept, folder)


def _icons(wanted: Wanted, packages: Path, fetch: bool, report: Callable[[str], None]) -> list[Icon]:
    """The icons of all families, in the order in which they are kept."""
    names = read_names(open_package(words()["emojibase"], packages, fetch=fetch, report=report))
    subjects = set(wanted.subjects) if wanted.subjects is not None else None
    icons: list[Icon] = []
    for family in wanted.families:
        icons += read_icons(family, open_package(family, packages, fetch=fetch, report=report), names, subjects)
    if subjects and (unknown := subjects - {icon.emoji.subject for icon in icons}):
        some = ", ".join(sorted(unknown)[:8])
        report(f"{len(unknown)} subjects have no drawing under that name: {some}{' ...' * (len(unknown) > 8)}")
    return icons


def _drawn(
    icons: Sequence[Icon],
    size: int,
    processes: int,
    report: Callable[[str], None],
    on_drawing: Callable[[int, int], None],
) -> Iterator[tuple[Icon, Rendered]]:
    """Each icon that shows something, with its pixels, in order."""
    with _mapping(processes) as over:
        for done, (icon, result) in enumerate(zip(icons, over(_render, [(i.content, size) for i in icons])), 1):
            on_drawing(done, len(icons))
            if isinstance(result, str):
                report(f"{icon.family.family}/{icon.name} cannot be drawn ({result}); left out.")
            elif result is not None:
                yield icon, result


Map = Callable[[Callable[..., Any], Iterable[Any]], Iterable[Any]]


@contextmanager
def _mapping(processes: int) -> Iterator[Map]:
    """A `map` that keeps the order, over so many processes; ctrl-C reaches this one alone, which ends them."""
    if processes == 1:
        yield map
        return
    with get_context("spawn").Pool(processes, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        yield lambda function, items: pool.imap(function, items, chunksize=8)


def _render(task: tuple[str | bytes, int]) -> Rendered | str | None:
    """`render`, or in a sentence why not; at the top of a module, so that another process finds it."""
    try:
        return render(*task)
    except ValueError as error:
        return str(error)


def _write(wanted: Wanted, drawn: Sequence[tuple[Icon, Rendered]], folder: Path) -> dict[str, Any]:
    samples = shuffled([_sample(icon, rendered) for icon, rendered in drawn])
    families = Counter(icon.family.family for icon, _ in drawn)
    index = {
        "format": FORMAT,
        "size": wanted.size,
        "request": wanted.request,
        "data_hash": data_hash(samples),
        "drawn_with": {name: version(name) for name in ("resvg_py", "pillow")},
        "families": dict(families),
        "licences": dict(Counter(icon.family.licence for icon, _ in drawn)),
        "subjects": len({icon.emoji.subject for icon, _ in drawn}),
        "parts": {part: write_shards(samples, part, folder) for part in get_args(Part)},
    }
    contact_sheet(drawn, wanted.size).save(folder / "contact-sheet.png")
    (folder / "ATTRIBUTION.md").write_text(attribution(wanted.families, families, wanted.size), encoding="utf-8")
    (folder / INDEX).write_text(json.dumps(index, indent=1, ensure_ascii=False), encoding="utf-8")
    return index


def _sample(icon: Icon, rendered: Rendered) -> Sample:
    record = {
        "caption": plain_caption(icon.family.style, icon.emoji.subject, icon.detail),
        "style": icon.family.style,
        "subject": icon.emoji.subject,
        "family": icon.family.family,
        "keywords": list(icon.keywords),
        "licence": icon.family.licence,
        "source": icon.family.name,
        "icon": icon.name,
    }
    return Sample(f"{icon.family.family}_{icon.name}", part_of(icon), rendered.png, rendered.sha256, record)
