"""A text encoder out of a sentence encoder: a tiny BERT with a vocabulary of its own."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel, BertTokenizerFast, T5EncoderModel, T5Tokenizer

from duckrabbit.errors import UserError
from duckrabbit.training.cascade.sentence_start import SPECIAL, choose, distil, write_start
from duckrabbit.training.cascade.stage1 import TEXTS

WORDS = ["the", "dog", "##s", "3d", "hound", "cat", "##ty", "dough", "##nut", "...", "naïve", "doghouse"]
LETTERS = [*"abcdefghijklmnopqrstuvwxyz", *("##" + c for c in "abcdefghijklmnopqrstuvwxyz")]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "!", *LETTERS, *WORDS]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A sentence encoder in the transformers format; "hound" is to it what "dog" is."""
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    bert = BertModel(BertConfig(vocab_size=len(VOCABULARY), initializer_range=0.3, **shape)).eval()
    table = bert.embeddings.word_embeddings.weight.detach()
    table[VOCABULARY.index("hound")] = table[VOCABULARY.index("dog")] + 0.01
    bert.save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def start(source, tmp_path_factory):
    into = tmp_path_factory.mktemp("made") / "text-start"
    recipe = replace(TEXTS["tiny"], text=16, text_head=8, text_heads=2)
    count = write_start(source, into, recipe, ["Two dogs, a doughnut"], 100)
    return into, count


def test_pieces_are_the_most_common_the_letters_and_what_is_said():
    vocabulary = {piece: i for i, piece in enumerate(VOCABULARY)}
    found = choose(vocabulary, 3, {vocabulary["##nut"]})
    assert list(found)[:3] == ["▁!", "▁a", "▁b"]
    assert {"▁z", "z", "nut"} <= set(found)
    assert not {"▁[PAD]", "▁dog", "▁naïve", "s s"} & set(found)
    assert found["nut"] == vocabulary["##nut"]
    assert list(found.values()) == sorted(found.values())
    assert "▁naïve" not in choose(vocabulary, 10_000)


def test_numbers_are_said_by_their_digits():
    vocabulary = {piece: i for i, piece in enumerate(["dog", "1", "##7", "1705", "##54th", "b1", "5th"])}
    assert set(choose(vocabulary, 100)) == {"▁dog", "▁1", "7"}
    assert set(choose(vocabulary, 1, {3})) == {"▁dog", "▁1", "7", "▁1705"}


def test_a_word_that_is_known_is_one_piece(start):
    into, count = start
    tokenizer = T5Tokenizer.from_pretrained(into / "tokenizer", local_files_only=True)
    assert len(tokenizer) == count
    assert tokenizer.tokenize("the dog") == ["▁the", "▁dog"]
    assert tokenizer.tokenize("dogs doughnut") == ["▁dog", "s", "▁dough", "nut"]
    assert tokenizer.tokenize("zq") == ["▁z", "q"]
    assert tokenizer("dog").input_ids[-1] == SPECIAL.index("</s>")


def test_words_that_mean_alike_lie_together_and_others_do_not(start):
    into, count = start
    table = load_file(into / "text_encoder" / "model.safetensors")["shared.weight"].float()
    assert table.shape == (count, 16)
    tokenizer = T5Tokenizer.from_pretrained(into / "tokenizer", local_files_only=True)
    dog, hound, the = (table[tokenizer(word).input_ids[0]] for word in ("dog", "hound", "the"))
    near = torch.cosine_similarity(dog, hound, dim=0)
    assert near > 0.99
    assert torch.cosine_similarity(dog, the, dim=0) < 0.9
    assert torch.equal(table[: len(SPECIAL)], torch.zeros(len(SPECIAL), 16))
    assert float(table[len(SPECIAL) : -1].std()) == pytest.approx(1, abs=0.01)


def test_the_vectors_are_principal_components(source):
    """Nothing is lost but what the left-out components held: the best approximation of its rank."""
    bert = BertModel.from_pretrained(source).eval()
    tokenizer = BertTokenizerFast.from_pretrained(source)
    ids = list(range(5, len(VOCABULARY)))
    with torch.no_grad():
        rows = torch.tensor([[2, i, 3] for i in ids])
        states = bert(rows)[0].mean(1).double()
    states = states - states.mean(0)
    weights = torch.log1p(torch.arange(len(ids), dtype=torch.float64) + 1)[:, None]
    found = distil(bert, tokenizer, ids, 8).double() / weights
    kept = torch.linalg.svdvals(states)[:8]
    got = torch.linalg.svdvals(found)
    torch.testing.assert_close(got / got[0], kept / kept[0], rtol=1e-4, atol=1e-5)


def test_it_begins_a_training_and_is_not_written_over(start, source):
    into, _ = start
    assert T5EncoderModel.from_pretrained(into / "text_encoder").config.d_model == 16
    with pytest.raises(UserError, match="name a new folder"):
        write_start(source, into, TEXTS["tiny"], [])


def test_what_is_no_sentence_encoder_is_refused(tmp_path, source):
    with pytest.raises(UserError, match="There is no sentence encoder"):
        write_start(tmp_path, tmp_path / "new", TEXTS["tiny"], [])
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be read"):
        write_start(tmp_path, tmp_path / "new", TEXTS["tiny"], [])
    with pytest.raises(UserError, match="principal components"):
        write_start(source, tmp_path / "new", TEXTS["tiny"], [])
    assert not (tmp_path / "new").exists()
