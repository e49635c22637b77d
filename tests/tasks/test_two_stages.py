"""A cascade of two stages: what each made is kept, and an edit's starts count the course's steps."""

from dataclasses import replace

import pytest
import torch

import duckrabbit as dr
from duckrabbit.tasks.reading import open_picture


def test_what_the_first_stage_made_is_written_too(cascade_folder, tmp_path):
    model = dr.load(cascade_folder)
    result = dr.run(dr.generate(model, "a cat", steps=3, steps_stage2=2), [7])
    assert [x.shape[-2:] for x in result.stage_images] == [f.size for f in model.stages]
    result.save(tmp_path)
    first, last = (open_picture(tmp_path / f"image-seed7{end}.png") for end in ("-stage1", ""))
    assert [first.size, last.size] == [f.size for f in model.stages]


def test_the_starts_of_an_edit_keep_something_whatever_steps_a_model_likes():
    model = dr.load("oracle")
    model.stages = (replace(model.stages[0], steps=100),)
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for start, t in ((1, 960), (10, 690), (20, 390)):  # the course's levels, two moves apart at most
        first = dr.edit(model, picture, start=start).stages[0].plan[0].at
        assert first.t == pytest.approx(t, abs=60)
    assert dr.edit(model, picture, start=20, steps=100).stages[0].plan[0].at.t == 790


def test_the_forward_process_asks_no_network():
    model = dr.load("oracle")
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    job = dr.noise(model, picture, 500)
    assert dr.cost(job)[0].pictures == 0
    model.network = None  # asking would fail
    noisy = dr.run(job, [3]).images
    at = model.stages[0].schedule.level(500)
    eps = (noisy - at.alpha * (2 * picture - 1)) / at.sigma
    assert abs(eps.mean()) < 4 / eps.numel() ** 0.5
    assert eps.std() == pytest.approx(1, abs=4 / (2 * eps.numel()) ** 0.5)
