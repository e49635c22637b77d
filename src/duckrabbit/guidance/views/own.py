"""Views of one's own: from a file or a module to a name that `parse_view` knows.

This is the only place that runs what a name points to, so only a person's own commands call it: a
record or a web page never does.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from duckrabbit.diffusion.prediction import View
from duckrabbit.errors import UserError
from duckrabbit.guidance.views import shipped as views
from duckrabbit.guidance.views.shipped import VIEW_ALIASES, VIEWS

OWN_VIEWS: dict[str, type] = {}
"""The classes of views from outside the package, by name; records name them so."""


def define(specs: Iterable[str]) -> None:
    """Make known every "my_view.py:MyView" or "my_package.module:MyView" among `specs`.

    The file is run, like any program of yours; what it names is a class to call, or a view. Raises
    UserError where there is none, or it has the name of a view of the package.
    """
    for spec in (part.strip() for joined in specs for part in joined.split("+")):
        place, _, name = spec.rpartition(":")
        if place and "=" not in name and VIEW_ALIASES.get(place, place) not in VIEWS:
            view = _load(spec, place, name)
            VIEWS[spec] = lambda view=view: view
            OWN_VIEWS[type(view).__name__] = type(view)


def _load(spec: str, place: str, name: str) -> View:
    try:
        module = _from_file(place) if place.endswith(".py") else importlib.import_module(place)
        found = getattr(module, name)
        view: View = found() if isinstance(found, type) else found
    except Exception as error:  # whatever a file of the user's raises
        raise UserError(f"{spec} cannot be loaded ({type(error).__name__}: {error}).") from None
    lacks = [m for m in ("__call__", "inverse", "inverse_var_interp") if not callable(getattr(view, m, None))]
    if lacks:
        raise UserError(f"{spec} is not a view: it has no method {lacks[0]}; see guidance/views.py.")
    kind = type(view)
    if getattr(views, kind.__name__, kind) is not kind:
        raise UserError(
            f"{spec} has the name of a view of the package; call it otherwise, or records would mix them up."
        )
    return view


def _from_file(place: str) -> ModuleType:
    path = Path(place).resolve()
    if not path.is_file():
        raise UserError(f"there is no file {place}")
    return _run_file(path, path.read_bytes())


@lru_cache(maxsize=64)
def _run_file(path: Path, text: bytes) -> ModuleType:
    """The module in a file, run once as long as its text stays, so that its views equal themselves."""
    name = f"duckrabbit_view_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
