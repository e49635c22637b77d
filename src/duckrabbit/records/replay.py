"""`replay`: a record run again. On the same device, dtype and micro-batch the bytes are the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from duckrabbit.errors import UserError
from duckrabbit.models.cards import cards, split_recast
from duckrabbit.models.load import load
from duckrabbit.models.model import Model
from duckrabbit.models.recast import Recast
from duckrabbit.records.read import read_job, read_record
from duckrabbit.tasks.reading import open_picture
from duckrabbit.tasks.results import LOCAL, Result
from duckrabbit.tasks.run import OnState, run
from duckrabbit.values import as_path


@dataclass(frozen=True)
class Replay:
    """A record run again: `same` to the byte, or the largest difference of a pixel (0 ... 255).

    `difference` is None where the old pictures do not lie beside the record. `changed` names what
    is not as it was: the weights, versions, device or threads.
    """

    result: Result
    same: bool
    difference: int | None
    changed: tuple[str, ...]


def replay(
    path: str | Path,
    *,
    model: Model | str | Path | None = None,
    device: str | None = None,
    dtype: str | None = None,
    prompts: str | Path | None = None,
    on_state: OnState | None = None,
) -> Replay:
    """Run a record again with its model, seeds, dtype and micro-batch, and compare the pixels.

    `model` (a model, or what `load` takes) says where a model is that lay in a folder; `prompts` is
    a prompt file to use instead of its text encoder. On another `device` the dtype is what suits it.
    """
    record, folder = read_record(path), as_path("A record", path).parent
    recorded = record["model"]
    schedule = split_recast(str(recorded.get("name")))[1]
    if model is not None and schedule is not None:
        model = _recast(model, schedule)
    if model is None or isinstance(model, str | Path):
        kept = record["dtype"] if device in (None, record["device"]) else None
        model = load(model or _name(recorded), device=device or record["device"], dtype=dtype or kept, prompts=prompts)
    job = read_job(record, folder, model)
    result = run(job, record["seeds"], paired=True, micro_batch=record.get("micro_batch"), on_state=on_state)
    fresh = result.record
    same = fresh["pixels"] == record["pixels"]
    changed = [key for key in ("device", "dtype", "threads", "versions") if fresh[key] != record.get(key)]
    if fresh["model"]["weights"] != recorded.get("weights"):
        changed.insert(0, "weights")
    return Replay(result, same, 0 if same else _difference(result, folder, record), tuple(changed))


def _recast(model: Model | str | Path, schedule: str) -> Model | str:
    """The model on the schedule that the record's was walked on, unless it is there already."""
    if isinstance(model, str | Path):
        return str(model) if split_recast(str(model))[1] else f"{model}@{schedule}"
    return model if isinstance(model, Recast) else Recast(model, schedule)


def _name(recorded: dict[str, Any]) -> str:
    """What to load the record's model by. Raises UserError where only the user knows where it is."""
    name, source = str(recorded.get("name")), str(recorded.get("source"))
    plain, schedule = split_recast(name)
    if plain in cards():
        return name
    if source in (LOCAL, "pipeline", "None"):
        raise UserError(f"The record's model '{name}' lay in a folder of its own; say where it is: --model FOLDER.")
    return source if schedule is None else f"{source}@{schedule}"


def _difference(result: Result, folder: Path, record: dict[str, Any]) -> int | None:
    largest = 0
    for name, pixels in zip(record.get("files", []), result.pixels, strict=False):
        path = folder / Path(str(name)).name
        if not path.is_file():
            return None
        old = np.asarray(open_picture(path).convert("RGB")).astype(int)
        if old.shape != pixels.shape:
            return 255
        largest = max(largest, int(np.abs(old - pixels.numpy().astype(int)).max()))
    return largest
