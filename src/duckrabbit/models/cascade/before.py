"""What is looked at before a part is loaded: its files, a tokenizer's, and the room that there is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from duckrabbit.errors import UserError
from duckrabbit.models.cascade.memory import free_memory
from duckrabbit.models.weights import read_header, verify

VOCABULARIES = ("tokenizer.json", "spiece.model", "vocab.json", "vocab.txt", "tokenizer.model")
"""The files of which a tokenizer's folder has one."""
_STORED = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
"""What a safetensors file calls a dtype."""


def check_files(hashes: Mapping[str, str], paths: list[Path]) -> None:
    """Raises UserError for a weight file that is not whole, or has not the sha256 of `hashes`, if it is known there."""
    for path in paths:
        read_header(path)
        shown = f"{path.parent.name}/{path.name}"
        verify(path, hashes.get(shown), shown)


def check_tokenizer(folder: Path, where: str) -> None:
    """Raises UserError for a folder without a vocabulary, of which transformers makes an empty tokenizer in silence."""
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise UserError(f"{where} holds no tokenizer (one of {', '.join(VOCABULARIES)}); get the model again.")


def check_room(size: int, dtype: str, paths: list[Path]) -> None:
    """Raises MemoryError where so many bytes are more than the machine has free.

    Files that hold this very dtype are only mapped into memory, and may be larger than it.
    """
    kinds = {entry["dtype"] for path in paths for entry in read_header(path).values()}
    if kinds != {_STORED[dtype]} and size > free_memory():
        raise MemoryError
