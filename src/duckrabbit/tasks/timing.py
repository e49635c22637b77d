"""How fast this machine is: seconds per picture through a network, learned from finished runs."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from duckrabbit.files import write_text
from duckrabbit.folders import cache_folder
from duckrabbit.models.cascade.memory import SMALL, Need
from duckrabbit.models.model import Model
from duckrabbit.models.recast import plain
from duckrabbit.tasks.results import Result
from duckrabbit.values import Size

GFLOPS = {"cpu": 100.0, "mps": 2_000.0, "cuda": 20_000.0}
"""What to expect of a device before anything has run on it, in GFLOP/s; a guess."""
FEWEST = 20
"""Fewer pictures than that say more about loading the weights than about the network."""


def estimate(model: Model, stage: int, pictures: int, size: Size | None = None) -> float | None:
    """About how many seconds `pictures`, of a `size`, take through a stage; None where nothing is known."""
    seconds = _read().get(_key(model, stage))
    gflop = model.stages[stage].gflop
    if seconds is None and gflop is not None:
        seconds = gflop / GFLOPS.get(model.device.partition(":")[0], GFLOPS["cpu"])
    return None if seconds is None else seconds * pictures * _area(model, stage, size)


def need_of(model: Model) -> Need | None:
    """What a model's weights take of memory, and of time to be read; None where that is little, or not known."""
    memory = getattr(plain(model), "memory", None)
    need: Need | None = None if memory is None else memory.need(model.dtype)
    return need if need is not None and need.peak >= SMALL else None


def learn(result: Result) -> None:
    """Remember how long each stage took; what cannot be written is not remembered."""
    job, known = result.job, _read()
    before = dict(known)
    for stage, price, seconds in zip(job.stages, result.record["cost"], result.stage_seconds, strict=True):
        pictures = price["pictures"] * result.repeats
        if pictures >= FEWEST:
            own = pictures * _area(job.model, stage.index, stage.size)
            known[_key(job.model, stage.index)] = round(seconds / own, 6)
    if known != before:
        with suppress(ValueError):
            write_text(_path(), json.dumps(known))


def _area(model: Model, stage: int, size: Size | None) -> float:
    """How many times as large as the model's own a picture is."""
    own = model.stages[stage].size
    return 1.0 if size is None else size[0] * size[1] / (own[0] * own[1])


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
