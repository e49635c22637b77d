"""Getting CIFAR-10 and SVHN: from a folder, or from the address that they are published at."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from duckrabbit.data.colour.cifar import FOLDER
from duckrabbit.data.colour.read import SOURCES
from duckrabbit.data.colour.source import Source
from duckrabbit.data.download import download
from duckrabbit.errors import UserError
from duckrabbit.files import write_atomically

LARGEST = 256 << 20
"""The most bytes of a file; the largest of them has 174 MiB."""


def fetch(
    name: str,
    into: Path,
    *,
    local: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
    progress: bool = False,
) -> Path:
    """Bring the files of "svhn" or "cifar-10" into the folder `into`, unless they are there and whole; returns it.

    local: a folder with the files, as they are published or unpacked; if given, nothing is downloaded. `report` is told
    what is being tried; `progress` draws a bar for each download. All files are checked before the first is written.
    Raises UserError where they cannot be had, or are not the set's.
    """
    source = SOURCES[name]
    if all((into / file).is_file() for file in source.every_file) and _is_whole(source, into):
        report(f"{name} is in {into}, and whole.")
        return into
    place = str(local) if local is not None else source.address
    report(f"Trying {place} ...")
    try:
        files = _from_folder(source, local) if local is not None else _from_address(source, progress)
        _check(source, files)
    except UserError as error:
        raise UserError(
            f"{name} could not be had. Download {' and '.join(source.downloads)} by hand from {source.address}, and "
            f"give the folder with --data-dir.\n{place}: {error}"
        ) from None
    for file in source.every_file:
        write_atomically(into / file, files[file])
    report(f"{name} came from {place}, and is in {into}.")
    return into


def _check(source: Source, files: Mapping[str, bytes]) -> None:
    """Raises UserError where the content of a file is not the set's."""
    for part, names in source.files.items():
        source.arrays(part, [files[file] for file in names])


def _is_whole(source: Source, folder: Path) -> bool:
    try:
        _check(source, {file: (folder / file).read_bytes() for file in source.every_file})
    except (OSError, UserError):
        return False
    return True


def _from_address(source: Source, progress: bool) -> Mapping[str, bytes]:
    """The files, through a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        found = {file: download(source.address + file, Path(folder), LARGEST, progress) for file in source.downloads}
    return _unpacked(source, found)


def _from_folder(source: Source, local: Path) -> Mapping[str, bytes]:
    """The files in a folder, unpacked or as they are published."""
    for folder in (local, local / FOLDER):
        if all((folder / file).is_file() for file in source.every_file):
            return {file: (folder / file).read_bytes() for file in source.every_file}
    if all((local / file).is_file() for file in source.downloads):
        return _unpacked(source, {file: (local / file).read_bytes() for file in source.downloads})
    raise UserError(f"{local} does not hold {' and '.join(source.downloads)}, nor the files in it.")


def _unpacked(source: Source, downloads: Mapping[str, bytes]) -> Mapping[str, bytes]:
    checked = {file: source.verify(file, content) for file, content in downloads.items()}
    return source.unpack(checked, frozenset(source.every_file))
