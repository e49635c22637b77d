"""The options that all commands share, spelled once.

A command is a function whose last parameter is `common: Common`; `command` registers it with the
fields of Common as further options. Training has options of its own (training_options.py).
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from duckrabbit.errors import UserError

if TYPE_CHECKING:
    from duckrabbit.models.model import Model
    from duckrabbit.tasks.settings import Options

_MODEL, _SAMPLING, _OUTPUT = "Model", "Sampling", "Output"
MOST = 10_000
"""The most pictures of one call; more is a slip of the finger."""


def _option(*names: str, panel: str, text: str) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, metavar=None)


@dataclass(frozen=True)
class Common:
    """The shared options of one call, as typed; every field is an option."""

    model: Annotated[
        str,
        _option("--model", panel=_MODEL, text="A name (see `duckrabbit models list`), a run, a folder, or a hub id."),
    ] = "miniature"
    prompts: Annotated[
        Path | None, _option("--prompts", panel=_MODEL, text="Encoded prompts (see `duckrabbit prompts encode`).")
    ] = None
    device: Annotated[
        str | None, _option("--device", panel=_MODEL, text="cuda, mps or cpu; the best there is by default.")
    ] = None
    dtype: Annotated[
        str | None, _option("--dtype", panel=_MODEL, text="float32, bfloat16 or float16; what suits the device.")
    ] = None
    micro_batch: Annotated[
        int | None, _option("--micro-batch", panel=_MODEL, text="At most so many pictures in the network at once.")
    ] = None
    negative_prompt: Annotated[
        str | None, _option("--negative-prompt", panel=_SAMPLING, text="What to be guided away from.")
    ] = None
    guidance_scale: Annotated[
        str | None, _option("--guidance-scale", panel=_SAMPLING, text="1 means none; `1,7` compares two.")
    ] = None
    steps: Annotated[
        str | None, _option("--steps", panel=_SAMPLING, text="Steps of stage I; `5,20,100` compares three.")
    ] = None
    steps_stage2: Annotated[int | None, _option("--steps-stage2", panel=_SAMPLING, text="Steps of stage II.")] = None
    solver: Annotated[
        str | None,
        _option(
            "--solver",
            panel=_SAMPLING,
            text="ddpm, ddpm-small, ddpm-large, ddim, ddim:eta=0.5, heun, dpm++ or sde-dpm++.",
        ),
    ] = None
    stage: Annotated[int | None, _option("--stage", panel=_SAMPLING, text="Stop after this stage; all by default.")] = (
        None
    )
    preset: Annotated[
        str | None,
        _option("--preset", panel=_SAMPLING, text="cs180: the course's levels, scale and seed; no clipping."),
    ] = None
    seed: Annotated[int, _option("--seed", panel=_SAMPLING, text="The first seed.")] = 180
    count: Annotated[int, _option("--count", panel=_SAMPLING, text="How many pictures, of consecutive seeds.")] = 1
    out: Annotated[
        Path | None, _option("--out", panel=_OUTPUT, text="The folder to write to; a new one under out/ by default.")
    ] = None
    dry_run: Annotated[
        bool, _option("--dry-run", panel=_OUTPUT, text="Only tell what would run, and what it would cost.")
    ] = False
    quiet: Annotated[bool, _option("--quiet", panel=_OUTPUT, text="Print nothing but errors.")] = False
    command: str = ""

    def load(self) -> Model:
        """The model, light: its weights are loaded when a stage runs."""
        return _loaded(self.model, self.device, self.dtype, self.prompts)

    @property
    def seeds(self) -> list[int]:
        """Consecutive seeds. Raises UserError for counts and seeds that are none."""
        if not 1 <= self.count <= MOST or self.seed < 0:
            raise UserError(f"--count is from 1 to {MOST} and --seed 0 or more, not {self.count} and {self.seed}.")
        if self.micro_batch is not None and self.micro_batch < 1:
            raise UserError(f"--micro-batch is 1 or more, not {self.micro_batch}.")
        return list(range(self.seed, self.seed + self.count))

    def refuse(self, command: str, *names: str) -> None:
        """Raises UserError where an option was given that would change nothing in this command."""
        defaults = {f.name: f.default for f in fields(self)}
        for name in names:
            if getattr(self, name) != defaults[name]:
                raise UserError(
                    f"`{command}` takes no --{name.replace('_', '-')}: it would change nothing. Leave it out."
                )

    def options(self, *, steps: int | None = None, guidance_scale: float | None = None) -> Options:
        """The options of a task; comma lists are taken apart by `variants` and passed in one by one."""
        made: dict[str, Any] = {
            "negative_prompt": self.negative_prompt,
            "steps": steps if steps is not None else _single(self.steps, "--steps", int),
            "guidance_scale": guidance_scale
            if guidance_scale is not None
            else _single(self.guidance_scale, "--guidance-scale", float),
            "steps_stage2": self.steps_stage2,
            "solver": self.solver,
            "stage": self.stage,
            "preset": self.preset,
        }
        return made  # type: ignore[return-value]

    def variants(self) -> list[tuple[str, Options]]:
        """All combinations of the comma lists --steps and --guidance-scale, each with a few words."""
        every: list[tuple[str, Options]] = []
        for steps in many(self.steps, "--steps", int):
            for scale in many(self.guidance_scale, "--guidance-scale", float):
                words = []
                if steps is not None and "," in str(self.steps):
                    words.append(f"{steps} steps")
                if scale is not None and "," in str(self.guidance_scale):
                    words.append("without guidance" if scale == 1 else f"guidance {scale:g}")
                options = _replaced(self).options(steps=steps, guidance_scale=scale)
                if scale == 1 and any(other != 1 for other in many(self.guidance_scale, "--guidance-scale", float)):
                    options["negative_prompt"] = None  # it is for the others of the comparison
                every.append((", ".join(words), options))
        return every


_kept: dict[str | None, tuple[tuple[object, ...], Model]] = {}


def _loaded(model: str, device: str | None, dtype: str | None, prompts: Path | None) -> Model:
    """The last model of each device stays: commands run one after the other in a process load it once."""
    from duckrabbit.models.load import load

    key = (find_model(model), dtype, prompts)
    if _kept.get(device, (None,))[0] != key:
        _kept.pop(device, None)
        _kept[device] = key, load(find_model(model), device=device, dtype=dtype, prompts=prompts)
    return _kept[device][1]


def find_model(name: str) -> str:
    """What `load` takes for a model: its name, folder or id; the folder of the model that a run of that name left."""
    from duckrabbit.data.folders import runs_folder
    from duckrabbit.models.cards import cards

    left = runs_folder() / name / "model"
    known = name in cards() or Path(name).expanduser().exists() or not (left / "config.json").is_file()
    return name if known else str(left)


def command(
    app: typer.Typer, name: str | None = None, shared: type[Any] = Common
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function (..., common: Common) as a command with the shared options after its own.

    shared: the frozen dataclass whose fields are options; the function's parameter `common` is one.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        label = name or function.__name__
        hints = get_type_hints(function, include_extras=True)
        own = [p for p in inspect.signature(function).parameters.values() if p.name != "common"]
        options = [f for f in fields(shared) if f.name != "command"]
        types = get_type_hints(shared, include_extras=True)
        parameters = [p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY) for p in own]
        for f in options:
            default = inspect.Parameter.empty if f.default is MISSING else f.default
            parameters.append(
                inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=types[f.name])
            )

        def wrapper(**values: Any) -> None:
            chosen = {f.name: values.pop(f.name) for f in options}
            function(**values, common=shared(**chosen, command=label))

        wrapper.__name__, wrapper.__doc__ = function.__name__, function.__doc__
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        app.command(label, help=with_examples(function))(wrapper)
        return function

    return decorate


def with_examples(function: Callable[..., object]) -> str:
    """The docstring as help text, its indented examples fenced: Typer strips the indent of the last paragraphs."""
    text = inspect.getdoc(function) or ""
    return re.sub(r"(?m)((?:^ {4}.*\n?)+)", lambda block: f"```text\n{inspect.cleandoc(block[0])}\n```\n", text)


T = TypeVar("T", int, float, str)


def many(text: str | None, name: str, kind: Callable[[str], T]) -> list[T | None]:
    """A comma list as values; [None] where the option was not given. Raises UserError."""
    return [None] if text is None else list(numbers(text, name, kind))


def numbers(text: str, name: str, kind: Callable[[str], T]) -> list[T]:
    """A comma list as values. Raises UserError with an example."""
    try:
        values = [kind(part.strip()) for part in text.split(",")]
        if all(isinstance(v, str) or math.isfinite(v) for v in values):
            return values
    except ValueError:
        pass
    raise UserError(f"{name} takes numbers with commas between them, as in 5,20,100; not '{text}'.")


def refuse_empty(prompt: str) -> None:
    """Raises UserError for a prompt that says nothing."""
    if not prompt.strip():
        raise UserError("A prompt is empty; say in a few words what the picture is to be.")


def _single(text: str | None, name: str, kind: Callable[[str], T]) -> T | None:
    values = many(text, name, kind)
    if len(values) > 1:
        raise UserError(f"{name} takes one number here, not '{text}'; only `generate` compares several.")
    return values[0]


def _replaced(common: Common) -> Common:
    """`common` without its comma lists, which `variants` has taken apart."""
    return replace(common, steps=None, guidance_scale=None)
