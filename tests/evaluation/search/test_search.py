"""The search on a tiny cascade with the shipped judge, and on the command line: kept, stopped, gone on with."""

import json
import re
from itertools import pairwise

import pytest

import duckrabbit as dr
import tiny
from duckrabbit.cli.commands.searching import seconds_of
from duckrabbit.evaluation.drawings.judge import load_judge
from duckrabbit.evaluation.search import search as searching
from duckrabbit.evaluation.search.halving import RUNGS, Rung
from duckrabbit.evaluation.search.journal import FILE, VERIFIED, Journal, Trial
from duckrabbit.evaluation.search.search import FRESH, Wanted, begin, subjects_of

FEW = ("cat face", "fish", "owl", "rose", "house")


@pytest.fixture(scope="module")
def judge():
    return load_judge()[0]


@pytest.fixture(scope="module")
def model():
    return dr.load(tiny.first_pipeline(), device="cpu")


@pytest.fixture
def short(monkeypatch):
    """Rungs of few pictures."""
    monkeypatch.setattr(searching, "RUNGS", (Rung(1, 2, 2), Rung(2, 2, 1)))
    monkeypatch.setattr("duckrabbit.evaluation.search.halving.RUNGS", searching.RUNGS)


def wanted(judge, **changed):
    usual = {"style": "flat emoji", "view": "rotate_180", "keep": 2, "fresh": 2, "steps": 2}
    return Wanted(subjects_of(FEW, judge), **{**usual, **changed})


def test_what_is_tried_is_what_the_command_makes_and_the_judge_reads(judge, model, tmp_path, short):
    """Each trial, made again by itself with dr.anagram and read by the judge, one picture at a time."""
    search = begin(model, judge, wanted(judge), tmp_path)
    assert search.step()
    for trial in search.journal.trials:
        first, second = (f"a flat emoji of a{'n' * (s[0] == 'o')} {s}" for s in trial.couple)
        job = dr.anagram(model, {"identity": first, "rotate_180": second}, steps=2, stage=1)
        for seed, alignment, ranks in zip(trial.seeds, trial.alignments, trial.ranks, strict=True):
            (picture,) = dr.run(job, seed).images
            both = []
            for seen, subject in ((picture, trial.couple[0]), (picture.flip(-1, -2), trial.couple[1])):
                cosines = judge((seen[None].clamp(-1, 1) + 1) / 2)
                cosines = getattr(cosines, "cosines", cosines[0] if isinstance(cosines, tuple) else cosines)[0]
                own = cosines[judge.vocabulary.subjects.index(subject)]
                both.append((own.item(), int((cosines >= own).sum())))
            assert alignment == pytest.approx(min(own for own, _ in both), abs=2e-3)
            assert [abs(rank - r) <= 1 for rank, (_, r) in zip(ranks, both, strict=True)] == [True, True]


def test_a_search_goes_on_where_it_was_and_verifies_on_seeds_of_their_own(judge, model, tmp_path, short):
    search = begin(model, judge, wanted(judge), tmp_path)
    for _ in range(4):
        search.step()
    straight = list(search.journal.trials)
    again = begin(model, judge, wanted(judge), tmp_path)
    assert again.journal.trials == straight
    other = begin(model, judge, wanted(judge), tmp_path / "other")
    for _ in range(2):
        other.step()
    other = begin(model, judge, wanted(judge), tmp_path / "other")
    for _ in range(2):
        other.step()
    assert [(t.couple, t.seeds) for t in other.journal.trials] == [(t.couple, t.seeds) for t in straight]
    found = again.go_on(0.01)
    assert found
    for one in found:
        assert one.verified.seeds == (FRESH, FRESH + 1)
        assert not {s for t in straight for s in t.seeds} & set(one.verified.seeds)
    assert [f.share for f in found] == sorted((f.share for f in found), reverse=True)


def test_all_couples_of_a_few_are_tried_and_then_it_ends(judge, model, tmp_path, short):
    search = begin(model, judge, wanted(judge, keep=1), tmp_path)
    while search.step():
        pass
    assert len(search.journal.tallies) == 10  # of 5 subjects; upside down twice is upright
    sideways = begin(model, judge, wanted(judge, view="rotate_90"), tmp_path / "sideways")
    while sideways.step():
        pass
    assert len(sideways.journal.tallies) == 20


def test_a_line_that_was_cut_short_is_tried_again(judge, tmp_path):
    about = {"view": "flip"}
    journal = Journal(tmp_path, about)
    journal.add(Trial(("a", "b"), 0, (0, 1), (0.1, 0.2), ((1, 2), (1, 1))))
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole + b'{"couple": ["c", "d"], "ru')
    again = Journal(tmp_path, about)
    assert len(again.trials) == 1
    assert (tmp_path / FILE).read_bytes() == whole
    assert again.trials[0].read() == [False, True]
    assert again.trials[0].read(2) == [True, True]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.replace('"view": "flip"', '"view": "negate"'), "another search: its view differs"),
        (lambda t: t.replace('"ranks"', '"rank"'), "damaged"),
        (lambda t: "[]\n" + t, "damaged|another"),
        (lambda t: t.replace("[0, 1]", "[0]"), "damaged"),
    ],
)
def test_another_search_and_a_damaged_one_are_refused(tmp_path, change, words):
    Journal(tmp_path, {"view": "flip"}).add(Trial(("a", "b"), 0, (0, 1), (0.1, 0.2), ((1, 2), (1, 1))))
    path = tmp_path / FILE
    path.write_text(change(path.read_text()))
    with pytest.raises(dr.UserError, match=words):
        Journal(tmp_path, {"view": "flip"})


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20m", 1200), ("1h30m", 5400), ("45", 45), ("0.5h", 1800), ("1m1s", 61)]
)
def test_budgets(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", "0m", "-5", "1d", "9999h", "m", "5 m 3", "١٠", "nan", "inf"])
def test_what_is_no_budget_is_a_sentence(text):
    with pytest.raises(dr.UserError, match="budget is"):
        seconds_of(text)


def test_on_the_command_line(cli, cascade_folder, short, tmp_path):
    words = (
        "--subjects",
        "cat, fish,owl",
        "--view",
        "flip_horizontal",
        "--budget",
        "1s",
        "--keep",
        "2",
        "--fresh",
        "2",
    )
    made = cli("search", *words, "--model", cascade_folder, "--out", "found")
    assert made.code == 0, made.err
    assert "found/index.html" in made.out
    page = (tmp_path / "found/index.html").read_text()
    commands = re.findall(r"<pre>(.*?)</pre>", page)
    assert commands
    assert all(c.startswith("duckrabbit anagram") and "--view flip_horizontal" in c for c in commands)
    assert page.count("data:image/png") == len(commands)
    rows = [json.loads(line) for line in (tmp_path / "found" / FILE).read_text().splitlines()]
    assert rows[0]["view"] == "flip_horizontal"
    assert any(row["rung"] == VERIFIED for row in rows[1:])
    refused = cli(
        "search", *words[:2], "--view", "negate", "--budget", "1s", "--model", cascade_folder, "--out", "found"
    )
    assert refused.code == 2
    assert "another search" in refused.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--subjects", "gizmo"), "does not know the subject"),
        (("--subjects", "owl"), "two subjects or more"),
        (("--view", "spin"), "no view 'spin'"),
        (("--style", " "), "how things are drawn"),
        (("--budget", "soon"), "budget is a time"),
        (("--model", "oracle", "--subjects", "owl,fish"), "oracle"),
        (("--view", "rotate_90", "--judge", "gone.safetensors"), "gone.safetensors"),
    ],
)
def test_slips_are_sentences(refused, words, says):
    assert says in refused("search", *words)


def test_the_rungs_grow():
    assert [r.seeds * r.abreast for r in RUNGS] == [16] * len(RUNGS)
    assert all(a.seeds < b.seeds and a.steps <= b.steps for a, b in pairwise(RUNGS))


def test_in_python(judge, model, tmp_path, short):
    heard = []
    found = dr.search(model, ["owl", "fish", "rose"], view="flip", budget=0.5, keep=1, fresh=2, out=tmp_path / "s",
                      judge=judge, heard=lambda words, share: heard.append(share))  # fmt: skip
    assert heard == sorted(heard)
    assert len(found) == 1
    assert set(found[0].couple) <= {"owl", "fish", "rose"}
    assert found[0].best in found[0].verified.seeds
    for wrong in ({"budget": 0}, {"keep": 0}, {"budget": "20m"}, {"out": 3}, {"view": "spin"}):
        with pytest.raises(dr.UserError):
            dr.search(model, ["owl", "fish"], judge=judge, **{"out": tmp_path / "t", **wrong})
