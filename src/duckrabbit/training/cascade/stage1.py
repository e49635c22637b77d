"""Stage I: drawings from words. The text encoder is small, and learns along with the U-Net."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor, nn

from duckrabbit.diffusion.schedules import DiscreteSchedule, shifted
from duckrabbit.networks.unet_if import TextToImage, first_stage
from duckrabbit.training.cascade.growth import SHIFT
from duckrabbit.training.cascade.recipe import CascadeRecipe, to_unit
from duckrabbit.training.cascade.words import Wordings
from duckrabbit.training.objectives import Draws
from duckrabbit.training.values import PictureSet


@dataclass(frozen=True, eq=False)
class Captioned(PictureSet):
    """Pictures (N, S, S, 3) uint8 and wordings of each; `digest` names the set."""

    images: Tensor
    wordings: Wordings
    digest: str


@dataclass(frozen=True)
class TextRecipe(CascadeRecipe):
    """attention: so many of the deepest levels look at the prompt, `cross` numbers of each token.

    vocabulary, text_hidden ... text_layers: the T5 encoder. text_factor: of its learning rate.
    subjects: only so many, those with the most drawings; 0 for all. thin: so many of the outermost levels have no
    residual block down and one up. shift: the factor of the chain's sigma / alpha (`diffusion.schedules.shifted`).
    """

    stage: ClassVar[str] = "text"

    attention: int = 2
    cross: int = 192
    vocabulary: int = 0
    text_hidden: int = 512
    text_heads: int = 8
    text_head: int = 32
    text_layers: int = 2
    text_factor: float = 0.3
    subjects: int = 0
    thin: int = 0
    shift: float = 1.0

    @property
    def schedule(self) -> DiscreteSchedule:
        """The noise levels to train on, and to sample through."""
        return super().schedule if self.shift == 1 else shifted(super().schedule, self.shift)

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain values; without `thin` and `shift` where they say nothing, as runs of before have it."""
        silent = {"thin": 0, "shift": 1.0}
        return {k: v for k, v in super().to_json().items() if k not in silent or v != silent[k]}

    def build(self) -> nn.Module:
        """The U-Net and its text encoder, with random weights. Without dropout: a step has to repeat."""
        unet = first_stage(
            self.size,
            self.channels,
            layers=self.layers,
            thin=self.thin,
            attention=self.attention,
            cross=self.cross,
            text=self.text,
        )
        return TextToImage(unet, self.text_encoder(self.vocabulary))

    def text_encoder(self, vocabulary: int) -> nn.Module:
        """The text encoder of a recipe, for so many tokens, with random weights."""
        from transformers import T5Config, T5EncoderModel

        config = T5Config(
            vocab_size=vocabulary,
            d_model=self.text,
            d_ff=self.text_hidden,
            d_kv=self.text_head,
            num_heads=self.text_heads,
            num_layers=self.text_layers,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
            is_encoder_decoder=False,
            use_cache=False,
        )
        return T5EncoderModel(config)

    def rates(self, module: nn.Module) -> list[tuple[list[nn.Parameter], float]]:
        """The text encoder, which begins with words it knows, learns more slowly."""
        parts: Any = module
        return [(list(parts.unet.parameters()), 1.0), (list(parts.text_encoder.parameters()), self.text_factor)]

    def inputs(self, data: Captioned, rows: Tensor, draws: Draws) -> tuple[Tensor, tuple[Tensor]]:
        """The pictures, and of each the tokens (N, 77) of one of its wordings, or of "" (`p_uncond`)."""
        x0 = to_unit(data.images[rows])
        return x0, (data.wordings.draw(rows, self.p_uncond, draws, x0),)


_SMALL = TextRecipe(
    "text-32",
    size=32,
    channels=(64, 96, 160, 224),
    layers=1,
    prediction="v_prediction",
    weighting="uniform",
    batch=32,
    images=1_000_000,
    rate=6e-4,
    times=1.5,
)
TEXTS: Mapping[str, TextRecipe] = {
    "tiny": replace(
        _SMALL,
        name="text-tiny",
        size=16,
        channels=(32, 32),
        attention=1,
        cross=32,
        batch=8,
        images=4000,
        rate=2e-3,
        ema=0.99,
        sheets=2,
        wordings=4,
    ),
    "32": _SMALL,
    "64": replace(
        _SMALL, name="text-64", size=64, channels=(64, 128, 160, 192), batch=512, images=2_400_000, rate=1e-3
    ),
    "64-grown": replace(
        _SMALL,
        name="text-64-grown",
        size=64,
        channels=(64, *_SMALL.channels),
        thin=1,
        shift=SHIFT,
        images=400_000,
    ),
}
"""The presets, by name: 32 is the layout of miniature, 64 is for a GPU, and 64-grown begins with weights of 32."""
