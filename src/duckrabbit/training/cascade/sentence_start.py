"""A text encoder to begin with, which knows words that no caption uses: "puppy" lies beside "dog".

Its vectors are distilled from a sentence encoder, as model2vec does (Minish Lab 2024): each token goes through the
network alone; the mean of what comes out, reduced to a few dimensions and weighted by how rare the token is, is its
vector. Its tokenizer is that of the sentence encoder, in T5's form: WordPiece's "dog" and "##s" are Unigram's "▁dog"
and "s" (Kudo 2018), more likely the more common they are. The layers above the vectors are random, to be trained.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from duckrabbit.errors import UserError
from duckrabbit.files import atomic_folder
from duckrabbit.networks.loading import LOADING
from duckrabbit.training.cascade.words import LENGTH

if TYPE_CHECKING:
    from duckrabbit.training.cascade.stage1 import TextRecipe

SPECIAL = ("<pad>", "</s>", "<unk>")
_CONTINUED, _SPACE = "##", "▁"
_READABLE = re.compile(r"[a-z0-9]+|\.\.\.|[-!&',.?’]")
_NUMBER = re.compile(r".*[0-9].+|.+[0-9]")


def write_start(source: Path, into: Path, recipe: TextRecipe, texts: Iterable[str], count: int = 20_000) -> int:
    """Write the folders `text_encoder` and `tokenizer` into a new folder; returns the size of the vocabulary.

    source: a BERT-like sentence encoder in the transformers format, with a lower-case WordPiece vocabulary. recipe: a
    recipe of a stage I, for the shape of the encoder. texts: what is to be said with whole words. count: so many
    pieces besides, the most common ones.
    Raises UserError where there is no such encoder, or `into` exists.
    """
    with atomic_folder(into) as unfinished:
        module, tokenizer = _start(source, recipe, texts, count)
        module.half().save_pretrained(unfinished / "text_encoder")
        tokenizer.save_pretrained(unfinished / "tokenizer")
    return len(module.get_input_embeddings().weight)


def _start(source: Path, recipe: TextRecipe, texts: Iterable[str], count: int) -> tuple[Any, Any]:
    """The text encoder and the tokenizer to begin with."""
    encoder, tokenizer = _read(source)
    spoken = {i for row in tokenizer(["", *{t.lower() for t in texts}]).input_ids for i in row}
    ids = choose(tokenizer.get_vocab(), count, spoken)
    vectors = distil(encoder, tokenizer, list(ids.values()), recipe.text)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        module: Any = recipe.text_encoder(len(SPECIAL) + len(ids) + 1)
    with torch.no_grad():
        embedding = module.get_input_embeddings().weight
        embedding.zero_()
        embedding[len(SPECIAL) : -1] = vectors
    return module, unigram(ids)


def choose(vocabulary: Mapping[str, int], count: int, spoken: Collection[int] = ()) -> dict[str, int]:
    """The first `count` readable pieces of a WordPiece vocabulary, single characters, and those in `spoken`.

    By their names in Unigram, with their numbers, in their order, which is that of how common they are. A number of
    several digits is said by its digits, unless it is in `spoken`: drawings need no years.
    """
    ordered = sorted(vocabulary.items(), key=lambda item: item[1])
    readable = [(piece, i) for piece, i in ordered if _READABLE.fullmatch(piece.removeprefix(_CONTINUED))]
    wanted = {i for piece, i in readable if len(piece.removeprefix(_CONTINUED)) == 1} | set(spoken)
    readable = [(p, i) for p, i in readable if i in wanted or not _NUMBER.fullmatch(p.removeprefix(_CONTINUED))]
    kept = [(p, i) for k, (p, i) in enumerate(readable) if k < count or i in wanted]
    return {p.removeprefix(_CONTINUED) if p.startswith(_CONTINUED) else _SPACE + p: i for p, i in kept}


@torch.no_grad()
def distil(encoder: Any, tokenizer: Any, ids: list[int], width: int) -> Tensor:
    """The vectors (len(ids), width) of tokens: mean state, principal components, times log(1 + place); variance 1."""
    parts = []
    for some in torch.tensor(ids).split(1024):
        ends = [torch.full_like(some, end) for end in (tokenizer.cls_token_id, tokenizer.sep_token_id)]
        alone = torch.stack([ends[0], some, ends[1]], 1)
        parts.append(encoder(input_ids=alone, attention_mask=torch.ones_like(alone))[0].mean(1))
    states = torch.cat(parts).double()
    states = states - states.mean(0)
    if width > min(states.shape):
        raise UserError(
            f"{len(ids)} tokens of width {states.shape[1]} have no {width} principal components; ask fewer."
        )
    components = torch.linalg.eigh(states.T @ states).eigenvectors.flip(1)[:, :width]
    vectors = states @ components * torch.log1p(torch.arange(len(ids), dtype=torch.float64) + 1)[:, None]
    return (vectors / vectors.std()).float()


def unigram(pieces: Mapping[str, int]) -> Any:
    """The T5 tokenizer of these pieces, the most common first.

    A piece is worth -log(10 + place). One that goes on within a word costs 2 more, so that a word that is known whole
    is not cut; a space of its own is the last resort.
    """
    from transformers import T5Tokenizer

    worth = {p: -math.log(10 + k) - (0 if p.startswith(_SPACE) else 2) for k, p in enumerate(pieces)}
    vocab = [*((name, 0.0) for name in SPECIAL), *worth.items(), (_SPACE, -20.0)]
    return T5Tokenizer(vocab=vocab, extra_ids=0, model_max_length=LENGTH)


def _read(source: Path) -> tuple[Any, Any]:
    if not (source / "config.json").is_file():
        raise UserError(
            f"There is no sentence encoder in {source}; download one, as sentence-transformers/all-MiniLM-L6-v2, and "
            "name the folder with its config.json."
        )
    try:
        with LOADING:
            from transformers import AutoModel, AutoTokenizer

            encoder = AutoModel.from_pretrained(source, local_files_only=True).eval()
            tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(f"The sentence encoder in {source} cannot be read: {str(error).splitlines()[0]}") from None
    if not any(piece.startswith(_CONTINUED) for piece in tokenizer.get_vocab()):
        raise UserError(f"The tokenizer in {source} has no WordPiece vocabulary; choose a BERT-like encoder.")
    return encoder, tokenizer
