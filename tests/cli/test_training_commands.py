"""The commands train, data and evaluate, on a tiny network and a handful of pictures."""

import json

import pytest
import torch

import duckrabbit as dr
from duckrabbit.data.mnist.read import Pictures
from duckrabbit.errors import UserError
from duckrabbit.evaluation.digits.classifier import load_classifier
from duckrabbit.evaluation.metrics import Score
from duckrabbit.evaluation.sampling import Setting
from duckrabbit.evaluation.scorecard import Line
from duckrabbit.report import plots as figures
from duckrabbit.training.checkpoint import load_tensors, save_tensors
from duckrabbit.training.run import read_metrics


def test_python_trains_what_the_command_trains(training, tmp_path):
    """The same losses and the same model, also in two goes; and `evaluate` in Python says what the command says."""
    training("train", "class", "--precision", "no", "--no-pictures")
    seen, folder = [], tmp_path / "mine"
    assert dr.train("fast-class", folder=folder, precision="no", minutes=0) is None
    model = dr.train("fast-class", folder=folder, precision="no", on_step=seen.append)
    theirs = read_metrics(tmp_path / "runs" / "fast-class" / "metrics.jsonl")
    assert [step.loss for step in seen] == [row["loss"] for row in theirs]
    weights = "model.safetensors"
    assert (model / weights).read_bytes() == (tmp_path / "runs" / "fast-class" / "model" / weights).read_bytes()
    with pytest.raises(UserError, match="no precision"):
        dr.train("fast-class", folder=tmp_path / "none", precision="half")
    assert not (tmp_path / "none").exists()
    training("evaluate", model, "--guidance-scale", "2", "--steps", "2", "--count", "20", "--no-memory", "-o", tmp_path)
    scores = json.loads((tmp_path / "scores.json").read_text())[0]["scores"]
    card = dr.evaluate(dr.load(model), scales=[2], steps=[2], samples=20).to_json()[0]["scores"]
    assert card == scores


def test_train_class_then_evaluate_it(training, tmp_path):
    output = training("train", "class", "--precision", "no")
    folder = tmp_path / "runs" / "fast-class"
    assert str(folder / "model") in output
    assert {"curve.png", "samples-001.png", "samples-002.png", "metrics.jsonl", "checkpoint.safetensors"} <= {
        p.name for p in folder.iterdir()
    }
    assert "fast-class" in training("train", "class")  # finished: nothing is left to do
    out = tmp_path / "judged"
    training("evaluate", folder / "model", "--guidance-scale", "1,2", "--steps", "2", "--count", "20", "-o", out)
    rows = json.loads((out / "scores.json").read_text())
    assert [r["scale"] for r in rows] == [1.0, 2.0]
    assert all(r["pictures"] == 20 and {"accuracy", "0", "9"} < set(r["scores"]) for r in rows)
    table = (out / "scores.md").read_text()
    assert "| dpm++ | 2 | 2 |" in table
    assert "| scale | 0 | 1 |" in table  # and how often each digit was right
    assert (out / "scores.png").stat().st_size > 1000


def test_a_run_that_goes_on_with_other_processes_says_so(training, tmp_path):
    training("train", "class", "--precision", "no")
    checkpoint = tmp_path / "runs" / "fast-class" / "checkpoint.safetensors"
    tensors, facts = load_tensors(checkpoint)
    save_tensors(checkpoint, tensors, {**facts, "processes": 2})
    said = training("train", "class").splitlines()
    assert sum("this run had 2 process(es), and now it has 1" in line for line in said) == 1
    assert not any("trainer.py" in line or "UserWarning" in line for line in said)


def test_train_the_classifier_and_go_on(training, tmp_path):
    """The epoch that is kept is the one that does best on the validation set; a finished run only writes its file."""
    out, words = tmp_path / "judge", ("train", "classifier", "--epochs", "3")
    assert "epoch 3/3  loss " in training(*words, "-o", out)
    judge, facts = load_classifier(out)
    assert [row["epoch"] for row in facts["log"]] == [1, 2, 3]
    best = max(facts["log"], key=lambda row: row["validation"])["epoch"]
    kept = load_tensors(tmp_path / f"runs/classifier-epochs3/epoch-00{best}.safetensors")[0]
    torch.testing.assert_close(judge.state_dict()["head.bias"], kept["head.bias"])
    assert "epoch 3/3" not in training(*words, "-o", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == out.read_bytes()


def test_train_a_denoiser_and_score_it(training, tmp_path):
    training(
        "train", "denoiser", "--epochs", "1", "--sigma", "0.3", "--run", "mine", "--precision", "no", "--no-pictures"
    )
    facts = json.loads((tmp_path / "runs/mine/model/config.json").read_text())
    assert facts["schedule"] == {"kind": "single", "sigma": 0.3}
    assert facts["training"]["recipe"]["name"] == "fast-denoiser-epochs1-sigma0.3"
    text = training("evaluate", tmp_path / "runs/mine/model", "--count", "20", "-o", tmp_path / "judged")
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:9]] == [
        "0",
        "0.2",
        "0.4",
        "0.5",
        "0.6",
        "0.8",
        "1",
    ]


def test_train_a_flow_without_classes_and_score_it(training, tmp_path):
    training("train", "time", "--preset", "cs180-flow", "--precision", "no")
    assert (tmp_path / "runs/cs180-flow-time/samples-002.png").exists()
    model, judged = tmp_path / "runs/cs180-flow-time/model", tmp_path / "judged"
    training("evaluate", model, "--count", "20", "--steps", "2", "--no-memory", "-o", judged)
    assert (judged / "scores.md").read_text(encoding="utf-8").splitlines()[2].startswith("| sde-dpm++ | 2 | 1 | 20 | ")
    with pytest.raises(UserError, match="leave out --guidance-scale"):
        training("evaluate", model, "--guidance-scale", "5", "-o", judged)
    with pytest.raises(UserError, match="leave out scales"):
        dr.evaluate(dr.load(model), scales=[1, 5], steps=[2], samples=20)
    assert dr.evaluate(dr.load(model), steps=[2], samples=20).to_json()[0]["scale"] == 1


def test_noise_alone_is_what_a_network_is_shown_and_its_card_says_so(training, tmp_path, monkeypatch):
    seen = []
    results = figures.denoising_results
    spy = lambda nets, data, sigma: seen.append(sigma) or results(nets, data, sigma)
    monkeypatch.setattr(figures, "denoising_results", spy)
    training("train", "denoiser", "--pure-noise", "--epochs", "1", "--precision", "no", "--run", "mean")
    assert seen == [None]
    assert "shown noise alone" in (tmp_path / "runs/mean/model/README.md").read_text()
    two = Pictures(torch.full((2, 28, 28), 9, dtype=torch.uint8), torch.zeros(2))
    sheet = results({"net": torch.zeros_like}, two, None)
    assert [a.get_title() for a in sheet.axes[:2]] == ["noise", "net"]
    noise = torch.tensor(sheet.axes[0].images[0].get_array())
    assert 0.3 < float((noise == 0).float().mean()) < 0.7  # half of a standard normal lies below black


def test_the_schedule_is_repaired_when_asked(training, tmp_path):
    words = ("--precision", "no", "--no-pictures", "--run", "repaired")
    training("train", "time", "--preset", "cs180", "--zero-snr", *words)
    facts = json.loads((tmp_path / "runs/repaired/model/config.json").read_text())
    assert facts["schedule"]["zero_terminal_snr"]
    assert facts["prediction_type"] == "v_prediction"
    with pytest.raises(UserError, match="leave out --zero-snr"):
        training("train", "time", "--preset", "cs180-flow", "--zero-snr")


def test_a_course_without_its_schedule_of_the_rate_and_with_an_average(training, tmp_path):
    words = ("--precision", "no", "--no-pictures", "--epochs", "2", "--run", "steady")
    training("train", "class", "--preset", "cs180-2025", "--decay", "constant", "--ema", "0.5", *words)
    recipe = json.loads((tmp_path / "runs/steady/recipe.json").read_text())["recipe"]
    assert (recipe["goal"], recipe["decay"], recipe["ema"]) == ("flow", "constant", 0.5)
    rates = [json.loads(row)["rate"] for row in (tmp_path / "runs/steady/metrics.jsonl").read_text().splitlines()]
    assert set(rates) == {0.01}
    with pytest.raises(UserError, match="constant, exponential or cosine"):
        training("train", "class", "--decay", "linear")


def test_tensorboard_has_every_step(training, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    training("train", "class", "--precision", "no", "--no-pictures", "--tensorboard")
    log = events.EventAccumulator(str(tmp_path / "runs/fast-class/tensorboard"))
    log.Reload()
    rows = read_metrics(tmp_path / "runs/fast-class/metrics.jsonl")
    assert [(e.step, pytest.approx(e.value)) for e in log.Scalars("loss")] == [(r["step"], r["loss"]) for r in rows]


def test_clothes_are_not_judged_as_digits(training, tmp_path):
    training("train", "class", "--precision", "no", "--no-pictures")
    path = tmp_path / "runs/fast-class/model/config.json"
    facts = json.loads(path.read_text())
    facts["training"]["recipe"]["data"] = "fashion-mnist"
    path.write_text(json.dumps(facts))
    with pytest.raises(UserError, match="knows digits only"):
        training("evaluate", path.parent, "--count", "20")


def test_wrong_words_are_answered_with_the_right_ones(training):
    with pytest.raises(UserError, match="auto, no or bf16"):
        training("train", "class", "--precision", "half")
    with pytest.raises(UserError, match="choose from cs180-class"):
        training("train", "class", "--preset", "slow")
    with pytest.raises(UserError, match="no data set 'cifar'"):
        training("train", "class", "--data", "cifar")


@pytest.mark.parametrize(("settings", "axis"), [
    ([(1.0, 20), (2.0, 20)], "guidance scale"), ([(2.0, 10), (2.0, 20)], "steps"), ([(2.0, 20)], "steps"),
])  # fmt: skip
def test_scores_are_plotted_over_what_differs(settings, axis):
    score = Score(0.5, 0.4, 0.6)
    lines = [Line(Setting(s, "dpm++", n).at, {"accuracy": score, "Frechet": score}) for s, n in settings]
    assert {axes.get_xlabel() for axes in figures.digit_score_panels(lines).axes} == {axis}


def test_a_curve_and_a_matrix_are_drawn(tmp_path):
    log = [{"step": k + 1, "loss": 1 / (k + 1)} for k in range(200)]
    curve = figures.loss_curve({"a": log, "b": log})
    assert [t.get_text() for t in curve.axes[0].get_legend().get_texts()] == ["a", "b"]
    matrix = figures.rate_matrix(torch.eye(10), "pairs")
    assert len(matrix.axes[0].texts) == 100
    grid = figures.digit_grid(torch.arange(40.0).view(40, 1, 1, 1).expand(-1, -1, 28, 28) / 40, "columns")
    first_row = [float(a.images[0].get_array()[0, 0]) for a in grid.axes[:10]]
    assert first_row == pytest.approx([4 * k / 40 for k in range(10)])  # digit k begins at picture 4 k
    assert figures.write(curve, tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
