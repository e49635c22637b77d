"""One registry of what can be named: views, filters, constraints, guidances, solvers, schedules and models.

What the package has is entered where it is defined. One's own is entered by `register`, by an entry
point of an installed package (group "duckrabbit.views", "duckrabbit.solvers", ...), or, on the command
line, by "FILE.py:NAME" (`define`, `introduce`). Names are only ever looked up: no record and no web page
runs a file.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from duckrabbit.errors import UserError

T = TypeVar("T")
METHODS: dict[str, tuple[str, ...]] = {
    "view": ("__call__", "inverse", "inverse_var_interp"),
    "filter": ("__call__",),
    "constraint": ("__call__",),
    "guidance": ("__call__",),
    "solver": ("step",),
    "schedule": ("__call__",),
    "model": ("condition", "network"),
}
"""The kinds of things that can be named, and what each has to be able to do."""
_CALLED_WITH = {1: "filter", 2: "schedule", 3: "guidance", 4: "constraint"}
"""What is only called, by the number of values that it needs."""
_NAMED: dict[str, dict[str, Any]] = {kind: {} for kind in METHODS}
_READ = (".npy", ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_READERS = {"view": dict.fromkeys(_READ, "duckrabbit.tasks.orders:read_order")}
"""What reads a thing of a kind out of a file that is not run, "module:function" by the file's suffix."""
_ENTERED: list[tuple[str, str]] = []
"""What was entered from outside the package, by kind and name, in its order."""
_OWN: dict[tuple[str, str], type] = {}
"""Classes from outside the package by their qualified name and the hash of their file, for records."""


def table(kind: str) -> dict[str, Any]:
    """What is named of a kind, by name; the package enters its own here. Raises UserError for no kind."""
    if kind not in _NAMED:
        raise UserError(f"There is nothing to register as '{kind}'; there is {', '.join(METHODS)}.")
    return _NAMED[kind]


def register(kind: str, name: str) -> Callable[[T], T]:
    """Give something of one's own a name, by which commands, the studio, records and replay know it.

        @dr.register("view", "swirl")
        @dataclass(frozen=True)
        class Swirl(dr.PixelView): ...

    kind: view, filter, constraint, guidance, solver, schedule or model. Raises UserError for another
    kind, for a name that is taken, and for what lacks a method of its kind.
    """
    entries = table(kind)
    if name in entries:
        raise UserError(f"There is a {kind} '{name}' already; give yours another name.")

    def decorate(thing: T) -> T:
        add(kind, name, thing)
        return thing

    return decorate


def add(kind: str, name: str, thing: Any) -> None:
    """Note what a name stands for. Raises UserError where it lacks a method of its kind."""
    lacks = [m for m in METHODS[kind] if not callable(getattr(thing, m, None))]
    if lacks:
        raise UserError(f"{name} is not a {kind}: it has no method {lacks[0]}; see docs/extending.md.")
    is_class = isinstance(thing, type)
    if kind == "view":  # made anew for every use, with the options that are typed after its name
        table(kind)[name] = thing if is_class else lambda: thing
    else:
        table(kind)[name] = thing() if is_class and kind in ("filter", "constraint", "solver") else thing
    _ENTERED.append((kind, name))
    remember(thing)


def remember(thing: Any) -> None:
    """Let records find a class from outside the package again, or that of a thing."""
    cls = thing if isinstance(thing, type) else type(thing)
    if (source := origin(cls)) is not None:
        _OWN[cls.__qualname__, source["sha256"]] = cls


def define(kind: str, spec: str) -> None:
    """Make known "my_view.py:MyView" or "my_package.module:MyView": the file is run, like any program of yours.

    A file that is not run but read, as "order.npy" for a view, is known by its own name. Only a person's
    own command calls this. A name that there is already is left alone. Raises UserError where the file has no such
    thing, or it is not of its kind.
    """
    place, _, name = spec.rpartition(":")
    if (reader := _reader(kind, spec)) is not None:
        add(kind, spec, _load(reader)(spec))
    elif spec in table(kind) or not (place and name.isidentifier()):
        return
    elif place.endswith(".py") or "." in place or find_spec(place) is not None:
        add(kind, spec, _load(spec))


def _reader(kind: str, spec: str) -> str | None:
    """What reads the file that names a thing of this kind, if it is one that is read."""
    return _READERS.get(kind, {}).get(Path(spec).suffix.lower())


def introduce(spec: str, name: str) -> str:
    """Make known as `name` what "FILE.py:NAME" or "module:NAME" is; returns its kind, which `kind_of` sees.

    The file is run, as by `define`. Raises UserError where it has no such thing, or one of no kind.
    """
    thing = _load(spec)
    kind = kind_of(thing)
    if kind is None:
        raise UserError(f"{spec} is nothing that can be named: {', '.join(METHODS)}; see docs/extending.md.")
    add(kind, name, thing)
    return kind


def kind_of(thing: Any) -> str | None:
    """The kind that a class, a function or an object is of, by what it can do and what it is called with; else None."""
    for kind in ("model", "solver", "view"):
        if all(callable(getattr(thing, method, None)) for method in METHODS[kind]):
            return kind
    if callable(getattr(thing, "ask", None)):  # a class of guidances: to make one is to call it
        return "guidance"
    is_class = isinstance(thing, type)
    try:
        parameters = inspect.signature(thing.__call__ if is_class else thing).parameters.values()
    except (TypeError, ValueError):
        return None
    needed = [p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return _CALLED_WITH.get(len(needed) - is_class)


def acquaint(spec: str) -> None:
    """Let records find what "FILE.py:NAME" or "module:NAME" is, of whatever kind. The file is run, as by `define`.

    What is read from a file, records hold themselves.
    """
    if not any(_reader(kind, spec) for kind in _READERS):
        remember(_load(spec))


def _load(spec: str) -> Any:
    place, _, name = spec.rpartition(":")
    try:
        module = _from_file(place) if place.endswith(".py") else importlib.import_module(place)
        return getattr(module, name)
    except Exception as error:  # whatever a file of the user's raises
        raise UserError(f"{spec} cannot be loaded ({type(error).__name__}: {error}).") from None


def find(kind: str, name: str) -> Any:
    """What a name stands for. Raises UserError, with the names that there are, for an unknown one."""
    entries = known(kind)
    if name not in entries:
        there = ", ".join(entries) or "none yet"
        raise UserError(f"There is no {kind} '{name}'; there is {there}. How to have your own: docs/extending.md.")
    return entries[name]


def numbered(spec: str, entries: Mapping[str, Any]) -> tuple[str, dict[str, float] | None]:
    """The name in "NAME:key=0.5,other=2" and its numbers; None without a colon, empty for what are no numbers.

    A name of `entries` that holds a colon, as FILE.py:NAME, is one.
    """
    name, colon, words = (spec, "", "") if spec in entries else spec.partition(":")
    if not colon:
        return name, None
    try:
        pairs = [(key.strip(), float(value)) for key, value in (part.split("=") for part in words.split(","))]
        return name, dict(pairs) if len(dict(pairs)) == len(pairs) else {}
    except ValueError:
        return name, {}


def known(kind: str) -> dict[str, Any]:
    """Everything that is named of a kind, by name: the package's, then that of installed packages and one's own."""
    load_entry_points()
    return dict(sorted(table(kind).items(), key=lambda entry: (kind, entry[0]) in _ENTERED))


@lru_cache(maxsize=1)
def load_entry_points() -> None:
    """Enter what installed packages offer, once."""
    for kind in METHODS:
        for point in entry_points(group=f"duckrabbit.{kind}s"):
            if point.name not in _NAMED[kind]:
                add(kind, point.name, point.load())


def origin(cls: type) -> dict[str, str] | None:
    """Where a class from outside the package comes from: its module, file name and the file's sha256; else None."""
    if cls.__module__.split(".")[0] == "duckrabbit":
        return None
    try:
        path = Path(inspect.getfile(cls))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, TypeError):
        return {"module": cls.__module__, "file": "", "sha256": ""}
    return {"module": cls.__module__, "file": path.name, "sha256": digest}


def recall(qualname: str, source: Any) -> type:
    """The class that a record names: one of the package's public names, or of those that this process has.

    Raises UserError where it has none.
    """
    package: Any = sys.modules["duckrabbit"]
    if source is None and qualname in package.__all__ and is_dataclass(getattr(package, qualname)):
        public: type = getattr(package, qualname)
        return public
    source = source if isinstance(source, dict) else {}
    known = _OWN.get((qualname, str(source.get("sha256"))))
    if known is not None:
        return known
    found: Any = sys.modules.get(str(source.get("module")))
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type) and origin(found) == source:
        return found
    place = f"{source.get('file') or 'FILE.py'}:{qualname}"
    changed = any(name == qualname for name, _ in _OWN)
    why = "has changed since" if changed else "this program does not know"
    raise UserError(f"The record holds a '{qualname}', which {why}; name the file as it was: --own {place}.")


def mark() -> Callable[[], None]:
    """A function that forgets what is entered from outside the package between now and its call."""
    before, own = len(_ENTERED), dict(_OWN)

    def forget() -> None:
        while len(_ENTERED) > before:
            kind, name = _ENTERED.pop()
            _NAMED[kind].pop(name, None)
        _OWN.clear()
        _OWN.update(own)

    return forget


def _from_file(place: str) -> ModuleType:
    path = Path(place).expanduser().resolve()
    if not path.is_file():
        raise UserError(f"there is no file {place}")
    return _run_file(path, path.read_bytes())


@lru_cache(maxsize=64)
def _run_file(path: Path, text: bytes) -> ModuleType:
    """The module in a file, run once as long as its text stays, so that its classes equal themselves."""
    name = f"duckrabbit_own_{path.stem}_{hashlib.sha256(text).hexdigest()[:8]}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
