"""Runs of the two stages of a cascade: which drawings, which weights to begin with, what is shown."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from duckrabbit.cli.saying import say
from duckrabbit.cli.training import changed, run_folder, train
from duckrabbit.cli.training_options import CascadeTraining
from duckrabbit.data.drawings.attribution import credits_of
from duckrabbit.data.drawings.drawings import Drawings, load_drawings, read_index
from duckrabbit.errors import UserError
from duckrabbit.evaluation.drawings.vocabulary import write_prompt_list
from duckrabbit.files import atomic_folder
from duckrabbit.folders import data_folder
from duckrabbit.models.cards import DEFAULT, folder_of
from duckrabbit.report.cascade_previews import show_drawn, show_enlarged
from duckrabbit.training.begin import alone_in, processes
from duckrabbit.training.cascade.export import export_stage
from duckrabbit.training.cascade.recipe import CascadeRecipe
from duckrabbit.training.cascade.sentence_start import write_start
from duckrabbit.training.cascade.stage1 import TEXTS, Captioned, TextRecipe
from duckrabbit.training.cascade.stage2 import UPSCALERS, Enlargements, UpscalerRecipe, enlargements
from duckrabbit.training.cascade.start import STARTED, Start, read_start
from duckrabbit.training.cascade.words import TOKENIZER, read_tokenizer, read_wordings
from duckrabbit.training.run import CHECKPOINT, read_identity

SHOWN = ("cat face", "apple", "rocket", "castle", "tropical fish", "car")
R = TypeVar("R", bound=CascadeRecipe)


def train_stage2(common: CascadeTraining, preset: str, text_encoder: Path | None) -> None:
    """Train stage II."""
    start = read_start(common.start, text=text_encoder or folder_of(DEFAULT))
    recipe: UpscalerRecipe = _recipe(UPSCALERS, preset, common, start)
    with alone_in(run_folder(recipe, common)):
        tokenizer, encoder = start.text_encoder()
        recipe = replace(recipe, text=encoder.config.d_model)
        drawings, digest = _drawings(common, recipe.size)

        def enlarged(some: Drawings) -> Enlargements:
            said = read_wordings(tokenizer, some, recipe.wordings, recipe.seed)
            return enlargements(some.images, said, encoder, digest)

        data, shown = enlarged(drawings), enlarged(_spread(drawings, 10))
        into = train(
            recipe, data, common, partial(show_enlarged, samples=shown),
            lambda run, into: export_stage(run, into, credits_of(drawings)), start.fill,
        )  # fmt: skip
    if into is not None:
        say(f"Stage II is in {into}. Put it into the folder of a stage I, as stage_2, to use it.")


def train_stage1(common: CascadeTraining, preset: str, text_encoder: Path | None, subjects: int | None) -> None:
    """Train stage I."""
    grows = preset in TEXTS and TEXTS[preset].thin > 0
    unet = common.start or (folder_of(DEFAULT) if grows else None)
    start = read_start(unet, text=text_encoder or common.start or folder_of(DEFAULT))
    recipe: TextRecipe = _recipe(TEXTS, preset, common, start, subjects=subjects)
    recipe = replace(recipe, **start.text_config)
    run = run_folder(recipe, common)
    with alone_in(run):
        shipped = common.start is None and text_encoder is None
        into, drawings = _text(common, start, _as_begun(recipe, run) if shipped else recipe, run)
    if into is not None:
        say(f'The model is in {into}. Try: duckrabbit generate "{drawings.captions[0]}" --model {into}')


def _text(common: CascadeTraining, start: Start, recipe: TextRecipe, run: Path) -> tuple[Path | None, Drawings]:
    """The folder of the finished model, or None where it is not finished, and what it was trained on."""
    drawings, digest = _drawings(common, recipe.size)
    if recipe.subjects:
        drawings = most_drawn(drawings, recipe.subjects)
    with processes().main_process_first():
        if processes().is_main_process and not (run / CHECKPOINT).exists():
            _put_tokenizer(start, run / TOKENIZER)
    tokenizer = read_tokenizer(run / TOKENIZER)
    data = Captioned(drawings.images, read_wordings(tokenizer, drawings, recipe.wordings, recipe.seed), digest)
    styles = [style for style, _ in Counter(drawings.styles).most_common()]
    shown = shown_subjects(drawings)

    def export(run: Path, into: Path) -> Path:
        export_stage(run, into, credits_of(drawings))
        return write_prompt_list(drawings, into).parent

    into = train(
        recipe, data, common, partial(show_drawn, tokenizer=tokenizer, styles=styles, subjects=shown),
        export, start.fill,
    )  # fmt: skip
    return into, drawings


def write_text_encoder(encoder: Path, output: Path, data: str, count: int) -> int:
    """Make a text encoder to begin with; returns the number of its tokens."""
    drawings = load_drawings(_folder(data), "train", 16)
    said = [*drawings.captions, *(word for several in drawings.keywords for word in several)]
    return write_start(encoder, output, TEXTS["32"], said, count)


def shown_subjects(drawings: Drawings, count: int = 6) -> list[str]:
    """What samples are drawn of: things that are told at a glance, or else what is drawn most often."""
    ordered = [subject for subject, _ in Counter(drawings.subjects).most_common()]
    return [*(s for s in SHOWN if s in ordered), *(s for s in ordered if s not in SHOWN)][:count]


def most_drawn(drawings: Drawings, count: int) -> Drawings:
    """The drawings of the `count` subjects with the most drawings, in their order."""
    ordered = sorted(Counter(drawings.subjects).items(), key=lambda item: (-item[1], item[0]))
    kept = {subject for subject, _ in ordered[:count]}
    return drawings[torch.tensor([subject in kept for subject in drawings.subjects])]


def _as_begun(recipe: TextRecipe, run: Path) -> TextRecipe:
    """The recipe with the start of a run that there is already; what is shipped may be another one by now."""
    if not (run / CHECKPOINT).exists():
        return recipe
    begun = read_identity(run)["recipe"]
    return replace(recipe, **{name: begun[name] for name in STARTED if name in begun})


def _put_tokenizer(start: Start, into: Path) -> None:
    """The tokenizer of the text encoder that a new run begins with, in the place of what a broken attempt left."""
    assert start.text is not None
    shutil.rmtree(into, ignore_errors=True)
    with atomic_folder(into) as unfinished:
        shutil.copytree(start.text / TOKENIZER, unfinished, dirs_exist_ok=True)


def _recipe(presets: Mapping[str, R], preset: str, common: CascadeTraining, start: Start, **own: Any) -> R:
    if preset not in presets:
        raise UserError(f"There is no preset '{preset}'; choose {', '.join(presets)}.")
    asked = {name: getattr(common, name) for name in ("images", "batch", "rate", "times", "seed")} | own
    return changed(presets[preset], asked, start=start.digest)


def _drawings(common: CascadeTraining, size: int) -> tuple[Drawings, str]:
    """The training part of the set that was asked for, at `size`, and its hash."""
    named = common.data or f"drawings-{max(size, 64)}"
    return load_drawings(_folder(named), "train", size), read_index(_folder(named))["data_hash"]


def _folder(named: str) -> Path:
    folder = Path(named).expanduser()
    return folder if folder.is_dir() else data_folder(named)


def _spread(drawings: Drawings, count: int) -> Drawings:
    """So many drawings, spread evenly over the set."""
    return drawings[torch.linspace(0, len(drawings) - 1, min(count, len(drawings))).long()]
