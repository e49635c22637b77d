"""Judges in files: kernels in fp16, everything else as it is, facts as JSON in the header. No pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor, nn

from duckrabbit.errors import UserError
from duckrabbit.files import write_atomically
from duckrabbit.models.weights import read_tensors


def write_weights(module: nn.Module, path: Path, facts: Mapping[str, object]) -> None:
    """Write a module's weights and facts about it, plain values, whole or not at all."""
    halved = {k: v.half() if v.ndim > 1 else v for k, v in module.state_dict().items()}
    write_atomically(path, save({k: v.contiguous() for k, v in halved.items()}, {"facts": json.dumps(dict(facts))}))


def read_weights(path: Path, what: str, remedy: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights, in float32, and the facts that `write_weights` wrote.

    Raises UserError, naming `what` was looked for and the `remedy`, where there are none.
    """
    try:
        tensors, header = read_tensors(path)
        facts = json.loads(header.get("facts", "{}"))
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{path} holds no {what} ({error}); {remedy}.") from None
    return {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}, facts
