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

LAYERS = (
    ("diffusion",),
    ("guidance", "networks"),
    ("models",),
    ("tasks",),
    ("records", "data", "training"),
    ("evaluation",),
    ("report",),
    ("cli",),
    ("gallery", "studio"),
)
"""The arrows: a folder imports what stands above it in this list, and never what stands beside or below it."""
BARRED = {
    "networks": {"guidance"},
    "models": {"guidance"},
    "training": {"tasks", "guidance", "records"},
    "data": {"tasks", "guidance", "models", "networks", "records"},
}
"""Arrows that the list would allow, and that there are not."""
EXTRA = {"training": {"data"}, "evaluation": set()}
"""Arrows between neighbours."""
WITHIN = {
    "diffusion": ("solvers",),
    "guidance": ("views",),
    "models": ("cascade digits", "pixnerd prxpixel"),
    "data": ("mnist drawings", "colour"),
    "training": ("digits cascade",),
    "evaluation": ("digits drawings", "search"),
    "cli": ("commands",),
    "studio": ("forms", "shelf", "queue", "page", "server"),
}
"""Folders inside folders: the later may import the earlier; those in one word stand beside each other."""
FOR_ALL = {"errors", "files", "folders", "registry", "values"}
GATHERS = {"cli/main.py": {"gallery", "studio"}}
"""The program gathers the commands of all three: the one file that imports what stands below it."""
ALLOWED = {
    folder: ({above for row in LAYERS[:k] for above in row} - BARRED.get(folder, set())) | EXTRA.get(folder, set())
    for k, row in enumerate(LAYERS)
    for folder in row
}


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
    where = path.relative_to(ROOT).parts
    if path.parent == ROOT:  # the facade and errors: what they name is loaded on first use
        return []
    package, inside = where[0], where[1] if len(where) > 2 else None
    allowed = ALLOWED[package] | FOR_ALL | GATHERS.get(name(path), set())
    rows = [row.split() for row in WITHIN.get(package, ())]
    rank = {folder: k for k, row in enumerate(rows) for folder in row}
    wrong = []
    for module in imported(source, path):
        parts = module.split(".")[1:]
        if not parts:
            continue
        if parts[0] != package:
            wrong += [module] * (parts[0] not in allowed)
        elif inside and len(parts) > 1 and parts[1] in rank and parts[1] != inside:
            wrong += [module] * (rank[parts[1]] >= rank[inside])
    return wrong


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
        "def f():\n    from duckrabbit.cli import main",
        "from ..records import read",
    ],
)
def test_an_import_against_the_arrows_is_found(line):
    assert trespasses(line, ROOT / "guidance" / "nodes.py")
    allowed = "from ..diffusion import plans\nfrom duckrabbit.errors import UserError\nimport duckrabbit.guidance.tree"
    assert not trespasses(allowed, ROOT / "guidance" / "nodes.py")


def test_every_folder_has_its_arrows():
    packages = {str(p.parent.relative_to(ROOT)) for p in ROOT.rglob("__init__.py")} - {"."}
    inner = {f"{folder}/{part}" for folder, rows in WITHIN.items() for row in rows for part in row.split()}
    assert packages == {folder for row in LAYERS for folder in row} | inner


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("from duckrabbit.studio.page import tabs", "studio/shelf/shelf.py"),
        ("from duckrabbit.training.digits import recipe", "training/cascade/recipe.py"),
        ("from duckrabbit.gallery import build", "studio/page/tabs.py"),
        ("from duckrabbit.gallery import build", "cli/perform.py"),
        ("from duckrabbit.cli import options", "report/sheet.py"),
    ],
)
def test_an_import_between_inner_folders_is_found(line, place):
    assert trespasses(line, ROOT / place)


def test_no_module_imports_itself_by_a_detour():
    """No circle of imports at all, not even of lazy ones, once the program that gathers the commands is left out."""
    modules = {".".join(("duckrabbit", *p.relative_to(ROOT).with_suffix("").parts)): p for p in FILES}
    graph = {}
    for module, path in modules.items():
        if path.parent == ROOT or path.stem == "__init__" or name(path) in GATHERS:
            continue
        named = imported(path.read_text(), path)
        graph[module] = {m if m in modules else m.rpartition(".")[0] for m in named} & set(modules)
    done = set()

    def walk(module, way):
        assert module not in way, f"a circle: {' > '.join([*way[way.index(module) :], module])}"
        if module not in done:
            for other in sorted(graph.get(module, ())):
                walk(other, [*way, module])
            done.add(module)

    for module in graph:
        walk(module, [])


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
    """Only networks/batching.py knows which row belongs to which question; a U-Net joins channels, not pictures.

    The node `Each` is about rows and nothing else, and its questions name them.
    """
    if path.name == "each.py":
        assert [line for line in batch_calls(path.read_text()) if "torch.cat" not in line] == []
        return
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
