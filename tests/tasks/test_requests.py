"""Requests: an option is spelled once, and is everywhere that a person can ask."""

import inspect
import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from duckrabbit.cli.options import request_command
from duckrabbit.errors import UserError
from duckrabbit.tasks import spelling, tasks
from duckrabbit.tasks.requests import REQUESTS, Generate
from duckrabbit.tasks.settings import Options
from duckrabbit.tasks.spelling import (
    command_of,
    fields_of,
    own_names,
    read_requests,
    request_of,
    row_schema,
    to_argv,
    to_plain,
)
from duckrabbit.tasks.vocabulary import SAMPLING, Option
from schemas import is_valid

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(str.strip)
whole = st.integers(1, 500)
real = st.floats(-20, 20, allow_nan=False).map(lambda v: round(v, 3))
VALUES = {
    "prompts": st.lists(texts, min_size=1, max_size=3), "views": st.lists(texts, max_size=2), "image": texts,
    "mask": texts, "high": texts, "low": texts, "models": st.lists(texts, min_size=1, max_size=2),
    "steps": whole, "count": whole, "seed": st.integers(0, 2**53), "guidance_scale": real, "stage": whole,
    "interval": st.tuples(real, real | st.just(float("inf"))), "box": st.tuples(real, real, real, real),
    "t": st.lists(real, min_size=1, max_size=3), "sigma": real.map(abs).filter(bool), "invert": st.booleans(),
    "how": st.sampled_from(["renoised", "clean"]), "animate": st.lists(st.sampled_from(["mp4", "gif"]), max_size=2),
    "solver": texts, "negative_prompt": texts, "preset": st.none() | st.just("cs180"), "spacing": texts,
    "strength": st.lists(st.floats(0.001, 1).map(lambda v: round(v, 3)), max_size=3), "model": texts,
    "family": st.sampled_from(["low-high", "triple", "composed"]), "keep": st.sampled_from(["high", "grey"]),
    "weights": st.lists(real, max_size=3), "kernel": whole, "windows": texts,
    "combine": st.sampled_from(["mean", "alternate", "x0", "rectified", "adaptive"]),
}  # fmt: skip


def some(verb):
    known = {f.name: VALUES[f.name] for f in fields_of(verb) if f.name in VALUES}
    if verb == "anagram":
        known["views"] = st.lists(texts, min_size=1, max_size=2)
    needed = {name for name in ("prompts", "image", "high", "models") if name in known}
    return st.fixed_dictionaries(
        {name: known[name] for name in needed}, optional={n: v for n, v in known.items() if n not in needed}
    ).map(lambda values: request_of(verb, values))


requests = st.sampled_from(sorted(REQUESTS)).flatmap(some)


def typed(verb, words):
    """What the command line of a verb makes of these words."""
    seen = []
    app = typer.Typer()
    request_command(app, REQUESTS[verb], lambda request, output: seen.append(request))
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return seen[0]


def test_a_path_below_the_home_of_nobody_is_a_path():
    assert request_of("noise", {"image": "~0nobody/x.png"}).image == Path("~0nobody/x.png")


@given(requests)
def test_plain_data_and_json_hold_a_request(request):
    assert request_of(request.verb, to_plain(request)) == request
    assert request_of(request.verb, json.loads(json.dumps(to_plain(request)))) == request


SCHEMA = row_schema()


@given(requests)
def test_the_schema_of_a_row_takes_every_request(request):
    row = {"verb": request.verb, **to_plain(request)}
    assert is_valid(SCHEMA, json.loads(json.dumps(row)))
    assert not is_valid(SCHEMA, {**row, "stpes": 3})
    assert not is_valid(SCHEMA, {**row, "verb": "paint"})
    assert not is_valid(SCHEMA, to_plain(request))


@pytest.mark.parametrize("verb", REQUESTS)
def test_the_schema_refuses_what_is_refused(verb):
    """Values of other types, and on both sides of every bound, one at a time."""
    needed = [f for f in fields_of(verb) if f.default is MISSING]
    row = {f.name: ["a"] if f.several else "a" for f in needed}
    assert not any(is_valid(SCHEMA, {"verb": verb, **{k: v for k, v in row.items() if k != f.name}}) for f in needed)
    for f in fields_of(verb):
        for value in (-1, 0, 1, 2.5, 10_001, 2**64, True, False, None, [], [1], [0, 1], [0.5, "inf"], [1, 2, 3, 4], {}):
            changed = {**row, f.name: value}
            try:
                request_of(verb, changed)
                taken = True
            except UserError:
                taken = False
            valid = is_valid(SCHEMA, {"verb": verb, **changed})
            as_typed = f.listed or f.kind is bool  # one of several by itself, and 0 for no
            assert valid == taken or (taken and as_typed), (f.name, value)


def test_the_command_line_prints_the_schema_of_a_row(cli):
    printed = cli("batch", "--schema")
    assert (printed.code, printed.written) == (0, [])
    assert json.loads(printed.out) == SCHEMA


@given(requests)
def test_the_command_line_holds_a_request(request):
    verb, *words = to_argv(request)
    assert typed(verb, words) == request
    assert command_of(request).startswith(f"duckrabbit {verb}")


def test_the_options_of_python_are_those_of_the_command_line():
    """Each way: what a task takes by keyword can be typed, and what can be typed is a keyword of its task."""
    for verb, kind in REQUESTS.items():
        task = getattr(tasks, verb, None)
        if task is None:
            continue
        own = {name for name, p in inspect.signature(task).parameters.items() if p.kind == p.KEYWORD_ONLY}
        typed_names = {f.name for f in fields(kind)}
        spent = {"model", "device", "dtype", "prompt_file", "micro_batch", "seed", "count", "prompts", "views", "image",
                 "mask", "box", "high", "low", "t", "sigma", "animate", "print", "judge"}  # fmt: skip
        assert typed_names - spent - own <= set(Options.__annotations__), verb
        assert own - {"method"} <= typed_names, verb
    assert set(Options.__annotations__) <= {f.name for f in fields(Generate)}


def test_one_more_option_is_everywhere(monkeypatch, tmp_path):
    """In --help and on the command line, in the studio, over HTTP, in a record's plain data and in a row of a file."""
    from duckrabbit.studio.page.api import _about
    from duckrabbit.studio.page.fields import Builder

    @dataclass(frozen=True, kw_only=True)
    class Tinted(Generate):
        tint: Annotated[float | None, Option("How warm it is to be.", SAMPLING)] = None

    monkeypatch.setitem(REQUESTS, "generate", Tinted)
    for cached in (spelling.fields_of, spelling._adapters):
        cached.cache_clear()
    try:
        app = typer.Typer()
        request_command(app, Tinted, lambda request, output: None)
        assert "How warm it is to be." in CliRunner().invoke(app, ["--help"]).output
        assert typed("generate", ["a cat", "--tint", "0.5"]).tint == 0.5
        (generate,) = (kind for kind in row_schema()["oneOf"] if kind["properties"]["verb"]["const"] == "generate")
        assert generate["properties"]["tint"]["description"] == "How warm it is to be."
        assert to_plain(request_of("generate", {"prompts": ["a cat"], "tint": 0.5}))["tint"] == 0.5
        (tmp_path / "rows.jsonl").write_text('{"verb": "generate", "prompts": ["a cat"], "tint": "0.25"}\n')
        assert read_requests(tmp_path / "rows.jsonl")[0].tint == 0.25
        import gradio as gr

        with gr.Blocks():
            build = Builder("generate", {}, gr.Dropdown(["miniature"]))
            build.text("prompts", "What is it?")
            build.sampling()
        assert "tint" in build.done().names
        assert "tint: How warm" in _about(Tinted, fields_of("generate"))
    finally:
        for cached in (spelling.fields_of, spelling._adapters):
            cached.cache_clear()


@pytest.mark.parametrize(
    ("verb", "values", "sentence"),
    [
        ("paint", {}, "There is no request 'paint'"),
        ("generate", {"stpes": 3}, "no option stpes; did you mean steps"),
        ("generate", {"steps": 0}, "steps is a whole number of 1 or more, not 0"),
        ("generate", {"steps": True}, "steps is a number, not"),
        ("generate", {"steps": 2.5}, "steps is a whole number"),
        ("generate", {"steps": "5,,7"}, "steps takes numbers with commas"),
        ("generate", {"count": 10**9}, "count is a whole number of at most 10000"),
        ("generate", {"prompts": [3]}, "prompts is a text, not 3"),
        ("anagram", {"prompts": ["a", "b"], "views": []}, "views takes one value or more"),
        ("generate", {"interval": [1]}, "interval takes another number of values"),
        ("edit", {}, "edit needs image"),
        ("edit", {"image": "x.png", "preset": "cs231"}, "preset takes cs180"),
        ("edit", {"image": "x.png", "strength": [0.5, 2]}, "strength is at most 1"),
        ("inpaint", {"image": "x.png", "how": "gently"}, "how takes renoised, clean"),
        ("upscale", {"image": "x.png", "steps": 5}, "There is no option steps"),
    ],
)
def test_what_is_no_request_is_a_sentence(verb, values, sentence):
    with pytest.raises(UserError, match=sentence):
        request_of(verb, values)


def test_a_file_of_requests_says_which_rows_are_wrong(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"verb": "generate", "prompts": ["a"]}\n\n{"verb": "generate", "stpes": 1}\nnot json\n[]\n')
    with pytest.raises(UserError, match=r"row 3: There is no option stpes.*row 4: .*row 5: ") as error:
        read_requests(path)
    assert "row 1" not in str(error.value)
    path.write_text('{"verb": "noise", "image": "~/x.png", "t": [1, 2]}\n')
    (request,) = read_requests(path)
    assert request.image == Path("~/x.png").expanduser()
    assert request.t == (1.0, 2.0)


def test_what_may_be_ones_own_is_named():
    request = request_of("anagram", {"prompts": ["a", "b"], "views": ["x.py:A+flip"], "solver": "s.py:S"})
    assert set(own_names(request)) == {
        ("view", "x.py:A"),
        ("view", "flip"),
        ("solver", "s.py:S"),
        ("model", "miniature"),
    }
