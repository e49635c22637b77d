"""A run's folder has one trainer at a time, and who takes a run up is told what is different."""

import importlib.util
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from accelerate import Accelerator

from duckrabbit.errors import UserError
from duckrabbit.training.checkpoint import load_tensors, save_tensors
from duckrabbit.training.trainer import CHECKPOINT, METRICS, Trainer, read_metrics
from samples import environment

SPEC = importlib.util.spec_from_file_location("drivers", Path(__file__).parent / "drivers.py")
drivers = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(drivers)


def finish(folder, until=None, report=lambda line: None):
    trainer = Trainer(*drivers.digits(), folder, Accelerator(cpu=True), report=report)
    for _ in trainer.run(lambda: until is not None and trainer.step >= until):
        pass
    return trainer


def test_a_second_one_is_refused_and_a_third_goes_on_after_a_kill(tmp_path):
    words = [sys.executable, drivers.__file__, "hold", str(tmp_path)]
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True) as first:
        try:
            assert first.stdout.readline() == "two steps\n"
            with pytest.raises(UserError, match=r"Another program.*writing into.*--run"):
                finish(tmp_path)
            assert first.poll() is None
        finally:
            first.kill()
    taken_up = finish(tmp_path)
    steps = [row["step"] for row in read_metrics(tmp_path / METRICS)]
    assert steps == list(range(1, taken_up.steps + 1))
    assert not list(tmp_path.glob(".*"))


def test_another_number_of_processes_is_told(tmp_path):
    """In a sentence, to whoever listens: a warning would name a line of source."""
    told = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finish(tmp_path, until=2)
        finish(tmp_path, until=3, report=told.append)
        assert told == []
        tensors, facts = load_tensors(tmp_path / CHECKPOINT)
        save_tensors(tmp_path / CHECKPOINT, tensors, {**facts, "processes": 2})
        finish(tmp_path, until=4, report=told.append)
    (line,) = told
    assert re.fullmatch(r"Up to step 3 this run had 2 process\(es\), and now it has 1: .*\.", line)
    assert load_tensors(tmp_path / CHECKPOINT)[1]["processes"] == 1
