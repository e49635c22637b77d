"""Run records: the same in the picture and beside it, and enough to make the picture again."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import duckrabbit as dr
from duckrabbit.records.read import read_record
from duckrabbit.tasks.results import pixel_hash
from samples import pixels, read, run, save


@pytest.fixture
def saved(tiny, photo, half, tmp_path):
    """An inpainted anagram of both stages on a cascade from a folder, and the folder it was written to."""
    job = dr.inpaint(tiny, photo, half, {"identity": "a cat", "flip": "a house"}, steps=3, steps_stage2=2)
    result = dr.run(job, [180, 181], micro_batch=2)
    result.save(str(tmp_path / "out"), "01")
    return result, tmp_path / "out"


def test_the_chunk_and_the_file_agree(saved):
    result, folder = saved
    beside = json.loads((folder / "01.json").read_text(encoding="utf-8"))
    for seed, pixels_ in zip([180, 181], result.pixels, strict=True):
        with Image.open(folder / f"01-seed{seed}.png") as image:
            assert json.loads(image.text["duckrabbit"]) == beside
        assert pixel_hash(read(folder / f"01-seed{seed}.png")) in beside["pixels"]
        assert pixel_hash(pixels_) in beside["pixels"]


def test_a_record_says_what_made_the_picture(saved, tiny):
    _, folder = saved
    record = read_record(folder / "01.json")
    assert record["seeds"] == [180, 181]
    assert record["micro_batch"] == 2
    assert (record["device"], record["dtype"]) == ("cpu", "float32")
    assert record["model"]["weights"] == dict(tiny.weight_hash())
    assert len(record["model"]["weights"]) >= 3
    assert {"torch", "diffusers", "transformers", "numpy", "python"} <= set(record["versions"])
    assert record["versions"]["torch"] == torch.__version__
    assert [stage["kind"] for stage in record["stages"]] == ["Stage", "Stage"]
    assert record["stages"][0]["plan"]["levels"][-1] == [-1.0, 1.0, 0.0]
    assert record["files"] == ["01-seed180.png", "01-seed181.png"]


def test_no_path_of_this_machine_is_in_a_record(saved, cascade_folder, tmp_path):
    _, folder = saved
    for file in folder.iterdir():
        content = file.read_bytes()
        if file.suffix == ".png":
            with Image.open(file) as image:
                content += image.text["duckrabbit"].encode()
        for path in (str(cascade_folder), str(tmp_path), str(cascade_folder.parent)):
            assert path.encode() not in content
        assert b"/root" not in content
        assert b"/home" not in content


def test_replaying_gives_the_same_bytes_wherever_the_record_lies(saved, tiny, tmp_path):
    _, folder = saved
    moved = tmp_path / "elsewhere" / "deep"
    shutil.move(folder, moved)
    for name in ("01.json", "01-seed181.png"):
        again = dr.replay(moved / name, model=tiny)
        assert again.same
        assert again.difference == 0
        assert again.changed == ()


def test_a_model_from_a_folder_has_to_be_shown_again(saved, cascade_folder):
    _, folder = saved
    with pytest.raises(dr.UserError, match="--model FOLDER"):
        dr.replay(folder / "01.json")
    assert dr.replay(folder / "01.json", model=cascade_folder, device="cpu").same


def test_other_weights_are_told(saved, tmp_path):
    import tiny as tinies

    _, folder = saved
    other = dr.load(str(tinies.save_cascade(tmp_path / "other", seed=5)), device="cpu")
    again = dr.replay(folder / "01.json", model=other)
    assert not again.same
    assert again.difference > 0
    assert again.changed[0] == "weights"


def test_a_record_of_another_size_is_refused(saved, oracle):
    _, folder = saved
    with pytest.raises(dr.UserError, match="a model of 16 x 16 pixels"):
        dr.replay(folder / "01.json", model=oracle)


@pytest.mark.parametrize("name", ["oracle", "miniature"])
def test_replay_in_a_fresh_process(name, tmp_path):
    prompt = {"oracle": "a red circle", "miniature": "a glossy emoji of a cat face"}[name]
    model = dr.load(name, device="cpu")
    dr.run(dr.generate(model, prompt, steps=3, stage=1), [180]).save(str(tmp_path / "out"))
    ran = run("replay", "out/image-seed180.png", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "the same, to the pixel" in ran.stdout
    assert "changed" not in ran.stdout


def test_a_difference_is_measured(oracle, tmp_path):
    dr.run(dr.generate(oracle, "a red circle", steps=3), [7]).save(str(tmp_path))
    record = json.loads((tmp_path / "image.json").read_text())
    record["seeds"] = [8]
    (tmp_path / "image.json").write_text(json.dumps(record))
    again = dr.replay(tmp_path / "image.json")
    expected = np.abs(read(tmp_path / "image-seed7.png").astype(int) - again.result.pixels[0].numpy().astype(int))
    assert not again.same
    assert again.difference == expected.max() > 0
    (tmp_path / "image-seed7.png").unlink()
    assert dr.replay(tmp_path / "image.json").difference is None


@pytest.mark.parametrize("solver", ["ddpm-small", "ddpm-large", "ddim", "heun", "dpm++", "sde-dpm++"])
def test_every_task_replays_with_every_solver(oracle, photo, half, tmp_path, solver):
    jobs = [
        dr.hybrid(oracle, "a red circle", "a blue cross", steps=4, solver=solver),
        dr.hybrid(oracle, None, "a blue cross", image=photo, steps=4, solver=solver),
        dr.edit(oracle, photo, "a cross", start=1, steps=4, solver=solver),
        dr.inpaint(oracle, photo, half, steps=4, solver=solver, jump=2, resample=2, how="clean"),
        dr.denoise(oracle, photo, 500, solver=solver),
        dr.anagram(oracle, {"rotate_90+negate": "a cross", "pixel_permutation": "a circle"}, steps=4, solver=solver),
    ]
    for k, job in enumerate(jobs):
        dr.run(job, [3]).save(str(tmp_path), f"{k}")
        assert dr.replay(tmp_path / f"{k}.json").same, job.title


def edited(path, change):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


DAMAGE = {
    "unknown kind": lambda r: r["stages"][0]["guidance"].update(kind="os.system"),
    "unknown field": lambda r: r["stages"][0]["guidance"].update(shell="rm"),
    "no guidance": lambda r: r["stages"][0].update(guidance=None),
    "a number for a tree": lambda r: r["stages"][0]["guidance"].update(child=3),
    "no solver": lambda r: r["stages"][0].update(solver="ddpm"),
    "no stages": lambda r: r.update(stages=[]),
    "stages of another kind": lambda r: r.update(stages=[{"kind": "Prompt", "condition": "a"}]),
    "a stage that is not": lambda r: r["stages"][0].update(index=7),
    "an empty plan": lambda r: r["stages"][0].update(plan={"levels": []}),
    "words in a plan": lambda r: r["stages"][0].update(plan={"levels": [["a", "b", "c"]]}),
    "visits that are not": lambda r: r["stages"][0]["plan"].update(visits=[0, 99]),
    "no model": lambda r: r.pop("model"),
    "no seeds": lambda r: r.update(seeds="180"),
    "seeds of another kind": lambda r: r.update(seeds=["a"]),
    "no device": lambda r: r.pop("device"),
    "another format": lambda r: r.update(format=99),
    "a dtype that is not": lambda r: r.update(dtype="float3"),
    "a model that is not": lambda r: r["model"].update(name="nothing", source="nothing"),
    "a micro-batch of nothing": lambda r: r.update(micro_batch=0),
    "a composite that is not": lambda r: r.update(composite={"kind": "Grey"}),
    "a missing tensor": lambda r: r["stages"][0].update(start={"tensor": "0" * 16}),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_records_get_a_sentence(oracle, tmp_path, what):
    dr.run(dr.generate(oracle, "a red circle", steps=3), [7]).save(str(tmp_path))
    edited(tmp_path / "image.json", DAMAGE[what])
    with pytest.raises(dr.UserError) as error:
        dr.replay(tmp_path / "image.json")
    assert len(str(error.value)) > 20


def test_tensors_that_are_gone_cut_or_changed(oracle, photo, half, tmp_path):
    from safetensors.torch import load_file, save_file

    dr.run(dr.inpaint(oracle, photo, half, steps=2), [7]).save(str(tmp_path))
    file = tmp_path / "image.safetensors"
    whole = file.read_bytes()
    tensors = load_file(file)
    save_file({name: 1 - tensor for name, tensor in tensors.items()}, file)
    with pytest.raises(dr.UserError, match="hash"):
        dr.replay(tmp_path / "image.json")
    file.write_bytes(whole[:100])
    with pytest.raises(dr.UserError, match="cannot be read"):
        dr.replay(tmp_path / "image.json")
    file.unlink()
    with pytest.raises(dr.UserError, match="has to lie beside it"):
        dr.replay(tmp_path / "image.json")


def test_files_that_are_no_record(tmp_path):
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "text.json").write_text("not json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "text.png").write_text("not a picture")
    save(tmp_path / "plain.png", pixels(16))
    for file in [*tmp_path.iterdir(), tmp_path, tmp_path / "gone.json"]:
        with pytest.raises(dr.UserError):
            read_record(file)
