"""CIFAR-10, the "binary version": records of a label and three planes, and nothing to be unpickled.

Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, and its page, which gives the format
and the md5 of the archive.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import PurePosixPath

import numpy as np

from duckrabbit.data.colour.source import SIDE, Arrays, Source
from duckrabbit.errors import UserError

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""What the pictures of label 0, 1, ... 9 show; batches.meta.txt in the archive says the same."""
FOLDER = "cifar-10-batches-bin"
"""The folder in the archive."""
ARCHIVE = "cifar-10-binary.tar.gz"
RECORD = 1 + 3 * SIDE * SIDE
"""Bytes of a picture: its label, then red, green and blue, each row by row."""


def parse(content: bytes, pictures: int, file: str) -> Arrays:
    """The pictures and labels of one file of `pictures` records. Raises UserError where it holds something else."""
    if len(content) != pictures * RECORD:
        raise UserError(
            f"{file} has {len(content):,} bytes, and {pictures:,} pictures of CIFAR-10 have {pictures * RECORD:,}; "
            "it is cut short or another file. Run `duckrabbit data fetch cifar-10` again."
        )
    records = np.frombuffer(content, np.uint8).reshape(pictures, RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.max(initial=0) > 9:
        raise UserError(f"{file} has label {labels.max()}, and CIFAR-10 has 0 to 9; fetch the set again.")
    return records[:, 1:].reshape(pictures, 3, SIDE, SIDE), labels


def unpack(downloads: Mapping[str, bytes], wanted: frozenset[str]) -> dict[str, bytes]:
    """The `wanted` files of the archive, read in memory; nothing is written by a name that stands in it.

    Raises UserError where it is no whole archive, names something outside its folder, or lacks one of them.
    """
    found = {}
    try:
        with tarfile.open(fileobj=BytesIO(downloads[ARCHIVE]), mode="r:gz") as archive:
            for member in archive:
                place = PurePosixPath(member.name)
                if place.parts[:1] != (FOLDER,) or ".." in place.parts or not (member.isfile() or member.isdir()):
                    raise UserError(
                        f"{ARCHIVE} names {member.name!r}, which is no plain file in {FOLDER}; it is not unpacked. "
                        "Download it again from the official page."
                    )
                file = archive.extractfile(member) if place.name in wanted else None
                if file is not None:
                    found[place.name] = file.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error):
        raise UserError(f"{ARCHIVE} is not a whole archive; download it again.") from None
    if missing := sorted(wanted - set(found)):
        raise UserError(f"{ARCHIVE} does not hold {', '.join(missing)}; download the binary version.")
    return found


CIFAR_10 = Source(
    name="cifar-10",
    address="https://www.cs.toronto.edu/~kriz/",
    downloads={ARCHIVE: "c32a1d4ab5d03f1284b67883e8d87530"},
    files={"train": tuple(f"data_batch_{k}.bin" for k in range(1, 6)), "test": ("test_batch.bin",)},
    counts={"train": 50_000, "test": 10_000},
    unpack=unpack,
    parse=parse,
)
"""The md5 is of the set's own page, https://www.cs.toronto.edu/~kriz/cifar.html."""
