"""Prompts and prompt files."""

import pickle
import shutil

import pytest
import torch
from safetensors.torch import save_file

import tiny
from duckrabbit.diffusion.prediction import Query
from duckrabbit.errors import UserError
from duckrabbit.models.cascade.text_encoder import PromptTable, read_prompts
from duckrabbit.models.load import load

PROMPTS = ["", "A Cat ", "an old man, of the campfire"]


@pytest.fixture(scope="module")
def table_file(cascade_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "sub" / "prompts.safetensors"
    load(cascade_folder).encode(PROMPTS).save(path)
    return path


def eps(model, prompt):
    x = torch.linspace(-1, 1, 768).view(1, 3, 16, 16)
    return model.network(0)([Query(x, prompt)], model.stages[0].schedule.level(300))[0].eps


@pytest.mark.parametrize("prompt", [*PROMPTS, "red " * 100, "unheard-of ÄÖ"])
def test_embeddings_are_those_of_diffusers(prompt, cascade_folder):
    pipe = tiny.first_pipeline()
    theirs, _ = pipe.encode_prompt(prompt, do_classifier_free_guidance=False, device="cpu")
    model = load(pipe)
    ours = model.encode([prompt])
    notes = model.notes_on([model.condition(prompt)])
    assert any("longer than 77 tokens" in note for note in notes.values()) == (len(prompt) > 300)
    assert torch.allclose(next(iter(ours.embeddings.values())), theirs[0], atol=1e-6)


def test_a_table_answers_as_the_encoder_without_it(cascade_folder, table_file, tmp_path):
    bare = shutil.copytree(cascade_folder, tmp_path / "bare", ignore=shutil.ignore_patterns("*oder", "tokenizer"))
    with_encoder, without = load(cascade_folder), load(bare, prompts=table_file)
    for prompt in PROMPTS:
        assert torch.equal(eps(with_encoder, with_encoder.condition(prompt)), eps(without, without.condition(prompt)))
    with pytest.raises(UserError, match=r"'a cat'.*'an old man, of the campfire'"):
        without.condition("a dog")
    with pytest.raises(UserError, match="a dog"):
        eps(without, "a dog")
    assert list(table_file.parent.iterdir()) == [table_file]


def test_a_table_of_another_encoder_is_refused(cascade_folder, table_file, tmp_path):
    other = tiny.save_cascade(tmp_path / "other", seed=7)
    with pytest.raises(UserError, match="another text encoder"):
        load(other, prompts=table_file)
    with pytest.raises(UserError, match="numbers wide"):
        load(cascade_folder, prompts=PromptTable({"a": torch.zeros(77, 4096)}))


def test_a_table_keeps_who_encoded_it(cascade_folder, table_file):
    table = read_prompts(table_file)
    assert len(table.encoder) == 64
    assert sorted(table.embeddings) == ["", "a cat", "an old man, of the campfire"]
    assert load(cascade_folder, prompts=table_file).encode(["a cat"]).encoder == table.encoder


def test_a_table_keeps_what_was_not_understood(cascade_folder, tmp_path):
    """As the encoder says it: the file's notes are those of a run with the encoder itself."""
    prompts = ["a cat", "red " * 100, "unheard-of ÄÖ"]
    model = load(cascade_folder)
    model.encode(prompts).save(tmp_path / "p.safetensors")
    own = model.notes_on(prompts)
    assert set(own) == {"prompt 2", "prompt 3"}
    kept = load(cascade_folder, prompts=tmp_path / "p.safetensors")
    kept.prepare(prompts)
    assert kept.notes_on(prompts) == own
    kept.encode(prompts).save(tmp_path / "again.safetensors")
    assert list(read_prompts(tmp_path / "again.safetensors").notes.values()) == list(own.values())


def test_the_courses_dictionary_is_read_and_converted(tmp_path):
    embeddings = {"a rocket ship": torch.randn(1, 77, 16), "": torch.randn(1, 77, 16).half()}
    torch.save(embeddings, tmp_path / "course.pth")
    table = read_prompts(tmp_path / "course.pth")
    assert torch.equal(table.embeddings["a rocket ship"], embeddings["a rocket ship"][0])
    table.save(tmp_path / "prompts.safetensors")
    again = read_prompts(tmp_path / "prompts.safetensors")
    assert torch.equal(again.embeddings[""], embeddings[""][0])
    assert again.encoder == ""


class _Trap:
    ran = False

    def __reduce__(self):
        return (setattr, (_Trap, "ran", True))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path):
    (tmp_path / "trap.pth").write_bytes(pickle.dumps({"a": _Trap()}))
    torch.save({"a": _Trap()}, tmp_path / "trap2.pth")
    for name in ("trap.pth", "trap2.pth"):
        with pytest.raises(UserError, match="plain tensors"):
            read_prompts(tmp_path / name)
    assert not _Trap.ran


def test_wrong_files_are_sentences(tmp_path):
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    torch.save({"a": torch.zeros(77, 4), "b": torch.zeros(70, 4)}, tmp_path / "shapes.pth")
    torch.save({"a": torch.full((77, 4), float("nan"))}, tmp_path / "nan.pth")
    torch.save({}, tmp_path / "empty.pth")
    save_file({"0": torch.zeros(77, 4)}, tmp_path / "foreign.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"12345678{")
    for name, words in (
        ("none.safetensors", "There is no prompt file"),
        ("list.pth", "dictionary"),
        ("shapes.pth", "one shape"),
        ("nan.pth", "NaN"),
        ("empty.pth", "empty"),
        ("foreign.safetensors", "not a prompt file"),
        ("cut.safetensors", "cannot be read"),
    ):
        with pytest.raises(UserError, match=words):
            read_prompts(tmp_path / name)


def test_a_tokenizer_with_only_its_sentencepiece_model(tmp_path):
    """DeepFloyd's repositories hold spiece.model and no tokenizer.json."""
    import json

    spm = pytest.importorskip("sentencepiece")
    pytest.importorskip("google.protobuf")
    import transformers

    (tmp_path / "text").write_text("a painting of an old man and the red house near the campfire\n" * 50)
    spm.SentencePieceTrainer.train(
        input=str(tmp_path / "text"),
        model_prefix=str(tmp_path / "spiece"),
        vocab_size=40,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "T5Tokenizer", "extra_ids": 100}))
    tokenizer = transformers.T5Tokenizer.from_pretrained(tmp_path, local_files_only=True)
    reference = spm.SentencePieceProcessor(model_file=str(tmp_path / "spiece.model"))
    for text in ("an old man", "", "a red   campfire!"):
        ids = tokenizer(text, padding="max_length", max_length=77, truncation=True).input_ids
        expected = [*reference.encode(text), 1]
        assert ids == expected + [0] * (77 - len(expected))
