"""The other models that a guidance asks besides the run's own: found, checked, made ready, and their networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, cached_property

from torch import Tensor

from duckrabbit.diffusion.prediction import Network
from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import conditions_of, models_of
from duckrabbit.guidance.tree import Guidance
from duckrabbit.models.model import Model
from duckrabbit.networks.recast import recast


class Others:
    """The models that some trees name by Through, on the device of the run's model."""

    def __init__(self, model: Model, trees: tuple[Guidance, ...]) -> None:
        self.model, self.trees = model, trees

    @cached_property
    def models(self) -> Mapping[str, Model]:
        """Each by its name. Raises UserError where there is none, or its pictures are of another kind."""
        from duckrabbit.models.load import load

        found = {name: load(name, device=self.model.device) for name in sorted(models_of(self.trees))}
        for name, other in found.items():
            for own, its in zip(self.model.stages, other.stages, strict=False):
                if (own.size, own.channels, own.value_range) != (its.size, its.channels, its.value_range):
                    raise UserError(
                        f"{name} makes pictures of {its.size} px, {its.channels} channel(s) and the range "
                        f"{its.value_range}, and {self.model.card.name} of {own.size} px, {own.channels} and "
                        f"{own.value_range}; two models share a canvas where these are the same."
                    )
        return found

    def prepare(self) -> None:
        """Make ready the conditions that each is asked about. Raises UserError for one that it does not know."""
        for name, other in self.models.items():
            other.prepare(sorted(conditions_of(self.trees, name), key=str))

    def networks(
        self, stage: int, low_res: Tensor | None = None, noise_level: int = 0, micro_batch: int | None = None
    ) -> Callable[[str], Network]:
        """The network of each by its name, for the levels of the run's model. UserError for one without the stage."""

        @cache
        def network(name: str) -> Network:
            other = self.models[name]
            if stage >= len(other.stages):
                raise UserError(f"{name} has no stage {stage + 1}, and cannot be asked there; run --stage {stage}.")
            return recast(other.network(stage, low_res, noise_level, micro_batch), other.stages[stage].schedule)

        return network

    def hashes(self) -> dict[str, str]:
        """The sha256 of every weight file, by the model's name and its path there."""
        return {f"{name}/{path}": h for name, m in self.models.items() for path, h in m.weight_hash().items()}
