"""Forms by their kinds: as plain data, in the page's address, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, get_args, get_type_hints
from urllib.parse import urlencode

from duckrabbit.errors import UserError
from duckrabbit.studio.forms.digits import Curves, DigitAnagram, Digits, FromT, OneStep
from duckrabbit.studio.forms.drawings import Anagram, Create, Denoise, Edit, Form, Hybrid, Inpaint, listed

KINDS: tuple[type[Form], ...] = (
    *(Create, Denoise, Edit, Inpaint, Anagram, Hybrid),
    *(Digits, OneStep, FromT, DigitAnagram, Curves),
)
FORMS: dict[str, type[Form]] = {form.kind: form for form in KINDS}
"""The forms by their kinds."""


def to_plain(form: Form) -> dict[str, Any]:
    """A form as JSON-able data, from which `from_plain` makes it again."""
    values = {f.name: getattr(form, f.name) for f in fields(form)}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def from_plain(kind: str, values: Mapping[str, Any]) -> Form:
    """The form of a kind from plain values. Raises UserError for a kind, a name or a value that is none."""
    if kind not in FORMS:
        raise UserError(f"There is no tab for '{kind}'; there are {', '.join(FORMS)}.")
    hints = get_type_hints(FORMS[kind])
    names = {f.name for f in fields(FORMS[kind])}
    unknown = sorted(set(values) - names)
    if unknown:
        raise UserError(f"{kind} has no setting '{unknown[0]}'; it has {', '.join(sorted(names))}.")
    return FORMS[kind](**{name: _typed(name, value, hints[name]) for name, value in values.items()})


def to_address(form: Form) -> str:
    """The query of the page's address that shows this form."""
    pairs = [("make", form.kind)]
    for f in fields(form):
        value = getattr(form, f.name)
        if value is None:
            continue
        pairs += [(f.name, f"{v:g}" if isinstance(v, float) else str(v)) for v in listed(value)]
    return "?" + urlencode(pairs)


def from_address(query: Sequence[tuple[str, str]], starts: Mapping[str, Form] | None = None) -> Form | None:
    """The form in an address; None where it holds none. Names and values that make no sense are left out.

    What it does not say is as in the form of its kind in `starts`.
    """
    given: dict[str, list[str]] = {}
    for key, value in query:
        given.setdefault(key, []).append(value)
    kind = given.get("make", [""])[-1]
    if kind not in FORMS:
        return None
    hints = get_type_hints(FORMS[kind])
    values: dict[str, Any] = {}
    for f in fields(FORMS[kind]):
        if f.name not in given:
            continue
        try:
            many = get_args(hints[f.name])[-1:] == (Ellipsis,)
            told = [value for value in given[f.name] if value] if many else given[f.name][-1]
            values[f.name] = _typed(f.name, told, hints[f.name])
        except UserError:
            continue
    return replace(starts[kind], **values) if starts and kind in starts else FORMS[kind](**values)


def _typed(name: str, value: Any, hint: Any) -> Any:
    """`value` as what a field holds. Raises UserError where it is not."""
    kinds = get_args(hint)
    try:
        if kinds[-1:] == (Ellipsis,):
            if not isinstance(value, list | tuple):
                raise ValueError
            return tuple(str(v) for v in value)
        if type(None) in kinds:
            return None if value in (None, "") else _typed(name, value, kinds[0])
        if hint is bool:
            return {"true": True, "false": False}[str(value).lower()]
        if isinstance(value, bool | list | dict) or value is None:
            raise ValueError
        if hint is int and float(value) != int(float(value)):
            raise ValueError
        made = int(float(value)) if hint is int else hint(value)
        if isinstance(made, float) and not abs(made) < 1e6:
            raise ValueError
    except (ValueError, TypeError, OverflowError, KeyError):
        raise UserError(f"The setting {name} cannot be {str(value)[:40]!r}; give another value.") from None
    return made
