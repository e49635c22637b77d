"""The published checkpoint of PixNerd, a pickle, becomes safetensors under our names, once.

Lightning writes its whole training state as a pickle. It is read as plain tensors (`weights_only`), so that it
cannot run code, and only the averaged weights in it, under "ema_denoiser.", are kept.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from duckrabbit.errors import UserError
from duckrabbit.files import Atomic
from duckrabbit.networks.pixnerd import PixNerd, PixNerdConfig

PREFIX = "ema_denoiser."
"""What the names of the averaged weights begin with."""

_TABLE = (
    (r"s_embedder\.proj\.", "patches."),
    (r"x_embedder\.embedder\.0\.", "points."),
    (r"t_embedder\.mlp\.0\.", "clock.first."),
    (r"t_embedder\.mlp\.2\.", "clock.second."),
    (r"y_embedder\.proj\.", "words."),
    (r"y_embedder\.norm\.", "words_norm."),
    (r"y_pos_embedding$", "places"),
    (r"final_layer\.linear\.", "answer."),
    (r"text_refine_blocks\.", "readers."),
)
"""Published names, at their beginning, and ours."""
_INNER = (
    (r"\.norm1\.", ".attention_norm."),
    (r"\.norm2\.", ".mlp_norm."),
    (r"\.attn\.(qkv_x|qkv)\.", ".attention.qkv."),
    (r"\.attn\.kv_y\.", ".attention.text_kv."),
    (r"\.attn\.proj\.", ".attention.out."),
    (r"\.attn\.", ".attention."),
    (r"\.mlp\.w12\.", ".mlp.up."),
    (r"\.mlp\.w3\.", ".mlp.down."),
    (r"\.adaLN_modulation\.0\.", ".modulation."),
    (r"\.param_generator1\.0\.", ".weights."),
)
"""The same inside a block."""


def our_name(published: str, blocks: int) -> str:
    """What we call a weight of the published network, which counts the fields' layers after its `blocks`."""
    if (match := re.match(r"blocks\.(\d+)\.", published)) and int(match[1]) >= blocks:
        name = f"fields.{int(match[1]) - blocks}.{published[match.end() :]}"
    else:
        name = published
        for pattern, ours in _TABLE:
            name = re.sub(f"^{pattern}", ours, name)
    if name.startswith(("blocks.", "readers.", "fields.")):
        for pattern, ours in _INNER:
            name = re.sub(pattern, ours, name)
    return name


def renamed(state: Mapping[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """The averaged weights of a checkpoint's state, under our names. UserError where there are none."""
    found = {our_name(k.removeprefix(PREFIX), blocks): v for k, v in state.items() if k.startswith(PREFIX)}
    if not found:
        raise UserError(f"it holds no averaged weights ({PREFIX}...)")
    return found


def check_names(shapes: Mapping[str, tuple[int, ...]], config: PixNerdConfig, where: str) -> None:
    """Raises UserError where weights of these shapes are not those of a network of these sizes."""
    with torch.device("meta"):
        wanted = {name: tuple(value.shape) for name, value in PixNerd(config).state_dict().items()}
    for name, shape in wanted.items():
        if name not in shapes:
            raise UserError(f"The weights of {where} lack {name}; get the model again.")
        if shapes[name] != shape:
            raise UserError(
                f"In {where} {name} is {shapes[name]}, where its configuration asks for {shape}: "
                "the two are not of one model; get both again."
            )
    if foreign := sorted(set(shapes) - set(wanted)):
        raise UserError(f"{where} holds {foreign[0]}, which is no weight of a PixNerd network; get the model again.")


def convert(checkpoint: Path, target: Path, config: PixNerdConfig) -> None:
    """Write the averaged weights of a Lightning checkpoint as safetensors to `target`, whole or not at all.

    Each number stays in the dtype it has. Raises UserError for a file that is damaged, that is no such checkpoint
    or holds another network, and for one that holds more than plain values.
    """
    from safetensors.torch import save_file

    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        state = content["state_dict"]
        weights = renamed({k: v for k, v in state.items() if isinstance(v, Tensor)}, config.blocks)
    except pickle.UnpicklingError:
        raise UserError(
            f"{checkpoint} holds more than plain tensors, or none, and is not read, since it could run code. Get it "
            "again; if it stays so, give a folder with the weights as safetensors."
        ) from None
    except UserError as error:
        raise UserError(f"{checkpoint} is no checkpoint of PixNerd: {error}. Get the model again.") from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{checkpoint} cannot be read as a checkpoint ({reason}); get the model again.") from None
    check_names({name: tuple(value.shape) for name, value in weights.items()}, config, str(checkpoint))
    with Atomic(target) as temporary:
        save_file({name: value.contiguous() for name, value in weights.items()}, temporary)
