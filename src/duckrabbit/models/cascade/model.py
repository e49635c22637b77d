"""The Model of a pixel cascade in DeepFloyd IF's layout: a text encoder and one U-Net or two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import Condition, Network
from duckrabbit.errors import UserError
from duckrabbit.models.cascade.memory import Part, Policy, Residency
from duckrabbit.models.cascade.text_encoder import PromptTable, TextEncoder, check_table
from duckrabbit.models.cascade.text_rules import IF_RULES, TextRules
from duckrabbit.models.model import Card, StageFacts, told
from duckrabbit.networks.batching import batched


@dataclass(eq=False)
class Cascade:
    """A text-to-image cascade whose parts are loaded when they are used.

    `text` is None where prompts come from a table only. Several threads may sample from one: where its parts
    have to make room for one another (every policy but resident), a run waits for that of another thread.
    It is pickled as what it is loaded from, without its weights. `rules`: how its prompts are spelled and cut, and
    whether its network is told which tokens are padding. Raises UserError for a table that was made by other rules.
    """

    card: Card
    stages: tuple[StageFacts, ...]
    unets: tuple[Part, ...]
    text: Part | None
    device: str
    dtype: str
    table: PromptTable = field(default_factory=lambda: PromptTable({}))
    policy: Policy = "auto"
    rules: TextRules = IF_RULES
    _ready: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _masks: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _notes: dict[str, str] = field(default_factory=dict, repr=False)

    memory: Residency = field(init=False, repr=False)
    """What is loaded."""

    def __post_init__(self) -> None:
        check_table(self.table, self.rules, self.card.name)
        self.memory = Residency(self.policy, self.device, [*self.unets, *([self.text] if self.text else [])])

    def __getstate__(self) -> dict[str, Any]:
        """What it is loaded from, and the prompts that are encoded; the weights are loaded again."""
        ready, masks = ({p: value.cpu() for p, value in d.items()} for d in (self._ready, self._masks))
        return {**self.__dict__, "_ready": ready, "_masks": masks}

    def turn(self) -> AbstractContextManager[Any]:
        """A context in which this thread has the model to itself, if its parts have to make room for one another."""
        return self.memory.turn()

    def condition(self, text: str) -> Condition:
        """The prompt as it is spelled. Raises UserError where there is neither entry nor encoder for it."""
        prompt = self.rules.spelled(text)
        if self.text is None and prompt not in self.table.embeddings:
            known = ", ".join(f"'{p}'" for p in sorted(self.table.embeddings))
            raise UserError(
                f"The prompt '{text}' is not in the prompt file, and there is no text encoder to encode it. "
                f"The file has {known}."
            )
        return prompt

    def prepare(self, conditions: Iterable[Condition]) -> None:
        """Encode the prompts that are not encoded yet, with the text encoder alone in memory."""
        prompts = [str(self.condition(_prompt(c))) for c in conditions]
        with self.memory.lock:  # a tokenizer serves one thread at a time; the next one finds it done
            self._encode([p for p in dict.fromkeys(prompts) if p not in self._ready])

    def notes_on(self, conditions: Iterable[Condition]) -> dict[str, str]:
        """Sentences on prompts, once they are prepared, of which the text encoder has not understood all."""
        prompts = dict.fromkeys(self.rules.spelled(_prompt(c)) for c in conditions)
        return {f"prompt {k + 1}": self._notes[p] for k, p in enumerate(prompts) if p in self._notes}

    def network(
        self, stage: int, low_res: Tensor | None = None, noise_level: int = 0, micro_batch: int | None = None
    ) -> Network:
        """The network of a stage, its weights loaded.

        `low_res` (B, C, H, W), enlarged and noised to `noise_level`, belongs to a second stage and is
        needed there. Raises UserError where it is missing or out of place, or the stage is.
        """
        facts = self._facts(stage, low_res, noise_level)
        part = self.unets[stage]
        self.memory.use(part)
        dtype = getattr(torch, self.dtype)

        def forward(x: Tensor, at: NoiseLevel, conditions: list[Condition], low: Tensor | None) -> Tensor:
            embeddings, masks = self._words(conditions)
            time = torch.tensor(told(facts.told, at.t), dtype=torch.float32, device=self.device)
            labels = None if low is None else torch.full((len(x),), noise_level, device=self.device)
            sample = x if low is None else torch.cat([x, low.to(x)], dim=1)
            with self.turn():
                output: Tensor = self.memory.use(part)(
                    sample.to(self.device, dtype),
                    time,
                    encoder_hidden_states=embeddings,
                    class_labels=labels,
                    return_dict=False,
                    **({} if masks is None else {"encoder_attention_mask": masks}),
                )[0]
            return output.to(x.device)

        return batched(
            forward,
            facts.prediction_type,
            learned_variance=facts.learned_variance,
            low_res=low_res,
            micro_batch=micro_batch,
            schedule=facts.schedule,
        )

    def weight_hash(self) -> Mapping[str, str]:
        """sha256 of every weight file, by its path; downloads what is not there yet."""
        parts = [*([self.text] if self.text else []), *self.unets]
        return {path: digest for part in parts for path, digest in part.hashes().items()}

    def encode(self, prompts: Iterable[str]) -> PromptTable:
        """The embeddings of these prompts, to be kept: `model.encode([...]).save(path)`."""
        wanted = [str(self.condition(p)) for p in prompts]
        self.prepare(wanted)
        encoder = encoder_hash(self.text.hashes()) if self.text else self.table.encoder
        notes = {p: self._notes[p] for p in wanted if p in self._notes}
        masks = {p: self._masks[p].cpu() for p in wanted if p in self._masks}
        return PromptTable({p: self._ready[p].cpu() for p in wanted}, encoder, notes, masks, self.rules)

    def free(self) -> None:
        """Free the weights; they are loaded again when they are needed."""
        self.memory.clear()

    def _encode(self, prompts: list[str]) -> None:
        tables = [self.table.of(prompts)]
        unknown = [p for p in prompts if p not in self.table.embeddings]
        if unknown and self.text is not None:
            encoder: TextEncoder = self.memory.use(self.text)
            tables.append(encoder(unknown))
        for table in tables:
            for prompt, embedding in table.embeddings.items():
                if not torch.isfinite(embedding).all():
                    raise UserError(
                        f"The text encoder answers '{prompt}' with NaN in {self.dtype}; load with dtype='float32'."
                    )
            self._notes |= table.notes
            self._masks |= {p: mask.to(self.device) for p, mask in table.masks.items()}
            self._ready |= {
                p: e.to(self.device, getattr(torch, self.dtype)) for p, e in table.embeddings.items()
            }  # last: another thread takes what stands here for done

    def _words(self, conditions: list[Condition]) -> tuple[Tensor, Tensor | None]:
        """The embeddings (N, L, D) of N prompts, and their masks (N, L) where the network takes them."""
        prompts = [self.rules.spelled(_prompt(c)) for c in conditions]
        if any(p not in self._ready for p in prompts):
            self.prepare(prompts)
        masks = torch.stack([self._masks[p] for p in prompts]).to(self.device) if self.rules.masked else None
        return torch.stack([self._ready[p] for p in prompts]).to(self.device), masks

    def _facts(self, stage: int, low_res: Tensor | None, noise_level: int) -> StageFacts:
        if not 0 <= stage < len(self.stages):
            raise UserError(f"{self.card.name} has {len(self.stages)} stage(s), counted from 0; there is no {stage}.")
        facts = self.stages[stage]
        if (facts.noising is None) != (low_res is None):
            needs = "needs a low resolution picture" if low_res is None else "takes no low resolution picture"
            raise UserError(f"Stage {stage} of {self.card.name} {needs}.")
        if low_res is not None and low_res.shape[1] != facts.channels:
            raise UserError(
                f"The low resolution picture is {tuple(low_res.shape[1:])}; it has {facts.channels} channels where "
                f"stage {stage} can use it."
            )
        if facts.noising is not None and not 0 <= noise_level < len(facts.noising.alphas_cumprod):
            raise UserError(f"A noise level is from 0 to {len(facts.noising.alphas_cumprod) - 1}, not {noise_level}.")
        return facts


def encoder_hash(files: Mapping[str, Any]) -> str:
    """One hash of a text encoder's files, whatever their order."""
    return sha256("\n".join(f"{p} {h}" for p, h in sorted(files.items())).encode()).hexdigest()


def _prompt(condition: Condition) -> str:
    if not isinstance(condition, str):
        raise UserError(f"A text-to-image model is asked with prompts, not with {condition!r}; give it a sentence.")
    return condition
