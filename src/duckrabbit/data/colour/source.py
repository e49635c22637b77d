"""A set of 32 x 32 colour pictures: where it is published, which files it has, and how they are read.

What is published of the content, an md5 or how many pictures a file has, is checked before a picture is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from duckrabbit.errors import UserError

SIDE = 32
"""Width and height of the pictures as they are published, in pixels."""

Part = Literal["train", "test"]
Arrays = tuple[np.ndarray, np.ndarray]
"""Pictures (N, 3, 32, 32) uint8, 0 black to 255 white, and labels (N,) int64, 0 to 9."""


@dataclass(frozen=True)
class Source:
    """Where a set comes from.

    downloads: what lies at the `address`, by name the published md5. files: what is kept, and holds each part.
    counts: the pictures of each part, as many in each of its files. unpack(downloads, names) gives the files of these
    names, and parse(content, pictures, file) the arrays of one; both raise UserError for what is no such content.
    """

    name: str
    address: str
    downloads: Mapping[str, str]
    files: Mapping[Part, tuple[str, ...]]
    counts: Mapping[Part, int]
    unpack: Callable[[Mapping[str, bytes], frozenset[str]], Mapping[str, bytes]]
    parse: Callable[[bytes, int, str], Arrays]

    @property
    def every_file(self) -> tuple[str, ...]:
        """The files that are kept."""
        return tuple(file for part in self.files.values() for file in part)

    def verify(self, file: str, content: bytes) -> bytes:
        """`content`, if its md5 is the one that is published of `file`, or none is. Raises UserError otherwise."""
        known, found = self.downloads.get(file), hashlib.md5(content, usedforsecurity=False).hexdigest()
        if known not in (None, found):
            raise UserError(
                f"The content of {file} is not that of {self.name} (md5 {found[:12]}..., expected {known[:12]}...); "
                f"delete the file and run `duckrabbit data fetch {self.name}` again."
            )
        return content

    def arrays(self, part: Part, contents: Sequence[bytes]) -> Arrays:
        """A part from the content of its files, in their order. Raises UserError for a content that is not the set's.

        The order of the pictures is the original one.
        """
        each = self.counts[part] // len(self.files[part])
        files = zip(self.files[part], contents, strict=True)
        read = [self.parse(self.verify(file, content), each, file) for file, content in files]
        return np.concatenate([images for images, _ in read]), np.concatenate([labels for _, labels in read])
