"""What a run of a stage begins with: the weights of a folder in the diffusers format, or random ones."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from duckrabbit.diffusion.schedules import squaredcos_cap_v2
from duckrabbit.errors import UserError
from duckrabbit.networks.loading import LOADING
from duckrabbit.training.cascade.growth import grow, is_grown
from duckrabbit.training.cascade.recipe import TIMES
from duckrabbit.training.cascade.words import TOKENIZER, read_tokenizer
from duckrabbit.training.checkpoint import load_own_state

STARTED = ("start", "vocabulary", "text", "text_hidden", "text_heads", "text_head", "text_layers")
"""What the start of a run says in its recipe."""

_UNET, _TEXT = "unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"


@dataclass(frozen=True)
class Start:
    """unet and text: the folders whose U-Net and text encoder to begin with; None for random weights."""

    unet: Path | None
    text: Path | None
    digest: str

    def fill(self, module: nn.Module) -> None:
        """Put the weights into a stage's network. Raises UserError where they do not fit."""
        parts: Any = module
        if self.unet is not None:
            self._fill_unet(parts.unet)
        if hasattr(module, "text_encoder"):  # a stage II is told what the text encoder says, and does not train it
            assert self.text is not None
            _load(parts.text_encoder, self.text / _TEXT)

    def _fill_unet(self, unet: Any) -> None:
        """The weights of the folder, or those grown from them where the network has a thin level more."""
        assert self.unet is not None
        if not is_grown(_config(self.unet / "unet" / "config.json"), unet.config):
            return _load(unet, self.unet / _UNET)
        chain = _config(self.unet / "scheduler" / "scheduler_config.json")
        said = [
            chain.get(name) for name in ("prediction_type", "beta_schedule", "num_train_timesteps", "trained_betas")
        ]
        if said != ["v_prediction", "squaredcos_cap_v2", TIMES, None]:
            raise UserError(f"The network in {self.unet} does not grow: it has to predict v on {TIMES} cosine levels.")
        unet.load_state_dict(grow(load_file(self.unet / _UNET), unet, squaredcos_cap_v2(TIMES)))
        return None

    def text_encoder(self) -> tuple[Any, Any]:
        """The tokenizer and the text encoder, in float32, for a stage that does not train it."""
        assert self.text is not None
        folder = self.text / "text_encoder"
        with LOADING:
            from transformers import T5EncoderModel

            encoder = T5EncoderModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        return read_tokenizer(self.text / TOKENIZER), encoder

    @property
    def text_config(self) -> dict[str, Any]:
        """The shape of the text encoder, as fields of a recipe."""
        assert self.text is not None
        config = json.loads((self.text / "text_encoder" / "config.json").read_text(encoding="utf-8"))
        names = {
            "vocabulary": "vocab_size",
            "text": "d_model",
            "text_hidden": "d_ff",
            "text_heads": "num_heads",
            "text_head": "d_kv",
            "text_layers": "num_layers",
        }
        return {field: int(config[name]) for field, name in names.items()}


def read_start(unet: Path | None, text: Path | None) -> Start:
    """The start from these folders. Raises UserError where one holds no such weights."""
    digest = hashlib.sha256()
    for folder, part in ((unet, _UNET), (text, _TEXT)):
        if folder is None:
            continue
        try:
            digest.update((folder / part).read_bytes())
        except OSError:
            raise UserError(
                f"There is no {folder / part}; name the folder of a stage in the diffusers format."
            ) from None
    if text is not None and not (text / TOKENIZER).is_dir():
        raise UserError(f"There is no {text / TOKENIZER}; a text encoder is of no use without its tokenizer.")
    return Start(unet, text, digest.hexdigest()[:16] if unet or text else "")


def _config(path: Path) -> dict[str, Any]:
    """A part's configuration; nothing where there is none."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _load(module: nn.Module, path: Path) -> None:
    # A stage II that was never told the prompt goes on from where it is: what it is told is 0 at first.
    untold = {k: v for k, v in module.state_dict().items() if k.startswith("add_embedding.")}
    try:
        load_own_state(module, untold | {k: v.float() for k, v in load_file(path).items()})
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise UserError(f"The weights in {path} do not fit this preset: {reason}") from None
