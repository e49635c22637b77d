"""How long a run takes is guessed from arithmetic, then from what was measured, and never in the way."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

import duckrabbit as dr
from duckrabbit.tasks import timing
from duckrabbit.tasks.timing import estimate, learn


@pytest.fixture(autouse=True)
def _empty(monkeypatch, tmp_path):
    monkeypatch.setenv("DUCKRABBIT_CACHE", str(tmp_path / "cache"))


def with_gflop(oracle, gflop, device="cpu"):
    facts = replace(oracle.stages[0], gflop=gflop)
    return SimpleNamespace(card=oracle.card, stages=(facts,), device=device, dtype="float32")


@pytest.mark.parametrize(
    ("device", "rate"), [("cpu", 100), ("cuda", 20_000), ("cuda:1", 20_000), ("mps", 2000), ("xpu", 100)]
)
def test_the_first_guess_is_by_arithmetic(oracle, device, rate):
    assert estimate(with_gflop(oracle, 50.0, device), 0, 30) == pytest.approx(50 / rate * 30)


def test_without_any_knowledge_there_is_no_guess(oracle):
    assert estimate(with_gflop(oracle, None), 0, 30) is None
    assert estimate(with_gflop(oracle, 0.0), 0, 30) == 0


def run(oracle, steps, seconds, seeds=(1, 2)):
    made = dr.run(dr.generate(oracle, "a cross", steps=steps, guidance_scale=1), seeds)
    return replace(made, stage_seconds=(seconds,))


def test_what_was_measured_is_remembered_per_picture(oracle):
    learn(run(oracle, 10, 5.0))  # 10 questions for each of 2 seeds
    assert estimate(oracle, 0, 1) == pytest.approx(0.25)
    assert estimate(oracle, 0, 8) == pytest.approx(2.0)
    learn(run(oracle, 20, 4.0))
    assert estimate(oracle, 0, 1) == pytest.approx(0.1)
    assert estimate(with_gflop(oracle, None, "cuda"), 0, 1) is None  # of another device nothing is known


def test_a_few_pictures_say_nothing(oracle):
    learn(run(oracle, 19, 5.0, (1,)))
    assert not timing._path().exists()
    learn(run(oracle, 20, 5.0, (1,)))
    assert estimate(oracle, 0, 1) == 0.25


@pytest.mark.parametrize("content", ["", "no json", "[1]", '{"a": "b"}'])
def test_a_damaged_memory_is_none_and_is_written_anew(oracle, content):
    timing._path().parent.mkdir(parents=True)
    timing._path().write_text(content)
    assert estimate(with_gflop(oracle, None), 0, 1) is None
    learn(run(oracle, 10, 5.0))
    assert estimate(oracle, 0, 1) == 0.25


def test_where_nothing_can_be_written_nothing_is_remembered(oracle, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DUCKRABBIT_CACHE", str(tmp_path / "file"))
    learn(run(oracle, 10, 5.0))
    assert estimate(with_gflop(oracle, None), 0, 1) is None


def test_what_is_known_already_is_not_written_again(oracle):
    result = run(oracle, 10, 5.0)
    learn(result)
    before = timing._path().stat()
    learn(result)
    assert timing._path().stat().st_ino == before.st_ino
