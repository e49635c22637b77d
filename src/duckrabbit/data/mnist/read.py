"""Pictures to train on: 28 x 28 grey digits (or clothes) in memory, checked before they are parsed.

The content is kept as the four uncompressed IDX files of LeCun's page, so that one set of hashes
serves every source: a mirror, a folder, a Python package.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from duckrabbit.errors import UserError

Split = Literal["train", "validation", "test", "train+validation"]

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

HASHES: Mapping[str, Mapping[str, str]] = {
    "mnist": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        "train-labels-idx1-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "t10k-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    },
}
"""sha256 of the uncompressed files, by data set and name.

Those of fashion-mnist are of the content of Debian's dataset-fashion-mnist 0.0~git20200523.55506a9.
"""

TRAIN = 50_000
"""The first 50,000 of the 60,000 training pictures train; the other 10,000 validate."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """images uint8, grey (N, 28, 28) or colour (N, 3, 28, 28), 0 black to 255 white; labels (N,) int64, 0 to 9."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice | Tensor) -> Pictures:
        return Pictures(self.images[rows], self.labels[rows])

    def to(self, device: str | torch.device) -> Pictures:
        """The same on a device."""
        return Pictures(self.images.to(device), self.labels.to(device))

    def identity(self) -> Mapping[str, int]:
        """A run goes on with as many pictures as it began with."""
        return {"pictures": len(self)}


def to_range(images: Tensor, value_range: tuple[float, float]) -> Tensor:
    """uint8 as float32 (N, C, H, W) in the range of a model, 0 -> low and 255 -> high.

    Grey pictures are (N, H, W), and get C = 1; colour ones are (N, 3, H, W).
    """
    low, high = value_range
    planes = images[:, None] if images.ndim == 3 else images
    return planes.to(torch.float32).mul_((high - low) / 255).add_(low)


def load(name: str, split: Split, folder: Path) -> Pictures:
    """A split of the data set `name` from its files in `folder`; the order is the original one.

    Raises UserError for a data set that does not exist, one not fetched yet, or a damaged file.
    """
    if name not in HASHES:
        raise UserError(f"There is no data set '{name}'; choose {' or '.join(HASHES)}.")
    part = "t10k" if split == "test" else "train"
    contents = [check(name, file, _read(folder / file, name)) for file in FILES if file.startswith(part)]
    everything = Pictures(torch.from_numpy(parse_idx(contents[0])), torch.from_numpy(parse_idx(contents[1])).long())
    ends = {"train": slice(0, TRAIN), "validation": slice(TRAIN, None)}
    return everything[ends.get(split, slice(None))]


def check(name: str, file: str, content: bytes) -> bytes:
    """`content`, if it is what the data set is known to hold; UserError otherwise."""
    found = hashlib.sha256(content).hexdigest()
    if found != HASHES[name][file]:
        raise UserError(
            f"The content of {file} is not that of {name} (sha256 {found[:12]}..., expected "
            f"{HASHES[name][file][:12]}...); delete the file and run `duckrabbit data fetch {name}` again."
        )
    return content


def parse_idx(content: bytes) -> np.ndarray:
    """The array of an IDX file of bytes: magic 0x08, the number of axes, their lengths, the values."""
    axes = content[3]
    shape = struct.unpack(f">{axes}I", content[4 : 4 + 4 * axes])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape).copy()


def write_idx(array: np.ndarray) -> bytes:
    """The IDX file of an array of bytes; `parse_idx` reads it back."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise UserError(f"{path} is not there; run `duckrabbit data fetch {name}` first.") from None
