"""Subjects: what a picture is to be of, and the guidance that asks a stage for it.

A *subject* is a prompt; several prompts by the view that shows them (an anagram); any guidance tree;
or a list of these, each for a picture of its own in one batch. Every task takes every subject, so an
anagram inside an inpainted region needs no code of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from duckrabbit.diffusion.prediction import View
from duckrabbit.errors import UserError
from duckrabbit.guidance.each import Each
from duckrabbit.guidance.nodes import CFG, Mean, Prompt, Viewed
from duckrabbit.guidance.shipped import is_shipped, takes_interval
from duckrabbit.guidance.tree import Guidance
from duckrabbit.guidance.views.pixels import needs_symmetric_range
from duckrabbit.guidance.views.shipped import parse_view
from duckrabbit.models.digits.model import DigitsModel
from duckrabbit.models.model import Model, StageFacts
from duckrabbit.models.recast import plain
from duckrabbit.tasks.arguments import refuse_idle, shown, text
from duckrabbit.tasks.joining import Joining
from duckrabbit.tasks.settings import Settings, plan_of, scale_at
from duckrabbit.values import words_of

One = str | int | Mapping[str | View, str] | Mapping[str, str] | Guidance
"""A prompt; a label, of a model of digits; {view: prompt, ...}, a view by its name or itself; or a guidance tree."""

Subject = One | Sequence[One]
"""What a picture is to be of, or what several pictures are to be of, each of its own, that share every network call."""

SCALES = ("guidance_scale", "guidance_scale_stage2")
GUIDING = (*SCALES, "negative_prompt", "interval", "guidance", "guidance_curve")
"""The options that say how to guide."""
TITLED = 3
"""So many subjects of a list are named in a caption of all of them."""


@dataclass(frozen=True)
class Trees:
    """The guidance of each stage, by its index; `titles` name, each in a few words, the one subject or those of a list.

    A list's guidance is an Each with a child for each title. `aimless`: nothing in it is guided anywhere, since every
    prompt is what it would be guided away from.
    """

    at: Callable[[int], Guidance]
    titles: tuple[str, ...]
    listed: bool = False
    aimless: bool = False

    def __call__(self, stage: int) -> Guidance:
        """The guidance of a stage."""
        return self.at(stage)

    @property
    def title(self) -> str:
        """All titles in one, cut after a few."""
        more = len(self.titles) - TITLED
        return ", ".join(self.titles[:TITLED]) + f" and {more} more" * (more > 0)


def subject_trees(
    model: Model,
    subject: Subject,
    settings: Settings,
    options: Mapping[str, object],
    join: Joining | None = None,
) -> Trees:
    """What `subject` asks each stage, the views of an anagram joined by `join`, by default their mean.

    Raises UserError for what is no subject, and for options idle with it.
    """
    given = _listed(subject)
    several: list[Any] = [subject] if given is None else given
    if not several or any(_listed(one) is not None for one in several):
        raise UserError("A list of subjects holds one or more, and no lists.")
    trees = [_trees(model, one, settings, options, join) for one in several]
    titles = tuple(map(title_of, several))
    aimless = all(_is_aimless(model, one, settings) for one in several)
    if given is None:
        return Trees(trees[0], titles, aimless=aimless)
    return Trees(lambda stage: Each(tuple(at(stage) for at in trees)), titles, listed=True, aimless=aimless)


def joined(parts: Sequence[Trees], join: Callable[[tuple[Guidance, ...]], Guidance]) -> Trees:
    """One guidance of several things, each with a share in every picture; of lists, one of each after the other.

    Raises UserError for lists of different lengths.
    """
    counts = sorted({len(part.titles) for part in parts if part.listed})
    if len(counts) > 1:
        raise UserError(
            f"A hybrid takes lists of one length, one of each for a picture, not of {' and '.join(map(str, counts))}."
        )
    count = counts[0] if counts else 1
    rows = zip(*(part.titles if part.listed else part.titles * count for part in parts), strict=True)
    titles = tuple(" | ".join(row) for row in rows)
    aimless = all(part.aimless for part in parts)
    return Trees(lambda stage: join(tuple(part(stage) for part in parts)), titles, bool(counts), aimless)


def _trees(
    model: Model, subject: Any, settings: Settings, options: Mapping[str, object], join: Joining | None
) -> Callable[[int], Guidance]:
    """What one subject asks each stage."""
    refuse_beside(subject, options)
    if isinstance(subject, Guidance):
        return lambda stage: subject
    if isinstance(subject, Mapping):
        return partial(_anagram_tree, model, _views_of(model, subject, settings.facts), settings, join)
    if isinstance(subject, int) and not isinstance(subject, bool) and isinstance(plain(model), DigitsModel):
        subject = str(subject)
    if not isinstance(subject, str):
        raise UserError(
            "What a picture is to be of is a prompt, {view: prompt, ...} or a guidance tree, or a list of these, "
            f"not {shown(subject)}."
        )
    return partial(_guided, model, text("A prompt", subject), settings)


def refuse_aimless(trees: Trees, options: Mapping[str, object]) -> None:
    """Raises UserError for an option about guidance where nothing is guided anywhere: the two questions are one."""
    if trees.aimless:
        asked = {name: value for name, value in options.items() if not (name in SCALES and value == 1)}
        why = "what the picture is guided towards is what it is guided away from"
        refuse_idle(asked, GUIDING, why, "Give a prompt (--prompt) that differs, or leave it out.")


def _is_aimless(model: Model, subject: Any, settings: Settings) -> bool:
    """Whether every prompt of a subject asks what the negative prompt asks; a guidance of one's own may do more."""
    if isinstance(subject, Guidance) or (settings.guidance is not None and not is_shipped(settings.guidance)):
        return False
    prompts = subject.values() if isinstance(subject, Mapping) else (subject,)
    negative = model.condition(settings.negative_prompt)
    return all(model.condition(str(prompt)) == negative for prompt in prompts)


def refuse_beside(subject: Subject | None, options: Mapping[str, object]) -> None:
    """Raises UserError for an option that a guidance tree makes idle, also as one of a list."""
    if any(isinstance(one, Guidance) for one in _listed(subject) or [subject]):
        refuse_idle(options, GUIDING, "a guidance tree says itself how it guides")


def _views_of(
    model: Model, subject: Mapping[str | View, str] | Mapping[str, str], stages: tuple[StageFacts, ...]
) -> list[tuple[View, str]]:
    """The views of an anagram with their prompts. Raises UserError for what does not suit the model or its pictures."""
    facts = stages[0]
    viewed: list[tuple[View, str]] = []
    for spec, prompt in subject.items():
        is_view = not isinstance(spec, type) and callable(getattr(spec, "inverse_var_interp", None))
        if not isinstance(spec, str) and not is_view:
            raise UserError(f"The keys of an anagram are views, by name or themselves, not {shown(spec)}.")
        view = parse_view(spec, facts.size) if isinstance(spec, str) else spec
        text(f"The prompt of the view {spec}", prompt)
        if any(view == other for other, _ in viewed):
            raise UserError(f"Each view of an anagram shows one prompt, and {spec} is there twice; name another.")
        low, high = facts.value_range
        if needs_symmetric_range(view) and low != -high:
            raise UserError(
                f"The view {spec} needs values that are symmetric about 0; {model.card.name} has {low:g} to {high:g}."
            )
        for each in stages:
            shape = (1, each.channels, *each.size)
            seen = view(torch.zeros(shape, dtype=torch.float32))  # a view that does not fit says so before a run
            if tuple(seen.shape) != shape:
                raise UserError(
                    f"The view {spec} makes a picture of {words_of(each.size)} pixels one of "
                    f"{seen.shape[-1]} x {seen.shape[-2]}; it needs a square one."
                )
        viewed.append((view, prompt))
    return viewed


def _anagram_tree(
    model: Model, viewed: list[tuple[View, str]], settings: Settings, join: Joining | None, stage: int
) -> Guidance:
    children = tuple(Viewed(view, _guided(model, prompt, settings, stage)) for view, prompt in viewed)
    facts = settings.facts[stage]
    return Mean(children) if join is None else join(viewed, children, plan_of(facts, settings, stage), facts)


def _guided(model: Model, prompt: str, settings: Settings, stage: int) -> Guidance:
    """A prompt with guidance, away from the negative prompt."""
    condition = Prompt(model.condition(prompt))
    null = Prompt(model.condition(settings.negative_prompt))
    if settings.guidance is not None and scale_at(settings, stage) != 1:
        tree = settings.guidance(condition, null, scale_at(settings, stage))
        return (
            replace(tree, interval=settings.interval)
            if isinstance(tree, CFG) and takes_interval(settings.guidance)
            else tree
        )
    return CFG(condition, null, scale_at(settings, stage), settings.interval)


def title_of(subject: One) -> str:
    """One subject in a few words, for captions."""
    if isinstance(subject, str | int):
        return str(subject) or "no prompt"
    return " | ".join(subject.values()) if isinstance(subject, Mapping) else type(subject).__name__


def _listed(subject: Any) -> list[Any] | None:
    """The subjects of a list, a range, or an array of labels; None for what is one subject."""
    if getattr(subject, "ndim", 0) == 1:
        return list(subject.tolist())
    return list(subject) if isinstance(subject, Sequence) and not isinstance(subject, str | bytes) else None
