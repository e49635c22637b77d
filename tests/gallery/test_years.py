"""The pages of a course by their years: every number that they ask for, and the numbers in what they ask for."""

import itertools
import re

import pytest
import torch
from typer.testing import CliRunner

import duckrabbit as dr
from duckrabbit.cli.main import app
from duckrabbit.errors import UserError
from duckrabbit.gallery import build, year_digits, years
from duckrabbit.gallery.digits import Piece
from duckrabbit.gallery.experiments import Experiment
from duckrabbit.gallery.page import command_line
from duckrabbit.models.cards import cards
from duckrabbit.models.model import Card
from duckrabbit.report.asked import figure_of
from duckrabbit.report.write import runner
from duckrabbit.tasks.asking import ask
from duckrabbit.tasks.samples import write_pictures
from parsing import parsed

PART_A = {
    "cs180-2024": "0 1.1 1.2 1.3 1.4 1.5 1.6 1.7 1.7.1 1.7.2 1.7.3 1.8 1.9",
    "cs180-2025": "0 1.1 1.2 1.3 1.4 1.5 1.6 1.7 1.7.1 1.7.2 1.7.3 1.8 1.9 280A",
    "cs180-2026": "1.1 1.2 1.3 1.4 1.5 1.6 2.1 3.1 3.2 3.3 3.4 280A",
}
PART_B = {
    "cs180-2024": "1.1 1.2 1.2.1 1.2.2 2.1 2.2 2.3 2.4 2.5",
    "cs180-2025": "1.1 1.2 1.2.1 1.2.2 1.2.3 2.1 2.2 2.3 2.4 2.5 2.6",
    "cs180-2026": "1.1 1.2 1.2.1 1.2.2 1.2.3 2.1 2.2 2.3 2.4 2.5 2.6",
}
"""What is numbered on the pages of each year."""
CODE = {"cs180-2024": {"1.1", "2.1"}, "cs180-2025": {"1.1", "2.1", "2.4"}, "cs180-2026": {"1.1", "2.1", "2.4"}}
"""What asks for code alone."""
ORACLE = cards()["oracle"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder)
    return folder


@pytest.fixture
def asked(pictures, monkeypatch):
    """asked(year, key) -> the request of an experiment on the oracle, and its jobs."""
    monkeypatch.chdir(pictures)

    def call(year, key):
        model = "oracle@flow" if year == "cs180-2026" else "oracle"
        found = {e.key: e for e in years.part_a(year, ORACLE)}[key]
        request = parsed(command_line(found, {"model": model}))
        return request, ask(request)

    return call


def numbers(experiments):
    return {answer for experiment in experiments for answer in experiment.answers}


@pytest.mark.parametrize("year", years.YEARS)
@pytest.mark.parametrize("card", [*cards().values(), Card("folder", "folder", "folder", "?")], ids=lambda c: c.name)
def test_part_a_has_every_number_of_its_page_for_every_model(year, card):
    made = years.part_a(year, card)
    assert numbers(made) == {f"A {number}" for number in PART_A[year].split()}
    assert len({e.key for e in made}) == len(made)
    assert all(e.section.startswith("A " + ", ".join(a[2:] for a in e.answers) + " ") for e in made)


@pytest.mark.parametrize("year", years.YEARS)
def test_what_a_year_asks_for_is_listed_in_its_order(year):
    listed = [f"A {n}" for n in PART_A[year].split()] + [f"B {n}" for n in PART_B[year].split()]
    assert list(years.ASKED[year]) == listed


@pytest.mark.parametrize("year", years.YEARS)
def test_every_command_of_part_a_is_a_request_that_can_be_carried_out(asked, year):
    for experiment in years.part_a(year, ORACLE):
        request, found = asked(year, experiment.key)
        assert found.jobs
        assert getattr(request, "preset", None) in (year, None)
        assert (getattr(request, "preset", year) is None) == (experiment.key == "A-0-steps")


def test_the_flow_of_2026_in_its_own_numbers(asked):
    """Its page: t = .25, .5, .75 with one noise; 25 updates from .5; w = 7 on five noises; edits from seven times."""
    _, forward = asked("cs180-2026", "A-1.1-forward")
    x0 = forward.jobs[0].stages[0].start
    noises = {}
    for job in forward.jobs:
        at = job.stages[0].plan[0].to
        noises[round(1 - at.t, 6)] = (dr.run(job, 180).images - at.alpha * x0) / at.sigma
    assert list(noises) == [0.25, 0.5, 0.75]
    for one, other in itertools.pairwise(noises.values()):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    _, euler = asked("cs180-2026", "A-1.5-euler")
    (walk,) = [job.stages[0].plan for job in euler.jobs if job.title.startswith("iterative")]
    assert [1 - m.at.t for m in walk] == pytest.approx([0.5 + 0.02 * k for k in range(25)])
    request, _ = asked("cs180-2026", "A-2.1-guidance")
    assert (request.guidance_scale, len(request.seeds)) == ((1.0, 7 + 1), 5)
    for key in ("A-3.1-edit-face", "A-3.1-edit-rocket", "A-3.2-towards-apple"):
        starts = [1 - job.stages[0].plan[0].at.t for job in asked("cs180-2026", key)[1].jobs]
        assert starts == pytest.approx([0.02, 0.04, 0.06, 0.1, 0.14, 0.25, 0.5])
    for key in ("A-3.3-anagram-1", "A-3.3-anagram-2"):
        assert asked("cs180-2026", key)[0].views == ("rotate_180",)
    assert {asked("cs180-2025", f"A-280A-{v}")[0].views for v in ("rotate_90", "negate")} == {
        ("rotate_90",),
        ("negate",),
    }


@pytest.mark.parametrize(
    ("year", "key", "shown"),
    [
        ("cs180-2024", "A-1.4-walk", [690, 540, 390, 240, 90, 0]),
        ("cs180-2026", "A-1.5-euler", [0.5, 0.4, 0.3, 0.2, 0.1, None]),
    ],
)
def test_a_walk_shows_the_state_it_begins_with_and_every_fifth(asked, year, key, shown):
    request, found = asked(year, key)
    figure = figure_of(request, found, runner(lambda *_: None, None, None))
    (strip,) = [row for row in figure.sheet.rows if row.label.startswith("every fifth")]
    assert [cell.caption for cell in strip.cells] == ["clean" if t is None else f"t = {t:g}" for t in shown]
    assert (strip.cells[0].pixels == figure.sheet.rows[0].cells[0].pixels).all()
    assert (strip.cells[-1].pixels == figure.sheet.rows[0].cells[4].pixels).all()


def test_steps_of_a_prompt_stand_side_by_side(asked):
    request, found = asked("cs180-2024", "A-0-steps")
    figure = figure_of(request, found, runner(lambda *_: None, None, None))
    captions = [[cell.caption for cell in row.cells] for row in figure.sheet.rows]
    assert captions == [[f"{prompt}, {n} steps" for n in (5, 20, 100)] for prompt in ORACLE.roles["generate"]]


def test_the_page_says_what_is_asked_and_where_it_is(tmp_path):
    words = ["gallery", "--preset", "cs180-2026", "--model", "oracle@flow", "--only", "A-1.1", "--part", "a"]
    CliRunner().invoke(app, [*words, "--out", str(tmp_path)], catch_exceptions=False)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    rows = dict(re.findall(r"<tr><td>(A [^<]+)</td><td>[^<]+</td><td>(.*?)</td></tr>", page))
    assert list(rows) == [f"A {number}" for number in PART_A["cs180-2026"].split()]
    assert 'href="#A-1.1-forward"' in rows["A 1.1"]
    assert "Not made" not in page


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--preset", "cs180-2023"], "no course 'cs180-2023'; choose cs180, cs180-2024"),
        (["--preset", "cs180-2026", "--model", "oracle"], "walks a flow, and oracle does not"),
    ],
)
def test_a_course_that_cannot_be_shown_is_said_before_anything_is_made(tmp_path, words, sentence):
    with pytest.raises(UserError, match=sentence):
        CliRunner().invoke(app, ["gallery", *words, "--out", str(tmp_path / "out")], catch_exceptions=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("preset", "here", "model"),
    [
        (None, True, "miniature"),
        ("cs180", True, "miniature"),
        ("cs180-2026", False, "miniature@flow"),
        ("cs180-2026", True, "pixnerd"),
    ],
)
def test_a_flow_is_walked_on_the_large_model_where_it_is_here(monkeypatch, preset, here, model):
    monkeypatch.setattr("duckrabbit.models.pixnerd.cached.is_cached", lambda card: here)
    assert years.model_for(preset) == model


def test_a_command_is_given_what_it_takes_of_what_all_are_given():
    given = {"model": "oracle", "dtype": "float32", "prompts": "p.safetensors"}
    of = lambda *words: command_line(Experiment("k", "s", "", "", words), given)
    assert of("noise", "face.png") == "duckrabbit noise face.png --model oracle"
    assert of("upscale", "face.png").endswith("--model oracle --dtype float32 --prompts p.safetensors")


@pytest.fixture
def found(monkeypatch):
    """found(key, ...): these are the figures at hand, and the logs of cs180-time and of what is shipped."""

    def call(*keys):
        every = [
            Piece(key, f"B 2 Samples: {key}", "Text.", "", (), lambda: None)
            for key in ("noise", "fast-time-epoch-1", "fast-class-epoch-1", "mnist-denoiser-levels", *keys)
        ]
        monkeypatch.setattr(year_digits, "pieces", lambda: every)
        monkeypatch.setattr(year_digits, "logs", lambda: dict.fromkeys(logs))
        monkeypatch.setattr(year_digits, "stamp", lambda key, sources: key)

    logs = ("mnist-denoiser", "mnist-time", "mnist-class", "cs180-time", "fast-denoiser-purenoiseTrue")
    return call


@pytest.mark.parametrize("year", years.YEARS)
def test_part_b_has_every_number_that_asks_for_a_figure(found, year):
    found("fast-denoiser-purenoiseTrue-noise", "fast-denoiser-epochs")
    made = year_digits.part_b(year)
    assert numbers(made) == {f"B {n}" for n in PART_B[year].split() if n not in CODE[year]}
    order = [tuple(map(int, e.answers[0][2:].split("."))) for e in made]
    assert order == sorted(order)


def test_a_run_of_the_page_takes_the_place_of_ours_and_what_it_lacks_is_said(found):
    found("cs180-time-epoch-20", "cs180-flow-class-epoch-1", "cs180-flow-class-decayconstant-ema0.998-epoch-10")
    old = {e.key: e for e in year_digits.part_b("cs180-2024")}
    assert "B-2.2-curve-cs180-time" in old
    assert "B-2.3-fast-time-epoch-1" not in old
    assert old["B-2.3-cs180-time-epoch-20"].text.endswith(
        "Not at hand: after epoch 5; `duckrabbit train time --preset cs180-2024` makes it."
    )
    new = {e.key: e for e in year_digits.part_b("cs180-2026")}
    assert "`duckrabbit train time --preset cs180-2026`" in new["B-2.3-fast-time-epoch-1"].text
    of_classes = [key for key in new if key.startswith("B-2.6")]
    assert of_classes == [
        "B-2.6-cs180-flow-class-epoch-1",
        "B-2.6-cs180-flow-class-decayconstant-ema0.998-epoch-10",
    ]
    assert "epoch 5, 10;" in new[of_classes[0]].text
    assert "--decay constant --ema 0.998" in new[of_classes[1]].text


def test_what_nothing_is_shown_of_is_told_by_its_command(found, monkeypatch):
    found("cs180-flow-class-epoch-1")
    monkeypatch.setattr(year_digits, "logs", dict)
    asked = year_digits.asked_in("cs180-2026", year_digits.part_b("cs180-2026"))
    assert {number: words.split("made by ")[1] for number, words in asked.items() if "made by" in words} == {
        "B 1.2.1": "duckrabbit train denoiser --preset cs180-2026",
        "B 1.2.3": "duckrabbit train denoiser --preset cs180-2026 --pure-noise",
        "B 2.6": "duckrabbit train class --preset cs180-2026 --decay constant --ema 0.998",
    }


def test_a_gallery_may_be_of_one_part(monkeypatch, tmp_path):
    monkeypatch.setattr(build, "_one", lambda app, experiment, *_: pytest.fail(experiment.key))
    with pytest.raises(UserError, match=r"No experiment is called 'A-1\.1'; there are B-"):
        build.build(app, tmp_path, {"model": "oracle"}, "A-1.1", "b", "cs180-2024")


@pytest.mark.parametrize("preset", ["cs180-2024", "cs180-2025", "cs180"])
def test_a_year_of_a_chain_is_not_walked_on_a_flow(refused, preset):
    assert "walks a chain of levels" in refused(
        "gallery", "--preset", preset, "--model", "miniature@flow", "--part", "a"
    )
