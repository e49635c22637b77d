"""Checkpoints: one safetensors file with everything a run needs to go on, or nothing at all.

The file is written beside its place, flushed to the disk and renamed into it: whoever is killed at
whatever moment leaves the old checkpoint or the new one, never half of one. Its header holds the
facts of the run as JSON and a digest of all content, so that damage is noticed. No pickle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor, nn

from duckrabbit.errors import UserError
from duckrabbit.files import write_atomically
from duckrabbit.models.weights import read_tensors

FORMAT = "duckrabbit.checkpoint.1"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and `facts` (plain values) to one file, atomically and with a digest."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    text = json.dumps(dict(facts), sort_keys=True)
    header = {"format": FORMAT, "facts": text, "digest": _digest(tensors, text)}
    write_atomically(path, save(tensors, header))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save_tensors` wrote. Raises UserError for a file that is missing, damaged or foreign."""
    remedy = "remove it to start over, or put a whole copy in its place"
    try:
        tensors, header = read_tensors(path)
    except FileNotFoundError:
        raise UserError(f"There is no checkpoint {path}; train the model first.") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"The checkpoint {path} is damaged ({error}); {remedy}.") from None
    if header.get("format") != FORMAT:
        raise UserError(f"{path} is not a checkpoint of duckrabbit; {remedy}.")
    if header.get("digest") != _digest(tensors, header.get("facts", "")):
        raise UserError(f"The checkpoint {path} is damaged: its content does not match its digest; {remedy}.")
    return tensors, json.loads(header["facts"])


def own_state(module: nn.Module) -> dict[str, Tensor]:
    """The state of a module with every tensor under one name: tied weights have several."""
    names = {k for k, _ in module.named_parameters()} | {k for k, _ in module.named_buffers()}
    return {k: v for k, v in module.state_dict().items() if k in names}


def load_own_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put back what `own_state` gave. Raises RuntimeError where names or shapes are others."""
    missing, unknown = module.load_state_dict(state, strict=False)
    wrong = sorted([*(set(missing) & set(own_state(module))), *unknown])
    if wrong:
        raise RuntimeError(f"These are other weights:\n{wrong[0]} is missing, or out of place.")


def random_states() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state of every global random generator, as tensors and plain values."""
    import random

    import numpy as np

    legacy: Any = np.random.get_state()
    kind, keys, *rest = legacy
    tensors = {"random.torch": torch.get_rng_state(), "random.numpy": torch.from_numpy(keys.astype("int64"))}
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    version, internal, gauss = random.getstate()
    return tensors, {"numpy": [str(kind), *rest], "python": [version, list(internal), gauss]}


def restore_random_states(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Put back what `random_states` gave."""
    import random

    import numpy as np

    torch.set_rng_state(tensors["random.torch"])
    kind, position, has_gauss, cached = facts["numpy"]
    np.random.set_state((kind, tensors["random.numpy"].numpy().astype("uint32"), position, has_gauss, cached))
    version, internal, gauss = facts["python"]
    random.setstate((version, tuple(internal), gauss))
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])


def _digest(tensors: Mapping[str, Tensor], facts: str) -> str:
    digest = blake2b(facts.encode(), digest_size=16)
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
