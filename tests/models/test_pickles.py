"""Jobs and results cross the borders of processes, and a model crosses them without its weights."""

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch

import duckrabbit as dr
import tiny
from duckrabbit.models.cascade.hub import Hub, Repository
from duckrabbit.models.load import load


def job(model):
    return dr.generate(model, "a cat", steps=4, steps_stage2=3, solver="ddim")


def made(task):
    torch.set_num_threads(1)
    return dr.run(task, (3,))


def in_another_process(task):
    """What a process that was spawned makes of it, as joblib and multiprocessing do it."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return pool.submit(dr.run, task, (3,)).result(timeout=100)


@pytest.fixture
def alone():
    """One thread, as in the other process."""
    before = torch.get_num_threads()
    yield made
    torch.set_num_threads(before)


def test_a_job_makes_the_same_in_another_process(cascade_folder, alone):
    task = job(load(cascade_folder, device="cpu"))
    here = alone(task)
    assert task.model.memory.loaded
    there = in_another_process(task)
    assert there.record["pixels"] == here.record["pixels"]
    assert torch.equal(there.images, here.images)


def test_a_model_is_pickled_without_its_weights(cascade_folder):
    model = load(cascade_folder, device="cpu")
    weights = sum(part.size() for part in (*model.unets, model.text))
    dr.run(job(model))
    packed = pickle.dumps(model)
    assert len(packed) < weights / 4
    again = pickle.loads(packed)
    assert again.memory.loaded == ()
    assert again._ready.keys() == model._ready.keys()


def test_a_copy_makes_the_same(cascade_folder, alone):
    task = job(load(cascade_folder, device="cpu", memory="strict"))
    here = alone(task)
    twin = copy.deepcopy(task)
    assert twin.model.memory is not task.model.memory
    assert alone(twin).record["pixels"] == here.record["pixels"]


def test_a_pipelines_modules_are_pickled_with_it(alone):
    """They lie in no folder from which they could be loaded again."""
    first = tiny.first_pipeline()
    task = job(load(first, stage2=tiny.second_pipeline(first)))
    here = alone(task)
    assert alone(pickle.loads(pickle.dumps(task))).record["pixels"] == here.record["pixels"]
    assert alone(copy.deepcopy(task)).record["pixels"] == here.record["pixels"]


def test_other_models_and_sources_are_pickled(oracle):
    model = pickle.loads(pickle.dumps(oracle))
    assert torch.equal(dr.run(dr.generate(model, "a cross", steps=4)).images,
                       dr.run(dr.generate(oracle, "a cross", steps=4)).images)  # fmt: skip
    digits = load("mnist-class", device="cpu")
    assert pickle.loads(pickle.dumps(digits)).config == digits.config
    source = Repository("some/model", hub=Hub(offline=True))
    assert pickle.loads(pickle.dumps(source)).hub == source.hub
