"""What the fields of the page make of what they show: forms that run."""

import pytest

from duckrabbit.studio.page.fields import Fields

NAME = "0" * 24 + ".png"


def form(kind, **values):
    return Fields(kind, tuple(values), tuple(values)).form(tuple(values.values()))


@pytest.mark.parametrize("kind", ["edit", "inpaint", "digits"])
def test_a_slider_says_nothing_of_guidance_where_nothing_is_guided_to(kind):
    """It always holds a number; a task refuses one that would change nothing."""
    pictures = {"edit": {"image": NAME}, "inpaint": {"image": NAME, "mask": NAME}, "digits": {}}[kind]
    shown = {"guidance_scale": 7, "prompts": "", "negative_prompt": "", "guidance": "", **pictures}
    unset = form(kind, **shown).request.guidance_scale
    assert unset in (None, ())
    for said in ({"prompts": "3"}, {"negative_prompt": "3"}, {"guidance": "my.py:Own"}):
        assert form(kind, **{**shown, **said}).request.guidance_scale in (7, (7,))
