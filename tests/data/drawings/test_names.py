"""How icons are matched to what they show."""

import pytest

import tiny_packages
from duckrabbit.data.drawings.names import clean_label, read_names, read_subjects, split_tone, vocabulary
from duckrabbit.data.drawings.packages import Archive
from duckrabbit.data.drawings.sources import families
from duckrabbit.errors import UserError


@pytest.fixture(scope="module")
def names():
    return read_names(Archive(tiny_packages.emojibase()))


@pytest.mark.parametrize(
    ("icon", "codes", "own", "subject", "tones"),
    [
        ("anything", ["1f34e"], {}, "apple", ()),
        ("anything", ["1f44b-1f3ff"], {}, "waving hand", (4,)),
        ("red-apple", [], {}, "apple", ()),
        ("redapple", [], {}, "apple", ()),
        ("squeeze-bottle", [], {}, "lotion bottle", ()),
        ("waving-hand-medium-dark-skin-tone", [], {}, "waving hand", (3,)),
        ("waving-hand-medium-light", [], {}, "waving hand", (1,)),
        ("waving-hand-tone5", [], {}, "waving hand", (4,)),
        ("abacus-2", [], {}, "abacus", ()),
        ("cat", [], {}, "cat", ()),
        ("cat", [], {"cat": "cat face"}, "cat face", ()),
        ("heart", [], {}, "heart", ()),
    ],
)
def test_found(names, icon, codes, own, subject, tones):
    emoji, found = names.find(icon, codes, own)
    assert (emoji.subject, found) == (subject, tones)


@pytest.mark.parametrize("icon", ["unheard-of", "flag-france", "france", "a"])
def test_not_found_or_no_thing(names, icon):
    assert names.find(icon, [], {}) is None
    assert names.find("cat", ["1f1eb-1f1f7"], {}) is None, "code points go before the name"
    assert names.find("cat", [], {"cat": ""}) is None, "left out by the family"


def test_own_names_of_families_are_labels():
    """A slip here would silently lose a drawing: most are labels of the common vocabulary."""
    own = [label for f in families().values() for label in f.names.values() if label]
    assert sum(label in vocabulary() for label in own) > 50


def test_a_shortcode_that_is_anothers_label_is_no_other_name(names):
    """The cat face is typed as "cat", which is what the cat is called."""
    emoji, _ = names.find("cat-face", [], {})
    assert "cat" not in emoji.keywords


def test_common_subjects_come_first(names):
    orders = {e.subject: (e.common, e.order) for e in names.by_code.values() if e}
    assert all(orders[c][1] < orders["abacus"][1] for c in ("cat", "apple", "car", "heart"))
    assert not orders["abacus"][0]


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("man: blond hair", "man with blond hair"),
        ("person walking: facing right", "person walking facing right"),
        ("woman: bald", "bald woman"),
        ("kiss: woman, man", "kissing woman and man"),
        ("twelve o’clock", "twelve o'clock"),
        ("Mrs. Claus", "mrs. claus"),
    ],
)
def test_labels_as_words(label, words):
    assert clean_label(label) == words


def test_tones_are_taken_out_of_code_points():
    assert split_tone("1F481-1F3FF-200D-2640-FE0F") == ("1f481-200d-2640", (4,))
    assert split_tone("1f91d") == ("1f91d", ())


def test_subjects_to_build(tmp_path):
    assert read_subjects("all") is None
    assert "car" in read_subjects("common")
    mine = tmp_path / "mine.txt"
    mine.write_text("# my own\nAbacus\nautomobile\n\ncat\ncamel\n")
    assert read_subjects(str(mine)) == {"abacus", "car", "cat", "camel"}
    mine.write_text("# nothing\n")
    for path in (mine, tmp_path / "missing.txt", tmp_path):
        with pytest.raises(UserError):
            read_subjects(str(path))
