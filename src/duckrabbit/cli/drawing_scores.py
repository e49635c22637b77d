"""`duckrabbit evaluate` on a text-to-image model: what it asks, what it costs, and the report it writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import typer
from torch import Tensor

from duckrabbit.cli.perform import STOPPED, console, progress
from duckrabbit.cli.saying import say
from duckrabbit.data.drawings.drawings import load_drawings, read_index
from duckrabbit.errors import UserError
from duckrabbit.evaluation.drawings import scores
from duckrabbit.evaluation.drawings.judge import Judge, classify, load_judge
from duckrabbit.evaluation.drawings.vocabulary import Pair, draw_pairs, model_vocabulary, sheet_prompts
from duckrabbit.evaluation.sampling import Price, Sampler, Setting
from duckrabbit.evaluation.scorecard import Line, Scorecard
from duckrabbit.files import write_text
from duckrabbit.models.model import Model
from duckrabbit.models.weights import file_hash
from duckrabbit.report.scorecard_page import panels, scorecard_page, sheet_of
from duckrabbit.report.sheet import draw_sheet
from duckrabbit.tasks import timing
from duckrabbit.tasks.pictures import write_png

SHEET_SIZE = 100

TERMINAL_COLUMNS = ("solver", "steps", "scale", "subject first", "style", "Frechet")
"""The columns that fit a terminal; scores.md has all."""


@dataclass(frozen=True)
class ScoreOptions:
    """What was asked for on the command line."""

    settings: tuple[Setting, ...]
    samples: int
    stages: int
    memory: bool
    sheet: bool
    dry_run: bool
    judge: Path
    data: Path
    output: Path


def report(model: Model, folder: Path | None, options: ScoreOptions) -> None:
    """Draw, score and write scores.md, scores.json, scores.png, sheet.png and index.html, after every setting anew.

    folder: where the model lies, for its own list of prompts. Ctrl-C leaves a report of what was finished.
    """
    judge, facts = load_judge(options.judge)
    index = read_index(options.data)
    train, held_out = (load_drawings(options.data, part) for part in ("train", "held-out"))
    prompts = model_vocabulary(folder, judge.vocabulary)
    against, asked = scores.examination(judge, train, held_out, prompts, options.samples)
    sheet = _sheet_prompts(prompts, judge) if options.sheet else []
    usual = min(options.settings, key=lambda setting: abs(setting.scale - model.card.guidance_scale))
    sampler = Sampler(model, scores.BATCH, options.stages)
    prices = [sampler.price(options.settings, [q.prompt for q in asked]), sampler.price((usual,), sheet)]
    say(_plan_line(model, asked, len(sheet), options, prices))
    if options.dry_run:
        return
    about = {
        "model": {"name": model.card.name, "dtype": model.dtype, "weights": dict(model.weight_hash())},
        "judge": {"sha256": file_hash(options.judge), **{k: v for k, v in facts.items() if k != "log"}},
        "data": {
            "data_hash": index.get("data_hash"),
            "train": len(train),
            "held_out": len(held_out),
            "compared_to": len(against.held_out.pictures),
        },
        "questions": [{"prompt": q.prompt, "kind": q.kind, "seed": k} for k, q in enumerate(asked)],
        "stages": options.stages,
    }
    writer = _Writer(options.output, model, about, scores.drawings_line(against, len(asked)))
    try:
        with progress(sum(p.moves for p in prices)) as advance:
            if sheet:
                drawn = sampler.draw(sheet, usual, advance)
                wanted = torch.tensor([judge.vocabulary.subject(prompt) for prompt in sheet])
                writer.sheet(drawn, sheet, classify(judge, drawn).rank(wanted).tolist(), usual)
            lines = scores.evaluate(sampler, against, asked, options.settings, memory=options.memory, on_move=advance)
            for setting, line in zip(options.settings, lines, strict=True):
                writer.add(line)
                console.print(f"{setting}: subject {line['subject first']}, style {line['style']}")
    except KeyboardInterrupt:
        say(f"Stopped. What was finished is in {options.output}.", err=True)
        raise typer.Exit(STOPPED) from None
    writer.tell()
    say(str(options.output / "index.html"))


class _Writer:
    """The report, written anew whenever there is more of it; every file whole or not at all."""

    def __init__(self, folder: Path, model: Model, about: dict[str, Any], line: Line) -> None:
        self.folder, self.model, self.about, self.card = folder, model, about, Scorecard()
        self.add(line)

    def add(self, line: Line) -> None:
        self.card = Scorecard((*self.card.lines, line))
        self.write()

    def sheet(self, pictures: Tensor, prompts: Sequence[str], ranks: Sequence[int], setting: Setting) -> None:
        count = {"first": sum(r == 1 for r in ranks), "five": sum(r <= 5 for r in ranks), "of": len(ranks)}
        cells = [{"prompt": p, "seed": k, "rank": ranks[k]} for k, p in enumerate(prompts)]
        self.about["sheet"] = {**count, "setting": setting.at, "pictures": cells}
        shown = sheet_of(pictures, prompts, ranks, self.model.card.name, setting)
        write_png(draw_sheet(shown), self.folder / "sheet.png")
        self.write()

    def write(self) -> None:
        data = {**self.about, "lines": self.card.to_json()}
        texts = {"scores.md": self.card.table(), "scores.json": json.dumps(data, indent=1, allow_nan=False)}
        for name, text in texts.items():
            write_text(self.folder / name, text)
        if len(self.card.lines) > 1:
            from duckrabbit.report.plots import write

            write(panels(self.card.lines), self.folder / "scores.png")
        write_text(self.folder / "index.html", scorecard_page(self.model.card, self.card, self.about, self.folder))

    def tell(self) -> None:
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(self.card.table(TERMINAL_COLUMNS)))


def _sheet_prompts(prompts: Mapping[Pair, str], judge: Judge) -> list[str]:
    """The committed prompts, where the model can be asked them all; else drawn likewise from those that it can."""
    with suppress(UserError):  # a judge of one's own may not know them
        pairs = [judge.vocabulary.pair(prompt) for prompt in sheet_prompts()]
        if all(pair in prompts for pair in pairs):
            return [prompts[pair] for pair in pairs]
    return [prompts[pair] for pair in draw_pairs(prompts, SHEET_SIZE)]


def _plan_line(
    model: Model, asked: Sequence[scores.Question], sheet: int, options: ScoreOptions, prices: Sequence[Price]
) -> str:
    """What will run and what it costs, in words."""
    apart = sum(q.kind == "apart" for q in asked)
    pictures = [sum(n) for n in zip(*(p.pictures for p in prices), strict=True)]
    guesses = [timing.estimate(model, k, n) for k, n in enumerate(pictures)]
    about = "unknown" if None in guesses else f"about {sum(g for g in guesses if g):.0f} s"
    return (
        f"{model.card.name}: {len(options.settings)} settings of {len(asked)} prompts ({apart} of them for pairs held "
        f"out), and a sheet of {sheet}: {sum(p.calls for p in prices)} network calls, {sum(pictures)} pictures through "
        f"the network, {about}."
    )
