"""Hybrids: tasks that part the picture, and give each component a subject of its own, or a photograph's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Unpack

from duckrabbit.diffusion.constraints import KnownBand
from duckrabbit.errors import UserError
from duckrabbit.guidance.components import COMPONENTS
from duckrabbit.guidance.families import filters_of, kept_by
from duckrabbit.guidance.filters import Filter, LowPass, MotionBlur, Remainder
from duckrabbit.guidance.nodes import Bands, Weighted
from duckrabbit.guidance.tree import Guidance
from duckrabbit.models.model import Model, StageFacts
from duckrabbit.tasks.arguments import number, shown, whole
from duckrabbit.tasks.job import Job
from duckrabbit.tasks.joining import scaled_weights
from duckrabbit.tasks.pictures import Source, notes_on, read_picture
from duckrabbit.tasks.settings import Options, Settings, named, resolve
from duckrabbit.tasks.staging import from_noise, last_stage, seen_by
from duckrabbit.tasks.subjects import Subject, Trees, joined, subject_trees


def hybrid(
    model: Model,
    low: Subject | None,
    high: Subject | None,
    *,
    image: Source | None = None,
    kernel: int | None = None,
    sigma: float = 2.0,
    filter: str | Filter | None = None,
    **options: Unpack[Options],
) -> Job:
    """Low frequencies of one thing, high ones of another: near it is `high`, far it is `low` (CS180 5A, 1.9).

    With `image` one band is the photograph's, and the subject of that band is None (an inverse problem; Geng et
    al. 2024, Factorized Diffusion, section 3.4). kernel (33 taps unless told) and sigma are pixels at 64 px; `filter`
    is a low pass of one's own instead, or its registered name. Raises UserError where a band has nothing, or both.
    """
    settings = resolve(model, options, ("image", "kernel", "sigma", "filter"))
    filters = (_low_pass(kernel, sigma, filter),)
    if [given is None for given in (low, high, image)].count(True) != 1:
        raise UserError(
            "A band of a hybrid is either a prompt or a picture: give low and high, or one of the two and an image."
        )
    return _factorized(model, settings, options, filters, (high, low), image)


def factorized(
    model: Model,
    family: str,
    subjects: Sequence[Subject],
    *,
    image: Source | None = None,
    keep: str | None = None,
    kernel: int | None = None,
    **options: Unpack[Options],
) -> Job:
    """A picture parted as a `family` does, each component of another thing (Geng et al. 2024, arXiv 2404.11615, eq. 5).

    Families, their components and the order of `subjects`: low-high (high, low), triple (high, medium, low), colour
    (colour, grey), motion (rest, motion). With `image` the component `keep`, the last unless it is named, is the
    photograph's, and there is one subject less. `kernel` is how far motion goes, in pixels at 64 px, 7 unless told.
    Raises UserError for a family that there is not, another number of subjects, and options that would change nothing.

        dr.factorized(model, "colour", ["a flat emoji of a rose", "a 3d render of a castle"])
        dr.factorized(model, "triple", ["a rose", "an owl"], image="portrait.jpg")
    """
    settings = resolve(model, options, ("image", "keep", "kernel"))
    filters = filters_of(family)
    if kernel is not None:
        if family != "motion":
            raise UserError(f"kernel would change nothing: the family {family} has none to choose. Leave it out.")
        filters = (MotionBlur(whole("kernel", kernel)),)
    names = [component.name for component in COMPONENTS[family]]
    if image is None and keep is not None:
        raise UserError("keep names the component that stays of a picture; give its image too.")
    kept = None if image is None else names[-1] if keep is None else keep
    if kept is not None and kept not in names:
        raise UserError(f"The family {family} has no component {shown(kept)}; it has {', '.join(names)}.")
    told = [name for name in names if name != kept]
    if not isinstance(subjects, Sequence) or isinstance(subjects, str) or len(subjects) != len(told):
        raise UserError(f"The family {family} takes subjects for {', '.join(told)}, in this order.")
    each = iter(subjects)
    return _factorized(
        model, settings, options, filters, [None if name == kept else next(each) for name in names], image
    )


def composed(
    model: Model, subjects: Sequence[Subject], weights: Sequence[float] | None = None, **options: Unpack[Options]
) -> Job:
    """Several things in one picture, all of it of each: sum_k a_k eps_k (Liu et al. 2022, arXiv 2206.01714, eq. 11).

    The weights a_k, all alike unless told, are scaled to sum to 1; a negative one pushes away, as in 1.5, -0.5.
    Raises UserError for less than two subjects, another number of weights, and weights that sum to 0 or less.
    """
    settings = resolve(model, options)
    if not isinstance(subjects, Sequence) or isinstance(subjects, str) or len(subjects) < 2:
        raise UserError("A composition is of two subjects or more.")
    scaled = scaled_weights(weights, len(subjects))
    parts = [subject_trees(model, subject, settings, options) for subject in subjects]
    trees = joined(parts, lambda children: Weighted(children, scaled))
    return from_noise(model, trees, settings, options, trees.title)


def _factorized(
    model: Model,
    settings: Settings,
    options: Mapping[str, object],
    filters: tuple[Filter, ...],
    subjects: Sequence[Subject | None],
    image: Source | None,
) -> Job:
    """The job of a family: the first subject has what the filters leave; None is the picture's place."""
    given = [subject for subject in subjects if subject is not None]
    parts = [subject_trees(model, subject, settings, options) for subject in given]
    if image is None:
        trees = _banded(filters, parts)
        return from_noise(model, trees, settings, options, trees.title)
    place, picture = [subject is None for subject in subjects].index(True), read_picture(image)
    band = Remainder(filters) if place == 0 else kept_by(filters[place - 1])
    left = filters[1:] if place == 0 else (*filters[: place - 1], *filters[place:])
    trees = _banded(left, parts)

    def keep(facts: StageFacts) -> KnownBand:
        return KnownBand(seen_by(picture, facts), band)

    titles = [part.title for part in parts]
    title = " | ".join([*titles[:place], "picture", *titles[place:]])
    job = from_noise(model, trees, settings, options, title, constrain=keep)
    return replace(job, notes=notes_on(picture, last_stage(job).size))


def _banded(filters: tuple[Filter, ...], parts: Sequence[Trees]) -> Trees:
    """A band of each, the first of them what the others leave; one alone has all."""
    if len(parts) == 1:
        return parts[0]

    def bands(children: tuple[Guidance, ...]) -> Guidance:
        return Bands(filters[::-1], children[::-1])

    return joined(parts, bands)


def _low_pass(kernel: int | None, sigma: float, filter: str | Filter | None) -> Filter:
    if filter is None:
        return LowPass(33 if kernel is None else whole("kernel", kernel), number("sigma", sigma))
    if kernel is not None or sigma != 2.0:
        raise UserError("kernel and sigma would change nothing beside a filter of your own. Leave them out.")
    found: Filter = named("filter", filter)
    return found
