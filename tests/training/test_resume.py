"""A run that is killed, split over processes, or handed a broken checkpoint."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file

from duckrabbit.errors import UserError
from duckrabbit.training.checkpoint import load_tensors, save_tensors
from duckrabbit.training.run import CHECKPOINT, METRICS, read_metrics
from duckrabbit.training.trainer import Trainer

DRIVERS = Path(__file__).parent / "drivers.py"
ENV = {**os.environ, "OMP_NUM_THREADS": "1"}
if sys.platform == "linux":
    ENV["GLOO_SOCKET_IFNAME"] = "lo"  # not the name of the machine, which may lead nowhere


def finish(recipe, pictures, folder, until=None):
    trainer = Trainer(recipe, pictures, folder, Accelerator(cpu=True))
    for _ in trainer.run(lambda: until is not None and trainer.step >= until):
        pass
    return trainer


@pytest.mark.parametrize(
    ("what", "runs", "kills"),
    [("kill", ["digits"], 20), ("kill-text", ["text"], 5), ("kill-judges", ["classifier", "subjects", "styles"], 5)],
)
def test_killed_at_any_moment_ends_with_the_same_weights(tmp_path, what, runs, kills):
    """Those of judges in one process: what it imports costs more than they do."""
    command = [sys.executable, str(DRIVERS), what, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENV, timeout=240)
    assert done.returncode == 0, done.stderr
    reports = json.loads(done.stdout.splitlines()[-1])
    assert list(reports) == runs
    for name, report in reports.items():
        assert report["kills"] >= kills
        same_as_undisturbed(tmp_path / name, report["runs"], name not in ("text", "styles"))


def same_as_undisturbed(root, runs, snapshots):
    """Whether runs that were killed have the weights and the log of the one that was not, and left nothing behind."""
    expected, facts = load_tensors(root / "undisturbed" / CHECKPOINT)
    for run in range(runs):
        folder = root / f"killed-{run}"
        tensors, found = load_tensors(folder / CHECKPOINT)
        assert tensors.keys() == expected.keys()
        assert [k for k in expected if not torch.equal(expected[k], tensors[k])] == []
        assert found["random"] == facts["random"]
        logs = [read_metrics(f / METRICS) for f in (root / "undisturbed", folder)]
        losses, again = ([(r["step"], r["loss"]) for r in log] for log in logs)
        assert again == losses
        assert list(folder.glob(".*.unfinished")) == []
        assert (folder / "epoch-003.safetensors").exists() == snapshots


def test_two_processes_share_a_folder_and_the_data_and_learn_alike(tmp_path):
    """Launched once, as that takes longer than what they do: first in folders of their own, which is refused."""
    single = subprocess.Popen([sys.executable, str(DRIVERS), "ranks", str(tmp_path)], env=ENV)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    launch += [str(DRIVERS), "apart-then-ranks", str(tmp_path)]
    done = subprocess.run(launch, capture_output=True, text=True, env=ENV, timeout=80)
    assert (done.returncode, single.wait(60)) == (0, 0), done.stderr

    for process in (0, 1):
        assert "a folder that all machines share" in (tmp_path / f"told-{process}").read_text()
    seen = [json.loads((tmp_path / f"seen-{r}-of-2.json").read_text()) for r in (0, 1)]
    assert len(seen[0]) == len(seen[1]) == 50  # two epochs of 25 each
    for epoch in (slice(0, 25), slice(25, 50)):
        assert sorted(seen[0][epoch] + seen[1][epoch]) == list(range(50))
    one, two = ([r["loss"] for r in read_metrics(tmp_path / f"of-{n}" / METRICS)] for n in (1, 2))
    # The noise is the same; only the batch norm statistics are those of 5 pictures instead of 10.
    assert two == pytest.approx(one, rel=0.15)
    assert one != two


@pytest.mark.parametrize("goal", ["fast-class", "cs180-class", "cs180-flow-time", "cs180-denoiser"])
def test_stopping_and_going_on_changes_nothing(tmp_path, pictures, tiny, goal):
    from duckrabbit.training.digits.recipe import find_recipe

    recipe = replace(find_recipe(goal), hidden=2, batch=16, epochs=2)
    straight = finish(recipe, pictures, tmp_path / "straight")
    finish(recipe, pictures, tmp_path / "broken", until=2)
    resumed = finish(recipe, pictures, tmp_path / "broken")
    assert straight.step == resumed.step == 6
    assert all(torch.equal(a, b) for a, b in zip(straight.weights().values(), resumed.weights().values(), strict=True))


def test_losses_are_read_a_few_at_a_time_and_told_all_the_same(tmp_path, pictures, tiny, monkeypatch):
    """What would wait for a GPU: nothing is read between reports; an epoch's end (after step 3) makes one, too."""
    trainer = Trainer(tiny, pictures, tmp_path / "few", Accelerator(cpu=True))
    trainer.report_every = 2
    reads, tolist, item = [], torch.Tensor.tolist, torch.Tensor.item
    monkeypatch.setattr(torch.Tensor, "tolist", lambda x: reads.append(trainer.step) or tolist(x))
    monkeypatch.setattr(torch.Tensor, "__float__", lambda x: reads.append(trainer.step) or item(x))
    reported = [(step.step, trainer.step) for step in trainer.run()]
    assert reads == [2, 3, 5, 6]
    assert reported == [(1, 2), (2, 2), (3, 3), (4, 5), (5, 5), (6, 6)]
    finish(tiny, pictures, tmp_path / "each")
    few, each = (read_metrics(tmp_path / name / METRICS) for name in ("few", "each"))
    assert [(r["step"], r["loss"]) for r in few] == [(r["step"], r["loss"]) for r in each]


def test_a_loss_that_is_not_finite_ends_the_run_without_a_checkpoint(tmp_path, pictures, tiny):
    trainer = Trainer(tiny, pictures, tmp_path, Accelerator(cpu=True))
    trainer.report_every, objective = 4, trainer.objective

    class Broken:
        def loss(self, *arguments):
            return objective.loss(*arguments) * (torch.nan if trainer.step == 1 else 1)

    trainer.objective = Broken()
    with pytest.raises(UserError, match="not finite after step 2;"):
        list(trainer.run())
    assert not (tmp_path / CHECKPOINT).exists()


@pytest.mark.parametrize("at", [0.001, 0.3, 0.6, 0.999])
def test_one_flipped_byte_is_noticed(tmp_path, pictures, tiny, at):
    finish(tiny, pictures, tmp_path, until=1)
    path = tmp_path / CHECKPOINT
    content = bytearray(path.read_bytes())
    content[int(len(content) * at)] ^= 0x04
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged|not a checkpoint"):
        finish(tiny, pictures, tmp_path)


def test_half_a_checkpoint_is_refused(tmp_path, pictures, tiny):
    finish(tiny, pictures, tmp_path, until=1)
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="damaged"):
        finish(tiny, pictures, tmp_path)


def test_a_checkpoint_of_something_else_is_refused(tmp_path, pictures, tiny):
    save_file({"weight": torch.ones(3)}, tmp_path / CHECKPOINT)
    with pytest.raises(UserError, match="not a checkpoint of duckrabbit"):
        finish(tiny, pictures, tmp_path)


def test_the_weights_after_an_epoch_are_no_checkpoint(tmp_path, pictures, tiny):
    finish(replace(tiny, snapshots=(1,)), pictures, tmp_path)
    (tmp_path / CHECKPOINT).write_bytes((tmp_path / "epoch-001.safetensors").read_bytes())
    with pytest.raises(UserError, match="not what is needed to go on"):
        finish(replace(tiny, snapshots=(1,)), pictures, tmp_path)


@pytest.mark.parametrize("damage", [b"\xff\xfe", b'{"loss": 1}\n', b"[1]\n", b'{"step": 3, "lo'])
def test_a_damaged_log_is_read_up_to_its_damage(tmp_path, pictures, tiny, damage):
    finish(tiny, pictures, tmp_path, until=3)
    log = tmp_path / METRICS
    whole = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(whole[0] + whole[1] + damage + whole[2])
    assert [row["step"] for row in read_metrics(log)] == [1, 2]
    finish(tiny, pictures, tmp_path, until=4)
    assert [row["step"] for row in read_metrics(log)] == [1, 2, 4]


def test_a_run_of_another_recipe_is_refused_and_named(tmp_path, pictures, tiny):
    finish(tiny, pictures, tmp_path, until=1)
    with pytest.raises(UserError, match="differs in rate"):
        finish(replace(tiny, rate=5e-4), pictures, tmp_path)
    with pytest.raises(UserError, match="differs in pictures"):
        finish(tiny, pictures[:32], tmp_path)


def test_checkpoints_hold_no_pickle_and_read_back(tmp_path):
    tensors = {"a": torch.arange(6.0).view(2, 3).half(), "b": torch.zeros(0, dtype=torch.int64)}
    save_tensors(tmp_path / "x", tensors, {"n": 1, "list": [1, "two"]})
    assert b"pickle" not in (tmp_path / "x").read_bytes()
    found, facts = load_tensors(tmp_path / "x")
    assert facts == {"n": 1, "list": [1, "two"]}
    assert all(torch.equal(found[k], v) for k, v in tensors.items())
    assert load_file(tmp_path / "x").keys() == tensors.keys()  # any reader of safetensors can
