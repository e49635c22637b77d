"""`duckrabbit train judge`: what it learns from, a line after every epoch, and the one test at the end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import typer

from duckrabbit.cli.perform import progress
from duckrabbit.data.drawings.drawings import load_drawings, read_index
from duckrabbit.errors import UserError
from duckrabbit.evaluation.drawings import judge_training as training
from duckrabbit.evaluation.drawings.judge import SIZE, Judge, load_judge, save_judge
from duckrabbit.evaluation.drawings.lite import REQUIREMENT, published
from duckrabbit.evaluation.drawings.vocabulary import common_subjects, vocabulary_of
from duckrabbit.training.speed import keep_memory


@dataclass(frozen=True)
class Lesson:
    """What was asked for: the drawings, how long, from which start, and which subjects."""

    data: Path
    epochs: int
    seed: int
    families: int
    every: bool
    start: Path | None


def teach(lesson: Lesson, output: Path) -> None:
    """Train a judge, write it to `output`, test what was written, and write it again with what was found."""
    keep_memory()
    index = read_index(lesson.data)
    size = min(SIZE, index["size"])
    drawings = load_drawings(lesson.data, "train", size)
    vocabulary = vocabulary_of(drawings, lesson.families, None if lesson.every else common_subjects())
    learned, validation = training.split(training.labelled(drawings, vocabulary))
    others = training.unknown(drawings, vocabulary)
    words = f"{len(vocabulary.subjects)} subjects in {len(vocabulary.styles)} styles"
    typer.echo(f"{words}, {len(learned.images)} drawings, and {len(others.images)} of other subjects for the styles")
    torch.manual_seed(lesson.seed)
    if lesson.start:
        judge, before = load_judge(lesson.start)
    else:
        judge, before = Judge(vocabulary), {}
        typer.echo("Fetching the weights that it begins with ...")
        judge.start(published())
    if judge.vocabulary != vocabulary:
        raise UserError(
            f"{lesson.start} judges other subjects or styles than these drawings have; train without --start."
        )
    gently: dict[str, Any] = {"rate": 1e-3} if lesson.start else {}
    judge.requires_grad_()
    styled = training.joined(learned, others)
    with progress(training.looks(styled)) as advance:
        training.train_styles(judge, styled, advance=advance)
    log = []
    for epoch in training.train_subjects(
        judge, learned, validation, others, epochs=lesson.epochs, seed=lesson.seed, **gently
    ):
        found = f"subject {100 * epoch.subject:.1f} %  style {100 * epoch.style:.1f} %"
        typer.echo(f"epoch {epoch.epoch}/{lesson.epochs}  loss {epoch.loss:.3f}  validation: {found}")
        log.append(epoch._asdict())
    facts: dict[str, Any] = {"data_hash": index.get("data_hash"), "epochs": lesson.epochs, "seed": lesson.seed}
    facts |= {"before": before} if lesson.start else {"begun_with": REQUIREMENT}
    save_judge(judge, output, facts)
    kept, _ = load_judge(output)  # what is tested is what was written, in half precision
    facts["accuracy"] = training.tested(
        kept, {p: training.labelled(load_drawings(lesson.data, p, size), vocabulary) for p in ("held-out", "unseen")}
    )
    save_judge(judge, output, {**facts, "log": log})
    for name, value in facts["accuracy"].items():
        typer.echo(f"{name}: {100 * value:.1f} %")
    typer.echo(f"The judge is in {output}.")
