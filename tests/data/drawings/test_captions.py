"""The grammar of captions: what is always said, what never, and how often."""

import re
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from duckrabbit.data.drawings.captions import TEMPLATES, caption, phrases, plain_caption, with_article
from duckrabbit.data.drawings.drawings import Drawings
from duckrabbit.data.drawings.names import TONES, held_out_names, vocabulary
from duckrabbit.data.drawings.sources import families


def one(style, subject, keywords=(), detail=""):
    text = plain_caption(style, subject, detail)
    fields = [(text,), (style,), (subject,), ("family",), (tuple(keywords),), ("MIT",), ("source",)]
    return Drawings(torch.zeros(1, 8, 8, 3, dtype=torch.uint8), *fields)


def sampled(drawings, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [caption(drawings, 0, generator) for _ in range(count)]


names = st.sampled_from(sorted({n for names in vocabulary().values() for n in names}))
styles = st.sampled_from([f.style for f in families().values()])
details = st.sampled_from(["", *(f"with {tone} skin" for tone in TONES)])


@given(styles, names, st.lists(names, max_size=3), details, st.integers(0, 2**31))
def test_a_caption_is_one_phrase_one_name_and_the_tone(style, subject, keywords, detail, seed):
    (text,) = sampled(one(style, subject, keywords, detail), 1, seed)
    tail = f" {detail}" if detail else ""
    possible = set()
    for phrase in phrases(style):
        for name in (subject, *keywords):
            thing = with_article(name) + tail
            a_style = with_article(phrase)
            possible |= {f"{a_style} of {thing}", f"{thing}, {phrase}", f"{thing} as {a_style}", thing}
    assert text in possible
    assert text == sampled(one(style, subject, keywords, detail), 1, seed)[0]
    assert text == text.lower()


def test_every_wording_comes_as_often_as_it_says():
    """4,000 captions; each share within four standard deviations of its expectation."""
    texts = sampled(one("glossy emoji", "car", ["red car", "motor car"]), 4000)
    emoji = [t for t in texts if "emoji" in t]
    expectations = [
        (sum("emoji" not in t for t in texts) / 4000, 0.15, 4000),
        (sum(" of " in t for t in texts) / 4000, 0.60, 4000),
        (sum(" as " in t for t in texts) / 4000, 0.10, 4000),
        (sum("red" not in t and "motor" not in t for t in texts) / 4000, 0.5, 4000),
        (sum("red car" in t for t in texts) / 4000, 0.25, 4000),
        (sum("glossy emoji" in t for t in emoji) / len(emoji), 0.5, len(emoji)),
        (sum("shiny emoji" in t for t in emoji) / len(emoji), 0.25, len(emoji)),
    ]
    for share, expected, count in expectations:
        assert abs(share - expected) < 4 * (expected * (1 - expected) / count) ** 0.5
    assert sum(weight for _, weight in TEMPLATES) == 100


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("owl", "an owl"), ("unicorn", "a unicorn"), ("hourglass", "an hourglass"), ("umbrella", "an umbrella"),
        ("scissors", "scissors"), ("octopus", "an octopus"), ("bus", "a bus"), ("tennis", "tennis"), ("skis", "skis"),
        ("bunch of grapes", "a bunch of grapes"), ("glass of wine", "a glass of wine"), ("red wine", "red wine"),
        ("dress", "a dress"), ("mount fuji", "mount fuji"), ("santa claus", "santa claus"), ("x-ray", "an x-ray"),
        ("two hearts", "two hearts"), ("person lifting weights", "a person lifting weights"), ("ewe", "a ewe"),
        ("twelve o'clock", "twelve o'clock"), ("one-piece swimsuit", "a one-piece swimsuit"), ("apple", "an apple"),
        ("men with bunny ears", "men with bunny ears"), ("3d render", "a 3d render"), ("ice cream", "an ice cream"),
    ],
)  # fmt: skip
def test_articles(name, expected):
    assert with_article(name) == expected


def test_no_caption_holds_a_name_that_is_held_out():
    said = {n for names in vocabulary().values() for n in names} | {p for f in families().values() for p in f.phrases}
    for name in held_out_names():
        found = [s for s in said if re.search(rf"\b{re.escape(name)}s?\b", s)]
        assert found == [], f"{name} is to be unheard"


def test_every_held_out_name_has_a_subject():
    subjects = {names[0] for names in vocabulary().values()}
    assert set(held_out_names().values()) <= subjects
    assert len(held_out_names()) >= 40


def test_no_two_subjects_share_a_name_and_no_two_families_a_phrase():
    names = Counter(name for names in vocabulary().values() for name in names)
    assert [n for n, count in names.items() if count > 1] == []
    said = Counter(phrase for f in families().values() for phrase in f.phrases)
    assert [p for p, count in said.items() if count > 1] == []
    assert len(vocabulary()) > 300


def test_a_style_that_no_family_has_is_called_by_its_own_words():
    assert phrases("charcoal sketch") == ("charcoal sketch",)
    assert phrases("flat emoji")[0] == "flat emoji"
