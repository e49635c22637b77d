"""Forms: one set of settings in the page, its address, the API, on the shelf and on the command line."""

import shlex
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duckrabbit.errors import UserError
from duckrabbit.studio.forms.kinds import KINDS
from duckrabbit.studio.forms.plain import form_of, from_address, to_address, to_settings

NAME = "0" * 24 + ".png"
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(str.strip)
sampling = {
    "seed": st.integers(0, 2**40),
    "steps": st.none() | st.integers(1, 1000),
    "guidance_scale": st.none() | st.integers(2, 30).map(lambda k: k / 2),
    "negative_prompt": st.just("") | words,
}
shared = sampling | {"count": st.integers(1, 16)}
views = st.lists(st.sampled_from(["flip", "negate", "patch_permutation:grid=4"]), min_size=1, max_size=3, unique=True)
# fmt: off
KINDS_OF = {
    "generate": {"prompts": st.lists(words, min_size=1, max_size=3), **shared},
    "denoise": {"image": st.just(NAME), "t": st.integers(1, 999), **sampling},
    "edit": {"image": st.just(NAME), "prompts": words.map(lambda w: [w]), "strength": st.just("0.3,0.75"), **shared},
    "inpaint": {
        "image": st.just(NAME),
        "mask": st.just(NAME),
        "resample": st.integers(1, 9),
        "invert": st.booleans(),
        **shared,
    },
    "anagram": {"prompts": st.lists(words, min_size=2, max_size=4), "views": views, **shared},
    "hybrid": {"high": words, "low": words, "sigma": st.integers(1, 20).map(lambda k: k / 4), **shared},
    "factorized": {
        "family": st.sampled_from(["colour", "motion", "composed"]),
        "prompts": st.lists(words, min_size=2, max_size=2),
        **shared,
    },
    "digits": {"prompts": st.just([*"0123456789"]) | st.just([]), **shared},
    "one_step": {"image": st.just(NAME), "sigma": st.integers(1, 40).map(lambda k: k / 20)},
    "curves": {"models": st.just(["mnist-class"])},
    "upscale": {"image": st.just(NAME), "noise_level": st.none() | st.integers(0, 99)},
    "noise": {"image": st.just(NAME), "t": st.lists(st.integers(1, 999), max_size=3)},
}
# fmt: on
forms = st.one_of(
    st.fixed_dictionaries(fields).map(lambda values, kind=kind: form_of(kind, values))
    for kind, fields in KINDS_OF.items()
)


@given(forms)
def test_an_address_holds_a_form(form):
    query = parse_qsl(to_address(form.kind, to_settings(form)).removeprefix("?"), keep_blank_values=True)
    found = from_address(query)
    if KINDS[form.kind].tab:
        assert form_of(*found) == form
    else:
        assert found is None


@given(forms)
def test_plain_data_holds_a_form(form):
    assert form_of(form.kind, to_settings(form)) == form


@given(forms)
def test_the_command_that_is_shown_is_read_as_the_same_request(form):
    """By the command line itself: what it hands on for these words is the request of the form."""
    from duckrabbit.cli.main import app

    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("duckrabbit.cli.perform.perform", lambda request, output: seen.append(request))
        words = shlex.split(form.command())
        assert words[0] == "duckrabbit"
        app(words[1:], standalone_mode=False)
    assert seen == [form.request]


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("make=generate&prompts=x&steps=many", {"prompts": ("x",)}),
        ("make=generate&prompts=x&nonsense=1", {"prompts": ("x",)}),
        ("make=generate&seed=-1&count=1e999", {}),
        ("make=denoise&t=abc&image=../../x.png", {}),
        ("make=digits&prompts=0%0A1", {"prompts": ("0", "1")}),
        ("make=generate&steps=12&prompts=", {"steps": (12,), "prompts": None}),
    ],
)
def test_nonsense_in_an_address_is_left_out(query, kept):
    assert from_address(parse_qsl(query, keep_blank_values=True))[1] == kept


def test_an_address_without_a_form_is_none():
    assert from_address([]) is None
    assert from_address([("make", "coffee")]) is None


@pytest.mark.parametrize(
    ("kind", "values", "word"),
    [
        ("generate", {"prompts": ["x"], "count": 17}, "1 to 16"),
        ("generate", {"prompts": ["x"], "steps": 5000}, "1 to 1000"),
        ("generate", {"prompts": ["x"], "seed": -1}, "seed"),
        ("generate", {"prompts": ["x" * 501]}, "500"),
        ("generate", {"prompts": ["a\0b"]}, "typed"),
        ("generate", {"prompts": ["x"], "steps": ",".join(["5"] * 11)}, "at most 10"),
        ("generate", {"prompts": ["x"], "device": "cuda"}, "chooses device itself"),
        ("generate", {"prompts": ["x"], "prompt_file": "/etc/passwd"}, "chooses prompt_file itself"),
        ("generate", {"prompts": ["x"], "stpes": 3}, "did you mean steps"),
        ("denoise", {}, "Choose a picture"),
        ("denoise", {"image": "../../etc/passwd"}, "named by"),
        ("denoise", {"image": "/etc/passwd"}, "named by"),
        ("inpaint", {"image": NAME}, "Paint over"),
        ("inpaint", {"image": NAME, "mask": NAME, "resample": 99}, "RePaint"),
        ("inpaint", {"image": NAME, "mask": "/etc/passwd"}, "named by"),
        ("anagram", {"prompts": ["one"]}, "two to five"),
        ("anagram", {"prompts": ["one", "two"], "views": ["spin.py:Spin"]}, "no view"),
        ("anagram", {"prompts": ["one", "two"], "judge": 5000}, "seeds at once"),
        ("edit", {"image": NAME, "strength": ",".join(["0.5"] * 11)}, "at most 10"),
        ("hybrid", {"low": "a cat"}, "Say what it is from near"),
        ("factorized", {"family": "triple", "prompts": ["a cat", "a dog"]}, "takes 3 prompts"),
        ("factorized", {"family": "colour", "prompts": ["a cat"], "image": NAME, "keep": "low"}, "no component low"),
        ("curves", {}, "needs models"),
    ],
)
def test_what_no_tab_allows_is_refused(kind, values, word):
    with pytest.raises(UserError, match=word):
        form_of(kind, values)
