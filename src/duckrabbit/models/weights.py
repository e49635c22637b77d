"""Weight files: which they are, whether they are whole, and their hashes. Only safetensors is read."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duckrabbit.errors import UserError
from duckrabbit.files import write_text
from duckrabbit.folders import cache_folder

if TYPE_CHECKING:
    from torch import Tensor

_NAME = re.compile(r"(?:model|diffusion_pytorch_model)(?:\.(\w+))?(?:-\d+-of-\d+)?(?:\.(\w+))?\.safetensors")
_SHARD = re.compile(r"-(\d+)-of-(\d+)")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")


def variant_of(name: str) -> str | None:
    """The variant in a weight file's name, "" for the plain one; None where it is no weight file."""
    match = _NAME.fullmatch(name)
    return None if match is None else match[1] or match[2] or ""


def choose(names: list[str], variant: str, where: str) -> tuple[str, list[str]]:
    """The variant to load, and its files among `names`: the one asked for, else the plain, else any.

    Raises UserError where there is no safetensors file.
    """
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        kind = variant_of(name.rsplit("/", 1)[-1])
        if kind is not None:
            found.setdefault(kind, []).append(name)
    for kind in (variant, "", *sorted(found)):
        if kind in found:
            return kind, found[kind]
    if any(name.endswith(_PICKLES) for name in names):
        raise UserError(
            f"{where} holds its weights as a pickle, which can run any code and is never loaded. "
            "Save the model again with safe_serialization=True, or ask its authors for safetensors."
        )
    raise UserError(f"{where} holds no weights (.safetensors); copy or download the model again.")


def is_complete(folder: Path, part: str, variant: str) -> bool:
    """Whether a cached part can be loaded: its configuration, and every shard of its weights."""
    names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    if part == "tokenizer":
        return "tokenizer_config.json" in names and len(names) > 1
    if "config.json" not in names:
        return False
    try:
        _, weights = choose(names, variant, str(folder))
    except UserError:
        return False
    counts = [int(match[2]) for name in weights if (match := _SHARD.search(name))]
    return not counts or len(weights) == counts[0]


def read_header(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """The table of contents of a safetensors file, which is not mapped into memory as `safe_open` would.

    Raises UserError where the file is not whole.
    """
    broken = f"{path} is not a whole safetensors file"
    try:
        total = path.stat().st_size
        with path.open("rb") as f:
            (length,) = struct.unpack("<Q", f.read(8))
            if length > total - 8:
                raise UserError(f"{broken}: it is cut off. Delete it, and copy or download it again.")
            header = json.loads(f.read(length))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except UserError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise UserError(f"{broken} ({type(error).__name__}). Delete it, and copy or download it again.") from None
    if 8 + length + end != total:
        raise UserError(f"{broken}: {8 + length + end} bytes are due, {total} are there. Delete it, and get it again.")
    return header


def count_parameters(path: Path) -> int:
    """How many numbers a safetensors file holds."""
    return sum(math.prod(entry["shape"]) for entry in read_header(path).values())


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file, and the texts in its header. Raises OSError or SafetensorError."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        return tensors, file.metadata() or {}


def file_hash(path: Path) -> str:
    """sha256 of a file, in hex.

    A blob of the hub's cache is named by it; any other file is hashed once, and the result kept in
    the user's cache folder under its path, size and time of change.
    """
    real = path.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", real.name) and real.parent.name == "blobs":
        return real.name
    stat = real.stat()
    key = f"{real}|{stat.st_size}|{stat.st_mtime_ns}"
    known = _known_hashes()
    if key not in known:
        digest = hash_bytes(real)
        _remember({**_known_hashes(), key: digest})
        return digest
    return known[key]


def hash_bytes(path: Path) -> str:
    """sha256 of what a file holds now, never from a cache."""
    digest = sha256()
    with path.open("rb") as f:
        while block := f.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def verify(path: Path, expected: str | None, shown: str) -> None:
    """Raises UserError where a file's sha256 is not the one its card names; None names nothing."""
    if expected is not None and (actual := file_hash(path)) != expected:
        raise UserError(
            f"{shown} is not the file its card describes: sha256 {actual[:12]}..., not {expected[:12]}.... "
            f"Delete {path} and get it again; if you replaced it on purpose, load its folder instead of the name."
        )


def _known_hashes() -> dict[str, str]:
    try:
        known = json.loads((cache_folder() / "hashes.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _remember(hashes: Mapping[str, str]) -> None:
    """Keep the hashes, all or none; a cache that cannot be written is done without."""
    with suppress(UserError):
        write_text(cache_folder() / "hashes.json", json.dumps(dict(hashes)))
