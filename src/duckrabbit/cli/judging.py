"""`duckrabbit train classifier` and `train judge`: what they learn from, a line after every epoch, and the one test."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from duckrabbit.cli.saying import say
from duckrabbit.cli.training import changed, run_folder, train
from duckrabbit.cli.training_options import JudgeTraining
from duckrabbit.data.drawings.drawings import load_drawings, read_index
from duckrabbit.data.sets import load_or_fetch, set_facts
from duckrabbit.errors import UserError
from duckrabbit.evaluation.digits import classifier as digits
from duckrabbit.evaluation.drawings import judge_training as training
from duckrabbit.evaluation.drawings.judge import SIZE, Judge, load_judge, save_judge
from duckrabbit.evaluation.drawings.lite import REQUIREMENT, published
from duckrabbit.evaluation.drawings.vocabulary import Vocabulary, common_subjects, vocabulary_of
from duckrabbit.evaluation.judge_recipe import JudgeRecipe, best_epoch
from duckrabbit.evaluation.weights_file import write_weights
from duckrabbit.models.weights import file_hash
from duckrabbit.training.run import trained
from duckrabbit.training.trainer import Progress, Trainer


def teach_classifier(options: JudgeTraining, data: str) -> None:
    """Train a classifier, or go on; write it, test what was written, and write it again with what was found.

    Raises UserError for data in colour.
    """
    if set_facts(data).channels != 1:
        raise UserError(f"The judge of digits reads grey pictures, and {data} is in colour; give it mnist.")
    shown, validation, test = (load_or_fetch(data, split, say) for split in ("train", "validation", "test"))
    recipe = changed(digits.ClassifierRecipe(), {"epochs": options.epochs, "seed": options.seed, "data": data})

    def valid(weights: Mapping[str, Tensor]) -> float:
        return digits.accuracy(digits.with_weights(weights), validation)

    def export(run: Path, into: Path) -> Path:
        weights, log = best_epoch(run, recipe.epochs, valid)
        write_weights(digits.with_weights(weights), into, {})
        kept, _ = digits.load_classifier(into)  # what is tested is what was written, in half precision
        right = digits.accuracy(kept, test)
        facts = {"data": data, "epochs": recipe.epochs, "seed": recipe.seed, "log": log, "test": right}
        write_weights(kept, into, {**facts, "validation": digits.accuracy(kept, validation)})
        say(f"{100 * right:.2f} % of the test set is judged right; written to {into}.")
        return into

    into = options.output or Path("classifier.safetensors")
    train(recipe, shown, replace(options, output=into), _validation_line(valid), export)


def teach_judge(options: JudgeTraining, folder: Path, start: Path | None, families: int, every: bool) -> None:
    """Train a judge, or go on; write it, test what was written, and write it again with what was found.

    Raises UserError for data in colour.
    """
    index = read_index(folder)
    size, digest = min(SIZE, index["size"]), index.get("data_hash") or ""
    drawings = load_drawings(folder, "train", size)
    vocabulary = vocabulary_of(drawings, families, None if every else common_subjects())
    learned, validation = training.split(training.labelled(drawings, vocabulary))
    others = training.unknown(drawings, vocabulary)
    words = f"{len(vocabulary.subjects)} subjects in {len(vocabulary.styles)} styles"
    say(f"{words}, {len(learned.images)} drawings, and {len(others.images)} of other subjects for the styles")
    seed = training.SubjectRecipe.seed if options.seed is None else options.seed
    judge, before = _begun(start, vocabulary, seed)
    begun: dict[str, Any] = {"judge": judge, "start": file_hash(start) if start else "", "seed": seed}
    recipe = training.SubjectRecipe(**begun, others=len(set(others.subjects.tolist())))
    recipe = changed(recipe, {"epochs": options.epochs}, **({"rate": 1e-3} if start else {}))

    run, began = run_folder(recipe, options), time.perf_counter()
    styled = training.Statistics(training.joined(learned, others), judge, seed, digest)
    styles = replace(options, run=str(run / "styles"), pictures=False)
    if train(training.StyleRecipe(**begun), styled, styles, lambda *_: None, lambda run, _: run) is None:
        return
    judge = training.with_learned(judge, trained(run / "styles")[0])

    def valid(weights: Mapping[str, Tensor]) -> float:
        return training.accuracy(training.with_learned(judge, weights), validation)[0].value

    def export(run: Path, into: Path) -> Path:
        weights, log = best_epoch(run, recipe.epochs, valid)
        facts = {"data_hash": digest, "epochs": recipe.epochs, "seed": seed}
        facts |= {"before": before} if start else {"begun_with": REQUIREMENT}
        save_judge(training.with_learned(judge, weights), into, facts)
        kept, _ = load_judge(into)  # what is tested is what was written, in half precision
        parts = {p: load_drawings(folder, p, size) for p in ("held-out", "unseen")}
        found = training.tested(kept, {p: training.labelled(d, vocabulary) for p, d in parts.items()})
        save_judge(kept, into, {**facts, "accuracy": found, "log": log})
        for name, value in found.items():
            say(f"{name}: {100 * value:.1f} %")
        say(f"The judge is in {into}.")
        return into

    spent = (time.perf_counter() - began) / 60
    left = None if options.minutes is None else max(0.0, options.minutes - spent)
    into = options.output or Path("drawing-judge.safetensors")
    data = training.SubjectData(learned, others, digest)
    train(recipe, data, replace(options, output=into, minutes=left), _validation_line(valid), export)


def _begun(start: Path | None, vocabulary: Vocabulary, seed: int) -> tuple[Judge, dict[str, object]]:
    """The judge that training begins with, and the facts of its file. Raises UserError where it judges other things."""
    if start is None:
        torch.manual_seed(seed)
        judge = Judge(vocabulary)
        say("Fetching the weights that it begins with ...")
        judge.start(published())
        return judge, {}
    judge, before = load_judge(start)
    if judge.vocabulary != vocabulary:
        raise UserError(f"{start} judges other subjects or styles than these drawings have; train without --start.")
    return judge, before


def _validation_line(valid: Callable[[Mapping[str, Tensor]], float]) -> Callable[[Trainer, Progress], None]:
    """Prints how an epoch's weights do on the validation set."""

    def show(trainer: Trainer, step: Progress) -> None:
        recipe: Any = trainer.recipe
        assert isinstance(recipe, JudgeRecipe)
        score = 100 * valid(trainer.weights())
        say(f"epoch {step.epoch}/{recipe.epochs}  loss {step.loss:.3f}  validation {score:.2f} %")

    return show
