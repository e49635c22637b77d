"""The bounds of what can be asked, by hand: the least and the most is taken, and the next beyond is refused."""

import pytest

from duckrabbit.diffusion.solvers import SOLVERS, find_solver
from duckrabbit.errors import UserError
from duckrabbit.tasks.requests import REQUESTS
from duckrabbit.tasks.spelling import fields_of, value_of

TINY = 1e-9
COUNTS = {"steps": 1, "steps_stage2": 1, "stage": 1, "noise_level": 0, "micro_batch": 1, "start": 0, "jump": 1,
          "resample": 1, "kernel": 1, "count": 1, "judge": 1, "seed": 0}  # fmt: skip
MOST = {"count": 10_000, "judge": 10_000, "seed": 2**64 - 1 - 10_000}
"""A run counts on from its seed, and the last of 10,000 pictures has to have one too."""
FIELDS = [(verb, f.name) for verb in REQUESTS for f in fields_of(verb)]


def takes(verb, name, value):
    field = next(f for f in fields_of(verb) if f.name == name)
    try:
        got = value_of(verb, field, [value] if field.several else value)
    except UserError:
        return False
    assert got in (value, (value,))
    return True


@pytest.mark.parametrize(("verb", "name"), [(verb, name) for verb, name in FIELDS if name in COUNTS])
def test_whole_numbers_begin_and_end_where_they_should(verb, name):
    assert takes(verb, name, COUNTS[name])
    assert not takes(verb, name, COUNTS[name] - 1)
    most = MOST.get(name, 10**6)
    assert takes(verb, name, most)
    assert takes(verb, name, most + 1) is (name not in MOST)


def test_parts_of_a_plan_are_above_0_and_up_to_1():
    assert [takes("edit", "strength", v) for v in (0, TINY, 1, 1 + TINY)] == [False, True, True, False]


def test_a_blur_is_above_0():
    assert [takes("hybrid", "sigma", v) for v in (0, TINY, 1e6)] == [False, True, True]


def test_curves_are_of_something():
    (models,) = fields_of("curves")
    assert value_of("curves", models, ["a"]) == ("a",)
    with pytest.raises(UserError, match="models takes another number"):
        value_of("curves", models, [])


@pytest.mark.parametrize(("verb", "name"), FIELDS)
def test_what_may_be_several_is_a_row_and_the_rest_is_one(verb, name):
    """Numbers and choices are typed with commas between them, texts one by one; by hand, which are which."""
    field = next(f for f in fields_of(verb) if f.name == name)
    listed = {"t", "sigma", "animate", "print", "strength", "start", "box", "interval", "times", "sigmas"}
    if verb == "generate":
        listed |= {"steps", "guidance_scale"}
    if verb == "anagram":
        listed |= {"weights"}
    if verb == "hybrid":
        listed = (listed - {"sigma"}) | {"weights"}
    assert field.listed is (name in listed)
    assert field.several is (name in listed - {"box", "interval"} or name in ("prompts", "views", "models"))
    assert field.one_by_one is (name in ("prompts", "views", "models"))


@pytest.mark.parametrize("verb", REQUESTS)
def test_what_is_known_by_its_place_comes_first_and_panels_stay_together(verb):
    fields = fields_of(verb)
    panels = [f.option.panel for f in fields]
    assert panels == sorted(panels, key=panels.index)
    assert panels[0] == "" or verb == "curves"
    placed = [bool(f.option.metavar) for f in fields if not f.option.panel]
    assert placed == sorted(placed, reverse=True)
    assert {f.name: f.flag for f in fields if not f.option.metavar}.get(
        "noise_level", "--noise-level"
    ) == "--noise-level"
    assert all(f.flag == "" for f in fields if f.option.metavar)


def test_the_help_names_every_solver_that_there_is():
    """The words are written out, since a help that imported the solvers would be slow."""
    option = next(f.option for f in fields_of("generate") if f.name == "solver")
    names = option.help.removesuffix(" or FILE.py:NAME.").split(", ")
    assert {name.partition(":")[0] for name in names} == set(SOLVERS)
    for name in names:
        find_solver(name)
