"""Results: what a job made, and what made it, written into every picture.

Every PNG carries its record in a text chunk named "duckrabbit"; the same JSON lies beside it, with
the tensors it names (input pictures, masks) in a .safetensors file.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from html import escape
from importlib.metadata import PackageNotFoundError, version
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from duckrabbit.errors import UserError
from duckrabbit.files import only_writer, write_atomically, write_text
from duckrabbit.models.cards import split_recast
from duckrabbit.tasks.arguments import shown, text
from duckrabbit.tasks.job import Job, cost, value_range
from duckrabbit.tasks.others import Others
from duckrabbit.tasks.pictures import to_pixels, write_png
from duckrabbit.tasks.plain import to_plain
from duckrabbit.values import as_path

FORMAT = 1
CHUNK = "duckrabbit"
SHOWN = 16
"""So many pictures of a result a notebook shows."""
LOCAL = "local"
"""The source of a model that lay in a folder: its path is nobody's business, and would not hold elsewhere."""
_FILE = re.compile(r"(.+?)(\.json|\.safetensors|(-subject\d+)?-seed\d+(-stage\d+)?\.png)")
"""A file of a result, and the result's name."""
_PACKAGES = ("torch", "diffusers", "transformers", "numpy")


@dataclass(frozen=True, eq=False)
class ResultPicture:
    """One picture of a result: `pixels` uint8 (H, W, 3), what it was to be, and its seed. A notebook shows it."""

    pixels: Tensor
    prompt: str
    seed: int

    @property
    def pil(self) -> Image.Image:
        """The picture as a PIL image."""
        return Image.fromarray(self.pixels.numpy())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The picture as NumPy takes it: uint8 (H, W, 3)."""
        return np.array(self.pixels.numpy(), dtype=dtype, copy=copy)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.pil.save(buffer, format="PNG")
        return buffer.getvalue()


@dataclass(frozen=True, eq=False)
class Result:
    """What a job made. `images` (B, C, H, W): float32 on the CPU, in the model's range, not clamped.

    `seeds` has one for each picture; of a list of subjects, all of the first subject come first.
    `stage_images` are the results of each stage, the last one `images` before the composite;
    `seconds` is the whole time, `stage_seconds` that of each stage with the loading of its weights; `notes`
    are sentences to know of, as the job's.
    """

    job: Job
    seeds: tuple[int, ...]
    images: Tensor
    stage_images: tuple[Tensor, ...]
    seconds: float
    stage_seconds: tuple[float, ...] = ()
    micro_batch: int | None = None
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def pixels(self) -> Tensor:
        """uint8 (B, H, W, 3): what is written to a file."""
        return to_pixels(self.images, value_range(self.job))

    @property
    def unit(self) -> Tensor:
        """The pictures (B, C, H, W), 0 black to 1 white, clipped there."""
        low, high = value_range(self.job)
        return ((self.images - low) / (high - low)).clamp(0, 1)

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.seeds)

    def __getitem__(self, index: int) -> ResultPicture:
        """The picture at `index`."""
        pixels = to_pixels(self.images[index][None], value_range(self.job))[0]
        return ResultPicture(pixels, self.prompts[index], self.seeds[index])

    @cached_property
    def prompts(self) -> tuple[str, ...]:
        """What each picture was to be, in a few words."""
        of_each = self.job.subjects or (self.job.title,)
        return tuple(subject for subject in of_each for _ in range(self.repeats))

    @property
    def repeats(self) -> int:
        """How many seeds each subject has."""
        return len(self.seeds) // self.job.of_a_seed

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All pictures as NumPy takes them: uint8 (B, H, W, 3)."""
        return np.array(self.pixels.numpy(), dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        """What it is, and not its numbers."""
        size = " x ".join(map(str, self.images.shape[-2:]))
        return f"Result({self.job.title!r}, seeds {list(self.seeds)}, {size} px, {self.seconds:.1f} s)"

    def _repr_html_(self) -> str:
        first = [self[k] for k in range(min(SHOWN, len(self)))]
        cells = "".join(
            f'<figure style="display:inline-block;margin:4px"><img width="192" style="image-rendering:pixelated" '
            f'src="data:image/png;base64,{base64.b64encode(made._repr_png_()).decode()}">'
            f"<figcaption>{f'{escape(made.prompt)}, ' * bool(self.job.subjects)}seed {made.seed}</figcaption></figure>"
            for made in first
        )
        more = f"<p>and {len(self) - SHOWN} more</p>" if len(self) > SHOWN else ""
        return f"<p>{escape(self.job.title)}</p>{cells}{more}"

    @property
    def record(self) -> dict[str, Any]:
        """The run record: plain data from which `replay` makes the same pictures; its tensors by hash only."""
        return self.recorded[0]

    @cached_property
    def recorded(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The record and the tensors it names, worked out once; not to be changed."""
        tensors: dict[str, Tensor] = {}
        return _record(self, tensors), tensors

    def save(self, folder: str, stem: str = "image") -> list[str]:
        """Write PNG files and the record into `folder`, beside what is there; returns the paths of the pictures."""
        return [str(path) for path in save_result(self, folder, stem)]


def described(job: Job, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The part of a record that is known before a run; what it names is added to `tensors`.

    Raises UserError for a job that no record can hold, so that this is said before it runs.
    """
    card = job.model.card
    made = {
        "format": FORMAT,
        "duckrabbit": _version("duckrabbit"),
        "title": text("A job's title", job.title),
        **({"subjects": [text("A subject's title", subject) for subject in job.subjects]} if job.subjects else {}),
        "request": _without_paths(job.request),
        "model": {
            "name": card.name,
            "source": LOCAL if Path(card.source).expanduser().is_dir() else card.source,
            "licence": card.licence,
            "attribution": card.attribution,
        },
        "stages": to_plain(job.stages, tensors),
        "composite": to_plain(job.composite, tensors),
        "device": job.model.device,
        "dtype": job.model.dtype,
    }
    try:
        json.dumps(made, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise UserError(f"The job cannot be written to a record ({error}); make its fields plain values.") from None
    return made


def _without_paths(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request, its files by their names alone: where they lay is nobody's business."""
    kept = {name: Path(value).name if name in ("image", "mask") else value for name, value in request.items()}
    if "model" in kept and Path(split_recast(str(kept["model"]))[0]).expanduser().is_dir():
        kept["model"] = LOCAL
    kept.pop("prompt_file", None)
    return kept


def _record(result: Result, tensors: dict[str, Tensor]) -> dict[str, Any]:
    job, notes = result.job, dict(result.notes)
    description, weights = described(job, tensors), {}
    try:
        asking = {stage.index: stage.guidance for stage in job.stages if stage.asks}
        weights = {**job.model.weight_hash(), **Others(job.model, asking).hashes()} if asking else {}
    except (UserError, OSError) as error:  # the pictures are made, and are not lost for this
        notes["weights"] = f"not hashed: {error}"
    return {
        **description,
        "model": {**description["model"], "weights": weights},
        "seeds": list(result.seeds),
        "micro_batch": result.micro_batch,
        "threads": torch.get_num_threads(),
        "cost": [asdict(c) for c in cost(job)],
        "seconds": round(result.seconds, 3),
        "pixels": [pixel_hash(image) for image in result.pixels],
        "versions": {"python": platform.python_version(), **{p: _version(p) for p in _PACKAGES}},
        "notes": notes,
    }


def pixel_hash(pixels: Tensor | np.ndarray) -> str:
    """sha256 of the uint8 pixels (H, W, 3) of a picture, apart from how a file stores them."""
    return hashlib.sha256(np.ascontiguousarray(np.asarray(pixels)).tobytes()).hexdigest()


def save_result(result: Result, folder: str | Path, stem: str = "image") -> list[Path]:
    """Write `stem`-seedN.png for every seed, `stem`.json and, with tensors, `stem`.safetensors.

    Of a list of subjects the pictures are called `stem`-subject1-seedN.png and so on, in the list's order.
    Of a cascade, what the earlier stages made is written too, as `stem`-seedN-stage1.png and so on. Where there is
    a result of that name already it stays as it is, and this one is called `stem`-2, or -3.

    Each file is written whole or not at all; the pictures come last, so a picture that is there has
    its record. Returns the paths of the pictures. Raises UserError where the folder is not writable, or another
    program does not stop writing into it.
    """
    folder = as_path("The folder of a result", folder)
    if Path(text("A result's name", stem)).name != stem or stem in ("", ".."):
        raise UserError(f"A result's name is that of a file in its folder, not {shown(stem)}; name its folder too.")
    with only_writer(folder, "wait until it is done, or choose another folder", wait=10.0):
        taken, names = results_in(folder), chain([stem], (f"{stem}-{k}" for k in count(2)))
        return _write(result, folder, next(name for name in names if name not in taken))


def results_in(folder: str | Path) -> set[str]:
    """The names of the results in a folder, unfinished ones included: 01 of 01.json and 01-seed180.png."""
    found = (_FILE.fullmatch(path.name) for path in Path(folder).iterdir())
    return {match[1] for match in found if match}


def _write(result: Result, folder: Path, stem: str) -> list[Path]:
    plain, tensors = result.recorded
    of_list = [f"-subject{k // result.repeats + 1}" if result.job.subjects else "" for k in range(len(result))]
    bases = [f"{stem}{own}-seed{seed}" for own, seed in zip(of_list, result.seeds, strict=True)]
    names = [f"{base}.png" for base in bases]
    record = {**plain, "files": names}
    if tensors:
        record["tensors"] = f"{stem}.safetensors"
        write_atomically(folder / f"{stem}.safetensors", save(tensors))
    written = json.dumps(record, ensure_ascii=False, indent=1)
    write_text(folder / f"{stem}.json", written)
    for k, (stage, images) in enumerate(zip(result.job.stages[:-1], result.stage_images, strict=False)):
        facts = result.job.model.stages[stage.index]
        for base, pixels in zip(bases, to_pixels(images, facts.value_range), strict=True):
            write_png(pixels, folder / f"{base}-stage{k + 1}.png", {CHUNK: written})
    for name, pixels in zip(names, result.pixels, strict=True):
        write_png(pixels, folder / name, {CHUNK: written})
    return [folder / name for name in names]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
