"""What the owner of a studio names is in its menus and its API; what a visitor names is never run."""

import shlex
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from browsing import finished
from duckrabbit.registry import mark
from studio_server import opened, start

OWN = Path(__file__).parents[3] / "examples" / "own_everything.py"
NAMES = {name: f"own/{OWN.name}:{name}" for name in ("Slide", "Box", "Bounded", "Geometric", "Euler", "Plain")}
TIMES = f"own/{OWN.name}:quadratic"
RED = {"prompts": ["a red circle"], "model": "oracle", "steps": "9", "seed": 3}
ASKED = [
    ("/generate", {**RED, "solver": NAMES["Euler"], "spacing": TIMES, "constraint": NAMES["Bounded"]}),
    ("/generate", {**RED, "solver": "heun", "guidance": NAMES["Geometric"], "guidance_scale": "5"}),
    ("/anagram", {**RED, "prompts": ["a red circle", "a blue cross"], "views": [NAMES["Slide"]], "steps": 9}),
    ("/hybrid", {"high": "a red cross", "low": "a blue circle", "model": "oracle", "filter": NAMES["Box"], "seed": 3}),
    ("/generate", {"prompts": ["grey"], "model": NAMES["Plain"], "steps": "2"}),
]


@pytest.fixture(scope="module")
def owned(tmp_path_factory):
    """A studio on the oracle with one of each of the owner's own."""
    forget = mark()
    own = tuple(f"{OWN}:{name}" for name in (*NAMES, "quadratic"))
    running = start(tmp_path_factory.mktemp("owned"), own=own)
    yield running
    running.end()
    forget()


@pytest.fixture(scope="module")
def client(owned):
    from gradio_client import Client

    return Client(owned.address, verbose=False)


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize(("name", "values"), ASKED, ids=["solver", "guidance", "view", "filter", "model"])
def test_the_api_makes_what_the_command_makes_in_the_shelfs_folder(owned, client, tmp_path, name, values):
    """By a new process, which knows nothing but the command line that is shown."""
    made = client.predict(**values, api_name=name)
    command = shlex.split(made["command"])
    assert command[0] == "duckrabbit"
    for own in (value for value in values.values() if "own/" in str(value)):
        assert (own[0] if isinstance(own, list) else own) in command
    done = subprocess.run(
        [sys.executable, "-m", *command, "--out", str(tmp_path), "--quiet"],
        cwd=owned.shelf.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (picture,) = (f.rpartition("/")[2] for f in made["files"] if "/01-seed" in f and f.endswith(".png"))
    assert np.array_equal(pixels(owned.shelf.folder / made["item"] / picture), pixels(tmp_path / picture))


def test_one_s_own_changes_what_is_made(client, owned):
    """Else the menus could name anything."""

    def shown(values, name):
        made = client.predict(**values, api_name=name)
        return pixels(next((owned.shelf.folder / made["item"]).glob("01-seed*.png")))

    for name, values in ASKED[1:4]:
        usual = {k: v for k, v in values.items() if k not in ("guidance", "filter", "views")}
        usual |= {"views": ["flip"]} if name == "/anagram" else {}
        assert not np.array_equal(shown(values, name), shown(usual, name)), name
    assert (shown(ASKED[-1][1], "/generate") == 128).all()


def test_the_menus_and_the_description_hold_what_is_the_owner_s(owned, client):
    page = httpx.get(f"{owned.address}/config").json()
    menus = [{c[1] for c in each["props"].get("choices") or ()} for each in page["components"]]
    shown = {c[0] for each in page["components"] for c in each["props"].get("choices") or ()}
    labels = {each["props"].get("label") for each in page["components"]}
    for name in (*NAMES.values(), TIMES):
        assert any(name in menu for menu in menus), name
    assert {"Slide (own_everything.py)", "Guidance", "Constraint"} <= shown | labels
    for kind in ("generate", "digits"):
        endpoint = client.view_api(return_format="dict")["named_endpoints"][f"/{kind}"]
        assert NAMES["Euler"] in str(endpoint)
    assert str(OWN.parent) not in httpx.get(f"{owned.address}/config").text  # where it lies is nobody's business


def test_in_the_page_one_s_own_view_is_chosen_made_and_linked_to(owned, opened):
    page = opened(
        "/?make=anagram&seed=3&steps=5&model=oracle&prompts=a+red+circle&prompts=a+blue+cross", address=owned.address
    )
    page.get_by_label("Through the view").first.click()
    page.get_by_role("option", name="Slide (own_everything.py)").click()
    finished(page, "anagram")
    settings = owned.shelf.items()[0].facts["settings"]
    assert settings["views"] == [NAMES["Slide"]]
    again = opened("/?" + page.url.partition("?")[2], address=owned.address)
    finished(again, "anagram")
    assert owned.shelf.items()[0].facts["settings"] == settings


@pytest.mark.parametrize(
    ("name", "values", "word"),
    [
        ("/anagram", {"prompts": ["a red circle", "a blue cross"], "views": ["{}"]}, "There is no view"),
        ("/generate", {"solver": "{}"}, "There is no solver"),
        ("/generate", {"spacing": "{}"}, "There is no schedule"),
        ("/generate", {"guidance": "{}"}, "There is no guidance"),
        ("/generate", {"constraint": "{}"}, "There is no constraint"),
        ("/generate", {"model": "{}"}, "has not the model"),
        ("/hybrid", {"high": "a red cross", "low": "a blue circle", "filter": "{}"}, "There is no filter"),
    ],
)
def test_a_file_that_a_visitor_names_is_not_run(client, tmp_path, name, values, word):
    from gradio_client.exceptions import AppError

    trap = tmp_path / "trap.py"
    trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w').close()\n{OWN.read_text()}")
    for spec in (f"{trap}:Slide", f"{OWN}:Slide", "own/own_everything.py:Nothing"):
        given = {
            k: [spec if v == "{}" else v for v in value] if isinstance(value, list) else value
            for k, value in values.items()
        }
        given = {k: spec if v == "{}" else v for k, v in given.items()}
        base = {} if name == "/hybrid" else {"prompts": ["a red circle"]}
        with pytest.raises(AppError, match=word) as refused:
            client.predict(**{**base, "model": "oracle", **given}, api_name=name)
        assert "FILE.py" not in str(refused.value)  # which is no remedy for a visitor
    assert not (tmp_path / "sprung").exists()


def test_what_was_made_with_it_stays_on_the_shelf_without_it(owned):
    """A studio that is opened on the shelf without --own still shows it."""
    code = (
        "import sys; from pathlib import Path; from duckrabbit.studio.shelf.shelf import Shelf;"
        "print([item.facts['settings'].get('views') for item in Shelf(Path(sys.argv[1])).items()])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(owned.shelf.folder)], capture_output=True, text=True, check=True
    )
    assert NAMES["Slide"] in done.stdout


def test_what_cannot_be_one_s_own_is_told_before_it_is_served(cli):
    Path("mine.py").write_text("class Nothing: ...\n\n\ndef blur(x):\n    return x\n")
    Path("other").mkdir()
    Path("other/mine.py").write_text("def blur(x):\n    return -x\n")
    for own, word in (
        (["none.py:View"], "there is no file none.py"),
        (["mine.py:View"], "mine.py:View cannot be loaded"),
        (["mine.py"], "cannot be loaded"),
        (["mine.py:Nothing"], "nothing that can be named"),
        (["mine.py:blur", "other/mine.py:blur"], "Two files are called mine.py"),
    ):
        words = [word for each in own for word in ("--own", each)]
        done = cli("studio", "--no-browser", "--model", "oracle", "--out", "kept", *words)
        assert done.code == 2, own
        assert word in " ".join(done.err.split()), own


def test_the_command_serves_it_and_begins_with_ones_own_model(tmp_path):
    """And what it has nothing for, constraints, it has no field for either."""
    (tmp_path / "mine.py").write_text(OWN.read_text())
    with opened(tmp_path, "--own", "mine.py:Plain", "--model", "mine.py:Plain") as (_, address):
        page = httpx.get(f"{address}/config", timeout=60).json()
        components = [each["props"] for each in page["components"]]
        (menu,) = (props for props in components if props.get("elem_id") == "model")
        assert menu["value"] == "own/mine.py:Plain"
        assert menu["choices"][0] == ["Plain (mine.py)", "own/mine.py:Plain"]
        labels = {props.get("label") for props in components}
        assert "Spacing" in labels
        assert "Constraint" not in labels
