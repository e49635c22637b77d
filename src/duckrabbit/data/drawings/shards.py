"""Writing a set of drawings: WebDataset shards whose bytes depend on nothing but what is in them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duckrabbit.data.drawings.drawings import Part

SHARD = 1000
"""Drawings in a shard, at most."""


@dataclass(frozen=True)
class Sample:
    """A drawing as it is stored. sha256: of its pixels, row by row, RGB."""

    key: str
    part: Part
    png: bytes
    sha256: str
    record: dict[str, Any]

    @property
    def text(self) -> bytes:
        """The record as the bytes of KEY.json."""
        return json.dumps(self.record, ensure_ascii=False, sort_keys=True).encode()


def shuffled(samples: Sequence[Sample]) -> list[Sample]:
    """In an order that mixes families and subjects and depends on the keys alone."""
    return sorted(samples, key=lambda s: hashlib.sha256(s.key.encode()).digest())


def data_hash(samples: Sequence[Sample]) -> str:
    """sha256 over part, key, pixels and record of all samples in their order: how a PNG packs them is no matter."""
    total = hashlib.sha256()
    for sample in samples:
        total.update(f"{sample.part}\n{sample.key}\n{sample.sha256}\n".encode() + sample.text + b"\n")
    return total.hexdigest()


def write_shards(samples: Sequence[Sample], part: Part, folder: Path) -> list[dict[str, Any]]:
    """The samples of a part as PART-00000.tar and so on; returns the name, sha256 and size of each."""
    own = [sample for sample in samples if sample.part == part]
    written = []
    for number, start in enumerate(range(0, len(own), SHARD)):
        inside = own[start : start + SHARD]
        content = _tar(inside)
        name = f"{part}-{number:05d}.tar"
        (folder / name).write_bytes(content)
        written.append({"name": name, "sha256": hashlib.sha256(content).hexdigest(), "drawings": len(inside)})
    return written


def _tar(samples: Sequence[Sample]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            for name, content in ((f"{sample.key}.png", sample.png), (f"{sample.key}.json", sample.text)):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return file.getvalue()
