"""Arguments: what a caller may hand to a task, as plain values, or a sentence that says what is wrong.

NumPy's and torch's scalars are numbers like any other; True is none, and no number is guessed from
text. Whatever passes here can be written to a record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from itertools import islice

from duckrabbit.errors import UserError
from duckrabbit.values import as_whole, number, shown, text, whole

__all__ = [
    "check_model", "number", "one_of", "refuse_empty", "refuse_idle", "refuse_unknown", "seeds_of", "shown", "text",
    "whole",
]  # fmt: skip
MOST_SEEDS = 1_000_000
"""The most seeds of one run; more is a generator without an end."""
LARGEST_SEED = 2**64 - 1


def check_model(model: object) -> None:
    """Raises UserError for what is no model, its name among it."""
    if not (hasattr(model, "stages") and hasattr(model, "card")):
        raise UserError(f"A task begins with a model, as dr.load('miniature') gives it, not with {shown(model)}.")


def refuse_unknown(options: Mapping[str, object], known: Collection[str]) -> None:
    """Raises UserError for an option that no task has, naming the nearest of those `known`."""
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, 1)
            instead = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}."
            raise UserError(f"There is no option {name}; {instead}")


def refuse_idle(options: Mapping[str, object], names: Iterable[str], why: str, remedy: str = "Leave it out.") -> None:
    """Raises UserError where one of `names` was given though it would change nothing, saying why."""
    for name in names:
        if options.get(name) is not None:
            raise UserError(f"{name} would change nothing: {why}. {remedy}")


def refuse_empty(prompt: str) -> None:
    """Raises UserError for a prompt that says nothing."""
    if not prompt.strip():
        raise UserError("A prompt is empty; say in a few words what the picture is to be.")


def one_of(name: str, value: object, known: Collection[str]) -> str:
    """`value`, one of the words `known`. Raises UserError with those that there are."""
    if not isinstance(value, str) or value not in known:
        raise UserError(f"There is no {name} {shown(value)}; there is {', '.join(known)}.")
    return value


def seeds_of(seeds: object, shares: int = 1) -> tuple[int, ...]:
    """The seeds of a run: of one whole number, or of several: a list, range, array, tensor or generator.

    Raises UserError for none, for one twice in one of so many equal `shares`, for a number that has no equal
    shares, and for what is no whole number from 0 to 2^64 - 1.
    """
    if (one := as_whole(seeds)) is not None:
        given: list[object] = [one]
    elif isinstance(seeds, str | bytes | Mapping) or not isinstance(seeds, Iterable) or getattr(seeds, "ndim", 1) != 1:
        raise UserError(f"Seeds are a whole number or a row of them, as in 7, [7, 8] or range(4); not {shown(seeds)}.")
    else:
        given = list(islice(seeds, MOST_SEEDS + 1))
    if not 1 <= len(given) <= MOST_SEEDS:
        many = "none" if not given else f"more than {MOST_SEEDS}"
        raise UserError(f"A run needs at least one seed and takes at most {MOST_SEEDS}; there are {many}.")
    whole_ones = tuple(whole("A seed", seed, 0, LARGEST_SEED) for seed in given)
    size, rest = divmod(len(whole_ones), shares)
    if rest or not size:
        raise UserError(f"{shares} subjects take a seed each, or equally many; there are {len(whole_ones)} seeds.")
    for k in range(0, len(whole_ones), size):
        share = whole_ones[k : k + size]
        if len(set(share)) < size:
            twice = next(seed for i, seed in enumerate(share) if seed in share[:i])
            raise UserError(f"Seed {twice} is there twice, and would be one picture twice; name each seed once.")
    return whole_ones
