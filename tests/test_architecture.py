"""The picture in docs/architecture.md, read off the source: who may import whom, and how large things may grow."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import duckrabbit

ROOT = Path(duckrabbit.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LIMIT, LONGEST = 300, 60

MAY_IMPORT = {
    "diffusion": set(),
    "guidance": {"diffusion"},
    "networks": {"diffusion"},
    "models": {"diffusion", "networks"},
    "drawings": set(),
    "training": {"diffusion", "networks", "drawings"},
    "tasks": {"diffusion", "guidance", "networks", "models"},
    "evaluation": {"diffusion", "guidance", "networks", "models", "tasks", "training", "drawings"},
    "app": {"diffusion", "guidance", "networks", "models", "tasks", "training", "evaluation", "drawings"},
}
"""The arrows: diffusion <- {guidance, networks}; networks <- {models, training}; drawings <- training;
{guidance, models} <- tasks; {tasks, training} <- evaluation; everything <- app. An arrow may be followed further:
what a package imports, those that import it may import too. `errors` and `files` are for all.
guidance and networks never meet."""


def name(path):
    return str(path.relative_to(ROOT))


def imported(source, path):
    """The modules of duckrabbit that a file imports, lazily or not; relative imports resolved."""
    here = ("duckrabbit", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else ()
            stem = ".".join((*base, *([node.module] if node.module else [])))
            modules = [f"{stem}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (m for m in modules if m.split(".")[0] == "duckrabbit")


def trespasses(source, path):
    """The imports of a file that no arrow allows."""
    package = path.relative_to(ROOT).parts[0]
    if path.parent == ROOT:  # the facade and errors: what they name is loaded on first use
        return []
    allowed = MAY_IMPORT[package] | {package, "errors", "files"}
    return [m for m in imported(source, path) if m != "duckrabbit" and m.split(".")[1] not in allowed]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_follow_the_arrows(path):
    assert trespasses(path.read_text(), path) == []


@pytest.mark.parametrize(
    "line",
    [
        "import duckrabbit.networks.batching",
        "from duckrabbit.networks.batching import batched",
        "from duckrabbit import networks",
        "from ..networks import batching",
        "def f():\n    from duckrabbit.app import cli",
    ],
)
def test_an_import_against_the_arrows_is_found(line):
    assert trespasses(line, ROOT / "guidance" / "nodes.py")
    allowed = "from ..diffusion import plans\nfrom duckrabbit.errors import UserError\nimport duckrabbit.guidance.tree"
    assert not trespasses(allowed, ROOT / "guidance" / "nodes.py")


def test_every_package_has_its_arrows():
    packages = {p.parent.name for p in ROOT.glob("*/__init__.py")}
    assert packages <= set(MAY_IMPORT)


def batch_calls(source):
    """Calls that join or part batches: torch.cat, torch.split and torch.chunk, or the methods of a tensor."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            arguments = [a.value if isinstance(a, ast.Constant) else a for a in node.args]
            parts_text = node.func.attr == "split" and all(isinstance(a, str) for a in arguments)
            if node.func.attr in {"cat", "concat", "concatenate", "split", "chunk", "tensor_split"} and not parts_text:
                yield f"line {node.lineno}: {ast.unparse(node.func)}"


@pytest.mark.parametrize("path", [p for p in FILES if p.parent.name == "guidance"], ids=name)
def test_guidance_never_joins_or_parts_a_batch(path):
    """Only networks/batching.py knows which row belongs to which question; a U-Net joins channels, not pictures."""
    assert list(batch_calls(path.read_text())) == []


def test_batch_calls_are_found():
    batching = ROOT / "networks" / "batching.py"
    assert len(list(batch_calls(batching.read_text()))) >= 4
    assert not list(batch_calls("'a b'.split()\nname.split('+')"))


def functions(tree):
    return [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_and_functions_are_short_or_say_why(path):
    source = path.read_text()
    tree = ast.parse(source)
    if len(source.splitlines()) > LIMIT:
        assert "Long because" in (ast.get_docstring(tree) or ""), f"{name(path)} has more than {LIMIT} lines"
    long = [f.name for f in functions(tree) if f.end_lineno - f.lineno + 1 > LONGEST]
    assert long == []


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_are_named_by_what_they_hold(path):
    assert path.stem not in {"utils", "util", "helpers", "misc", "common"}


def test_importing_the_package_loads_nothing_heavy():
    """`duckrabbit --help` must not wait for torch."""
    heavy = "torch diffusers transformers kornia matplotlib skimage gradio"
    script = f"import sys, duckrabbit; print([m for m in '{heavy}'.split() if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT.parent)}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert run.stdout.strip() == "[]"
