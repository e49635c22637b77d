"""Run records: what made a picture, written into it, and the way back.

Every PNG carries its record in a text chunk named "duckrabbit"; the same JSON lies beside it, with
the tensors it names (input pictures, masks) in a .safetensors file. `replay` runs a record again
and compares: on the same device, dtype and micro-batch the bytes are the same.
"""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from duckrabbit.diffusion.constraints import KnownBand, KnownPixels
from duckrabbit.errors import UserError
from duckrabbit.models.cards import cards
from duckrabbit.models.load import load
from duckrabbit.models.model import Model
from duckrabbit.tasks.job import Job, OnState, Result, Stage, cost, run
from duckrabbit.tasks.pictures import Atomic, open_picture, write_png
from duckrabbit.tasks.recipes import from_plain, tensor_hash, to_plain

FORMAT = 1
CHUNK = "duckrabbit"
LOCAL = "local"
"""The source of a model that lay in a folder: its path is nobody's business, and would not hold elsewhere."""
_PACKAGES = ("torch", "diffusers", "transformers", "numpy")
_NEEDED = {"model": dict, "stages": list, "seeds": list, "cost": list, "pixels": list, "device": str, "dtype": str}


def make_record(result: Result) -> dict[str, Any]:
    """The record of a result, as JSON-able data; its tensors are told by hash only."""
    return _record(result, {})


def _record(result: Result, tensors: dict[str, Tensor]) -> dict[str, Any]:
    job, card = result.job, result.job.model.card
    return {
        "format": FORMAT,
        "duckrabbit": _version("duckrabbit"),
        "title": job.title,
        "model": {
            "name": card.name,
            "source": LOCAL if Path(card.source).expanduser().is_dir() else card.source,
            "licence": card.licence,
            "attribution": card.attribution,
            "weights": dict(job.model.weight_hash()),
        },
        "stages": to_plain(job.stages, tensors),
        "composite": to_plain(job.composite, tensors),
        "seeds": list(result.seeds),
        "device": job.model.device,
        "dtype": job.model.dtype,
        "micro_batch": result.micro_batch,
        "threads": torch.get_num_threads(),
        "cost": [asdict(c) for c in cost(job)],
        "seconds": round(result.seconds, 3),
        "pixels": [pixel_hash(image) for image in result.pixels],
        "versions": {"python": platform.python_version(), **{p: _version(p) for p in _PACKAGES}},
        "notes": result.notes,
    }


def pixel_hash(pixels: Tensor | np.ndarray) -> str:
    """sha256 of the uint8 pixels (H, W, 3) of a picture, apart from how a file stores them."""
    return hashlib.sha256(np.ascontiguousarray(np.asarray(pixels)).tobytes()).hexdigest()


def save_result(result: Result, folder: str | Path, stem: str = "image") -> list[Path]:
    """Write `stem`-seedN.png for every seed, `stem`.json and, with tensors, `stem`.safetensors.

    Each file is written whole or not at all; the pictures come last, so a picture that is there has
    its record. Returns the paths of the pictures. Raises UserError where the folder is not writable.
    """
    folder = Path(folder)
    tensors: dict[str, Tensor] = {}
    record = _record(result, tensors)
    names = [f"{stem}-seed{seed}.png" for seed in result.seeds]
    record["files"] = names
    if tensors:
        record["tensors"] = f"{stem}.safetensors"
        with Atomic(folder / f"{stem}.safetensors") as temporary:
            temporary.write_bytes(save(tensors))
    text = json.dumps(record, ensure_ascii=False, indent=1)
    with Atomic(folder / f"{stem}.json") as temporary:
        temporary.write_text(text, encoding="utf-8")
    for name, pixels in zip(names, result.pixels, strict=True):
        write_png(pixels, folder / name, {CHUNK: text})
    return [folder / name for name in names]


def read_record(path: str | Path) -> dict[str, Any]:
    """The record in a .json file or in a picture. Raises UserError where there is none, or it is damaged."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no record {path}; give the .json or one of the pictures of a run.")
    try:
        if path.suffix.lower() == ".png":
            text = open_picture(path).info.get(CHUNK)
            if text is None:
                raise UserError(f"{path} carries no record; only pictures that duckrabbit wrote do.")
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
        job = Job(model, stages, str(record.get("title", "")), composite)
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
    if not isinstance(stage, Stage) or not isinstance(stage.constrain, KnownPixels | KnownBand | None):
        raise TypeError("a stage is not one")
    if not 0 <= stage.index < len(model.stages):
        raise UserError(f"The record needs a stage {stage.index + 1}, which {model.card.name} has not.")
    facts = model.stages[stage.index]
    for picture in (stage.start, getattr(stage.constrain, "image", None)):
        if picture is not None and picture.shape[1:] != (facts.channels, facts.size, facts.size):
            raise UserError(
                f"The record was made with a model of {picture.shape[-1]} pixels; {model.card.name} has {facts.size}."
            )


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
    record, folder = read_record(path), Path(path).parent
    told = record["model"]
    if model is None or isinstance(model, str | Path):
        kept = record["dtype"] if device in (None, record["device"]) else None
        model = load(model or _name(told), device=device or record["device"], dtype=dtype or kept, prompts=prompts)
    job = read_job(record, folder, model)
    result = run(job, record["seeds"], micro_batch=record.get("micro_batch"), on_state=on_state)
    fresh = make_record(result)
    same = fresh["pixels"] == record["pixels"]
    changed = [key for key in ("device", "dtype", "threads", "versions") if fresh[key] != record.get(key)]
    if fresh["model"]["weights"] != told.get("weights"):
        changed.insert(0, "weights")
    return Replay(result, same, 0 if same else _difference(result, folder, record), tuple(changed))


def _name(told: dict[str, Any]) -> str:
    """What to load the record's model by. Raises UserError where only the user knows where it is."""
    name, source = str(told.get("name")), str(told.get("source"))
    if name in cards():
        return name
    if source in (LOCAL, "pipeline", "None"):
        raise UserError(f"The record's model '{name}' lay in a folder of its own; say where it is: --model FOLDER.")
    return source


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


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
