"""How fast this machine is: seconds per picture through a network, learned from finished runs."""

from __future__ import annotations

import json
from pathlib import Path

from duckrabbit.models.model import Model
from duckrabbit.models.weights import cache_folder
from duckrabbit.tasks.job import Result, cost
from duckrabbit.tasks.pictures import Atomic

GFLOPS = {"cpu": 100.0, "mps": 2_000.0, "cuda": 20_000.0}
"""What to expect of a device before anything has run on it, in GFLOP/s; a guess."""


def estimate(model: Model, stage: int, pictures: int) -> float | None:
    """About how many seconds `pictures` take through a stage; None where nothing is known."""
    seconds = _read().get(_key(model, stage))
    gflop = model.stages[stage].gflop
    if seconds is None and gflop is not None:
        seconds = gflop / GFLOPS.get(model.device.partition(":")[0], GFLOPS["cpu"])
    return None if seconds is None else seconds * pictures


def learn(result: Result) -> None:
    """Remember the speed of a single-stage result; what cannot be written is not remembered."""
    job = result.job
    if len(job.stages) != 1:
        return
    pictures = cost(job)[0].pictures * len(result.seeds)
    if pictures < 20:
        return
    known = _read()
    known[_key(job.model, job.stages[0].index)] = round(result.seconds / pictures, 6)
    try:
        with Atomic(_path()) as temporary:
            temporary.write_text(json.dumps(known))
    except ValueError:
        return


def _key(model: Model, stage: int) -> str:
    return f"{model.card.name}/{stage}/{model.device}/{model.dtype}"


def _path() -> Path:
    return cache_folder() / "speed.json"


def _read() -> dict[str, float]:
    try:
        known = json.loads(_path().read_text())
        return {str(k): float(v) for k, v in known.items()}
    except (OSError, ValueError, AttributeError):
        return {}
