"""The two parts of a PixNerd model: the network, and Qwen3 as it is read for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from duckrabbit.errors import UserError
from duckrabbit.models.cascade.before import check_room
from duckrabbit.models.cascade.parts import TextPart, in_a_sentence
from duckrabbit.models.cascade.text_encoder import LanguageModel
from duckrabbit.models.pixnerd.checkpoint import check_names
from duckrabbit.models.pixnerd.folder import WEIGHTS
from duckrabbit.models.weights import file_hash, read_header, verify
from duckrabbit.networks.loading import LOADING
from duckrabbit.networks.pixnerd import PixNerd, PixNerdConfig


class Files(Protocol):
    """Where the network's weights come from."""

    @property
    def name(self) -> str:
        """What to call it in a message."""

    @property
    def sha256(self) -> Mapping[str, str]:
        """The hash that model.safetensors must have, if it is known."""

    def weights(self) -> Path:
        """The weights as safetensors, under our names."""


class Asked(nn.Module):
    """A PixNerd network that is called as a U-Net of diffusers is."""

    def __init__(self, network: PixNerd) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        class_labels: None = None,
        return_dict: bool = False,
    ) -> tuple[Tensor]:
        """The velocity (N, C, H, W) at one time, told as 1 - t, as a tuple of one."""
        return (self.network(sample, timestep.expand(len(sample)), encoder_hidden_states),)


@dataclass(frozen=True)
class NetworkPart:
    """The network."""

    files: Files
    config: PixNerdConfig
    dtype: str
    name: ClassVar[str] = "network of PixNerd"
    can_park: ClassVar[bool] = True
    is_held: ClassVar[bool] = False
    remedy: ClassVar[str] = ""

    def load(self) -> Asked:
        """The module, on the CPU. Raises UserError for weights that are missing, damaged or foreign."""
        from safetensors import safe_open

        path = self.files.weights()
        header = read_header(path)
        verify(path, self.files.sha256.get(WEIGHTS), WEIGHTS)
        check_names({name: tuple(entry["shape"]) for name, entry in header.items()}, self.config, str(path))
        check_room(self.size(), self.dtype, [path])
        with in_a_sentence(str(path)), LOADING:
            with torch.device("meta"):
                network = PixNerd(self.config)
            kind = getattr(torch, self.dtype)
            with safe_open(path, "pt") as file:  # one tensor at a time: the file may be twice as large as the network
                state = {name: file.get_tensor(name).to(kind) for name in header}
            network.load_state_dict(state, assign=True)
        for name, value in network.named_parameters():
            if not torch.isfinite(value).all():
                raise UserError(f"The weights in {path} hold NaN or infinite numbers ({name}); get the model again.")
        return Asked(network.eval().requires_grad_(False))

    def size(self) -> int:
        """Its bytes in memory."""
        with torch.device("meta"):
            numbers = sum(p.numel() for p in PixNerd(self.config).parameters())
        return numbers * int(getattr(torch, self.dtype).itemsize)

    def hashes(self) -> dict[str, str]:
        """The sha256 of its weights, by path."""
        return {WEIGHTS: file_hash(self.files.weights())}


@dataclass(eq=False)
class QwenEncoder(LanguageModel):
    """Qwen3's last hidden states of a prompt as it is typed, padding and all, (length, width).

    Padded on the right; states padded with zeros, or cut, to `width`.
    """

    width: int = 2048

    def _tokens(self, text: str) -> tuple[Tensor, Tensor]:
        self.tokenizer.padding_side = "right"
        return super()._tokens(text)

    def _states(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden = super()._states(ids, mask)
        return pad(hidden, (0, self.width - hidden.shape[2]))


@dataclass(frozen=True)
class QwenPart(TextPart):
    """The tokenizer and Qwen3, for states of `states` numbers."""

    states: int = 2048

    def load(self) -> QwenEncoder:
        """Both of them. Raises UserError for weights that are missing, damaged or foreign."""
        plain = super().load()
        return QwenEncoder(plain.tokenizer, plain.encoder, plain.stays, self.rules, width=self.states)
