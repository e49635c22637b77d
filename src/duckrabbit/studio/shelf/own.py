"""What is the owner's own: known by its file's name, and the file kept on the shelf for the commands that are shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from duckrabbit.errors import UserError
from duckrabbit.files import write_atomically
from duckrabbit.registry import introduce
from duckrabbit.studio.shelf.shelf import Shelf

OWN = "own"
"""The folder of those files on the shelf, from where the command that is shown is typed."""


def introduce_all(shelf: Shelf, specs: Sequence[str]) -> dict[str, str]:
    """Make known each "FILE.py:NAME", as "own/FILE.py:NAME", and each "module:NAME"; returns the names of these specs.

    Raises UserError where one cannot be loaded or is of no kind, and for two files of one name.
    """
    names: dict[str, str] = {}
    texts: dict[str, bytes] = {}
    for spec in dict.fromkeys(specs):
        place, _, thing = spec.rpartition(":")
        file = Path(place).expanduser()
        names[spec] = f"{OWN}/{file.name}:{thing}" if file.suffix == ".py" else spec
        introduce(spec, names[spec])
        if file.suffix == ".py":
            text = file.read_bytes()
            if texts.setdefault(file.name, text) != text:
                raise UserError(f"Two files are called {file.name}; give one of them another name.")
            write_atomically(shelf.folder / OWN / file.name, text)
    return names


def spoken(name: str) -> str:
    """A name as a menu shows it: "flip vertical", "Slide (my_view.py)"."""
    place, _, thing = name.rpartition(":")
    return f"{thing} ({place.removeprefix(f'{OWN}/')})" if place else name.replace("_", " ")
