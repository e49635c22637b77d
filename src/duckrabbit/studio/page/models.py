"""The models on the menus: text-to-image models for most tabs, models of digits for theirs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from duckrabbit.errors import UserError
from duckrabbit.models.cards import cards
from duckrabbit.models.model import Card
from duckrabbit.registry import known


@dataclass(frozen=True)
class DigitChoice:
    """A model of digits: what --model is given, what people call it, and what it is told.

    `conditioning`: "none" for a one-step denoiser, "time", or "class". `last` is the last time of its
    schedule at which something of the picture is left, `sigma` what a denoiser was trained at.
    """

    model: str
    label: str
    conditioning: str
    guidance_scale: float
    steps: int
    last: int = 0
    sigma: float = 0.5


def menu(chosen: str | None) -> list[Card]:
    """The text-to-image models: those that are on this machine, the owner's own, the one that was asked for first."""
    from duckrabbit.cli.commands.catalogue import is_here
    from duckrabbit.models.load import digits_folder, load

    here = {card.name: card for card in cards().values() if is_here(card) and digits_folder(card.name) is None}
    here |= {name: replace(load(name).card, name=name) for name in known("model")}
    if chosen is None or digits_folder(chosen) is not None:
        return [*here.values()]
    if chosen not in here:
        card = load(chosen).card
        chosen = card.name if card.name in cards() else chosen
        here[chosen] = replace(card, name=chosen)
    return [here.pop(chosen), *here.values()]


def digit_menu(chosen: str | None) -> list[DigitChoice]:
    """The models of digits: the one that was asked for, those that come with the package, those of finished runs."""
    from duckrabbit.folders import runs_folder
    from duckrabbit.models.load import digits_folder

    runs = sorted(folder.parent.name for folder in runs_folder().glob("*/model"))
    names = [*([chosen] if chosen else []), *cards(), *runs]
    places = {name: folder for name in names if (folder := digits_folder(name)) is not None}
    choices = [_choice(name, folder) for name, folder in places.items()]
    return [choice for choice in choices if choice is not None]


def _choice(name: str, folder: Path) -> DigitChoice | None:
    """The model in a folder; None where it cannot be used."""
    from duckrabbit.models.digits.model import load_digits

    try:
        model = load_digits(folder, card=cards().get(name))
    except UserError:
        return None
    facts = model.stages[0]
    schedule: Any = facts.schedule
    shared = (name, model.card.name, model.config.network.conditioning, model.card.guidance_scale, facts.steps)
    if schedule.one_step:
        return DigitChoice(*shared, sigma=schedule.quarters()[1])
    times = range(len(getattr(schedule, "alphas_cumprod", ())))
    return DigitChoice(*shared, last=max((t for t in times if schedule.level(t).alpha > 0), default=0))
