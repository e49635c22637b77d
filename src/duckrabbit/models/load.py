"""`load`: a model from its name, a folder, a hub id, a diffusers pipeline, or an object of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch

from duckrabbit.errors import UserError
from duckrabbit.folders import runs_folder
from duckrabbit.models.cards import DEFAULT, cards, folder_of, package_folder, split_recast
from duckrabbit.models.cards import card as known_card
from duckrabbit.models.cascade.assembled import from_pipeline, from_sources
from duckrabbit.models.cascade.folder import folder_card, read_json
from duckrabbit.models.cascade.hub import Hub, Repository, is_repository
from duckrabbit.models.cascade.memory import Policy
from duckrabbit.models.cascade.model import Cascade, encoder_hash
from duckrabbit.models.cascade.parts import Folder, Source
from duckrabbit.models.cascade.text_encoder import PromptTable
from duckrabbit.models.devices import pick_device, pick_dtype
from duckrabbit.models.digits.model import is_digits, load_digits
from duckrabbit.models.model import Card, Model, lacks, no_model
from duckrabbit.models.oracle import Oracle
from duckrabbit.models.pixnerd import load as pixnerd
from duckrabbit.models.prxpixel import load as prxpixel
from duckrabbit.models.recast import Recast
from duckrabbit.registry import known


def load(
    source: str | Path | Any = DEFAULT,
    *,
    device: str | None = None,
    dtype: str | torch.dtype | None = None,
    stage2: str | Path | Any | None = None,
    prompts: str | Path | PromptTable | None = None,
    memory: Policy = "auto",
    revision: str | None = None,
    hub: Hub | None = None,
) -> Model:
    """A model, light until it is used: only its configurations are read here.

    source: a name (`duckrabbit models list`) or that of a training run, "NAME@flow" for that model on a flow's
    schedule (models/recast.py), a folder in the diffusers format (a cascade, or PRXPixel) or of a trained model of
    digits or of PixNerd, a hub id, a diffusers pipeline, or an object with the members of `Model`, which comes back as
    it is. stage2: the second stage likewise, where it does not lie in a subfolder of the first; False for none.
    device: "cpu", "cuda", "cuda:1" or "mps"; by default the best there is. dtype: float32, float16 or bfloat16; by
    default float16 on a GPU (bfloat16 for PixNerd and PRXPixel), float32 on the CPU. prompts: a prompt file to use
    instead of the text encoder. memory: see models.memory. revision: a commit, tag or branch of the hub; hub: how to
    reach it (models.hub).

    Raises UserError where there is no such model, or it is not of DeepFloyd IF's layout.
    """
    if not isinstance(source, str | Path) and not lacks(source):
        if any(option is not None for option in (device, dtype, stage2, prompts, revision)):
            raise UserError(
                "A model given as an object is taken as it is; leave out device, dtype, stage2, prompts and revision."
            )
        return cast(Model, source)
    if _is_pipeline(source):
        _refuse_revision(revision, "a pipeline")
        return from_pipeline(source, stage2, device, dtype, memory, prompts)
    if prxpixel.is_pipeline(source):
        if stage2 or prompts or revision:
            raise UserError("A PRXPixelPipeline is taken as it is; leave out stage2, prompts and revision.")
        return prxpixel.from_pipeline(source, device, dtype, memory)
    if _is_pipeline(stage2):
        raise UserError("A second stage given as a pipeline needs a first stage given as a pipeline too.")
    if not isinstance(source, str | Path):
        raise UserError(no_model(source))
    name, schedule = split_recast(str(source))
    if (own := known("model").get(name)) is not None:
        model = load(own() if isinstance(own, type) or not hasattr(own, "stages") else own)
    else:
        model = _by_name(find_model(name), device, dtype, stage2, prompts, memory, revision, hub or Hub())
    return model if schedule is None else Recast(model, schedule)


def _by_name(
    name: str,
    device: str | None,
    dtype: str | torch.dtype | None,
    stage2: Any,
    prompts: str | Path | PromptTable | None,
    memory: Policy,
    revision: str | None,
    hub: Hub,
) -> Model:
    """The model that a name, a folder or a hub id is of: of digits, the oracle, PixNerd or a cascade."""
    if (digits := digits_folder(name)) is not None:
        if stage2 or prompts:
            raise UserError("A model of digits has one stage and takes no prompts; leave out stage2 and prompts.")
        _refuse_revision(revision, name)
        where = pick_device(device)
        return load_digits(digits, card=cards().get(name), device=where, dtype=pick_dtype(dtype or "float32", where))
    if name == "oracle":
        _refuse_revision(revision, name)
        return _oracle(stage2 or prompts, dtype, device)
    where = pick_device(device)
    loader = _one_stage(name, revision, hub)
    if loader is not None:
        if stage2:
            raise UserError(f"{name} has one stage; leave out stage2.")
        return loader(name, where, _bfloat16_on_gpu(dtype, where), prompts, memory, revision, hub)
    card, first, second = find_sources(name, stage2, revision, hub)
    return from_sources(card, first, second, where, pick_dtype(dtype, where), memory, prompts)


def _one_stage(name: str, revision: str | None, hub: Hub) -> Callable[..., Cascade] | None:
    """What loads a model of one stage on a flow of its own; None for a cascade in DeepFloyd IF's layout."""
    if pixnerd.means_pixnerd(name):
        return pixnerd.load_pixnerd
    return prxpixel.load_prxpixel if prxpixel.means_prxpixel(name, revision, hub) else None


def _oracle(other: Any, dtype: str | torch.dtype | None, device: str | None) -> Oracle:
    if other:
        raise UserError("The oracle has one stage and its own prompts; leave out stage2 and prompts.")
    if dtype is not None and pick_dtype(dtype, "cpu") != "float32":
        raise UserError("The oracle computes in float32; leave out the dtype.")
    return Oracle(cards()["oracle"], pick_device(device))


def _bfloat16_on_gpu(dtype: str | torch.dtype | None, device: str) -> str:
    """The dtype of a model that was trained in bfloat16, whose numbers may be too large for float16."""
    return pick_dtype(dtype or ("float32" if device == "cpu" else "bfloat16"), device)


def digits_folder(name: str) -> Path | None:
    """The folder of the digit model that is meant by a name or a path; None where it is another kind of model."""
    folder = folder_of(find_model(name))
    return folder if is_digits(folder) else None


def _is_pipeline(thing: Any) -> bool:
    return hasattr(thing, "unet") and hasattr(thing, "scheduler")


def find_sources(name: str, stage2: Any, revision: str | None, hub: Hub) -> tuple[Card, Source, Source | None]:
    """The card and the sources of a named model, a folder or a hub id."""
    by_source = {card.source: card for card in cards().values()}
    folder = Path(name).expanduser()
    if name in cards() or name in by_source:
        card = cards().get(name) or by_source[name]
    elif folder.is_dir():
        stage2 = _subfolder(folder) if stage2 is None else stage2
        card = folder_card(folder, Path(stage2).expanduser() if stage2 else None)
    elif is_repository(name):
        url = f"https://huggingface.co/{name}"
        card = Card(name=name, title=name, source=name, licence="unknown", licence_url=url, variant="fp16")
    else:
        card = known_card(name)  # which it is not: says so, with the names there are
    first = _source(card.source, card, revision, card.sha256, hub)
    if stage2 is None and card.stage2:
        mine = {p.removeprefix("stage2/"): h for p, h in card.sha256.items() if p.startswith("stage2/")}
        return card, first, _source(card.stage2, card, None, mine, hub)
    return card, first, _source(str(stage2), card, None, {}, hub) if stage2 else None


def find_parts(name: str, hub: Hub) -> tuple[Card, list[tuple[Any, str]]]:
    """The card of a text-to-image model, and what of it has to lie on this machine: a source and a part each."""
    if pixnerd.means_pixnerd(name):
        return pixnerd.parts_of(name, hub)
    if prxpixel.means_prxpixel(name, None, hub):
        return prxpixel.parts_of(name, hub)
    card, first, second = find_sources(name, None, None, hub)
    parts = [(first, part) for part in ("tokenizer", "text_encoder", "unet")]
    return card, [*parts, *([(second, "unet")] if second is not None else [])]


def _source(where: str, card: Card, revision: str | None, hashes: Mapping[str, str], hub: Hub) -> Source:
    if (shipped := package_folder(where)) is not None:
        _refuse_revision(revision, card.name)
        return Folder(shipped, card.variant, hashes)
    if Path(where).expanduser().is_dir():
        _refuse_revision(revision, where)
        return Folder(Path(where).expanduser(), card.variant, hashes)
    if is_repository(where):
        return Repository(where, revision, card.variant, hashes, hub)
    raise UserError(f"There is no folder {where}; give the folder of a second stage, or its hub id.")


def _refuse_revision(revision: str | None, name: str) -> None:
    """Raises UserError for a revision of what does not lie on the hub."""
    if revision is not None:
        raise UserError(f"revision would change nothing: {name} does not lie on the hub. Leave it out.")


def _subfolder(path: Path) -> Path | None:
    """The subfolder that holds a second stage, if there is one."""
    found = sorted(p.parent for p in path.glob("*/model_index.json") if read_json(p).get("image_noising_scheduler"))
    if len(found) > 1:
        raise UserError(f"{path} holds several second stages ({', '.join(p.name for p in found)}); name one as stage2.")
    return found[0] if found else None


__all__ = ["encoder_hash", "find_parts", "find_sources", "load", "pick_device", "pick_dtype"]


def find_model(name: str) -> str:
    """What `load` takes for a model: its name, folder or id; the folder of the model that a run of that name left."""
    left = runs_folder() / name / "model"
    known = name in cards() or Path(name).expanduser().exists() or not (left / "config.json").is_file()
    return name if known else str(left)
