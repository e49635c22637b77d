"""Models from a hub: only the files that are needed, when they are needed, kept in the hub's cache.

A repository that is in the cache is used from there without asking the network, so weights do not
change under a run; another `revision` fetches anew.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from duckrabbit.errors import UserError
from duckrabbit.models.cascade.folder import StageConfig, read_folder
from duckrabbit.models.cascade.memory import UNKNOWN_SIZE
from duckrabbit.models.cascade.refusals import sentences
from duckrabbit.models.weights import choose, count_parameters, hash_bytes, is_complete


def _tell(message: str) -> None:
    print(message, file=sys.stderr)


@dataclass(frozen=True)
class Hub:
    """How to reach the hub: None means what huggingface_hub finds in its environment variables.

    `token`: read from HF_TOKEN or `hf auth login` by default. `offline`: use only what is cached.
    `say` is called with one line before anything large is downloaded.
    """

    endpoint: str | None = None
    token: str | None = None
    cache: Path | None = None
    offline: bool = False
    say: Callable[[str], None] = _tell


def is_repository(name: str) -> bool:
    """Whether a name has the form OWNER/NAME."""
    return re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None


@dataclass(eq=False)
class Repository:
    """A stage in a repository of the hub; see parts.Source.

    `configs`: the files that it is known by; `also`: those fetched with them, if there are; `width`: bytes of a
    number in its plain variant.
    """

    configs: ClassVar[tuple[str, ...]] = ("model_index.json", "unet/config.json", "scheduler/scheduler_config.json")
    also: ClassVar[tuple[str, ...]] = ("image_noising_scheduler/scheduler_config.json",)
    width: ClassVar[int] = 4

    name: str
    revision: str | None = None
    variant: str = "fp16"
    sha256: Mapping[str, str] = field(default_factory=dict)
    hub: Hub = field(default_factory=Hub)

    def config(self) -> StageConfig:
        """The stage's configurations, downloaded where they are not cached."""
        return read_folder(self._root)

    def folder(self, part: str) -> Path:
        """The folder of a part, its files downloaded where they are not cached."""
        folder = self._place(part)
        if not is_complete(folder, part, self.variant):
            self._download(self._needed(part))
        return folder

    def bytes_missing(self, part: str) -> int:
        """What `folder(part)` would download, in bytes; 0 where the part is in the cache."""
        if is_complete(self._place(part), part, self.variant):
            return 0
        return sum(self._files[name].size or 0 for name in self._needed(part))

    def size(self, part: str) -> int:
        """The numbers in a part's weights; a very large one where that cannot be known now."""
        folder = self._place(part)
        try:
            if is_complete(folder, part, self.variant):
                _, names = choose([p.name for p in folder.iterdir()], self.variant, str(folder))
                return sum(count_parameters(folder / name) for name in names)
            variant, names = choose(self._names(part), self.variant, f"{self.name}/{part}")
            return sum(self._files[n].size or 0 for n in names) // (2 if variant else self.width)
        except UserError:
            return UNKNOWN_SIZE

    @cached_property
    def _root(self) -> Path:
        """The snapshot's folder, with the configurations in it; its name is the commit."""
        cached = self._cached()
        if cached is not None and all((cached / name).is_file() for name in self.configs):
            return cached
        self._require_network()
        if self.configs[0] not in self._files:
            raise UserError(self._unlike())
        return self._download([n for n in (*self.configs, *self.also) if n in self._files])

    def _place(self, part: str) -> Path:
        return self._root / part

    def _unlike(self) -> str:
        return (
            f"{self.name} is not a model in the diffusers format: it has no model_index.json. "
            "Choose a repository with one, such as DeepFloyd/IF-I-M-v1.0."
        )

    def _cached(self) -> Path | None:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            path = snapshot_download(
                self.name,
                revision=self.revision,
                cache_dir=self.hub.cache,
                allow_patterns=list(self.configs),
                local_files_only=True,
            )
        except LocalEntryNotFoundError:
            return None
        return Path(path)

    @cached_property
    def _info(self) -> Any:
        from huggingface_hub import HfApi

        with self._sentences():
            api = HfApi(endpoint=self.hub.endpoint, token=self.hub.token)
            return api.model_info(self.name, revision=self._commit, files_metadata=True)

    @property
    def _commit(self) -> str | None:
        """The commit whose configurations were read, so that the weights are of the same; before, the revision."""
        return self._root.name if "_root" in self.__dict__ else self.revision

    @property
    def _files(self) -> Mapping[str, Any]:
        return {f.rfilename: f for f in self._info.siblings}

    def _names(self, part: str) -> list[str]:
        self._require_network()
        return [n for n in self._files if n.startswith(part + "/") and n.count("/") == 1]

    def _needed(self, part: str) -> list[str]:
        """The files of a part: its weights in one variant, and whatever small file lies beside them."""
        names = self._names(part)
        small = [n for n in names if n.endswith((".json", ".txt", ".model"))]
        if part == "tokenizer":
            return small
        return [*choose(names, self.variant, f"{self.name}/{part}")[1], *small]

    def _download(self, names: list[str]) -> Path:
        from huggingface_hub import snapshot_download

        total = sum(self._files[n].size or 0 for n in names)
        if total > 1 << 20:
            self.hub.say(f"Downloading {total / 2**30:.2f} GiB of {self.name} ({len(names)} files), once ...")
        with self._sentences():
            path = snapshot_download(
                self.name,
                revision=self._commit,
                cache_dir=self.hub.cache,
                allow_patterns=names,
                endpoint=self.hub.endpoint,
                token=self.hub.token,
            )
        for name in names:
            self._verify(Path(path) / name, name)
        return Path(path)

    def _verify(self, path: Path, name: str) -> None:
        """Compare a downloaded file with the hash that the hub states for it."""
        lfs = self._files[name].lfs
        if not path.is_file():
            raise UserError(f"{name} of {self.name} did not arrive; try again.")
        if lfs is not None and hash_bytes(path) != lfs.sha256:
            path.resolve().unlink()
            path.unlink(missing_ok=True)
            raise UserError(f"{name} of {self.name} was damaged on its way (sha256 differs); it is deleted. Try again.")

    def _require_network(self) -> None:
        from huggingface_hub import constants

        if self.hub.offline or constants.HF_HUB_OFFLINE:
            raise UserError(
                f"{self.name} is not in the cache as a whole, and this is offline; "
                "load it once with a network, or use the model 'miniature', which comes with the package."
            )

    def _sentences(self) -> AbstractContextManager[None]:
        return sentences(self.name, self.revision, self.hub.endpoint, self.hub.token)
