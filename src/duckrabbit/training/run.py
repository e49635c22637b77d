"""The folder of a run, read: its weights, what it was when it began, and its log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from duckrabbit.training.checkpoint import load_tensors

CHECKPOINT, METRICS, RECIPE = "checkpoint.safetensors", "metrics.jsonl", "recipe.json"


def trained(run: Path, epoch: int | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights that a run gave, averaged where it keeps an average, now or after `epoch`; and the run's facts.

    Raises UserError where there are none.
    """
    tensors, facts = load_tensors(run / (CHECKPOINT if epoch is None else snapshot_name(epoch)))
    return tensors if epoch is not None else without("ema" if facts["recipe"]["ema"] else "model", tensors), facts


def snapshot_name(epoch: int) -> str:
    """The file of the weights after an epoch 1, 2, ... of a run."""
    return f"epoch-{epoch:03d}.safetensors"


def read_identity(run: Path) -> dict[str, Any]:
    """What a run was when it began: "recipe", a mapping, "precision" and what its data said of themselves.

    The recipe is empty where the file is missing, damaged or another program's.
    """
    try:
        found = json.loads((run / RECIPE).read_text(encoding="utf-8"))
        return {**found, "recipe": dict(found["recipe"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"recipe": {}}


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The steps of a metrics log, in order, up to the first line that is none: a kill can cut the last one short."""
    rows = []
    for line in path.read_bytes().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict) or "step" not in row:
            break
        rows.append(row)
    return rows


def without(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {k.removeprefix(f"{prefix}."): v for k, v in tensors.items() if k.startswith(f"{prefix}.")}
