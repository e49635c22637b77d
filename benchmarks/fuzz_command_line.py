"""Random command lines, for as long as you like: each ends with 0 or a sentence and 2, and leaves nothing half-made.

    python benchmarks/fuzz_command_line.py [--minutes 10] [--seed 0]

Hypothesis draws a command, its arguments and options as click itself lists them, and for each a value of its kind or
one that nobody means: empty, nan, 1e300, brackets, new lines, a folder, a picture cut short, an edited record.
Everything runs in this process on the model `oracle`, in a folder made for it, without a network. After each run: the
exit code, no traceback, no exception but SystemExit, no unfinished file, every PNG and JSON opens. It prints how many
runs ended how, and each failure with its words; the exit code is 1 if there was one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import typer
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

COMMANDS = (
    "generate", "edit", "inpaint", "anagram", "hybrid", "upscale", "noise", "denoise", "replay", "batch", "check",
    "models list", "models show", "prompts show", "prompts convert", "prompts encode", "curves",
)  # fmt: skip
FILES = (
    "photo.png", "mask.png", "grey.png", "cut.png", "words.txt", "rows.jsonl", "bad.jsonl", "a folder", "gone.png",
    "record.json", "edited.json", "record/01-seed180.png", "empty",
)  # fmt: skip
PROMPTS = (
    "a red circle", "a blue cross", "a circle", "", " ", "a cat", "[bold]a cross", "a\ncross", "猫 🐱", "x" * 300,
)  # fmt: skip
NAMES = ("identity", "flip", "rotate_90", "ddim", "oracle", "heun:churn=0.1", "trailing")
NASTY = (
    "", " ", "nan", "inf", "-1", "0", "1e300", "1e-300", "1,2", "1,,2", "[/]", "a\nb", "\t", "é🐱", "\udcff", "--", "-",
    "None", "patch_permutation:grid=0", "x" * 500, "photo.png", "a folder", "photo.png:X", "math:nan",
    "rotate_90+negate",
)  # fmt: skip
MEANT = {
    "<prompts>": ("a red circle", "a blue cross"), "<image>": ("photo.png", "grey.png", "record/01-seed180.png"),
    "<mask>": ("mask.png",), "<file>": ("rows.jsonl",), "<record>": ("record.json", "record"), "<models>": ("oracle",),
    "<name>": ("oracle", "miniature"), "--high": ("a red circle", "a cross"), "--low": ("a blue cross", "a square"),
    "--prompt": ("a red circle", "a blue cross"), "--negative-prompt": ("a cross",), "--image": ("photo.png",),
    "--view": ("flip", "rotate_90", "negate", "identity", "patch_permutation:seed=2"), "--model": ("oracle",),
    "--solver": ("ddim", "heun", "ancestral", "dpm++-2m", "heun:churn=0.1"), "--spacing": ("linspace", "trailing"),
    "--guidance": ("cfg", "none"), "--constraint": ("photo.png", "inpaint"), "--filter": ("box", "gaussian"),
    "--guidance-scale": ("1", "7", "0"), "--interval": ("0.2,0.8",), "--box": ("0.2,0.2,0.8,0.8", "1,1,20,20"),
    "--t": ("250", "500,750"), "--sigma": ("0.5", "1,2"), "--kernel": ("3", "5"), "--strength": ("0.5",),
    "--start": ("1", "0,1"), "--stage": ("1", "2"), "--seed": ("1", "180"), "--micro-batch": ("1", "4"),
    "--dtype": ("float32", "bfloat16", "float16"), "--noise-level": ("0", "100"), "--device": ("cpu", "cuda", "tpu"),
    "--steps": ("1", "2", "3"), "--steps-stage2": ("1", "2"), "--count": ("1", "2"), "--judge": ("1",),
    "--jump": ("1", "2"), "--resample": ("1", "2"), "--out": ("out", "deep/er", "a folder", "words.txt/x"),
    "--output": ("made.safetensors", "a folder/made.safetensors", "a folder", "words.txt/x.safetensors"),
}  # fmt: skip
"""What somebody means who gives an argument or an option; of --out, --steps and their like nothing else is drawn."""
BOUND = ("--steps", "--steps-stage2", "--count", "--judge", "--jump", "--resample", "--out", "--output", "--device")
HOMES = ("HOME", "DUCKRABBIT_RUNS", "XDG_CACHE_HOME")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ.update({name: str(Path(folder, name)) for name in HOMES})
        prepare()
        codes, failures = drive(args.minutes * 60, args.seed)
    ends = ", ".join(f"{n} ended with {code}" for code, n in codes.most_common())
    print(f"{sum(codes.values())} command lines: {ends}; {len(failures)} not as they should.")
    for words, why in failures:
        print(f"FAILED {words!r}\n{why}")
    sys.exit(bool(failures))


def prepare() -> None:
    """The files that are named: pictures, records, rows, and what is none of these."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photo.png")
    Image.fromarray(np.uint8(pixels[..., 0] > 127) * 255).save("mask.png")
    Image.fromarray(pixels[..., 0]).save("grey.png")
    Path("cut.png").write_bytes(Path("photo.png").read_bytes()[:200])
    Path("words.txt").write_text("no picture")
    Path("empty").touch()
    Path("a folder").mkdir()
    Path("rows.jsonl").write_text('{"verb": "generate", "prompts": ["a cross"], "model": "oracle", "steps": 1}\n')
    Path("bad.jsonl").write_text('{"verb": "generate", "stpes": 1}\n[]\nno json\n')
    told = invoke(["generate", "a red circle", "--model", "oracle", "--steps", "2", "--out", "record"])
    assert told[0] == 0, told
    record = json.loads(Path("record/01.json").read_text())
    Path("record.json").write_text(json.dumps(record))
    Path("edited.json").write_text(json.dumps({**record, "seeds": ["1"], "stages": {"kind": "os.system"}}))


def drive(seconds: float, number: int) -> tuple[Counter[object], list[tuple[list[str], str]]]:
    """Run command lines until the time is over; how they ended, and those that did not end as they should."""
    codes: Counter[object] = Counter()
    failures: list[tuple[list[str], str]] = []
    end, kept = time.monotonic() + seconds, set(Path().rglob("*"))

    @seed(number)
    @settings(
        max_examples=10**9,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(command_lines())
    def one(words: list[str]) -> None:
        if time.monotonic() > end:
            raise KeyboardInterrupt
        code, why = invoke(words)
        codes[code] += 1
        why += "".join(f"left: {left}\n" for left in leftovers(kept))
        if code not in (0, 2) or why:
            failures.append((words, why or f"exit code {code}"))

    with contextlib.suppress(KeyboardInterrupt):
        one()
    return codes, failures


def command_lines() -> st.SearchStrategy[list[str]]:
    """A command, some of its options, its arguments; paths stay within this folder."""
    from duckrabbit.cli.main import app

    root: Any = typer.main.get_command(app)
    return st.sampled_from(COMMANDS).flatmap(lambda name: _words(name, _command(root, name.split())))


def _command(group: Any, names: list[str]) -> Any:
    found = group.commands[names[0]]
    return found if len(names) == 1 else _command(found, names[1:])


def _words(name: str, command: Any) -> st.SearchStrategy[list[str]]:
    options = [p for p in command.params if p.param_type_name == "option" and "--help" not in p.opts]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    some = st.lists(st.sampled_from(options), max_size=4, unique_by=id) if options else st.just([])
    chosen = some.flatmap(lambda drawn: st.tuples(*map(_option, drawn)))
    placed = st.tuples(
        *(st.lists(_value(p), min_size=p.nargs != -1, max_size=2 if p.nargs == -1 else 1) for p in arguments)
    )
    usual = {"--model": "oracle", "--steps": "2", "--out": "out"}
    known = {opt for p in command.params for opt in p.opts}
    start = [*name.split(), *(word for pair in usual.items() if pair[0] in known for word in pair)]
    return st.tuples(placed, chosen).map(lambda ws: [*start, *(w for part in ws for each in part for w in each)])


def _option(p: Any) -> st.SearchStrategy[list[str]]:
    flag = max(p.opts, key=len)
    if p.is_flag:
        return st.sampled_from([[opt] for opt in (*p.opts, *p.secondary_opts)])
    return st.lists(_value(p), min_size=1, max_size=2).map(lambda values: [w for v in values for w in (flag, v)])


def _value(p: Any) -> st.SearchStrategy[str]:
    """Four times of five what is meant."""
    flag = max(p.opts, key=len)
    told = p.metavar or ""
    meant = MEANT.get(flag if flag.startswith("-") else f"<{flag}>", told.split("|") if "|" in told else PROMPTS)
    if flag in BOUND:
        other: st.SearchStrategy[str] = st.sampled_from(["0", "-1", "nan", "", "1.5", "x" * 500])
    else:
        other = st.sampled_from([*FILES, *PROMPTS, *NAMES, *NASTY]) | st.integers(-2, 999).map(str)
        other |= st.floats(-2, 1000).map(str)
    return st.sampled_from([True] * 4 + [False]).flatmap(lambda sane: st.sampled_from(meant) if sane else other)


def invoke(words: list[str]) -> tuple[object, str]:
    """The exit code of a command line, and what is wrong with how it ended; "" if nothing is."""
    from duckrabbit.cli.main import main as program

    out, err, code, why = io.StringIO(), io.StringIO(), 0, ""
    with warnings.catch_warnings(), patch.object(sys, "argv", ["duckrabbit", *words]):
        warnings.simplefilter("ignore")
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                program()
            except SystemExit as left:
                code = left.code or 0  # type: ignore[assignment]
            except BaseException:
                return "an exception", traceback.format_exc()[-1500:]
    said = out.getvalue() + err.getvalue()
    if "Traceback" in said:
        why = said[-1500:]
    if code == 2 and not err.getvalue().strip():
        why += "no word of why\n"
    return code, why


def leftovers(kept: set[Path]) -> Iterator[str]:
    """What a run left that is half-made; all that it made is taken away."""
    made = [path for path in Path().rglob("*") if path not in kept and path.parts[0] not in HOMES]
    for path in made:
        if path.name.startswith(".") or path.name.endswith((".unfinished", ".tmp")):
            yield str(path)
        try:
            if path.suffix == ".png":
                Image.open(path).load()
            elif path.suffix == ".json":
                json.loads(path.read_text())
        except (OSError, ValueError) as error:
            yield f"{path}: {error}"
    for path in made:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
