"""Coloured shapes with captions: drawings small enough to learn in a blink, in memory or as a folder of shards."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

import tiny
from duckrabbit.data.drawings.drawings import Drawings
from duckrabbit.training.cascade.stage1 import TEXTS, Captioned, TextRecipe
from duckrabbit.training.cascade.stage2 import UPSCALERS, Enlargements, UpscalerRecipe, enlargements
from duckrabbit.training.cascade.words import read_wordings

COLOURS = {"red": (220, 40, 40), "blue": (40, 60, 220)}
SHAPES = ("house", "cat")  # words that the tiny tokenizer knows: a square and a disc


def drawings(size: int, count: int = 12) -> Drawings:
    """Squares and discs in two colours on white, of growing size."""
    y, x = torch.meshgrid(*(2 * [torch.linspace(-1, 1, size)]), indexing="ij")
    images, styles, subjects = [], [], []
    for i in range(count):
        colour, shape = list(COLOURS)[i % 2], SHAPES[i // 2 % 2]
        reach = 0.4 + 0.4 * i / count
        inside = (x.abs().maximum(y.abs()) if shape == "house" else (x**2 + y**2).sqrt()) < reach
        picture = torch.full((size, size, 3), 255, dtype=torch.uint8)
        picture[inside] = torch.tensor(COLOURS[colour], dtype=torch.uint8)
        images.append(picture)
        styles.append(f"{colour} painting")
        subjects.append(shape)
    captions = tuple(f"a {style} of a {subject}" for style, subject in zip(styles, subjects, strict=True))
    keywords = tuple(("old house", "a photo") if s == "house" else () for s in subjects)
    same = ("test",) * count
    return Drawings(torch.stack(images), captions, tuple(styles), tuple(subjects), same, keywords, same, same)


def save(folder: Path, set_: Drawings) -> Path:
    """The drawings as a folder that `load_drawings` reads, all of them to train on."""
    folder.mkdir(parents=True)
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for i in range(len(set_)):
            png = io.BytesIO()
            Image.fromarray(set_.images[i].numpy()).save(png, "PNG")
            record = {
                "caption": set_.captions[i], "style": set_.styles[i], "subject": set_.subjects[i],
                "family": set_.families[i], "keywords": set_.keywords[i], "licence": "CC0-1.0", "source": "shapes 1",
            }  # fmt: skip
            for name, data in ((f"{i:04d}.png", png.getvalue()), (f"{i:04d}.json", json.dumps(record).encode())):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    (folder / "train-00000.tar").write_bytes(content.getvalue())
    shard = {
        "name": "train-00000.tar",
        "sha256": hashlib.sha256(content.getvalue()).hexdigest(),
        "drawings": len(set_),
    }
    index = {"size": set_.images.shape[1], "data_hash": "shapes", "parts": {"train": [shard]}}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def text_recipe(**changes: object) -> TextRecipe:
    """A text recipe for 16 px with a text encoder of two small layers."""
    small = {
        "vocabulary": 128,
        "text": 32,
        "text_hidden": 64,
        "text_heads": 4,
        "text_head": 8,
        "images": 96,
        "sheets": 1,
    }
    return replace(TEXTS["tiny"], **{**small, **changes})


def upscaler_recipe(**changes: object) -> UpscalerRecipe:
    return replace(UPSCALERS["tiny"], **{"size": 32, "images": 96, "sheets": 1, "text": 32, **changes})


def captioned(recipe: TextRecipe, count: int = 12) -> Captioned:
    set_ = drawings(recipe.size, count)
    return Captioned(set_.images, read_wordings(tiny.tokenizer(), set_, recipe.wordings, recipe.seed), "shapes")


def enlarged(recipe: UpscalerRecipe, set_: Drawings | None = None) -> Enlargements:
    """The shapes, or other drawings, for a stage II that the text encoder of `text_recipe` tells of them."""
    set_ = drawings(recipe.size) if set_ is None else set_
    said = read_wordings(tiny.tokenizer(), set_, recipe.wordings, recipe.seed)
    torch.manual_seed(0)
    return enlargements(set_.images, said, text_recipe().text_encoder(128), "shapes")
