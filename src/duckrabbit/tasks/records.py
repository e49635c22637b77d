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
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from duckrabbit.diffusion.constraints import KnownPixels
from duckrabbit.errors import UserError
from duckrabbit.models.load import load
from duckrabbit.models.model import Model
from duckrabbit.tasks.job import Job, OnState, Result, Stage, cost, run
from duckrabbit.tasks.pictures import Atomic, write_png
from duckrabbit.tasks.recipes import from_plain, to_plain

FORMAT = 1
CHUNK = "duckrabbit"
_PACKAGES = ("torch", "diffusers", "transformers", "numpy")


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
            "source": card.source,
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
            save_file(tensors, temporary)
    text = json.dumps(record, ensure_ascii=False, indent=1)
    with Atomic(folder / f"{stem}.json") as temporary:
        temporary.write_text(text, encoding="utf-8")
    for name, pixels in zip(names, result.pixels, strict=True):
        write_png(pixels, folder / name, {CHUNK: text})
    return [folder / name for name in names]


def read_record(path: str | Path) -> dict[str, Any]:
    """The record in a .json file or in a picture. Raises UserError where there is none."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no record {path}; give the .json or one of the pictures of a run.")
    try:
        if path.suffix.lower() == ".png":
            with Image.open(path) as image:
                image.load()
                text = image.info.get(CHUNK)
            if text is None:
                raise UserError(f"{path} carries no record; only pictures that duckrabbit wrote do.")
        else:
            text = path.read_text(encoding="utf-8")
        record = json.loads(text)
    except (OSError, ValueError, SyntaxError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is not a run record ({error}).") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UserError(f"{path} is not a run record of format {FORMAT}.")
    return record


def read_job(record: dict[str, Any], folder: Path, model: Model) -> Job:
    """The job that a record describes, on `model`. Raises UserError where it is damaged."""
    tensors: dict[str, Tensor] = {}
    if "tensors" in record:
        path = folder / Path(str(record["tensors"])).name
        if not path.is_file():
            raise UserError(f"The record's pictures are missing: {path} has to lie beside it.")
        tensors = load_file(path)
    try:
        stages = from_plain(record["stages"], tensors)
        composite = from_plain(record["composite"], tensors)
    except (KeyError, TypeError, AssertionError) as error:
        raise UserError(f"The record is damaged: {error}.") from None
    if not (isinstance(stages, tuple) and stages and all(isinstance(s, Stage) for s in stages)):
        raise UserError("The record is damaged: it has no stages.")
    if not (composite is None or isinstance(composite, KnownPixels)):
        raise UserError("The record is damaged: its composite is not one.")
    return Job(model, stages, str(record.get("title", "")), composite)


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


def replay(path: str | Path, *, device: str | None = None, on_state: OnState | None = None) -> Replay:
    """Run a record again with its model, seeds, dtype and micro-batch, and compare the pixels."""
    record, folder = read_record(path), Path(path).parent
    told = record["model"]
    name = told["source"] if told["source"] not in ("package", "") else told["name"]
    model = load(name, device=device or record["device"], dtype=record["dtype"])
    job = read_job(record, folder, model)
    result = run(job, record["seeds"], micro_batch=record["micro_batch"], on_state=on_state)
    fresh = make_record(result)
    same = fresh["pixels"] == record["pixels"]
    changed = [key for key in ("device", "dtype", "threads", "versions") if fresh[key] != record[key]]
    if fresh["model"]["weights"] != told["weights"]:
        changed.insert(0, "weights")
    return Replay(result, same, 0 if same else _difference(result, folder, record), tuple(changed))


def _difference(result: Result, folder: Path, record: dict[str, Any]) -> int | None:
    largest = 0
    for name, pixels in zip(record.get("files", []), result.pixels, strict=False):
        path = folder / Path(str(name)).name
        if not path.is_file():
            return None
        with Image.open(path) as image:
            old = np.asarray(image.convert("RGB")).astype(int)
        largest = max(largest, int(np.abs(old - pixels.numpy().astype(int)).max()))
    return largest


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
