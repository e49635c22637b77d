"""The examples do what they say."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import duckrabbit as dr
from duckrabbit.cli.main import app

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_the_loop_by_hand_writes_its_film(monkeypatch, tmp_path):
    run("loop_by_hand.py", monkeypatch, "--out", str(tmp_path / "loop.gif"))
    with Image.open(tmp_path / "loop.gif") as film:
        assert film.n_frames == 30
        film.seek(29)
        middle = film.convert("RGB").getpixel((128, 128))
    assert middle[0] > 150 > max(middle[1:])  # a red circle


def test_the_midpoint_rule_shows_order_2(monkeypatch, capsys):
    run("midpoint.py", monkeypatch)
    orders = [float(m) for m in re.findall(r"order (\d\.\d+)", capsys.readouterr().out)]
    assert orders[-1] == pytest.approx(2, abs=0.15)


def test_the_midpoint_rule_walks_a_trained_model():
    """Nearer to a fine walk than Heun in as many calls: the level half-way is one that the U-Net knows."""
    midpoint = runpy.run_path(str(EXAMPLES / "midpoint.py"))["Midpoint"]()
    model = dr.load("miniature", dtype="float32", device="cpu")
    cat = "a glossy emoji of a cat"
    make = lambda solver, steps: dr.run(dr.generate(model, cat, solver=solver, steps=steps, stage=1), 3).images
    finest = make("heun", 36)
    off = {solver: (make(solver, 12) - finest).square().mean().sqrt() for solver in (midpoint, "heun")}
    assert off[midpoint] < off["heun"]


def test_a_view_of_ones_own_keeps_the_laws_and_makes_an_anagram(tmp_path):
    view = f"{EXAMPLES / 'kaleidoscope.py'}:SwapHalves"
    checked = CliRunner().invoke(app, ["check", "--view", view], catch_exceptions=False)
    assert checked.exit_code == 0
    words = ["anagram", "a red circle", "a blue square", "--view", view, "--model", "oracle", "--out", str(tmp_path)]
    made = CliRunner().invoke(app, words, catch_exceptions=False)
    assert made.exit_code == 0
    assert (tmp_path / "01-seed180.png").is_file()


OWN = EXAMPLES / "own_everything.py"
RED = ("a red circle", "--model", "oracle", "--steps", "8")
USES = {
    "view": ("anagram", "a blue cross", *RED, "--view", f"{OWN}:Slide"),
    "filter": (
        "hybrid",
        "--low",
        "a red circle",
        "--high",
        "a blue cross",
        "--model",
        "oracle",
        "--filter",
        f"{OWN}:Box",
    ),
    "constraint": ("generate", *RED, "--constraint", f"{OWN}:Bounded"),
    "guidance": ("generate", *RED, "--guidance", f"{OWN}:Geometric", "--guidance-scale", "5"),
    "solver": ("generate", *RED, "--solver", f"{OWN}:Euler"),
    "schedule": ("generate", *RED, "--spacing", f"{OWN}:quadratic"),
    "model": ("generate", "grey", "--model", f"{OWN}:Plain", "--steps", "8"),
}
NAMES = {"view": "Slide", "filter": "Box", "constraint": "Bounded", "guidance": "Geometric", "solver": "Euler"}


@pytest.mark.parametrize("kind", USES)
def test_one_of_each_of_ones_own_is_named_saved_and_replayed(kind, tmp_path):
    """On the command line, into a record, and from it in a new process: the same pixels."""
    made = CliRunner().invoke(app, [*USES[kind], "--out", str(tmp_path)], catch_exceptions=False)
    assert made.exit_code == 0, made.output
    own = ["--own", f"{OWN}:{NAMES[kind]}"] if kind in NAMES else []
    own += ["--model", f"{OWN}:Plain"] if kind == "model" else []
    again = subprocess.run(
        [sys.executable, "-m", "duckrabbit", "replay", str(tmp_path / "01.json"), *own],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert again.stdout == "the same, to the pixel\n", again.stderr
    if kind in NAMES:
        unknown = subprocess.run(
            [sys.executable, "-m", "duckrabbit", "replay", str(tmp_path / "01.json")],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert unknown.returncode == 2
        assert f"--own own_everything.py:{NAMES[kind]}" in unknown.stderr


def test_ones_own_does_something_and_is_short():
    """Under 25 lines each, and each changes the picture."""
    import ast

    tree = ast.parse(OWN.read_text())
    sizes = [n.end_lineno - n.lineno + 1 for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)]
    assert len(sizes) == 7
    assert max(sizes) < 25
    model = dr.load("oracle")
    scope = runpy.run_path(str(OWN))
    plain = dr.run(dr.generate(model, "a red circle", steps=8, guidance_scale=5), 3).images
    for option in (
        {"solver": scope["Euler"]()}, {"spacing": scope["quadratic"]},
        {"constraint": scope["Bounded"](0.5)},
    ):  # fmt: skip
        other = dr.run(dr.generate(model, "a red circle", steps=8, guidance_scale=5, **option), 3).images
        assert not torch.equal(other, plain), option  # the oracle draws the same shape, but not by the same way
    at, x = dr.NoiseLevel(1, 0.8, 0.6), torch.zeros(1, 3, 8, 8)

    def network(queries, at):
        return [dr.Prediction(x, x + (q.condition == "yes")) for q in queries]  # so CFG with scale s says eps = s

    tree = scope["Geometric"](dr.Prompt("yes"), dr.Prompt("no"), 5.0)
    assert dr.lower(tree, network)(x, at).eps.flatten()[0] == pytest.approx(5**0.6)
    assert (dr.run(dr.generate(scope["Plain"](), "grey"), 3).pixels == 128).all()
    assert all(row.holds for thing in (scope["Slide"](), scope["Box"]()) for row in dr.check(thing))


def test_the_public_names_are_all_there_and_typed():
    assert dr.__version__
    assert sorted(dr.__all__) == sorted({name for name in dr.__all__ if hasattr(dr, name)})
    for name in ("walk", "denoiser", "train", "evaluate", "check", "register", "replay", "Result"):
        assert name in dr.__all__


def test_a_registered_name_is_known_everywhere(tmp_path):
    scope = runpy.run_path(str(OWN))
    dr.register("view", "slide")(scope["Slide"])
    with pytest.raises(dr.UserError, match="already"):
        dr.register("view", "slide")(scope["Slide"])
    job = dr.anagram(dr.load("oracle"), {"identity": "a red circle", "slide": "a blue cross"}, steps=5)
    path = dr.run(job, 3).save(str(tmp_path))[0]
    assert dr.replay(path).same
    with pytest.raises(dr.UserError, match="has no method inverse"):
        dr.register("view", "no view")(scope["Box"])


def test_a_result_shows_itself_and_a_walk_ends_where_a_run_does():
    job = dr.generate(dr.load("oracle"), "a red circle", steps=5)
    result = dr.run(job, seeds=[3, 4])
    assert (len(result), result[1].seed, result[0].prompt, result[0].pil.size) == (2, 4, "a red circle", (32, 32))
    assert result._repr_html_().count("<img") == 2
    assert "tensor" not in repr(result)
    *_, last = dr.walk(job, seeds=[3, 4])
    assert (last.x == result.images).all()
    facts = job.model.stages[0]
    at = facts.schedule.level(500)
    x = result.images * at.alpha
    guided = dr.denoiser(job.model, "a red circle", guidance_scale=3)(x, at)
    one, null = (dr.denoiser(job.model, prompt, guidance_scale=1)(x, at) for prompt in ("a red circle", ""))
    assert ((null.eps + 3 * (one.eps - null.eps)) - guided.eps).abs().max() < 0.05  # but for the clip of x0
