"""Rules for text, and prompt files with masks."""

import sys
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

import tiny_pixnerd
import tiny_prxpixel
from duckrabbit.errors import UserError
from duckrabbit.models.cards import cards
from duckrabbit.models.cascade import text_rules
from duckrabbit.models.cascade.text_encoder import LanguageModel, PromptTable, read_prompts
from duckrabbit.models.cascade.text_rules import IF_RULES, TextRules, read_rules
from duckrabbit.models.load import load

PRX = TextRules(case="kept", cleaning="light", length=256, masked=True)
MASK = torch.tensor([True, True, False])


@pytest.fixture
def no_ftfy(monkeypatch):
    monkeypatch.setattr(text_rules, "has_ftfy", lambda: False)


@pytest.mark.parametrize(
    ("rules", "spelled"),
    [
        (IF_RULES, "a fish &amp; chips"),
        (TextRules(case="kept", cleaning="strip"), "A Fish &amp; Chips"),
        (TextRules(case="kept", cleaning="none"), " A Fish &amp; Chips\n"),
        (PRX, "A Fish & Chips"),
    ],
)
def test_each_family_spells_a_prompt_its_own_way(rules, spelled, no_ftfy):
    assert rules.spelled(" A Fish &amp; Chips\n") == spelled
    assert rules.spelled(spelled) == spelled


@pytest.mark.parametrize(("typed", "read"), [("&lt;3", "<3"), ("&amp;lt;3", "<3"), ("&nbsp;a&nbsp;", "a"), ("", "")])
def test_names_of_letters_are_read_twice_over(typed, read, no_ftfy):
    assert PRX.spelled(typed) == read


def test_names_three_deep_are_a_sentence(no_ftfy):
    """Twice over leaves one, which would be read a third time wherever the prompt goes through again."""
    with pytest.raises(UserError, match="HTML names inside HTML names"):
        PRX.spelled("&amp;amp;lt;3")


def test_ftfy_mends_letters_where_it_is_installed_and_is_missed_in_a_note_where_it_is_not(monkeypatch, no_ftfy):
    assert PRX.spelled("schÃ¶n") == "schÃ¶n"
    assert "ftfy" in PRX.doubt("schön")
    assert PRX.doubt("plain, ASCII.") == PRX.doubt("") == IF_RULES.doubt("schön") == ""
    encoder = LanguageModel(tiny_prxpixel.tokenizer(), tiny_prxpixel.text_encoder(), False, PRX)
    assert encoder(["schön", "plain"]).notes.keys() == {"schön"}
    monkeypatch.setattr(text_rules, "has_ftfy", lambda: True)
    monkeypatch.setitem(sys.modules, "ftfy", SimpleNamespace(fix_text=lambda text: text.replace("Ã¶", "ö")))
    assert PRX.spelled("schÃ¶n ") == "schön"
    assert PRX.doubt("schön") == ""


def test_ftfy_itself_is_asked():
    ftfy = pytest.importorskip("ftfy")
    assert PRX.spelled("schÃ¶n ") == ftfy.fix_text("schÃ¶n") == "schön"


def test_the_models_have_their_own(cascade_folder, tmp_path, no_ftfy):
    one, two = (
        save(tmp_path / n) for n, save in (("a", tiny_pixnerd.save_pixnerd), ("b", tiny_prxpixel.save_prxpixel))
    )
    assert load(cascade_folder).rules == load("miniature").rules == IF_RULES
    assert load(one).rules == TextRules(case="kept", cleaning="none", length=12)
    assert load(two).rules == TextRules(case="kept", cleaning="light", length=12, masked=True)
    assert {model.condition("A &lt; B ") for model in map(load, (cascade_folder, one, two))} == {
        "a &lt; b",
        "A &lt; B ",
        "A < B",
    }
    assert cards()["prxpixel"].null_prompt == PRX.null == ""


@pytest.mark.parametrize("values", [{"case": "upper"}, {"cleaning": "hard"}, {"length": 0}, {"length": 7.5}])
def test_rules_that_cannot_be_are_a_sentence(values):
    with pytest.raises(UserError):
        TextRules(**values)


def test_rules_are_written_and_read():
    assert read_rules(PRX.to_json()) == PRX
    assert read_rules("") is None
    for wrong in ("{", "[1]", '{"tone": "kind"}', '{"case": "upper"}'):
        with pytest.raises(UserError, match="rules for text"):
            read_rules(wrong)


def table(**changes):
    values = {
        "embeddings": {"A cat": torch.randn(3, 4), "": torch.randn(3, 4)},
        "encoder": "abc",
        "notes": {"A cat": "It is short."},
        "masks": {"A cat": MASK, "": ~MASK},
        "rules": PRX,
    }
    return PromptTable(**{**values, **changes})


def test_a_file_keeps_the_masks_and_the_rules(tmp_path):
    kept = table()
    kept.save(tmp_path / "p.safetensors")
    again = read_prompts(tmp_path / "p.safetensors", rules=None)
    assert (again.rules, again.encoder, again.notes) == (PRX, "abc", kept.notes)
    for prompt in kept.embeddings:
        assert torch.equal(again.masks[prompt], kept.masks[prompt])
        assert torch.equal(again.embeddings[prompt], kept.embeddings[prompt])


def test_a_file_of_before_is_read(tmp_path):
    """Its header has no rules, and there are no masks in it."""
    header = {"format": "duckrabbit prompts 1", "prompts": '["", "a cat"]', "encoder": "abc"}
    embeddings = {"0": torch.randn(77, 4), "1": torch.randn(77, 4)}
    save_file(embeddings, tmp_path / "old.safetensors", header)
    old = read_prompts(tmp_path / "old.safetensors")
    assert (old.rules, dict(old.masks)) == (None, {})
    assert torch.equal(old.embeddings["a cat"], embeddings["1"])


def test_a_program_of_before_refuses_a_file_with_masks(tmp_path):
    """It asks for the first format, which a file without masks still has."""
    from duckrabbit.models.weights import read_tensors

    table().save(tmp_path / "masked.safetensors")
    table(masks={}).save(tmp_path / "plain.safetensors")
    formats = [read_tensors(tmp_path / f"{name}.safetensors")[1]["format"] for name in ("masked", "plain")]
    assert formats == ["duckrabbit prompts 2", "duckrabbit prompts 1"]


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        ({"A cat": MASK}, "some have none"),
        ({"A cat": MASK, "": MASK.float()}, "one truth value a token"),
        ({"A cat": MASK, "": torch.tensor([True])}, "one truth value a token"),
    ],
)
def test_masks_that_do_not_fit_are_a_sentence(masks, words):
    with pytest.raises(UserError, match=words):
        table(masks=masks)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors, header: tensors.pop("mask 1"), "cannot be read"),
        (lambda tensors, header: tensors.update({"mask 1": MASK.long()}), "one truth value a token"),
        (lambda tensors, header: header.update(rules="{"), "rules for text"),
        (lambda tensors, header: header.update(format="duckrabbit prompts 3"), "not a prompt file"),
    ],
)
def test_a_damaged_file_is_a_sentence(tmp_path, change, words):
    from duckrabbit.models.weights import read_tensors

    table().save(tmp_path / "p.safetensors")
    tensors, header = read_tensors(tmp_path / "p.safetensors")
    change(tensors, header)
    save_file(tensors, tmp_path / "p.safetensors", header)
    with pytest.raises(UserError, match=words) as raised:
        read_prompts(tmp_path / "p.safetensors")
    assert "p.safetensors" in str(raised.value)
