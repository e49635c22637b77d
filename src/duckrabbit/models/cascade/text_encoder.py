"""Text: prompts become embeddings, once, and can be kept in a file.

Prompts are encoded as diffusers' IFPipeline encodes them with clean_caption=False: lower case,
without surrounding space, at most 77 tokens, padded to the full length, with the mask given to the
text encoder and not to the U-Net.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from duckrabbit.errors import UserError
from duckrabbit.files import write_atomically
from duckrabbit.models.weights import read_tensors
from duckrabbit.values import as_path

LAST = 40
"""So many letters of a prompt are shown in a sentence about it."""
MAX_TOKENS = 77
_FORMAT = "duckrabbit prompts 1"


def normal(prompt: str) -> str:
    """A prompt as the text encoder sees it: lower case, without surrounding space."""
    return prompt.lower().strip()


@dataclass(eq=False)
class TextEncoder:
    """A tokenizer and its encoder (any that transformers loads and that answers with hidden states).

    One that `stays` is too large for the device, and computes where it is. `notes` are sentences on
    prompts of which it has not understood all, by prompt. `limit`: tokens of a prompt, at most; `spelled`: what
    a prompt becomes before it is read.
    """

    tokenizer: Any
    encoder: Any
    stays: bool = False
    notes: dict[str, str] = field(default_factory=dict)
    limit: int = MAX_TOKENS
    spelled: Callable[[str], str] = normal

    def to(self, device: str) -> TextEncoder:
        """Itself, with the encoder moved."""
        if not self.stays:
            self.encoder.to(device)
        return self

    @torch.no_grad()
    def __call__(self, prompts: Iterable[str]) -> dict[str, Tensor]:
        """The embedding (L, D) of each prompt, on the CPU, as it is spelled."""
        texts = list(dict.fromkeys(self.spelled(p) for p in prompts))
        return {text: self._encode(text) for text in texts}

    def _encode(self, text: str) -> Tensor:
        limit = min(self.limit, int(getattr(self.tokenizer, "model_max_length", self.limit)))
        tokens = self.tokenizer(text, padding="max_length", max_length=limit, truncation=True, return_tensors="pt")
        if note := self._note(text, limit, tokens.input_ids[0]):
            self.notes[text] = note
        device = next(self.encoder.parameters()).device
        hidden = self.encoder(tokens.input_ids.to(device), attention_mask=tokens.attention_mask.to(device))[0]
        return hidden[0].cpu()

    def _note(self, text: str, limit: int, kept: Tensor) -> str:
        """What the encoder does not see of a prompt, or does not know; "" where there is nothing of the kind."""
        notes = []
        if len(self.tokenizer(text, verbose=False).input_ids) > limit:
            last = self.tokenizer.decode(kept, skip_special_tokens=True)[-LAST:].lstrip()
            notes.append(f"is longer than {limit} tokens, and what comes after '...{last}' is cut")
        unknown = getattr(self.tokenizer, "unk_token_id", None)
        foreign = [word for word in text.split() if unknown in self.tokenizer(word, verbose=False).input_ids]
        if unknown is not None and foreign:
            notes.append(f"has words that the text encoder does not know: {', '.join(foreign[:5])}")
        return f"The prompt '{text[:LAST]}{'...' * (len(text) > LAST)}' {', and '.join(notes)}." if notes else ""


@dataclass(frozen=True, eq=False)
class PromptTable:
    """Embeddings (L, D) by prompt; `encoder` is the hash of the text encoder's files, "" if unknown.

    `notes` are the encoder's sentences on prompts of which it has not understood all, by prompt.
    """

    embeddings: Mapping[str, Tensor]
    encoder: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = {tuple(e.shape) for e in self.embeddings.values()}
        if len(shapes) > 1 or any(len(shape) != 2 for shape in shapes):
            raise UserError(f"The embeddings of a prompt file have one shape (tokens, width), not {sorted(shapes)}.")

    @property
    def width(self) -> int | None:
        """The width of the embeddings, None for an empty table."""
        return next((int(e.shape[1]) for e in self.embeddings.values()), None)

    def save(self, path: Path) -> None:
        """Write the table to `path` (.safetensors), whole or not at all."""
        from safetensors.torch import save

        prompts = sorted(self.embeddings)
        tensors = {str(i): self.embeddings[p].contiguous() for i, p in enumerate(prompts)}
        metadata = {"format": _FORMAT, "prompts": json.dumps(prompts), "encoder": self.encoder}
        if self.notes:
            metadata["notes"] = json.dumps(dict(self.notes))
        write_atomically(path, save(tensors, metadata))


def read_prompts(path: str | Path, spelled: Callable[[str], str] = normal) -> PromptTable:
    """A table from `prompts.safetensors`, or from the course's .pth: {prompt: (1, 77, 4096) tensor}.

    A .pth is read as plain tensors (`weights_only`), so that it cannot run code. `spelled`: what the model that it is
    for makes of a prompt, `str` for nothing. Raises UserError
    where the file is missing, is of another kind, or holds NaN.
    """
    path = as_path("A prompt file", path)
    if not path.is_file():
        raise UserError(f"There is no prompt file {path}; make one with `duckrabbit prompts encode`, or name another.")
    table = _read_pth(path) if path.suffix in (".pth", ".pt") else _read_safetensors(path)
    embeddings = {spelled(p): e for p, e in table.embeddings.items()}
    table = replace(table, embeddings=embeddings, notes={spelled(p): n for p, n in table.notes.items()})
    if not table.embeddings:
        raise UserError(f"The prompt file {path} is empty; write it again.")
    for prompt, embedding in table.embeddings.items():
        if not torch.isfinite(embedding).all():
            raise UserError(f"The prompt file {path} holds NaN or infinite numbers for '{prompt}'; write it again.")
    return table


def _read_safetensors(path: Path) -> PromptTable:
    from safetensors import SafetensorError

    try:
        tensors, header = read_tensors(path)
        if header.get("format") != _FORMAT:
            raise UserError(f"{path} is not a prompt file of duckrabbit; make one with `duckrabbit prompts encode`.")
        embeddings = {p: tensors[str(i)] for i, p in enumerate(json.loads(header["prompts"]))}
        notes = {p: str(note) for p, note in json.loads(header.get("notes", "{}")).items()}
    except UserError:
        raise
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"The prompt file {path} cannot be read ({error}); write it again.") from None
    return PromptTable(embeddings, header.get("encoder", ""), notes)


def _read_pth(path: Path) -> PromptTable:
    import pickle

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"{path} holds more than plain tensors, or none, and is not read, since it could run code. Ask for a "
            "dictionary of prompts and tensors."
        ) from None
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} cannot be read as plain tensors ({reason}); download it again.") from None
    if not isinstance(content, dict) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()
    ):
        raise UserError(f"{path} does not hold a dictionary of prompts and tensors, as the course's files do.")
    return PromptTable({p: e[0] if e.ndim == 3 and len(e) == 1 else e for p, e in content.items()})
