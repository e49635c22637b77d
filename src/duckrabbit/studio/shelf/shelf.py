"""The shelf: a folder that keeps what was made, each in a folder of its own, and the pictures given.

    SHELF/inputs/HASH.png                 what was uploaded or drawn, by the hash of its pixels and size
    SHELF/sizes/HASH.json                 the size it came in, before it was made square
    SHELF/20260101-120000-generate-1a2b/  pictures, record, films, and item.json: the settings

Names from outside are matched against what the shelf itself writes; no other path can be meant.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duckrabbit.errors import UserError
from duckrabbit.files import try_to_write, write_text
from duckrabbit.studio.forms.kinds import INPUT, Form
from duckrabbit.studio.forms.plain import read_form

ITEM = re.compile(r"\d{8}-\d{6}-[a-z_]+-[0-9a-f]{6}")
FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\.(png|gif|mp4|pdf|json|safetensors)")
MOST_INPUTS = 2000


def _when(item: str) -> tuple[str, str]:
    """When an item was begun: its second, then its microseconds, whatever kind it is."""
    return item[:15], item[-6:]


@dataclass(frozen=True)
class Item:
    """Something that was made: what item.json says of it."""

    id: str
    facts: dict[str, Any]

    @property
    def form(self) -> Form:
        """The settings it was made with."""
        return read_form(self.facts["kind"], self.facts["settings"])


class Shelf:
    """What is kept in `folder`, which is made if need be. Raises UserError where it cannot be written.

    `needed` tells the names of pictures given that are never thrown away to make room.
    """

    def __init__(self, folder: Path) -> None:
        self.needed: Callable[[], Iterable[str]] = tuple
        self.folder = folder.resolve()
        self.inputs = self.folder / "inputs"
        try_to_write(self.inputs)
        for left in self.folder.glob(".making-*"):  # by a studio that was killed
            shutil.rmtree(left, ignore_errors=True)

    def begin(self, kind: str) -> Path:
        """A folder to make something in; it is on the shelf once it is `put` there."""
        seconds, micros = divmod(time.time_ns() // 1000, 10**6)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(seconds))
        folder = self.folder / f".making-{stamp}-{kind}-{micros:06x}"
        folder.mkdir()
        return folder

    def put(self, folder: Path, facts: dict[str, Any]) -> Item:
        """Keep what was made, whole."""
        name = folder.name.removeprefix(".making-")
        facts = {**facts, "files": sorted(p.name for p in folder.iterdir() if FILE.fullmatch(p.name))}
        write_text(folder / "item.json", json.dumps(facts, ensure_ascii=False, indent=1))
        folder.rename(self.folder / name)
        return Item(name, facts)

    def items(self, most: int | None = None) -> list[Item]:
        """What is kept, the newest first; what cannot be read is left out."""
        names = sorted((p.name for p in self.folder.iterdir() if ITEM.fullmatch(p.name)), key=_when, reverse=True)
        found = (self.get(name) for name in names[:most])
        return [item for item in found if item is not None]

    def get(self, name: str) -> Item | None:
        """The item of that name, if it is there and whole."""
        path = self.file(name, "item.json")
        if path is None:
            return None
        try:
            item = Item(name, json.loads(path.read_text(encoding="utf-8")))
            return item if item.form else None
        except (OSError, ValueError, KeyError, TypeError, UserError):
            return None

    def delete(self, name: str) -> None:
        """Throw an item away. Raises UserError where there is none of that name, or it cannot be deleted."""
        folder = self.folder / name
        if not ITEM.fullmatch(name) or folder.is_symlink() or not folder.is_dir():
            raise UserError("There is nothing of that name on the shelf.")
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise UserError(f"{name} cannot be deleted: {error.strerror or error}.") from None

    def file(self, where: str, name: str) -> Path | None:
        """A file of an item, or of "inputs"; None for everything else, links included."""
        if where == "inputs":
            path = self.inputs / name
            good = INPUT.fullmatch(name)
        else:
            path = self.folder / where / name
            good = ITEM.fullmatch(where) and FILE.fullmatch(name)
        if not good or not path.is_file() or path.resolve() != path:
            return None
        return path

    def size(self, name: str) -> Path:
        """Where the size is written down that a picture given came in."""
        return self.folder / "sizes" / f"{Path(name).stem}.json"

    def make_room(self) -> None:
        """Of the pictures given keep the newest, and those that are needed, which do not count."""
        needed = set(self.needed())
        given = sorted((p for p in self.inputs.glob("*.png") if p.name not in needed), key=lambda p: p.stat().st_mtime)
        for path in given[: max(0, len(given) - MOST_INPUTS)]:
            path.unlink(missing_ok=True)
            self.size(path.name).unlink(missing_ok=True)
