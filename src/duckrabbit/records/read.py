"""Records, read back: from a picture or its .json to the job that made it.

Nothing in a record is trusted: its tensors are checked by hash, its trees are walked before they run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from duckrabbit.diffusion.constraints import KnownPixels
from duckrabbit.errors import UserError
from duckrabbit.models.model import Model, sized
from duckrabbit.tasks.job import Job, Stage, cost, sized_facts
from duckrabbit.tasks.plain import from_plain, tensor_hash
from duckrabbit.tasks.reading import open_picture
from duckrabbit.tasks.results import CHUNK, FORMAT
from duckrabbit.values import as_path, words_of

_NEEDED = {"model": dict, "stages": list, "seeds": list, "cost": list, "pixels": list, "device": str, "dtype": str}


def read_record(path: str | Path) -> dict[str, Any]:
    """The record in a .json file or in a picture. Raises UserError where there is none, or it is damaged."""
    path = as_path("A record", path)
    if not path.is_file():
        raise UserError(f"There is no record {path}; give the .json or one of the pictures of a run.")
    try:
        if path.suffix.lower() == ".png":
            text = open_picture(path).info.get(CHUNK)
            if text is None:
                raise UserError(
                    f"{path} carries no record; a picture made from a seed (01-seed180.png) does, a sheet does not."
                )
        else:
            text = path.read_text(encoding="utf-8")
        record = json.loads(text)
    except UserError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a run record ({error}).") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UserError(f"{path} is not a run record of format {FORMAT}.")
    wrong = next((key for key, kind in _NEEDED.items() if not isinstance(record.get(key), kind)), None)
    if wrong is None and not all(type(seed) is int for seed in record["seeds"]):
        wrong = "seeds"
    if wrong is not None:
        raise UserError(f"The record {path} is damaged: its '{wrong}' is missing or of the wrong kind.")
    return record


def read_job(record: dict[str, Any], folder: Path, model: Model) -> Job:
    """The job that a record describes, on `model`. Raises UserError where it is damaged, or not for that model."""
    tensors = _read_tensors(folder / Path(str(record["tensors"])).name) if "tensors" in record else {}
    try:
        stages = from_plain(record["stages"], tensors)
        composite = from_plain(record.get("composite"), tensors)
        if not (isinstance(stages, tuple) and stages and isinstance(composite, KnownPixels | None)):
            raise TypeError("it has no stages, or its composite is not one")
        for stage in stages:
            _check_stage(stage, model)
        subjects = tuple(str(subject) for subject in record.get("subjects", ()))
        job = Job(model, stages, str(record.get("title", "")), composite, subjects=subjects)
        cost(job)  # walks every tree: what is not one fails here
    except UserError:
        raise
    except Exception as error:  # a record may hold anything
        raise UserError(f"The record is damaged: {error}.") from None
    return job


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """The pictures and masks of a record, by the hash of their bytes, which is checked."""
    if not path.is_file():
        raise UserError(f"The record's pictures are missing: {path} has to lie beside it.")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"The record's pictures in {path} cannot be read ({error}).") from None
    if any(tensor_hash(tensor) != name for name, tensor in tensors.items()):
        raise UserError(f"The record's pictures in {path} are not those of the run: their hash is another.")
    return tensors


def _check_stage(stage: object, model: Model) -> None:
    if not isinstance(stage, Stage) or not (stage.constrain is None or callable(stage.constrain)):
        raise TypeError("a stage is not one")
    if not stage.plan:
        raise TypeError("a plan has no move")
    if not 0 <= stage.index < len(model.stages):
        raise UserError(f"The record needs a stage {stage.index + 1}, which {model.card.name} has not.")
    facts = sized_facts(model, stage)
    if facts.size != model.stages[stage.index].size:
        sized(model.stages[stage.index : stage.index + 1], facts.size, model.card.name)
    for picture in (stage.start, getattr(stage.constrain, "image", None)):
        if picture is not None and picture.shape[1:] != (facts.channels, *facts.size):
            raise UserError(
                f"The record was made with a model of {words_of((picture.shape[-2], picture.shape[-1]))} pixels; "
                f"{model.card.name} has {words_of(facts.size)}."
            )
