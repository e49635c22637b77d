"""The other models that a guidance asks besides the run's own: found, checked, made ready, and their networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, cached_property, lru_cache
from pathlib import Path

from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import Network, Prediction, Query
from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import conditions_of, models_of
from duckrabbit.guidance.tree import Guidance
from duckrabbit.models.cards import split_recast
from duckrabbit.models.model import Model, sized, turn_of
from duckrabbit.networks.recast import recast
from duckrabbit.values import Size, words_of


class Others:
    """The models that some trees name by Through, on the device of the run's model; each tree with its stage."""

    def __init__(
        self, model: Model, trees: Mapping[int, Guidance], sizes: Mapping[int, Size | None] | None = None
    ) -> None:
        """`sizes`: (height, width) of the pictures of each stage; None is the models' own."""
        self.model, self.trees, self.sizes = model, dict(trees), dict(sizes or {})

    @cached_property
    def models(self) -> Mapping[str, Model]:
        """Each by its name. Raises UserError where there is none, or its pictures are of another kind."""
        for name in models_of(tuple(self.trees.values())):
            if Path(split_recast(name)[0]).expanduser().is_dir():
                raise UserError(
                    f"Through names a model by its name, or that of a run, so that a record of it can be replayed; "
                    f"{name} is a folder. `dr.register('model', NAME)` gives it one."
                )
        return {name: _loaded(name, self.model.device) for name in sorted(models_of(tuple(self.trees.values())))}

    def prepare(self) -> None:
        """Make ready the conditions that each is asked about. Raises UserError for one that it does not know."""
        for stage, tree in self.trees.items():
            for name in models_of(tree):
                self._check(name, stage)
        for name, other in self.models.items():
            other.prepare(sorted(conditions_of(tuple(self.trees.values()), name), key=str))

    def networks(
        self, stage: int, low_res: Tensor | None = None, noise_level: int = 0, micro_batch: int | None = None
    ) -> Callable[[str], Network]:
        """The network of each by its name, for the levels of the run's model."""

        @cache
        def network(name: str) -> Network:
            other = self.models[name]
            own = recast(other.network(stage, low_res, noise_level, micro_batch), other.stages[stage].schedule)

            def in_turn(queries: list[Query], at: NoiseLevel) -> list[Prediction]:
                with turn_of(other):
                    return own(queries, at)

            return in_turn

        return network

    def hashes(self) -> dict[str, str]:
        """The sha256 of every weight file, by the model's name and its path there."""
        return {f"{name}/{path}": h for name, m in self.models.items() for path, h in m.weight_hash().items()}

    def _check(self, name: str, stage: int) -> None:
        other = self.models[name]
        if stage >= len(other.stages):
            raise UserError(f"{name} has no stage {stage + 1}, and cannot be asked there; run --stage {stage}.")
        own, its = self.model.stages[stage], other.stages[stage]
        if (own.size, own.channels, own.value_range) != (its.size, its.channels, its.value_range):
            raise UserError(
                f"{name} makes pictures of {words_of(its.size)} px, {its.channels} channel(s) and the range "
                f"{its.value_range}, and {self.model.card.name} of {words_of(own.size)} px, {own.channels} and "
                f"{own.value_range}; two models share a canvas where these are the same."
            )
        if (size := self.sizes.get(stage)) is not None:
            sized(other.stages[stage : stage + 1], size, name)


@lru_cache(maxsize=2)
def _loaded(name: str, device: str) -> Model:
    """The model of a name; the last two stay, so that runs one after the other load them once."""
    from duckrabbit.models.load import load

    return load(name, device=device)
