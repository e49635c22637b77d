"""Forms as plain data: from the page, from programs, from the shelf, in the page's address, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from duckrabbit.errors import UserError
from duckrabbit.studio.forms.kinds import INPUT, INPUTS, KINDS, Form
from duckrabbit.tasks.spelling import Field, fields_of, request_of, to_plain, value_of, word

STUDIO = ("device", "dtype", "prompt_file", "micro_batch")
"""The options that are the studio's own, and nobody else's to choose."""
FILMS = {"animate": ["mp4", "gif"], "print": ["pdf"]}
"""What illusions are always written as."""


def settings_of(kind: str) -> tuple[Field, ...]:
    """The settings of a kind: the fields of its request but those that are the studio's own. Raises UserError."""
    if kind not in KINDS:
        raise UserError(f"There is no tab for '{kind}'; there are {', '.join(KINDS)}.")
    return tuple(f for f in fields_of(KINDS[kind].verb) if f.name not in STUDIO)


def form_of(kind: str, values: Mapping[str, Any]) -> Form:
    """The form of a kind from plain values, None and "" for what is not given; pictures are named.

    Raises UserError for a kind, a setting or a value that is none, and for what the studio does not allow.
    """
    form = read_form(kind, values)
    form.check()
    return form


def read_form(kind: str, values: Mapping[str, Any]) -> Form:
    """The same, without a look at what the studio allows now: what is kept may name what the owner had then."""
    settings = {f.name: f for f in settings_of(kind)}
    given = {name: value for name, value in values.items() if value not in (None, "", [], ())}
    for name in given.keys() & set(STUDIO):
        raise UserError(f"The studio chooses {name} itself; leave it out.")
    if "image" in settings and settings["image"].option.metavar and "image" not in given:
        raise UserError("Choose a picture first: upload, paste or draw one, or take one of those below.")
    for name in ("image", "mask"):
        if isinstance(given.get(name), str):
            given[name] = f"{INPUTS}/{given[name]}"
    shared = {name: value for name, value in FILMS.items() if name in settings}
    if given.get("family") == "composed":
        del shared["animate"]  # there is no second look to go to
    return Form(kind, request_of(KINDS[kind].verb, shared | given))


def to_settings(form: Form) -> dict[str, Any]:
    """A form's settings that are not so by default, as JSON-able data; pictures by their names."""
    return to_plain(form.request) | form.pictures()


def to_address(kind: str, settings: Mapping[str, Any]) -> str:
    """The query of the page's address that shows these settings."""
    pairs = [("make", kind)]
    for f in settings_of(kind):
        value = settings.get(f.name)
        if value is not None and f.name not in FILMS:
            pairs += [(f.name, word(v)) for v in (value if f.one_by_one else [value])]
    return "?" + urlencode(pairs)


def from_address(query: Sequence[tuple[str, str]]) -> tuple[str, dict[str, Any]] | None:
    """The kind and the settings in an address, where it holds any; what makes no sense is left out.

    They need not be complete: a picture may still have to be chosen.
    """
    given: dict[str, list[str]] = {}
    for key, text in query:
        given.setdefault(key, []).append(text)
    kind = given.get("make", [""])[-1]
    if kind not in KINDS or not KINDS[kind].tab:
        return None
    settings: dict[str, Any] = {}
    for f in settings_of(kind):
        if f.name not in given:
            continue
        lines = [line for text in given[f.name] for line in text.split("\n") if line]
        value: Any = lines if f.one_by_one else given[f.name][-1]
        if not value:
            settings[f.name] = None
        elif f.name in ("image", "mask"):
            settings |= {f.name: value} if INPUT.fullmatch(value) else {}
        else:
            with suppress(UserError):
                settings[f.name] = value_of(KINDS[kind].verb, f, value)
    return kind, settings
