"""Results: the same picture as numbers, bytes, files and in a notebook, with what made it."""

import base64
import copy
import hashlib
import io
import json
import platform
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
import torch
from PIL import Image

import duckrabbit as dr
from duckrabbit.tasks.job import Job, cost, value_range
from duckrabbit.tasks.results import Result, described, pixel_hash, results_in
from samples import read


@pytest.fixture
def made(oracle):
    """Two pictures of three values below, in and above the range [-1, 1] of the oracle."""
    job = dr.generate(oracle, "a red <cross>".replace("<cross>", "cross"), steps=2)
    images = torch.tensor([-1.5, -0.5, 1.5]).view(1, 3, 1, 1).expand(2, 3, 32, 32)
    return Result(job, (4, 9), images, (images,), 2.3456, (2.0,), 3, {"cut": "half"})


def test_one_picture_in_every_form(made):
    assert made.unit[0, :, 0, 0].tolist() == [0, 0.25, 1]
    assert made.pixels[1, 0, 0].tolist() == [0, 64, 255]
    assert made.pixels.dtype == torch.uint8
    assert np.asarray(made).shape == (2, 32, 32, 3)
    assert np.asarray(made, dtype=np.float32).dtype == np.float32
    assert np.asarray(made[1], dtype=np.int64).dtype == np.int64
    assert made.__array__(np.float32).dtype == made[0].__array__(np.float32).dtype == np.float32
    one = made[1]
    assert (one.seed, one.prompt, one.pil.getpixel((3, 4))) == (9, "a red cross", (0, 64, 255))
    assert Image.open(io.BytesIO(one._repr_png_())).tobytes() == one.pil.tobytes()


def test_another_range_is_another_scale(made):
    stage = replace(made.job.model.stages[0], value_range=(0.0, 2.0))
    model = type("Model", (), {"stages": (stage,), "card": made.job.model.card})()
    other = replace(made, job=replace(made.job, model=model))
    assert value_range(other.job) == (0.0, 2.0)
    assert other.unit[0, :, 0, 0].tolist() == [0, 0, 0.75]
    assert other[0].pixels[0, 0].tolist() == [0, 0, 191]


@pytest.mark.parametrize(("count", "more"), [(16, ""), (17, "and 1 more"), (20, "and 4 more")])
def test_a_notebook_shows_the_first_16(made, count, more):
    many = replace(
        made, seeds=tuple(range(count)), images=made.images[:1].expand(count, -1, -1, -1),
        job=replace(made.job, title="<b> & c"),
    )  # fmt: skip
    html = many._repr_html_()
    assert html.count("<img") == min(count, 16)
    assert ("more" in html) == bool(more)
    assert more in html
    assert "<b>" not in html
    assert "<b> & c" in unescape(html)
    png = base64.b64decode(html.split("base64,")[1].split('"')[0])
    assert Image.open(io.BytesIO(png)).getpixel((0, 0)) == (0, 64, 255)
    assert f"seed {min(count, 16) - 1}<" in html


def test_the_record_says_what_ran_and_where(made):
    record = made.record
    assert (record["seeds"], record["micro_batch"], record["seconds"]) == ([4, 9], 3, 2.346)
    assert record["notes"] == {"cut": "half"}
    assert record["format"] == 1  # another number is another format: what was written until then has to be read still
    assert record["model"]["name"] == "oracle"
    assert record["model"]["weights"] == {}
    (price,) = cost(made.job)
    assert record["cost"] == [{"moves": 2, "calls": 2, "pictures": price.pictures, "questions": price.questions}]
    assert record["threads"] == torch.get_num_threads()
    assert record["versions"]["python"] == platform.python_version()
    assert record["versions"]["torch"] == torch.__version__
    raw = made.pixels[0].numpy().tobytes()
    assert record["pixels"] == [hashlib.sha256(raw).hexdigest()] * 2
    assert pixel_hash(made.pixels[0].permute(1, 0, 2)) == record["pixels"][0]  # this one is the same either way
    assert record["request"] == {}
    json.dumps(record, allow_nan=False)


def test_where_files_lay_is_nobodys_business(made, tmp_path):
    request = {
        "image": str(tmp_path / "me.png"),
        "mask": "a/b.png",
        "model": str(tmp_path),
        "prompt_file": "p",
        "t": [1],
    }
    request_plain = described(replace(made.job, request=request), {})["request"]
    assert request_plain == {"image": "me.png", "mask": "b.png", "model": "local", "t": [1]}
    assert described(replace(made.job, request={"model": "oracle"}), {})["request"] == {"model": "oracle"}


def test_the_range_of_a_result_is_that_of_its_last_stage(tiny):
    other = copy.copy(tiny)
    other.stages = (tiny.stages[0], replace(tiny.stages[1], value_range=(0.0, 4.0)))
    job = dr.generate(other, "a cat", steps=1, steps_stage2=1)
    assert value_range(job) == (0.0, 4.0)
    assert value_range(replace(job, stages=job.stages[:1])) == (-1.0, 1.0)


def test_every_stage_is_written_and_nothing_is_written_over(tiny, tmp_path):
    result = dr.run(dr.generate(tiny, "a cat", steps=1, steps_stage2=1), [3, 5])
    first = [path.rpartition("/")[2] for path in result.save(str(tmp_path), "cat")]
    again = [path.rpartition("/")[2] for path in result.save(str(tmp_path), "cat")]
    third = [path.rpartition("/")[2] for path in result.save(str(tmp_path), "cat")]
    assert first == ["cat-seed3.png", "cat-seed5.png"]
    assert again == ["cat-2-seed3.png", "cat-2-seed5.png"]
    assert third == ["cat-3-seed3.png", "cat-3-seed5.png"]
    assert results_in(tmp_path) == {"cat", "cat-2", "cat-3"}
    early = read(tmp_path / "cat-seed5-stage1.png")
    small = ((result.stage_images[0][1] / 2 + 0.5).clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
    assert (early == small).all()
    assert not (tmp_path / "cat-seed5-stage2.png").exists()
    assert not (tmp_path / "cat.safetensors").exists()
    assert json.loads((tmp_path / "cat-2.json").read_text())["files"] == again
    assert (read(tmp_path / "cat-seed3.png") == result.pixels[0].numpy()).all()


def test_a_job_that_no_record_can_hold_is_a_sentence(made):
    for request in ({"t": object()}, {"t": "\udcff"}):
        with pytest.raises(dr.UserError, match="cannot be written to a record"):
            described(replace(made.job, request=request), {})
    with pytest.raises(dr.UserError, match="A job's title is a text"):
        described(Job(made.job.model, made.job.stages, 3), {})
