"""Captioned drawings in memory, and how they are read from the shards that `duckrabbit data build drawings` writes.

A data set is a folder: index.json, ATTRIBUTION.md, contact-sheet.png and, for each part, shards
PART-00000.tar in the layout of WebDataset, KEY.png beside KEY.json.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from duckrabbit.errors import UserError

Part = Literal["train", "held-out", "unseen"]
"""unseen: a whole family of drawings, kept for judging. held-out: subjects, and pairs of a subject and a style,
of the other families. Both are never trained on."""

INDEX = "index.json"


@dataclass(frozen=True, eq=False)
class Drawings:
    """A set of captioned drawings in memory. images (N, S, S, 3) uint8 on white; the other fields have N entries.

    A caption is "a STYLE of SUBJECT", with an article where English wants one and, for people, a tone of skin.
    """

    images: Tensor
    captions: tuple[str, ...]
    styles: tuple[str, ...]
    subjects: tuple[str, ...]
    families: tuple[str, ...]
    keywords: tuple[tuple[str, ...], ...]
    licences: tuple[str, ...]
    sources: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice | Tensor) -> Drawings:
        """The drawings of a slice, of a tensor of row numbers, or of a tensor of N booleans."""
        chosen = torch.arange(len(self))[rows].tolist()
        texts = {name: tuple(getattr(self, name)[i] for i in chosen) for name in _TEXTS}
        return Drawings(self.images[rows], **texts)


_TEXTS: Mapping[str, str] = {
    "captions": "caption",
    "styles": "style",
    "subjects": "subject",
    "families": "family",
    "keywords": "keywords",
    "licences": "licence",
    "sources": "source",
}
"""The fields of Drawings beside the images, and their keys in KEY.json."""


def load_drawings(folder: Path, part: Part, size: int | None = None) -> Drawings:
    """The drawings of a part, in the order of the shards.

    size: shrink to it, each pixel the mean of those it covers, where it is smaller than what was rendered.
    Raises UserError for a folder that holds no data set, a damaged shard, or a size larger than what was rendered.
    """
    if part not in get_args(Part):
        raise UserError(f"There is no part '{part}'; choose {', '.join(get_args(Part))}.")
    index = read_index(folder)
    rendered = index["size"]
    size = size or rendered
    if size > rendered:
        raise UserError(
            f"{folder} holds drawings of {rendered} px, which are not enlarged; for {size} px run "
            f"`duckrabbit data build drawings --size {size}`."
        )
    shards = index["parts"][part]
    images = torch.empty((sum(shard["drawings"] for shard in shards), size, size, 3), dtype=torch.uint8)
    texts: dict[str, list[Any]] = {name: [] for name in _TEXTS}
    row = 0
    for shard in shards:
        for picture, record in _samples(folder / shard["name"], shard["sha256"]):
            images[row] = torch.from_numpy(_pixels(picture, size))
            row += 1
            for name, key in _TEXTS.items():
                texts[name].append(tuple(record[key]) if key == "keywords" else record[key])
    return Drawings(images, **{name: tuple(values) for name, values in texts.items()})


def read_index(folder: Path) -> dict[str, Any]:
    """The facts of a data set: size, data_hash, and by part the shards' names, sha256 and numbers of drawings.

    Raises UserError where there is none.
    """
    try:
        return json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{folder} holds no drawings; run `duckrabbit data build drawings` first.") from None


def _samples(path: Path, sha256: str) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The (PNG, record) pairs of a shard, once its content is known to be the one that was written."""
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(f"{path} is missing or damaged; delete {path.parent} and build the drawings again.")
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        files = {member.name: tar.extractfile(member) for member in tar}
        for name, file in files.items():
            if name.endswith(".png"):
                record = files[name.removesuffix(".png") + ".json"]
                assert file is not None
                assert record is not None
                yield file.read(), json.loads(record.read())


def _pixels(picture: bytes, size: int) -> np.ndarray:
    """A PNG as (size, size, 3) uint8."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    return np.array(image if image.width == size else image.resize((size, size), Image.Resampling.BOX))
