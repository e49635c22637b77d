"""The gallery: one page that holds everything, made by the commands it prints, and only once."""

import re
import shlex

import pytest
from PIL import Image
from typer.testing import CliRunner

from duckrabbit.cli.main import app
from duckrabbit.gallery.experiments import Experiment, experiments
from duckrabbit.models.cards import cards
from duckrabbit.models.model import Card


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """A whole gallery of the oracle: its folder and its page."""
    out = tmp_path_factory.mktemp("gallery")
    result = CliRunner().invoke(
        app, ["gallery", "--model", "oracle", "--part", "a", "--out", str(out)], catch_exceptions=False
    )
    assert result.exit_code == 0
    return out, (out / "index.html").read_text(encoding="utf-8")


def test_the_page_is_one_file_that_asks_the_network_for_nothing(gallery):
    _, page = gallery
    assert not re.findall(r'(?:src|href)="(?!data:|#|https://www\.apache\.org/)[^"]*"', page)
    assert "<script" not in page
    assert "Not made" not in page


def test_every_experiment_has_its_figure_equation_and_command(gallery):
    out, page = gallery
    keys = [e.key for e in experiments(cards()["oracle"], 1)]
    assert len(keys) == len(set(keys)) >= 20
    for key in keys:
        with Image.open(out / "figures" / key / "sheet.png") as sheet:
            sheet.verify()
        section = page.split(f'<section id="{key}">')[1].split("</section>")[0]
        assert "data:image/svg+xml" in section
        assert "<pre>duckrabbit " in section
        assert re.search(r'<p class="soft">\d+\.\d s</p>', section)


def test_the_order_is_the_courses(gallery):
    _, page = gallery
    numbers = [re.match(r"[\d.]+", s) for s in re.findall(r"<h2>([^<]+)</h2>", page)]
    course = [[int(n) for n in m.group().strip(".").split(".")] for m in numbers if m]
    assert course == sorted(course)


def test_a_printed_command_makes_the_printed_figure(gallery, tmp_path, monkeypatch):
    out, page = gallery
    section = page.split('<section id="anagram-1">')[1]
    line = re.search(r"<pre>(.*?)</pre>", section, re.S).group(1).replace("&#x27;", "'").replace("&quot;", '"')
    monkeypatch.chdir(out / "pictures")
    CliRunner().invoke(app, [*shlex.split(line)[1:], "--out", str(tmp_path)], catch_exceptions=False)
    with Image.open(tmp_path / "sheet.png") as a, Image.open(out / "figures" / "anagram-1" / "sheet.png") as b:
        assert a.tobytes() == b.tobytes()


def test_a_second_run_makes_nothing_anew_and_a_third_only_what_is_gone(gallery):
    out, _ = gallery
    figures = sorted((out / "figures").glob("*/sheet.png"))
    before = {f: f.stat().st_mtime_ns for f in figures}
    gone = out / "figures" / "hybrid-1" / "sheet.png"
    gone.unlink()
    CliRunner().invoke(app, ["gallery", "--model", "oracle", "--part", "a", "--out", str(out)], catch_exceptions=False)
    assert {f for f in figures if f.stat().st_mtime_ns != before[f]} == {gone}


def test_an_unknown_experiment_is_named(tmp_path):
    with pytest.raises(Exception, match="No experiment is called 'nosuch'"):
        CliRunner().invoke(
            app, ["gallery", "--part", "a", "--only", "nosuch", "--out", str(tmp_path)], catch_exceptions=False
        )


def test_a_folder_may_be_given_as_it_lies_from_here(cascade_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(cascade_folder.parent)
    arguments = ["gallery", "--model", cascade_folder.name, "--part", "a", "--only", "forward", "--out", str(tmp_path)]
    CliRunner().invoke(app, arguments, catch_exceptions=False)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Not made" not in page
    assert f"--model {cascade_folder.name}</pre>" in page
    assert str(cascade_folder) not in page


def test_every_model_has_the_experiments_of_the_course():
    for card in [*cards().values(), Card("folder", "folder", "folder", "unknown")]:
        sections = " ".join(e.section for e in experiments(card, 2))
        for number in ("0", "1.1", "1.2", "1.4", "1.5", "1.7", "1.7.2", "1.7.3", "1.8", "1.9"):
            assert f"{number} " in sections


def test_what_is_not_made_is_told_and_is_a_failure(tmp_path, monkeypatch):
    bad = Experiment("bad", "9 Bad", "It cannot be.", "", ("generate", "a purple dinosaur"))
    monkeypatch.setattr("duckrabbit.gallery.build.experiments", lambda card, stages: [bad])
    result = CliRunner().invoke(
        app, ["gallery", "--model", "oracle", "--part", "a", "--out", str(tmp_path)], catch_exceptions=False
    )
    assert result.exit_code == 1
    assert "Not made: bad" in result.output
    assert "Not made" in (tmp_path / "index.html").read_text(encoding="utf-8")
