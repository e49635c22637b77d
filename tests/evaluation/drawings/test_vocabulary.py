"""Words: from prompts to what they ask for and back, and prompts drawn by lot."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawn_shapes import SHAPES, STYLES, VOCABULARY, drawings
from duckrabbit.errors import UserError
from duckrabbit.evaluation.drawings import vocabulary as words
from duckrabbit.evaluation.drawings.vocabulary import Pair, Vocabulary, draw_pairs, model_vocabulary, pairs_in

REAL = Vocabulary(
    ("glossy emoji", "flat emoji", "black line icon"),
    ("apple", "bowl of noodles", "car", "cat", "cat face", "owl", "scissors"),
    {"automobile": "car", "red apple": "apple"},
)


@given(st.integers(0, 2), st.integers(0, 6))
def test_a_prompt_tells_its_pair(style, subject):
    pair = Pair(style, subject)
    assert REAL.pair(REAL.prompt(pair)) == pair


@pytest.mark.parametrize(
    ("prompt", "subject"),
    [
        ("a glossy emoji of an owl", "owl"),
        ("A Glossy  emoji of the AUTOMOBILE", "car"),
        ("a flat emoji of scissors", "scissors"),
        ("a glossy emoji of a bowl of noodles", "bowl of noodles"),
        ("a cat face", "cat face"),
        ("an oil painting of a red apple", "apple"),
    ],
)
def test_subjects_of_prompts(prompt, subject):
    assert REAL.subjects[REAL.subject(prompt)] == subject


def test_what_is_not_known_is_answered_with_what_comes_near():
    with pytest.raises(UserError, match=r"knows .*cat face"):
        REAL.subject("a glossy emoji of a cat paw")
    with pytest.raises(UserError, match="glossy emoji, flat emoji"):
        REAL.pair("an etching of a cat")


def test_words_survive_json():
    assert Vocabulary.from_json(REAL.to_json()) == REAL


def test_pairs_are_drawn_alike_and_no_subject_twice_before_all_were():
    every = [Pair(s, k) for s in range(3) for k in range(7)]
    drawn = draw_pairs(every, 10)
    assert drawn == draw_pairs(reversed(every), 10)
    assert drawn != draw_pairs(every, 10, seed=1)
    assert set(Counter(p.subject for p in drawn[:7]).values()) == {1}
    assert set(Counter(p.subject for p in drawn).values()) == {1, 2}
    assert sorted(draw_pairs(every, 1000)) == sorted(every)
    assert draw_pairs(every, 10) == draw_pairs(every, 1000)[:10]


def test_a_models_own_list_is_in_its_own_words(tmp_path):
    (tmp_path / "prompts.txt").write_text(
        "# words: of a model\n# styles\na glossy emoji of\na woodcut of\n# subjects\nautomobile\nred apple\ndodo\n"
    )
    asked = model_vocabulary(tmp_path, REAL)
    assert asked == {
        Pair(0, 2): "a glossy emoji of an automobile",
        Pair(0, 0): "a glossy emoji of a red apple",
    }
    (tmp_path / "prompts.txt").write_text("# styles\na woodcut of\n# subjects\ndodo\n")
    with pytest.raises(UserError, match="knows none"):
        model_vocabulary(tmp_path, REAL)


def test_the_list_of_a_trained_model_asks_for_all_that_it_was_shown(tmp_path):
    shown = drawings(1, shapes=SHAPES[:2], styles=STYLES)
    assert words.write_prompt_list(shown, tmp_path) == tmp_path / "prompts.txt"
    asked = model_vocabulary(tmp_path, VOCABULARY)
    assert asked.keys() == pairs_in(shown, VOCABULARY)
    assert asked == {pair: VOCABULARY.prompt(pair) for pair in asked}


def test_without_a_list_everything_is_asked(tmp_path):
    for folder in (None, tmp_path):
        asked = model_vocabulary(folder, VOCABULARY)
        assert len(asked) == len(SHAPES) * len(STYLES)
        assert asked[Pair(1, SHAPES.index("eye"))] == "an outlined drawing of an eye"


def test_pairs_of_drawings():
    some = drawings(1, shapes=("bar", "eye"), styles=STYLES[:1])
    assert pairs_in(some, VOCABULARY) == {Pair(0, SHAPES.index("bar")), Pair(0, SHAPES.index("eye"))}


def test_the_miniatures_own_list_is_understood():
    from importlib.resources import files

    from duckrabbit.data.drawings.names import held_out_names

    lists = words.read_prompt_list(files("duckrabbit").joinpath("assets/weights/miniature/prompts.txt"))
    assert len(lists["styles"]) >= 6
    assert len(lists["subjects"]) >= 144
    assert "puppy" in held_out_names()
