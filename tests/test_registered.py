"""What installed packages offer is known by its name, without a word from anyone."""

import pytest

import duckrabbit as dr
from duckrabbit.diffusion.solvers import DDIM, find_solver
from duckrabbit.guidance.views.pixels import Compose, Flip
from duckrabbit.guidance.views.shipped import parse_view
from duckrabbit.registry import load_entry_points

MODULE = """
from dataclasses import dataclass
from duckrabbit.diffusion.solvers import DDIM
from duckrabbit.guidance.views.pixels import Flip


@dataclass(frozen=True)
class Swirl(Flip):
    turns: int = 1


class Mine(DDIM):
    pass
"""
OFFERS = """
[duckrabbit.views]
swirl = offering_package:Swirl
flip_horizontal = offering_package:Swirl

[duckrabbit.solvers]
mine = offering_package:Mine
"""


@pytest.fixture
def _installed(tmp_path, monkeypatch):
    """A package as pip leaves it, with its entry points."""
    facts = tmp_path / "offering_package-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: offering-package\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(OFFERS)
    (tmp_path / "offering_package.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    load_entry_points.cache_clear()
    yield
    load_entry_points.cache_clear()


@pytest.mark.usefixtures("_installed")
def test_a_view_of_an_installed_package_has_a_name_and_options():
    view = parse_view("swirl:turns=3")
    assert (type(view).__name__, view.turns) == ("Swirl", 3)
    assert parse_view("flip_horizontal") == Flip(-1)  # a name of the package's own is not given away
    assert isinstance(parse_view("swirl+negate"), Compose)


@pytest.mark.usefixtures("_installed")
def test_a_solver_of_an_installed_package_has_a_name():
    assert type(find_solver("mine")).__name__ == "Mine"
    assert isinstance(find_solver("mine"), DDIM)


def test_without_the_package_there_is_no_such_name():
    with pytest.raises(dr.UserError, match="no view 'swirl'"):
        parse_view("swirl")
