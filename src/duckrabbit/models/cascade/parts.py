"""The parts of a cascade: loading one from a folder, or taking it from a diffusers pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch

from duckrabbit.errors import UserError, lacks_memory
from duckrabbit.models.cascade.before import check_files, check_room, check_tokenizer
from duckrabbit.models.cascade.folder import StageConfig, class_of, read_folder
from duckrabbit.models.cascade.text_encoder import TextEncoder
from duckrabbit.models.cascade.text_rules import IF_RULES, TextRules
from duckrabbit.models.weights import choose, count_parameters, file_hash
from duckrabbit.networks.loading import quietly_loading


class Source(Protocol):
    """Where a stage's files come from: a folder, or a repository of the hub."""

    @property
    def name(self) -> str:
        """What to call it in a message."""

    @property
    def variant(self) -> str:
        """The variant of the weights that is preferred, "fp16" say."""

    @property
    def sha256(self) -> Mapping[str, str]:
        """The hashes that the weight files must have, by path, as far as they are known."""

    def config(self) -> StageConfig:
        """The stage's configurations."""

    def folder(self, part: str) -> Path:
        """The folder of a part, "unet" say, with everything in it."""

    def size(self, part: str) -> int:
        """The numbers that a part's weights hold, as far as that is known without downloading."""


@dataclass(frozen=True)
class Folder:
    """A stage in a folder on this machine. `sha256` by path, as a card gives it."""

    path: Path
    variant: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The folder's path."""
        return str(self.path)

    def config(self) -> StageConfig:
        """The stage's configurations."""
        return read_folder(self.path)

    def folder(self, part: str) -> Path:
        """The folder of a part."""
        return self.path / part

    def size(self, part: str) -> int:
        """The numbers that a part's weights hold."""
        return sum(count_parameters(p) for p in weight_paths(self, part)[1])


def weight_paths(source: Source, part: str) -> tuple[str, list[Path]]:
    """The variant and the weight files of a part. Raises UserError where there are none."""
    folder = source.folder(part)
    names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    variant, chosen = choose(names, source.variant, str(folder))
    return variant, [folder / name for name in chosen]


@dataclass(frozen=True)
class UNetPart:
    """The U-Net of a stage, its weights laid out channels last: 10 to 20 % faster, on the CPU too.

    `prefix` comes before the paths of its files, where `hashes` names them.
    """

    source: Source
    name: str
    dtype: str
    prefix: str = ""
    can_park: ClassVar[bool] = True
    is_held: ClassVar[bool] = False
    remedy: ClassVar[str] = ""

    def load(self) -> Any:
        """The module, on the CPU. Raises UserError for weights that are missing, damaged or foreign."""
        paths = weight_paths(self.source, "unet")[1]
        check_room(self.size(), self.dtype, paths)
        module = load_network(self.source, "unet", "UNet2DConditionModel", self.dtype)
        return module.to(memory_format=torch.channels_last)

    def size(self) -> int:
        """Its bytes in memory."""
        return self.source.size("unet") * width_of(self.dtype)

    def hashes(self) -> dict[str, str]:
        """The sha256 of its weight files, by path."""
        return part_hashes(self.source, "unet", self.prefix)


@dataclass(frozen=True)
class TextPart:
    """The tokenizer and the text encoder, of the classes that model_index.json names.

    On a GPU it is read straight into the GPU's memory; where it does not fit there, it computes on
    the CPU in bfloat16. `rules`: how prompts are spelled and cut.
    """

    source: Source
    dtype: str
    device: str = "cpu"
    rules: TextRules = IF_RULES
    name: ClassVar[str] = "text encoder"
    can_park: ClassVar[bool] = False
    is_held: ClassVar[bool] = False
    remedy: ClassVar[str] = (
        "; or encode the prompts once on a larger machine (duckrabbit prompts encode), and give the file with --prompts"
    )

    def load(self) -> TextEncoder:
        """Both of them. Raises UserError for weights that are missing, damaged or foreign."""
        source, where = self.source, f"{self.source.name}/text_encoder"
        place, kind = _place(self.device, self.dtype, source.size("text_encoder"))
        index, words, folder = source.config().index, source.folder("tokenizer"), source.folder("text_encoder")
        variant, paths = weight_paths(source, "text_encoder")
        check_files(source.sha256, paths)
        check_tokenizer(Path(words), f"{source.name}/tokenizer")
        if not place.startswith("cuda"):
            check_room(source.size("text_encoder") * width_of(kind), kind, paths)
        with in_a_sentence(where), quietly_loading():
            tokenizer = _transformers_class(index, "tokenizer", source.name).from_pretrained(
                words, local_files_only=True
            )
            encoder, info = _transformers_class(index, "text_encoder", source.name).from_pretrained(
                folder,
                dtype=getattr(torch, kind),
                device_map={"": place} if place.startswith("cuda") else None,
                variant=variant or None,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
            encoder = _checked(encoder, info, where)
        return TextEncoder(tokenizer, encoder, place != self.device, self.rules)

    def size(self) -> int:
        """Its bytes in memory."""
        return self.source.size("text_encoder") * width_of(self.dtype)

    def hashes(self) -> dict[str, str]:
        """The sha256 of its weight files, by path."""
        return part_hashes(self.source, "text_encoder", "")


@dataclass(frozen=True, eq=False)
class HeldPart:
    """A part that is in memory already, from a diffusers pipeline; its hash is that of its tensors.

    `thing` is what is used, the `module` itself or what has it within; `path` stands for its files.
    """

    name: str
    thing: Any
    module: Any
    path: str
    can_park: ClassVar[bool] = True
    is_held: ClassVar[bool] = True
    remedy: ClassVar[str] = ""

    def load(self) -> Any:
        """The thing."""
        return self.thing

    def size(self) -> int:
        """Its bytes in memory."""
        return sum(p.numel() * p.element_size() for p in self.module.parameters())

    def hashes(self) -> dict[str, str]:
        """The sha256 of its tensors."""
        digest = sha256()
        for key, value in sorted(self.module.state_dict().items()):
            digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return {self.path: digest.hexdigest()}


def load_network(source: Source, part: str, kind: str, dtype: str) -> Any:
    """A part that is a network of diffusers, of the class `kind`, on the CPU, in `dtype`.

    Raises UserError for weights that are missing, damaged or foreign.
    """
    where, folder = f"{source.name}/{part}", source.folder(part)
    variant, paths = weight_paths(source, part)
    check_files(source.sha256, paths)
    with in_a_sentence(where), quietly_loading():
        import diffusers

        module, info = getattr(diffusers, kind).from_pretrained(
            folder,
            torch_dtype=getattr(torch, dtype),
            variant=variant or None,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
        if left := sorted(map(str, info["unexpected_keys"])):
            raise UserError(
                f"The weights of {where} hold {left[0]}, for which its config.json has no place: they are of another "
                "network. Get the model again."
            )
        return _checked(module, info, where)


def part_hashes(source: Source, part: str, prefix: str) -> dict[str, str]:
    """The sha256 of a part's weight files, by path, `prefix` before it."""
    return {f"{prefix}{part}/{p.name}": file_hash(p) for p in weight_paths(source, part)[1]}


def _place(device: str, dtype: str, numbers: int) -> tuple[str, str]:
    """Where and in what dtype a part of so many numbers is to compute."""
    if not device.startswith("cuda"):
        return device, dtype
    room = torch.cuda.get_device_properties(device).total_memory
    return (device, dtype) if 1.1 * numbers * width_of(dtype) < room else ("cpu", "bfloat16")


def width_of(dtype: str) -> int:
    """The bytes of a number."""
    return int(getattr(torch, dtype).itemsize)


def _checked(module: Any, info: Mapping[str, Any], where: str) -> Any:
    """The module, in evaluation mode. Raises UserError for missing or foreign weights, and for NaN."""
    for problem, names in (("lack", info["missing_keys"]), ("do not fit in", info["mismatched_keys"])):
        if names:
            raise UserError(f"The weights of {where} {problem} {sorted(map(str, names))[0]}; get the model again.")
    for name, value in module.named_parameters():
        if not torch.isfinite(value).all():
            raise UserError(f"The weights of {where} hold NaN or infinite numbers ({name}); get the model again.")
    return module.eval().requires_grad_(False)


def _transformers_class(index: Mapping[str, Any], part: str, where: str) -> Any:
    import transformers

    library, name = class_of(index, part) or (None, None)
    if library != "transformers" or not hasattr(transformers, str(name)):
        raise UserError(
            f"{where}: the {part} is of the class {library}.{name}, which transformers does not have; "
            "install a newer transformers, or give prompts encoded elsewhere (load(..., prompts=FILE))."
        )
    return getattr(transformers, str(name))


@contextmanager
def in_a_sentence(where: str) -> Iterator[None]:
    """What diffusers and transformers refuse, in one sentence."""
    try:
        yield
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, OSError, RuntimeError, ImportError) as error:
        if lacks_memory(error):
            raise
        reason = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise UserError(f"{where} cannot be loaded: {reason} Get the model again, or newer libraries.") from None
