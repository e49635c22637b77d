"""`evaluate`: how good a model is, in one call, with the judge and the data that suit it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

from duckrabbit.data.drawings.drawings import load_drawings
from duckrabbit.errors import UserError
from duckrabbit.evaluation.digits import scores as digits
from duckrabbit.evaluation.drawings import scores as drawings
from duckrabbit.evaluation.drawings.judge import load_judge
from duckrabbit.evaluation.drawings.vocabulary import model_vocabulary
from duckrabbit.evaluation.sampling import OnMove, Sampler, Setting, unheard
from duckrabbit.evaluation.scorecard import Scorecard
from duckrabbit.folders import data_folder
from duckrabbit.models.digits.model import DigitsModel
from duckrabbit.models.model import Model
from duckrabbit.models.recast import plain
from duckrabbit.tasks.arguments import check_model


def evaluate(
    model: Model,
    *,
    scales: Sequence[float] = (),
    solvers: Sequence[str] = (),
    steps: Sequence[int] = (),
    samples: int = 200,
    memory: bool = False,
    data: str | Path | None = None,
    folder: str | Path | None = None,
    on_move: OnMove = unheard,
) -> Scorecard:
    """Draw with every combination of scales, solvers and steps, from the same seeds, and score it.

        card = dr.evaluate(dr.load("mnist-class"), scales=(2, 5), samples=200)
        print(card.table())

    What is left out is the model's own. Digits: `samples` of them, picture k from seed k, judged by the shipped
    classifier. Drawings: `samples` prompts of pairs that training showed and as many of pairs it did not, judged by
    the shipped judge against the drawings in `data`; `folder` is where the model's own list of prompts lies.
    memory: look for repeated training pictures, too. Raises UserError where there is no such data, for a model
    that takes noise away in one step, which draws nothing, and for one of other pictures than MNIST's digits.
    """
    check_model(model)
    if plain(model) is not model:
        raise UserError("A model is scored on its own schedule; give it without @flow.")
    facts = model.stages[0]
    own = ((_own_scale(model, scales),), (model.card.solver,), (facts.steps,))
    chosen = (scales or own[0], solvers or own[1], steps or own[2])
    settings = [Setting(float(scale), solver, n) for solver, n, scale in product(chosen[1], chosen[2], chosen[0])]
    if isinstance(model, DigitsModel):
        conditioning = model.config.network.conditioning
        if conditioning == "none":
            raise UserError(f"{model.card.name} takes noise away in one step; score it with: duckrabbit evaluate.")
        digits.refuse_unread(model.config, model.card.name)
        against = digits.mnist()
        classes = conditioning == "class"
        lines = digits.evaluate(model, against, settings, samples, memory=memory, classes=classes, on_move=on_move)
        return Scorecard(tuple(lines))
    judge, _ = load_judge()
    where = Path(data) if data is not None else data_folder("drawings-64")
    train, held_out = (load_drawings(where, part) for part in ("train", "held-out"))
    prompts = model_vocabulary(None if folder is None else Path(folder), judge.vocabulary)
    measured, asked = drawings.examination(judge, train, held_out, prompts, samples)
    sampler = Sampler(model, drawings.BATCH)
    return Scorecard(tuple(drawings.evaluate(sampler, measured, asked, settings, memory=memory, on_move=on_move)))


def _own_scale(model: Model, scales: Sequence[float]) -> float:
    """The scale of a model, 1 of one that cannot be guided; which refuses others."""
    if not isinstance(model, DigitsModel) or model.config.network.conditioning == "class":
        return model.card.guidance_scale
    if any(scale != 1 for scale in scales):
        raise UserError(f"{model.card.name} knows no classes, so it cannot be guided; leave out scales.")
    return 1.0
