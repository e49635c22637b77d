"""The tabs by name over HTTP, as programs use them."""

import io
import json
import re
import runpy
import shlex
import sys
from html import escape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from duckrabbit.studio.page import show
from duckrabbit.studio.page.api import describe

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "studio_client.py"
DOCUMENT = (ROOT / "docs" / "studio.md").read_text(encoding="utf-8").split("## Over HTTP")[1].split("\n## ")[0]


@pytest.fixture(scope="module")
def client(studio):
    from gradio_client import Client

    return Client(studio.address, verbose=False)


def picture(http):
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "#cc3333").save(buffer, format="PNG")
    return http.post("/pictures", content=buffer.getvalue()).json()["name"]


def test_every_tab_is_there_with_typed_parameters(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    tabs = ("generate", "denoise", "edit", "inpaint", "anagram", "hybrid", "factorized")
    digits = ("digits", "one_step", "from_t", "digit_anagram", "curves", "upscale", "noise")
    assert {f"/{name}" for name in (*tabs, *digits, "shelf", "delete")} == set(endpoints)
    kinds = {p["parameter_name"]: p["python_type"]["type"] for p in endpoints["/anagram"]["parameters"]}
    assert "int" in kinds["seed"]
    assert "list" in kinds["prompts"]


def test_the_document_lists_every_endpoint_and_what_is_sent_as_a_list(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert sorted(re.findall(r"`(/[a-z_]+)`", DOCUMENT)) == sorted(endpoints)
    parameters = [p for each in endpoints.values() for p in each["parameters"]]
    kinds = {p["parameter_name"]: set(p["python_type"]["type"].split(" | ")) for p in parameters}
    lists = {name for name, kind in kinds.items() if "list[str]" in kind and "str" not in kind}
    assert set(re.findall(r"`([a-z]+)=\[", DOCUMENT)) == lists


def test_what_it_makes_is_what_the_command_makes(client, studio, cli, monkeypatch):
    made = client.predict(prompts=["a red circle"], model="oracle", steps=12, seed=3, count=2, api_name="/generate")
    folder = studio.shelf.folder / made["item"]
    words = shlex.split(made["command"])
    assert words[0] == "duckrabbit"
    assert cli(*words[1:], "--out", "again", "--quiet").code == 0
    for name in ("01-seed3.png", "01-seed4.png"):
        assert np.array_equal(np.asarray(Image.open(folder / name)), np.asarray(Image.open(Path("again") / name)))
    assert made["network_calls"] == 12
    assert made["address"].startswith("?make=generate")


def test_each_picture_tab_makes_its_files(client, http, studio):
    image = picture(http)
    shared = {"model": "oracle", "seed": 1}
    made = [
        client.predict(image=image, t=300, **shared, api_name="/denoise"),
        client.predict(image=image, prompts=["a blue cross"], strength="0.4,0.8", **shared, api_name="/edit"),
        client.predict(high="a red cross", low="a red circle", **shared, api_name="/hybrid"),
    ]
    for each in made:
        suffixes = {f.rpartition(".")[2] for f in each["files"]}
        assert {"png", "json"} <= suffixes
        for file in each["files"]:
            assert http.get(file).status_code == 200
    assert {"mp4", "gif", "pdf"} <= {f.rpartition(".")[2] for f in made[-1]["files"]}
    kept = client.predict(api_name="/shelf")
    assert [m["item"] for m in reversed(made)] == [k["item"] for k in kept[:3]]
    client.predict(item=made[0]["item"], api_name="/delete")
    assert made[0]["item"] not in [k["item"] for k in client.predict(api_name="/shelf")]


def test_what_there_is_to_know_is_in_the_answer_and_on_the_page(client, http, studio):
    image = picture(http)
    made = client.predict(image=image, box="0,0,60,60", steps=2, model="oracle", api_name="/inpaint")
    anew = "88 % of the picture is made anew; to keep that part instead, invert the mask."
    small = "64 x 64 pixels are shrunk to the model's 32 x 32."
    assert anew in made["notes"]
    assert made["notes"][0].endswith(small)
    shown = show.result(studio.shelf.get(made["item"]))
    assert anew in shown
    assert escape(small) in shown
    old = studio.shelf.get(made["item"])
    del old.facts["notes"]  # kept by a studio that told none
    assert describe(old)["notes"] == []
    assert anew not in show.result(old)


def test_models_of_digits_are_asked_by_their_runs(client, http, studio):
    model, image = "fast-class", picture(http)
    made = [
        client.predict(model=model, prompts=list("0123456789"), steps=2, count=1, api_name="/digits"),
        client.predict(model="fast-denoiser", image=image, sigma=0.4, api_name="/one_step"),
        client.predict(model=model, image=image, t=100, prompts=["3"], steps=3, api_name="/from_t"),
        client.predict(model=model, prompts=["6", "9"], views=["rotate_180"], steps=2, api_name="/digit_anagram"),
        client.predict(models=["fast-time"], api_name="/curves"),
    ]
    assert [m["network_calls"] for m in made] == [20, 1, 3, 2, 0]
    assert shlex.split(made[0]["command"])[-10:] == list("0123456789")
    assert all(http.get(m["files"][-1]).status_code == 200 for m in made)


@pytest.mark.parametrize(
    ("name", "values", "word"),
    [
        ("/generate", {"prompts": ["a purple dinosaur"]}, "knows no prompt"),
        ("/generate", {"prompts": [" "]}, "empty"),
        ("/generate", {"prompts": ["a red circle"], "count": 1000}, "1 to 16"),
        ("/generate", {"prompts": ["a red circle"], "solver": "magic"}, "no solver"),
        ("/generate", {"prompts": ["a red circle"], "model": "/etc"}, "has not the model"),
        ("/anagram", {"prompts": ["a red circle", "a red cross"], "views": ["spin.py:Spin"]}, "no view"),
        ("/denoise", {"image": "/etc/passwd"}, "named by"),
        ("/denoise", {"image": "f" * 24 + ".png"}, "no longer there"),
        ("/delete", {"item": "../../etc"}, "nothing of that name"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(client, name, values, word):
    from gradio_client.exceptions import AppError

    model = {} if name == "/delete" or "model" in values else {"model": "oracle"}
    with pytest.raises(AppError, match=word):
        client.predict(**values, **model, api_name=name)


def test_the_example_makes_an_anagram(studio, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), studio.address, "--model", "oracle"])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert list(tmp_path.glob("*.png"))
    assert list(tmp_path.glob("*.mp4"))
    assert json.loads(next(tmp_path.glob("01.json")).read_text())["format"] == 1
    assert "duckrabbit anagram" in capsys.readouterr().out
