"""What is of a wrong kind is told in a sentence, wherever it is handed in, and when it is handed in."""

import numpy as np
import pytest
import torch

import duckrabbit as dr
from duckrabbit.diffusion.schedules import FlowSchedule
from duckrabbit.diffusion.solvers import UniPC
from duckrabbit.values import as_path

P = dr.Prompt("a cross")
WRONG = {
    "a view of a number": (lambda: dr.parse_view(3), "A view is a text"),
    "the cost of a text": (lambda: dr.cost("x"), "What costs is a job"),
    "a score of a number": (lambda: dr.evaluate(3), "begins with a model"),
    "a comparison of a number": (lambda: dr.run_all(3), "a list of jobs"),
    "a comparison of a text in a list": (lambda: dr.run_all(["x"]), "What runs is a job"),
    "a replay of a number": (lambda: dr.replay(3), "A record is named by its path"),
    "a replay of a record": (lambda: dr.replay({}), "A record is named by its path"),
    "prompts of a number": (lambda: dr.load("miniature", prompts=3), "A prompt file is named by its path"),
    "DDIM of a text": (lambda: dr.DDIM(eta="x"), "DDIM's eta is a number"),
    "DPM-Solver++ of a text": (lambda: dr.DPMSolverPP2M(eta="x"), "eta is a number"),
    "Heun of a text": (lambda: dr.Heun("a"), "Heun's churn is a number"),
    "Heun of a text's spread": (lambda: dr.Heun(spread="a"), "Heun's spread is a number"),
    "UniPC of a text": (lambda: UniPC(order="a"), "UniPC's order is a number"),
    "a flow of a text": (lambda: FlowSchedule(shift="a"), "A flow's shift is a number"),
    "a low pass of a text": (lambda: dr.LowPass("a", 2), "kernel is a whole number"),
    "a low pass as wide as a text": (lambda: dr.LowPass(33, "a"), "sigma is a number"),
    "a guidance of numbers": (lambda: dr.CFG(3, 4, 5), "CFG is made of guidances, as Prompt"),
    "a guidance of a class": (lambda: dr.CFG(P, dr.Prompt, 5), "CFG is made of guidances"),
    "a scale of text": (lambda: dr.CFG(P, P, "7"), "means no guidance. is a finite number"),
    "an interval of a number": (lambda: dr.CFG(P, P, 7, 5), "A guidance interval is"),
    "an interval of texts": (lambda: dr.CFG(P, P, 7, ("a", "b")), "An end of a guidance interval is a number"),
    "a mean with a text": (lambda: dr.Mean((P, "a circle")), "Mean is made of guidances"),
    "a mean of one guidance": (lambda: dr.Mean(P), "a tuple of guidances"),
    "weights of text": (lambda: dr.Weighted((P, P), ("a", "b")), "A weight is a finite number"),
    "a weighted number": (lambda: dr.Weighted((P, 3), (0.5, 0.5)), "Weighted is made of guidances"),
    "a view of a text": (lambda: dr.Viewed(dr.parse_view("flip"), "x"), "Viewed is made of guidances"),
    "bands with a text": (lambda: dr.Bands((dr.LowPass(),), (P, "x")), "Bands is made of guidances"),
    "each of a text": (lambda: dr.Each(("x",)), "Each is made of guidances"),
    "masked with a text": (lambda: dr.Masked(torch.ones(1, 1, 2, 2), P, "x"), "Masked is made of guidances"),
    "a clip of a text": (lambda: dr.Clip("x"), "Clip is made of guidances"),
    "a gradient of a text": (lambda: dr.Gradient("x", torch.sum), "Gradient is made of guidances"),
    "a gradient as strong as a text": (lambda: dr.Gradient(P, torch.sum, "a"), "A gradient's scale is a number"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_kind_is_told(what):
    make, words = WRONG[what]
    with pytest.raises(dr.UserError, match=words) as told:
        make()
    assert str(told.value).endswith(".")


def test_guidances_of_ones_own_are_parts_like_any_other():
    class Own(dr.Guidance):
        def ask(self, x, at, views=()):
            yield from P.ask(x, at, views)

    assert dr.Mean((Own(), P)).children[1] is P
    assert dr.CFG(Own(), P, np.float32(3)).scale == 3


def test_one_job_is_no_comparison():
    job = dr.generate(dr.load("oracle", device="cpu"), "a cross", steps=1)
    with pytest.raises(dr.UserError, match=r"one job: dr\.run"):
        dr.run_all(job)
    assert len(dr.run_all(iter([job, job]))) == 2
    assert dr.cost(job)[0].moves == 1


def test_an_option_is_told_by_its_own_name():
    with pytest.raises(dr.UserError, match=r"^spacing is a registered name"):
        dr.generate(dr.load("oracle", device="cpu"), "a cross", spacing=4)


@pytest.mark.parametrize("stem", ["a/../../b", "../b", "/b", "a/b", "..", "", 3])
def test_the_name_of_a_result_leaves_no_folder(stem, tmp_path):
    result = dr.run(dr.generate(dr.load("oracle", device="cpu"), "a cross", steps=1), 7)
    with pytest.raises(dr.UserError, match="result's name is"):
        result.save(tmp_path / "in", stem)
    assert list(tmp_path.rglob("*")) == []
    with pytest.raises(dr.UserError, match="folder of a result is named by its path"):
        result.save(3)


@pytest.mark.parametrize("model", ["oracle", "miniature", "mnist-class"])
def test_a_revision_of_what_is_not_on_the_hub_would_change_nothing(model):
    with pytest.raises(dr.UserError, match="revision would change nothing"):
        dr.load(model, revision="x")


def test_paths_are_text_or_paths(tmp_path):
    assert as_path("A file", str(tmp_path)) == as_path("A file", tmp_path) == tmp_path
