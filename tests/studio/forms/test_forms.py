"""Forms: one set of settings in the page, its address, the API, on the shelf and on the command line."""

import shlex
from dataclasses import fields
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duckrabbit.errors import UserError
from duckrabbit.studio.forms.digits import Curves, DigitAnagram, Digits, FromT, OneStep
from duckrabbit.studio.forms.drawings import Anagram, Create, Denoise, Edit, Hybrid, Inpaint
from duckrabbit.studio.forms.plain import FORMS, from_address, from_plain, to_address, to_plain

NAME = "0" * 24 + ".png"
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(str.strip)
shared = {
    "seed": st.integers(0, 2**40),
    "count": st.integers(1, 16),
    "steps": st.none() | st.integers(1, 1000),
    "guidance_scale": st.none() | st.integers(2, 30).map(lambda k: k / 2),
    "negative_prompt": st.just("") | words,
}
forms = st.one_of(
    st.builds(Create, prompt=words, **shared),
    st.builds(Denoise, image=st.just(NAME), t=st.integers(1, 999), **shared),
    st.builds(Edit, image=st.just(NAME), prompt=words, **shared),
    st.builds(Inpaint, image=st.just(NAME), mask=st.just(NAME), resample=st.integers(1, 9), invert=st.booleans(),
              **shared),
    st.builds(Anagram, prompts=st.lists(words, min_size=2, max_size=4).map(tuple),
              views=st.lists(st.sampled_from(["flip", "negate", "patch_permutation:grid=4"]), min_size=1).map(tuple),
              **shared),
    st.builds(Hybrid, near=words, far=words, sigma=st.integers(1, 20).map(lambda k: k / 4), **shared),
    st.builds(Digits, digit=st.sampled_from(["all", "any", "7"]), **shared),
    st.builds(OneStep, image=st.just(NAME), sigma=st.integers(1, 40).map(lambda k: k / 20)),
    st.builds(FromT, image=st.just(NAME), t=st.integers(1, 298), digit=st.sampled_from(["any", "0"])),
    st.builds(DigitAnagram, first=st.sampled_from("0123456789"), second=st.just("9"), **shared),
    st.builds(Curves, model=st.sampled_from(["mnist-class", "mnist-time"])),
)  # fmt: skip


@given(forms)
def test_an_address_holds_a_form(form):
    assert from_address(parse_qsl(to_address(form).removeprefix("?"), keep_blank_values=True)) == form


@given(forms)
def test_plain_data_holds_a_form(form):
    assert from_plain(form.kind, to_plain(form)) == form


@given(forms)
def test_the_command_that_is_shown_is_the_one_that_runs(form):
    shown = shlex.split(form.command())
    assert shown == ["duckrabbit", *form.arguments("inputs/")]
    assert shown[1] == FORMS[form.kind].verb


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("make=generate&prompt=x&steps=many", {"prompt": "x", "steps": None}),
        ("make=generate&prompt=x&nonsense=1", {"prompt": "x"}),
        ("make=generate&seed=-1&count=1e999", {"seed": -1, "count": 1}),
        ("make=denoise&t=nan", {"t": 500}),
    ],
)
def test_nonsense_in_an_address_is_left_out(query, kept):
    form = from_address(parse_qsl(query))
    assert {name: getattr(form, name) for name in kept} == kept


def test_what_an_address_does_not_say_is_as_the_tab_begins():
    begins = {"generate": Create(prompt="a duck", steps=30, guidance_scale=4.0)}
    form = from_address(parse_qsl("make=generate&steps=12&prompt=", keep_blank_values=True), begins)
    assert form == Create(prompt="", steps=12, guidance_scale=4.0)


def test_an_address_without_a_form_is_none():
    assert from_address([]) is None
    assert from_address([("make", "coffee")]) is None


@pytest.mark.parametrize(
    ("form", "word"),
    [
        (Create(prompt="x", count=17), "1 to 16"),
        (Create(prompt="x", steps=5000), "1 to 1000"),
        (Create(prompt="x", seed=-1), "seed"),
        (Create(prompt="x" * 501), "500"),
        (Create(prompt="  "), "empty"),
        (Create(prompt="a\0b"), "typed"),
        (Denoise(), "Choose a picture"),
        (Denoise(image="../../etc/passwd"), "named by"),
        (Denoise(image="/etc/passwd"), "named by"),
        (Inpaint(image=NAME), "Paint over"),
        (Inpaint(image=NAME, mask=NAME, resample=99), "RePaint"),
        (Anagram(prompts=("one",)), "two to five"),
        (Edit(image=NAME, strength=",".join(["0.5"] * 11)), "ten"),
        (Digits(digit="12"), "no digit"),
        (OneStep(), "Choose a picture"),
        (FromT(image=NAME, digit="x"), "no digit"),
        (DigitAnagram(first="any"), "takes two"),
        (DigitAnagram(view="spin.py:Spin"), "no view"),
    ],
)
def test_what_no_tab_allows_is_refused(form, word):
    with pytest.raises(UserError, match=word):
        form.arguments()


def test_a_prompt_that_looks_like_an_option_is_a_prompt():
    assert Create(prompt="--out=elsewhere").arguments()[-2:] == ["--", "--out=elsewhere"]


@pytest.mark.parametrize("values", [{"seed": "x"}, {"seed": [1]}, {"seed": 1.5}, {"colour": "red"}, {"prompt": None}])
def test_wrong_values_are_refused(values):
    with pytest.raises(UserError):
        from_plain("generate", values)


def test_every_command_of_a_form_exists():
    from duckrabbit.cli.main import app

    names = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert {form.verb for form in FORMS.values()} <= names
    assert all(f.name != "make" for form in FORMS.values() for f in fields(form))
