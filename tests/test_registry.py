"""What can be named: of what kind something is, without being told."""

import runpy
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from duckrabbit.diffusion.solvers import SOLVERS
from duckrabbit.errors import UserError
from duckrabbit.guidance.filters import FILTERS
from duckrabbit.guidance.nodes import CFG, Bands
from duckrabbit.guidance.views.pixels import Flip
from duckrabbit.models.oracle import Oracle
from duckrabbit.registry import find, introduce, kind_of, known

OWN = Path(__file__).parent.parent / "examples" / "own_everything.py"
KINDS = {
    "Slide": "view", "Box": "filter", "Bounded": "constraint", "Geometric": "guidance", "Euler": "solver",
    "quadratic": "schedule", "Plain": "model",
}  # fmt: skip


def low_pass(x):
    return x


def squared(schedule, steps, power=2):
    return ()


def guided(conditional, unconditional, scale):
    return conditional


@dataclass(frozen=True)
class Rule:
    strength: float
    often: int = 1

    def __call__(self, x, at, noise, i):
        return x


@pytest.mark.parametrize("name", KINDS)
def test_the_kind_of_each_example_is_seen(name):
    assert kind_of(runpy.run_path(str(OWN))[name]) == KINDS[name]


@pytest.mark.parametrize(
    ("thing", "kind"),
    [
        (low_pass, "filter"),
        (squared, "schedule"),
        (guided, "guidance"),
        (Rule, "constraint"),
        (Rule(1.0), "constraint"),
        (partial(squared, power=3), "schedule"),
        (lambda x, at, noise, i: x, "constraint"),
        (Oracle, "model"),
        (Flip, "view"),
        (Flip(-1), "view"),
        (CFG, "guidance"),
        (Bands, "guidance"),
        *((solver, "solver") for solver in SOLVERS.values()),
        *((kind, "filter") for kind in FILTERS.values()),
    ],
)
def test_the_kind_is_seen_by_what_a_thing_can_do(thing, kind):
    assert kind_of(thing) == kind


@pytest.mark.parametrize("thing", [3, "flip", None, object, Path, print, max, lambda: 0, lambda a, b, c, d, e: 0])
def test_what_is_of_no_kind_is_of_none(thing):
    assert kind_of(thing) is None


def test_what_is_introduced_is_found_by_the_name_it_got(tmp_path):
    for name, kind in KINDS.items():
        assert introduce(f"{OWN}:{name}", f"mine/{name}") == kind
        assert [*known(kind)][-1] == f"mine/{name}"  # after what comes with the package
        assert find(kind, f"mine/{name}")
    with pytest.raises(UserError, match="nothing that can be named: view, filter"):
        introduce(f"{OWN}:annotations", "it")
    with pytest.raises(UserError, match=r"cannot be loaded \(AttributeError"):
        introduce(f"{OWN}:Nothing", "it")
    with pytest.raises(UserError, match="there is no file"):
        introduce(f"{tmp_path}/none.py:Nothing", "it")


def test_the_names_of_spacings_are_known_with_ones_own():
    assert [*known("schedule")] == [
        "leading", "trailing", "linspace", "leading-open", "linspace-open",
        "flow-euler", "flow-dpm", "flow-unipc", "karras", "exponential", "log-snr",
    ]  # fmt: skip
