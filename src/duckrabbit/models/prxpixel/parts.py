"""The two parts of a PRXPixel model: the transformer, and Qwen3-VL's language model as it is read for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from duckrabbit.errors import UserError
from duckrabbit.models.cascade.before import check_room
from duckrabbit.models.cascade.parts import Source, TextPart, load_network, part_hashes, width_of
from duckrabbit.models.cascade.text_encoder import LanguageModel
from duckrabbit.models.prxpixel.folder import NETWORK


class Asked(nn.Module):
    """A PRX transformer that is called as a U-Net of diffusers is."""

    def __init__(self, transformer: Any, patch: int) -> None:
        super().__init__()
        self.transformer = transformer
        self.patch = patch

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        encoder_attention_mask: Tensor,
        class_labels: None = None,
        return_dict: bool = False,
    ) -> tuple[Tensor]:
        """What the picture is, x0 (N, C, H, W), at one time t in (0, 1], as a tuple of one.

        `encoder_hidden_states` (N, L, D), `encoder_attention_mask` (N, L) bool, True for what is no padding.
        Raises UserError for a height or width that is no multiple of the patch, and for another width of the words.
        """
        if (given := encoder_hidden_states.shape[-1]) != (taken := self.transformer.config.context_in_dim):
            raise UserError(
                f"The text encoder's states are {given} numbers wide, and the transformer takes {taken}: the two are "
                "not of one model; get both again."
            )
        height, width = sample.shape[2:]
        if height % self.patch or width % self.patch:
            raise UserError(
                f"{height} x {width} pixels do not divide into patches of {self.patch}; choose multiples of "
                f"{self.patch}."
            )
        answer: Tensor = self.transformer(
            hidden_states=sample,
            timestep=timestep.expand(len(sample)),
            encoder_hidden_states=encoder_hidden_states,
            attention_mask=encoder_attention_mask,
            return_dict=False,
        )[0]
        return (answer,)


@dataclass(frozen=True)
class TransformerPart:
    """The transformer. It has to fit as a whole: it is walked through at every step, so that disk is no memory."""

    source: Source
    dtype: str
    patch: int
    name: ClassVar[str] = "transformer"
    can_park: ClassVar[bool] = True
    is_held: ClassVar[bool] = False
    remedy: ClassVar[str] = ""

    def load(self) -> Asked:
        """The module, on the CPU. Raises UserError for weights that are missing, damaged or foreign."""
        self.source.folder("transformer")
        check_room(self.size(), self.dtype, [])
        return Asked(load_network(self.source, "transformer", NETWORK, self.dtype), self.patch)

    def size(self) -> int:
        """Its bytes in memory."""
        return self.source.size("transformer") * width_of(self.dtype)

    def hashes(self) -> dict[str, str]:
        """The sha256 of its weight files, by path."""
        return part_hashes(self.source, "transformer", "")


@dataclass(frozen=True)
class WordsPart(TextPart):
    """The tokenizer, padding on the side that it is saved with, and the language model."""

    def load(self) -> LanguageModel:
        """Both of them. Raises UserError for weights that are missing, damaged or foreign."""
        plain = super().load()
        return LanguageModel(plain.tokenizer, plain.encoder, plain.stays, self.rules)
