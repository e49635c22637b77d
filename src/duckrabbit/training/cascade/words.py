"""Words as the text encoder takes them: captions in many wordings, turned into tokens before training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from duckrabbit.data.drawings.captions import caption
from duckrabbit.data.drawings.drawings import Drawings
from duckrabbit.diffusion.streams import stream_seed
from duckrabbit.networks.loading import LOADING
from duckrabbit.training.objectives import Draws
from duckrabbit.training.values import Movable

TOKENIZER = "tokenizer"
"""The folder of a text encoder, of a text run and of a stage I, that holds the tokenizer."""

LENGTH = 77
"""Tokens of a prompt, padding included, as in DeepFloyd IF."""


@dataclass(frozen=True, eq=False)
class Wordings(Movable):
    """K wordings of each of N captions as tokens (N, K, L) int16, and those of "" (L,)."""

    tokens: Tensor
    null_tokens: Tensor

    def draw(self, rows: Tensor, withheld: float, draws: Draws, like: Tensor) -> Tensor:
        """The tokens (n, 77) of one wording of each of these rows, or of "", so often as `withheld` says."""
        said = self.tokens[rows, draws.integers(self.tokens.shape[1], like)]
        dropped = draws.uniform(like) < withheld
        return padded(torch.where(dropped[:, None], self.null_tokens, said))


def read_wordings(tokenizer: Any, drawings: Drawings, count: int, seed: int) -> Wordings:
    """`count` wordings of every drawing's caption, as this tokenizer takes them."""
    tokens = tokens_of(tokenizer, wordings(drawings, count, seed))
    null_tokens = tokenise(tokenizer, [""])[0]
    return Wordings(tokens, pad(null_tokens, (0, tokens.shape[2] - len(null_tokens))))


def padded(tokens: Tensor) -> Tensor:
    """Tokens (N, L) as a text encoder takes them, (N, 77)."""
    return pad(tokens.long(), (0, LENGTH - tokens.shape[1]))


def wordings(drawings: Drawings, count: int, seed: int) -> list[list[str]]:
    """`count` captions of every drawing: its style and its subject in other words."""
    generator = torch.Generator()
    made = []
    for row in range(len(drawings)):
        generator.manual_seed(stream_seed(seed, "captions", row))
        made.append([caption(drawings, row, generator) for _ in range(count)])
    return made


def tokenise(tokenizer: Any, texts: Sequence[str]) -> Tensor:
    """The tokens (len(texts), L) int16 of texts in lower case, 0 after their ends; L that of the longest."""
    ids = tokenizer([text.lower().strip() for text in texts], truncation=True, max_length=LENGTH).input_ids
    longest = max(len(row) for row in ids)
    return torch.tensor([row + [0] * (longest - len(row)) for row in ids], dtype=torch.int16)


def tokens_of(tokenizer: Any, texts: Sequence[Sequence[str]]) -> Tensor:
    """The tokens (N, K, L) of K texts each; what is said more than once is turned into tokens once."""
    different = sorted({text for several in texts for text in several})
    place = {text: i for i, text in enumerate(different)}
    return tokenise(tokenizer, different)[torch.tensor([[place[text] for text in several] for several in texts])]


def read_tokenizer(folder: Path) -> Any:
    """The T5 tokenizer in a folder."""
    with LOADING:
        from transformers import T5Tokenizer

        return T5Tokenizer.from_pretrained(folder, local_files_only=True)
