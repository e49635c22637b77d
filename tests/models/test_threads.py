"""Threads that load and sample at once, in a cold process: each makes what it would have made alone."""

import subprocess
import sys
import threading

import pytest
import torch

import duckrabbit as dr
from duckrabbit.models.load import load
from samples import environment

SCRIPT = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor

import duckrabbit as dr

folder, *dtypes = sys.argv[1:]
together = threading.Barrier(4)

def make(k):
    model = shared or dr.load(folder, device="cpu", memory=policy, dtype=dtypes[k])
    together.wait()
    job = dr.generate(model, "a cat", steps=4, steps_stage2=3, solver="ddim")
    return dr.run(job, (k,)).record["pixels"][0]

for policy in ("resident", "strict", "parked"):
    shared = dr.load(folder, device="cpu", memory=policy) if set(dtypes) == {"float32"} else None
    with ThreadPoolExecutor(4) as threads:
        print(*threads.map(make, range(4)))
"""


@pytest.mark.parametrize("dtypes", [["float32"] * 4, ["float32", "bfloat16"] * 2], ids=["one model", "a model each"])
def test_four_cold_threads_make_what_one_makes(cascade_folder, dtypes):
    """Under each policy; while some load in another dtype, others sample."""
    words = [sys.executable, "-c", SCRIPT, str(cascade_folder), *dtypes]
    env = environment(OMP_NUM_THREADS=str(torch.get_num_threads()))
    result = subprocess.run(words, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    alone = []
    for k, dtype in enumerate(dtypes):
        job = dr.generate(load(cascade_folder, dtype=dtype), "a cat", steps=4, steps_stage2=3, solver="ddim")
        alone += dr.run(job, (k,)).record["pixels"]
    assert len(set(alone)) == 4
    assert result.stdout.splitlines() == [" ".join(alone)] * 3


TASKS = {
    "generate": lambda m, o: dr.generate(m, "a cat", **o),
    "heun": lambda m, o: dr.generate(m, "a cat", **{**o, "solver": "heun"}),
    "dpm++": lambda m, o: dr.generate(m, "a cat", **{**o, "solver": "dpm++"}),
    "edit": lambda m, o: dr.edit(m, PHOTO, "a cat", start=1, **o),
    "inpaint": lambda m, o: dr.inpaint(m, PHOTO, MASK, "a cat", **o),
    "anagram": lambda m, o: dr.anagram(m, {"identity": "a cat", "flip": "a house"}, **o),
    "hybrid": lambda m, o: dr.hybrid(m, "a cat", "a house", **o),
}
PHOTO = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
MASK = (PHOTO[:, :1] > 0.5).float()


@pytest.mark.parametrize("default", [torch.float16, torch.float64])
@pytest.mark.parametrize("task", TASKS)
def test_a_task_does_not_depend_on_the_default_dtype(cascade_folder, task, default):
    """Which another thread changes while it loads."""

    def made():
        return dr.run(TASKS[task](model, {"steps": 3, "steps_stage2": 3}), (1, 2))

    model = load(cascade_folder, device="cpu")
    expected = made().record["pixels"]
    torch.set_default_dtype(default)
    try:
        assert made().record["pixels"] == expected
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_part_in_use_stays(cascade_folder):
    """Another thread that needs room, or frees everything, waits until the network has answered."""
    model = load(cascade_folder, device="cpu", memory="strict")
    model.prepare(["a cat"])
    unet, text = model.unets[0], model.text
    events = []
    with model.turn():
        model.memory.use(unet)
        other = threading.Thread(target=lambda: (model.memory.use(text), events.append("other")))
        other.start()
        other.join(0.3)
        assert model.memory.loaded == (unet.name,)
        events.append("done")
    other.join()
    assert events == ["done", "other"]
    assert model.memory.loaded == (text.name,)
