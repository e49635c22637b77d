"""Jobs as plain data, and back.

A frozen dataclass becomes {"kind": its name, field: value, ...}. A plan is written as the chain of
its levels (each once, and "visits" where it comes back to some), a tensor as the hash of its bytes,
with the tensor itself beside. What comes from outside the package says from which file. Reading never
runs anything of a record's: a kind is looked up among the ones below, among the package's public names, and among
what the process has already defined.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from itertools import pairwise
from types import ModuleType

import torch
from torch import Tensor

from duckrabbit.diffusion import constraints, solvers
from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.plans import Move, Plan
from duckrabbit.errors import UserError
from duckrabbit.guidance import combining, curve, each, filters, gradient, nodes, projected, rescaled
from duckrabbit.guidance.tree import Guidance
from duckrabbit.guidance.views import columns, jigsaw, pixels, rearranged, turned
from duckrabbit.registry import origin, recall
from duckrabbit.tasks.job import LowRes, Stage


def _defined_in(module: ModuleType) -> list[type]:
    here = [v for v in vars(module).values() if isinstance(v, type) and v.__module__.startswith(module.__name__)]
    return [v for v in here if is_dataclass(v)]


_VIEWS = (pixels, turned, jigsaw, columns, rearranged)
_GUIDANCES = (nodes, combining, each, curve, rescaled, projected, gradient)
_MODULES = (*_GUIDANCES, *_VIEWS, filters, solvers, constraints)
_KINDS: tuple[type, ...] = (
    *(kind for module in _MODULES for kind in _defined_in(module)),
    *(Stage, LowRes),
)
_FORMER = {"Sequence": pixels.Compose}
"""What records of before call kinds by."""

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


def to_plain(value: object, tensors: dict[str, Tensor]) -> Plain:
    """`value` as JSON-able data; its tensors are added to `tensors`, by hash.

    Raises UserError for what cannot be written down, a lambda in a tree for instance.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, Tensor):
        name = tensor_hash(value)
        tensors[name] = value.detach().cpu().contiguous()
        return {"tensor": name}
    if isinstance(value, tuple) and value and all(isinstance(m, Move) for m in value):
        chain = [value[0].at, *(m.to for m in value)]
        levels = list(dict.fromkeys(chain))
        plain: dict[str, Plain] = {"levels": [[float(v) for v in level] for level in levels]}
        return plain if levels == chain else {**plain, "visits": [levels.index(level) for level in chain]}
    if isinstance(value, (tuple, list)):
        return [to_plain(v, tensors) for v in value]
    if is_dataclass(value) and not isinstance(value, type):
        body = {f.name: to_plain(getattr(value, f.name), tensors) for f in fields(value)}
        cls = type(value)
        source = origin(cls)
        own: dict[str, Plain] = {} if source is None else {"from": dict(source)}
        return {"kind": cls.__name__ if source is None else cls.__qualname__, **own, **body}
    raise UserError(f"{value!r} cannot be written to a record; make it a frozen dataclass.")


def from_plain(data: Plain, tensors: Mapping[str, Tensor]) -> object:
    """The value that `to_plain` wrote. Raises UserError for kinds and tensors that are not there."""
    if isinstance(data, list):
        return tuple(from_plain(v, tensors) for v in data)
    if not isinstance(data, dict):
        return data
    if "kind" not in data and "float" in data:
        return float(str(data["float"]))
    if "kind" not in data and "tensor" in data:
        name = str(data["tensor"])
        if name not in tensors:
            raise UserError(f"The record's tensor {name} is missing; keep its .safetensors file beside it.")
        return tensors[name]
    if "kind" not in data and "levels" in data:
        return _plan(data["levels"], data.get("visits"))
    body = dict(data)
    kind = _kind(str(body.pop("kind", "?")), body.pop("from", None))
    return kind(**{k: from_plain(v, tensors) for k, v in body.items()})


def tensor_hash(value: Tensor) -> str:
    """The first 16 hex digits of the sha256 of a tensor's shape, dtype and bytes."""
    array = value.detach().cpu().contiguous()
    head = f"{tuple(array.shape)} {array.dtype}".encode()
    return hashlib.sha256(head + array.flatten().view(torch.uint8).numpy().tobytes()).hexdigest()[:16]


def draw(value: object, depth: int = 0, name: str = "") -> str:
    """A tree of frozen values as indented text, for `--dry-run` and captions."""
    pad = "  " * depth + (f"{name}: " if name else "")
    if is_dataclass(value) and not isinstance(value, type):
        parts = [(f.name, getattr(value, f.name)) for f in fields(value)]
        simple = [(n, v) for n, v in parts if not _branches(v)]
        words = ", ".join(f"{n}={_short(v)}" for n, v in simple)
        lines = [f"{pad}{type(value).__name__}({words})"]
        lines += [draw(v, depth + 1, n) for n, v in parts if _branches(v)]
        return "\n".join(lines)
    if isinstance(value, tuple):
        return "\n".join(draw(v, depth, name) for v in value)
    return f"{pad}{_short(value)}"


def _branches(value: object) -> bool:
    if isinstance(value, tuple):
        return any(_branches(v) for v in value)
    return isinstance(value, Guidance)


def _short(value: object) -> str:
    if isinstance(value, Tensor):
        return f"<{' x '.join(map(str, value.shape))}>"
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _plan(rows: Plain, visits: Plain) -> Plan:
    """The moves along `rows`, or along those that `visits` names in turn, where a plan comes back to a level."""
    assert isinstance(rows, list)
    levels = [NoiseLevel(*(float(v) for v in row)) for row in rows if isinstance(row, list)]  # type: ignore[arg-type]
    chain = levels if visits is None else [levels[int(k)] for k in visits]  # type: ignore[union-attr, arg-type, call-overload]
    return tuple(Move(a, b) for a, b in pairwise(chain))


def _kind(name: str, source: Plain) -> type:
    known = _FORMER | {kind.__name__: kind for kind in _KINDS}
    return known[name] if source is None and name in known else recall(name, source)
