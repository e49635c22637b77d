"""Where, and in which numbers, a model computes."""

from __future__ import annotations

import torch

from duckrabbit.errors import UserError

_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "half": "float16"}


def pick_device(device: str | None) -> str:
    """The device to compute on; a processor has no number. Raises UserError for one that this machine has not."""
    if device is None:
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind = str(device).split(":")[0]
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(kind, False):
        raise UserError(
            f"This machine has no device '{device}'; choose {', '.join(k for k, ok in there.items() if ok)}."
        )
    return kind if kind == "cpu" else str(device)


def pick_dtype(dtype: str | torch.dtype | None, device: str) -> str:
    """The dtype to compute in, by its name. Raises UserError for one that is not supported there."""
    if dtype is None:
        return "float32" if device == "cpu" else "float16"
    name = str(dtype).removeprefix("torch.")
    name = _DTYPES.get(name, name)
    allowed = ("float32", "bfloat16") if device == "cpu" else ("float32", "float16", "bfloat16")
    if name not in allowed:
        raise UserError(f"On {device} the dtype is one of {', '.join(allowed)}, not {name}.")
    return name
