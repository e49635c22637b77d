"""What the README lists is there, and all of it: the commands, and the options of those that sample.

What docs/course.md tells of the course can be typed, and is all that its years ask for.
"""

import re
from pathlib import Path

import pytest
import typer

from duckrabbit.cli.commands.train import _recipe
from duckrabbit.cli.main import app
from duckrabbit.cli.training_options import DigitTraining
from duckrabbit.data.sets import SETS
from duckrabbit.gallery import years
from duckrabbit.gallery.page import command_line
from duckrabbit.models.cards import cards
from duckrabbit.report.asked import planned
from duckrabbit.tasks.asking import ask
from duckrabbit.tasks.samples import write_pictures
from parsing import options_typed, parsed

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands


def test_the_readme_has_a_row_for_every_command_or_its_group():
    table = README.split("## What it does")[1].split("\n\n")[1]
    cells = [row.split("|")[1] for row in table.splitlines()[2:]]
    named = [words.split() for cell in cells for words in re.findall(r"`([a-z][^`]+)`", cell)]
    assert {first for first, *_ in named} == set(COMMANDS)
    for first, *rest in named:
        inner = getattr(COMMANDS[first], "commands", None)
        assert inner is None or not rest or rest[0] in inner, (first, rest)


def test_the_readme_lists_the_options_of_sampling():
    words = re.search(r"Those that sample take `([^`]+)`", README)[1].split()
    listed = [word for word in words if word.startswith("--")]
    known = [name for option in COMMANDS["generate"].params if not option.hidden for name in option.opts]
    assert sorted(listed) == sorted(name for name in known if name.startswith("--"))


def tables(title):
    """The rows of the table under a heading of docs/course.md, a list of cells each."""
    text = (ROOT / "docs/course.md").read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line[:1] == "|"][
        2:
    ]


@pytest.mark.parametrize(
    ("title", "year", "model"),
    [
        ("Part A, 2024 and 2025", "cs180-2025", "miniature"),
        ("Part A, 2026", "cs180-2026", "miniature@flow"),
    ],
)
def test_part_a_of_the_course_is_told_by_commands_that_can_be_carried_out(title, year, model, tmp_path, monkeypatch):
    """Each dry-runs, its figure is the gallery's, and every number of the year's page is answered."""
    write_pictures(tmp_path)
    monkeypatch.chdir(tmp_path)
    told = {}
    for number, _, command, figure in tables(title):
        request = parsed(command.strip("`"))
        assert request.model == model
        assert planned(request, ask(request).jobs)
        told[figure] = (tuple(f"A {n}" for n in number.split(", ")), command.strip("`"))
    made = years.part_a(year, cards()["miniature"])
    assert told == {e.key: (e.answers, command_line(e, {"model": model})) for e in made}
    assert {n for numbers, _ in told.values() for n in numbers} == {n for n in years.ASKED[year] if n[0] == "A"}
    asked = "; ".join(words for _, words, _, _ in tables(title))
    assert all(words in asked for number, words in years.ASKED[year].items() if number[0] == "A")


@pytest.mark.parametrize(
    ("title", "year"),
    [("Part B, 2024", "2024"), ("Part B, 2025 and 2026", "2025"), ("Part B, 2025 and 2026", "2026")],
)
def test_part_b_of_the_course_is_told_by_trainings_whose_runs_have_these_figures(title, year):
    """A training is named as its figures and curves are, and keeps the weights of the epochs that they show."""
    rows = tables(title)
    for number, _, told, figure in rows:
        commands = [c.replace("cs180-2026", f"cs180-{year}") for c in re.findall(r"`([^`]+)`", told)]
        assert bool(commands) is (figure != "code")
        if not commands:
            continue
        names, typed = options_typed(commands[-1])
        shown = typed["name"] if names == ["figure"] else f"curve-{typed['models'][0]}"
        assert figure == f"B-{number}-{shown}"
        if len(commands) > 1:
            assert shown in figures_of(recipe_of(commands[0]))
    assert list(dict.fromkeys(f"B {row[0]}" for row in rows)) == [
        n for n in years.ASKED[f"cs180-{year}"] if n[0] == "B"
    ]


def test_the_extras_of_part_b_are_told_by_sets_that_there_are_and_runs_that_have_these_figures():
    fetched, trained = set(), set()
    for _, _, told, figure in tables("Extras of part B"):
        commands = re.findall(r"`([^`]+)`", told)
        names, typed = options_typed(commands[-1])
        if names == ["data", "fetch"]:
            fetched.add(typed["name"])
            continue
        recipe = recipe_of(commands[0])
        trained.add(recipe.data)
        assert figure == (typed["name"] if names == ["figure"] else f"curve-{typed['models'][0]}")
        assert figure in figures_of(recipe)
        assert recipe.network().channels == SETS[recipe.data].channels
    assert fetched == trained == set(SETS) - {"mnist"}


def figures_of(recipe):
    """What can be drawn of a run."""
    if recipe.task != "denoiser":
        return {f"curve-{recipe.name}", *(f"{recipe.name}-epoch-{epoch}" for epoch in recipe.snapshots)}
    return {f"curve-{recipe.name}", f"{recipe.name}-{'noise' if recipe.pure_noise else 'epochs'}"}


def recipe_of(command):
    """What a line of `train` trains."""
    (_, task), typed = options_typed(command)
    own = {name: typed.pop(name) for name in ("sigma", "pure_noise", "zero_snr") if name in typed}
    own["zero_terminal_snr"] = own.pop("zero_snr", False)
    return _recipe(DigitTraining(**typed, command=task), **own)
