"""`evaluate` on a text-to-image model, and seeds chosen by the judge: tiny cascade, tiny judge, a set of shapes."""

import io
import json

import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from drawn_shapes import SHAPES, STYLES, TINY, VOCABULARY, drawings
from duckrabbit.cli.commands import evaluate, requests, train
from duckrabbit.data.drawings.shards import Sample, write_shards
from duckrabbit.errors import UserError
from duckrabbit.evaluation.drawings.judge import Judge, load_judge, save_judge
from duckrabbit.evaluation.drawings.lite import Trunk, _published

PARTS = {
    "train": drawings(2, SHAPES[:5], 1, size=32),
    "held-out": drawings(1, SHAPES[:3], 2, size=32),
    "unseen": drawings(1, SHAPES[:3], 3, ("six",), size=32),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data set of shapes in 32 px, as `data build drawings` writes it."""
    folder = tmp_path_factory.mktemp("drawings")
    index = {"size": 32, "data_hash": "0" * 64, "parts": {}}
    for part, made in PARTS.items():
        samples = []
        for k in range(len(made)):
            buffer = io.BytesIO()
            Image.fromarray(made.images[k].numpy()).save(buffer, format="PNG")
            record = {
                "caption": made.captions[k], "style": made.styles[k], "subject": made.subjects[k],
                "family": made.families[k], "keywords": list(made.keywords[k]), "licence": "CC0", "source": "none",
            }  # fmt: skip
            samples.append(Sample(f"{part}-{k:04d}", part, buffer.getvalue(), "", record))
        index["parts"][part] = write_shards(samples, part, folder)
    (folder / "index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("judge") / "drawing-judge.safetensors"
    save_judge(Judge(VOCABULARY, TINY), path, {"accuracy": {"unseen, subject": 0.5}})
    return path


@pytest.fixture
def call(monkeypatch, judge):
    monkeypatch.setattr("duckrabbit.evaluation.drawings.judge.SHIPPED", judge)
    app = typer.Typer(pretty_exceptions_enable=False)
    for commands in (evaluate, requests, train):
        commands.register(app)

    def invoke(*words, code=0):
        result = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.output

    return invoke


def test_a_cascade_gets_its_scorecard(call, cascade_folder, data, tmp_path):
    out = tmp_path / "card"
    words = ("--data", data, "--samples", "20", "--scales", "1,3", "--steps", "2", "-o", out)
    output = call("evaluate", cascade_folder, *words)
    prompts, settings = 10, 2  # all pairs held out were shown too: nothing is apart
    assert f"{settings} settings of {prompts} prompts (0 of them for pairs held out)" in output
    assert f"{settings * 1 * 2 + 1 * 2} network calls" in output
    report = json.loads((out / "scores.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert report["sheet"]["setting"]["scale"] == 3.0  # the nearest to 7, which is the model's own
    assert [line["scale"] for line in report["lines"]] == [None, 1.0, 3.0]
    scores = report["lines"][1]["scores"]
    assert scores["subject first"]["value"] <= scores["among five"]["value"]
    assert len(report["sheet"]["pictures"]) == 12
    assert report["judge"]["accuracy"] == {"unseen, subject": 0.5}
    assert len(report["judge"]["sha256"]) == 64
    assert "| 2 | 3 | 10 |" in (out / "scores.md").read_text()
    page = (out / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "held-out drawings" in page
    for name in ("scores.png", "sheet.png"):
        with Image.open(out / name) as picture:
            assert picture.width > 400


def test_the_price_is_told_and_nothing_made(call, cascade_folder, data, tmp_path):
    output = call("evaluate", cascade_folder, "--data", data, "--dry-run", "--no-sheet", "-o", tmp_path / "none")
    assert "network calls" in output
    assert not (tmp_path / "none").exists()


def test_ctrl_c_leaves_a_report_of_what_was_finished(call, cascade_folder, data, tmp_path, monkeypatch):
    from duckrabbit.evaluation.drawings import scores

    score, count = scores.score, []

    def stop(*args, **options):
        count.append(1)
        if len(count) == 2:
            raise KeyboardInterrupt
        return score(*args, **options)

    monkeypatch.setattr(scores, "score", stop)
    words = ("--data", data, "--samples", "20", "--scales", "1,3,5", "--steps", "2", "--no-sheet", "--no-memory")
    call("evaluate", cascade_folder, *words, "-o", tmp_path, code=130)
    assert len(json.loads((tmp_path / "scores.json").read_text())["lines"]) == 2  # of drawings, and of scale 1
    assert (tmp_path / "index.html").exists()


def test_what_is_missing_is_said_with_the_remedy(call, cascade_folder, data, tmp_path):
    with pytest.raises(UserError, match="duckrabbit data build drawings"):
        call("evaluate", cascade_folder, "--data", tmp_path / "nothing")
    with pytest.raises(UserError, match="duckrabbit train judge"):
        call("evaluate", cascade_folder, "--data", data, "--judge", tmp_path / "nothing")
    with pytest.raises(UserError, match="--stage 3 does not exist"):
        call("evaluate", cascade_folder, "--data", data, "--stage", "3")
    with pytest.raises(UserError, match="duckrabbit data build drawings"):
        call("train", "judge", "--data", tmp_path / "nothing", "-o", tmp_path / "judge")


def test_a_judge_is_trained_tested_and_told_of(call, data, tmp_path, monkeypatch):
    weights = Trunk(16).state_dict()
    monkeypatch.setattr("duckrabbit.cli.judging.published", lambda: {_published(k): v for k, v in weights.items()})
    out = tmp_path / "judge.safetensors"
    output = call("train", "judge", "--data", data, "--all-subjects", "--epochs", "1", "-o", out)
    assert (
        "5 subjects in 2 styles, 94 drawings, and 0 of other subjects" in output
    )  # 100 of training less 6 to choose the epoch on
    kept, facts = load_judge(out)
    assert kept.vocabulary.subjects == tuple(sorted(SHAPES[:5]))
    assert facts["data_hash"] == "0" * 64
    assert {"held-out, subject", "unseen, subject", "unseen, style"} <= set(facts["accuracy"])
    assert f"unseen, subject: {100 * facts['accuracy']['unseen, subject']:.1f} %" in output


@pytest.mark.parametrize("judged", [2, 3])
def test_seeds_are_chosen_by_the_judge(call, cascade_folder, tmp_path, monkeypatch, judged):
    from duckrabbit.evaluation.drawings import readings

    seen = []
    original = readings.read

    def spy(*args):
        seen.append(original(*args))
        return seen[-1]

    monkeypatch.setattr(readings, "read", spy)
    words = ["anagram", "a circle", "an outlined drawing of a bar", "--view", "rotate_90", "--model", cascade_folder]
    call(*words, "--steps", 2, "--steps-stage2", 2, "--seed", 5, "--judge", judged, "--count", 1, "--out", tmp_path)
    best = 5 + int(seen[0].alignment.argmax())
    assert len(seen[0].alignment) == judged
    record = json.loads((tmp_path / "02.json").read_text())
    assert record["seeds"] == [best]
    assert len(record["stages"]) == 2
    assert len(json.loads((tmp_path / "01.json").read_text())["stages"]) == 1


FAMILIES = {
    "low-high": ("--low", "a circle", "--high", "a bar"),
    "triple": ("--family", "triple", "a circle", "a bar", "an outlined drawing of a circle"),
    "colour": ("--family", "colour", "a circle", "a bar"),
    "motion": ("--family", "motion", "a circle", "a bar"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_of_one_stage_the_tried_pictures_are_the_result(call, cascade_folder, tmp_path, family):
    words = (*FAMILIES[family], "--model", cascade_folder, "--stage", 1, "--steps", 2)
    call("hybrid", *words, "--judge", 3, "--count", 2, "--out", tmp_path)
    assert not (tmp_path / "02.json").exists()
    assert len(json.loads((tmp_path / "01.json").read_text())["seeds"]) == 3
    assert (tmp_path / "sheet.png").exists()


def test_choosing_is_refused_where_it_makes_no_sense(call, cascade_folder, tmp_path):
    words = ("anagram", "a circle", "a bar", "--model", cascade_folder, "--out", tmp_path / "o")
    with pytest.raises(UserError, match="try more"):
        call(*words, "--judge", 2, "--count", 3)
    with pytest.raises(UserError, match="does not know the subject"):
        call("anagram", "a circle", "a yacht", "--model", cascade_folder, "--judge", 2, "--out", tmp_path / "o")
    assert not (tmp_path / "o").exists()
    assert load_judge()[0].vocabulary.styles == STYLES
    output = call(*words, "--judge", 4, "--steps", 2, "--dry-run")
    assert "for 4 seeds" in output
    assert "for 1 seed" in output
