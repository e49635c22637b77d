"""Text: prompts become embeddings, once, and can be kept in a file.

A prompt is spelled as the rules of its model's family have it (text_rules.py), padded to their length, and read with
the mask of what is padding. DeepFloyd IF's network is not given that mask, PRXPixel's is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from duckrabbit.errors import UserError
from duckrabbit.files import write_atomically
from duckrabbit.models.cascade.text_rules import IF_RULES, TextRules, read_rules
from duckrabbit.models.weights import read_tensors
from duckrabbit.values import as_path

LAST = 40
"""So many letters of a prompt are shown in a sentence about it."""
_FORMAT, _MASKED = "duckrabbit prompts 1", "duckrabbit prompts 2"
"""Without masks and with them: a program that knows nothing of masks refuses the second, and does not drop them."""


@dataclass(eq=False)
class TextEncoder:
    """A tokenizer and its encoder (any that transformers loads and that answers with hidden states).

    One that `stays` is too large for the device, and computes where it is. `rules`: how a prompt is spelled and cut.
    """

    tokenizer: Any
    encoder: Any
    stays: bool = False
    rules: TextRules = IF_RULES

    @property
    def limit(self) -> int:
        """Tokens of a prompt: the rules' length, or fewer where the tokenizer knows fewer."""
        return min(self.rules.length, int(getattr(self.tokenizer, "model_max_length", self.rules.length)))

    def to(self, device: str) -> TextEncoder:
        """Itself, with the encoder moved."""
        if not self.stays:
            self.encoder.to(device)
        return self

    @torch.no_grad()
    def __call__(self, prompts: Iterable[str]) -> PromptTable:
        """The embedding (L, D) of each prompt as it is spelled, on the CPU, its mask, and what was not understood."""
        texts = list(dict.fromkeys(self.rules.spelled(p) for p in prompts))
        states, masks, notes = {}, {}, {}
        for text in texts:
            ids, mask = self._tokens(text)
            states[text] = self._states(ids, mask)[0].cpu()
            masks[text] = mask[0].bool()
            if note := self._note(text, ids[0]):
                notes[text] = note
        return PromptTable(states, "", notes, masks if self.rules.masked else {}, self.rules)

    def _tokens(self, text: str) -> tuple[Tensor, Tensor]:
        """The numbers of its tokens (1, L), padded and cut, and 1 (1, L) for each that is no padding."""
        tokens = self.tokenizer(text, padding="max_length", max_length=self.limit, truncation=True, return_tensors="pt")
        return tokens.input_ids.long(), tokens.attention_mask.long()

    def _states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The encoder's last hidden states (1, L, D)."""
        device = next(self.encoder.parameters()).device
        states: Tensor = self.encoder(input_ids=ids.to(device), attention_mask=mask.to(device))[0]
        return states

    def _note(self, text: str, kept: Tensor) -> str:
        """What the encoder does not see of a prompt, or does not know; "" where there is nothing of the kind."""
        notes = []
        if len(self.tokenizer(text, verbose=False).input_ids) > self.limit:
            last = self.tokenizer.decode(kept, skip_special_tokens=True)[-LAST:].lstrip()
            notes.append(f"is longer than {self.limit} tokens, and what comes after '...{last}' is cut")
        unknown = getattr(self.tokenizer, "unk_token_id", None)
        foreign = [word for word in text.split() if unknown in self.tokenizer(word, verbose=False).input_ids]
        if unknown is not None and foreign:
            notes.append(f"has words that the text encoder does not know: {', '.join(foreign[:5])}")
        notes += filter(None, [self.rules.doubt(text)])
        return f"The prompt '{text[:LAST]}{'...' * (len(text) > LAST)}' {', and '.join(notes)}." if notes else ""


class LanguageModel(TextEncoder):
    """A text encoder that reads from left to right, to the full length of its rules.

    A prompt without a token is nothing but padding, which then sees itself: with nothing to see at all, what
    attention answers would depend on the library's version and backend.
    """

    @property
    def limit(self) -> int:
        """Tokens of a prompt, whatever length the tokenizer thinks of."""
        return self.rules.length

    def _tokens(self, text: str) -> tuple[Tensor, Tensor]:
        if getattr(self.tokenizer, "pad_token", "") is None:
            raise UserError("The tokenizer has no token for padding, so it is not this model's; get the model again.")
        ids, mask = super()._tokens(text)
        if (most := int(ids.max())) >= (known := int(self.encoder.get_input_embeddings().num_embeddings)):
            raise UserError(
                f"The tokenizer gives token {most}, and the text encoder knows {known}: the two are not of one model; "
                "get both again."
            )
        return ids, mask

    def _states(self, ids: Tensor, mask: Tensor) -> Tensor:
        return super()._states(ids, mask if mask.any() else torch.ones_like(mask))


@dataclass(frozen=True, eq=False)
class PromptTable:
    """Embeddings (L, D) by prompt; `encoder` is the hash of the text encoder's files, "" if unknown.

    `notes` are the encoder's sentences on prompts of which it has not understood all, by prompt. `masks`: (L,)
    bool by prompt, True for what is no padding, or none at all for a network that is told of none. `rules`: by which
    the prompts were read, None if unknown. Raises UserError for shapes that differ and for masks that do not fit.
    """

    embeddings: Mapping[str, Tensor]
    encoder: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    rules: TextRules | None = None

    def __post_init__(self) -> None:
        shapes = {tuple(e.shape) for e in self.embeddings.values()}
        if len(shapes) > 1 or any(len(shape) != 2 for shape in shapes):
            raise UserError(f"The embeddings of a prompt file have one shape (tokens, width), not {sorted(shapes)}.")
        if self.masks and set(self.masks) != set(self.embeddings):
            raise UserError("Some prompts of a prompt file have a mask, and some have none; encode them again.")
        for prompt, mask in self.masks.items():
            if mask.dtype != torch.bool or mask.shape != self.embeddings[prompt].shape[:1]:
                raise UserError(
                    f"The mask of '{prompt}' is {tuple(mask.shape)} of {mask.dtype}, where one truth value a token "
                    f"is needed, {tuple(self.embeddings[prompt].shape[:1])}; encode the prompts again."
                )

    @property
    def width(self) -> int | None:
        """The width of the embeddings, None for an empty table."""
        return next((int(e.shape[1]) for e in self.embeddings.values()), None)

    def of(self, prompts: Iterable[str]) -> PromptTable:
        """What it holds of these prompts."""
        return self._renamed({p: p for p in prompts if p in self.embeddings})

    def spelled(self, rules: TextRules) -> PromptTable:
        """The same under the names that `rules` give the prompts."""
        return self._renamed({p: rules.spelled(p) for p in self.embeddings})

    def _renamed(self, names: Mapping[str, str]) -> PromptTable:
        return replace(
            self,
            embeddings={new: self.embeddings[old] for old, new in names.items()},
            notes={new: self.notes[old] for old, new in names.items() if old in self.notes},
            masks={new: self.masks[old] for old, new in names.items() if old in self.masks},
        )

    def save(self, path: Path) -> None:
        """Write the table to `path` (.safetensors), whole or not at all."""
        from safetensors.torch import save

        prompts = sorted(self.embeddings)
        tensors = {str(i): self.embeddings[p].contiguous() for i, p in enumerate(prompts)}
        tensors |= {f"mask {i}": self.masks[p].contiguous() for i, p in enumerate(prompts) if self.masks}
        kind = _MASKED if self.masks else _FORMAT
        metadata = {"format": kind, "prompts": json.dumps(prompts), "encoder": self.encoder}
        if self.notes:
            metadata["notes"] = json.dumps(dict(self.notes))
        if self.rules is not None:
            metadata["rules"] = self.rules.to_json()
        write_atomically(path, save(tensors, metadata))


def check_table(table: PromptTable, rules: TextRules, where: str, width: int | None = None, encoder: str = "") -> None:
    """Look whether a table is one for `where`, a model of these rules, this width and this text encoder's hash.

    A width of None and a hash of "" are not known. Raises UserError for other rules, for masks that are missing
    or not wanted, for another width and for another text encoder.
    """
    again = "encode them again (duckrabbit prompts encode)"
    if table.rules not in (None, rules):
        raise UserError(
            f"The prompts were read by other rules ({table.rules}) than those of {where} ({rules}), so they were "
            f"encoded for another model; {again}."
        )
    if rules.masked and table.embeddings and not table.masks:
        raise UserError(
            f"The prompts have no masks, and {where} has to be told which of their tokens are padding: without, it "
            f"would paint something else; {again}."
        )
    if table.masks and not rules.masked:
        raise UserError(f"The prompts have masks, which {where} does not take: they are for another model; {again}.")
    if width is not None and table.width not in (None, width):
        raise UserError(
            f"The prompts are {table.width} numbers wide, but {where} takes {width}: they were encoded for another "
            "model."
        )
    if encoder and table.encoder and encoder != table.encoder:
        raise UserError(f"The prompts were encoded with another text encoder than that of {where}; encode them again.")


def read_prompts(path: str | Path, rules: TextRules | None = IF_RULES) -> PromptTable:
    """A table from `prompts.safetensors`, or from the course's .pth: {prompt: (1, 77, 4096) tensor}.

    A .pth is read as plain tensors (`weights_only`), so that it cannot run code. `rules`: those of the model that it
    is for, by which its prompts are spelled; None leaves them as they stand there. Raises UserError
    where the file is missing, is of another kind, or holds NaN.
    """
    path = as_path("A prompt file", path)
    if not path.is_file():
        raise UserError(f"There is no prompt file {path}; make one with `duckrabbit prompts encode`, or name another.")
    table = _read_pth(path) if path.suffix in (".pth", ".pt") else _read_safetensors(path)
    table = table if rules is None else table.spelled(rules)
    if not table.embeddings:
        raise UserError(f"The prompt file {path} is empty; write it again.")
    for prompt, embedding in table.embeddings.items():
        if not embedding.is_floating_point():
            raise UserError(f"The prompt file {path} holds whole numbers for '{prompt}', no embedding; write it again.")
        if not torch.isfinite(embedding).all():
            raise UserError(f"The prompt file {path} holds NaN or infinite numbers for '{prompt}'; write it again.")
    return table


def _read_safetensors(path: Path) -> PromptTable:
    from safetensors import SafetensorError

    try:
        tensors, header = read_tensors(path)
        if header.get("format") not in (_FORMAT, _MASKED):
            raise UserError(f"{path} is not a prompt file of duckrabbit; make one with `duckrabbit prompts encode`.")
        prompts = list(enumerate(json.loads(header["prompts"])))
        if not all(isinstance(prompt, str) for _, prompt in prompts):
            raise ValueError("its prompts are no list of texts")
        embeddings = {p: tensors[str(i)] for i, p in prompts}
        masks = {p: tensors[f"mask {i}"] for i, p in prompts} if header["format"] == _MASKED else {}
        notes = {p: str(note) for p, note in json.loads(header.get("notes", "{}")).items()}
        rules = read_rules(header.get("rules", ""))
        return PromptTable(embeddings, header.get("encoder", ""), notes, masks, rules)
    except UserError as error:
        raise UserError(f"{error}" if str(path) in f"{error}" else f"In the prompt file {path}: {error}") from None
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"The prompt file {path} cannot be read ({error}); write it again.") from None


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
