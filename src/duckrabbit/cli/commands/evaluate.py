"""The command `evaluate`: how good a model is, with intervals."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from duckrabbit.cli.options import numbers, with_examples
from duckrabbit.errors import UserError
from duckrabbit.files import only_writer
from duckrabbit.models.cards import split_recast

if TYPE_CHECKING:
    from duckrabbit.evaluation.sampling import Setting


BUSY = "wait until it is done, or name another folder (--output)"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(help=with_examples(evaluate))(evaluate)


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A text-to-image model, a model of digits, a folder, or a run.")
    ],
    guidance_scale: Annotated[
        str | None, typer.Option("--guidance-scale", "--scales", help="`1,2,5` compares three; 1 is no guidance.")
    ] = None,
    solver: Annotated[str | None, typer.Option(help="`dpm++,ddim` compares two.")] = None,
    steps: Annotated[str | None, typer.Option(help="`10,20` compares two.")] = None,
    count: Annotated[
        int | None, typer.Option("--count", "--samples", min=20, help="Pictures, or prompts of each kind, a setting.")
    ] = None,
    memory: Annotated[bool, typer.Option("--memory/--no-memory", help="Look for repeated training pictures.")] = True,
    sheet: Annotated[bool, typer.Option("--sheet/--no-sheet", help="Draw the 100 uncurated samples.")] = True,
    stage: Annotated[int, typer.Option(min=1, help="Judge what comes out of this stage.")] = 1,
    judge: Annotated[Path | None, typer.Option(help="Instead of the shipped one: of `duckrabbit train judge`.")] = None,
    data: Annotated[Path | None, typer.Option(help="The folder of `duckrabbit data build drawings`.")] = None,
    device: Annotated[str | None, typer.Option(help="cuda, mps or cpu; the best there is by default.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32; bfloat16 is twice as fast on some chips.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what it would cost.")] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A folder for the table, the data, the plot and the page.")
    ] = Path("out/evaluate"),
) -> None:
    """Score a model: what it draws is judged, measured and compared, with intervals.

    A diffusion model of digits: accuracy, if it knows classes; Frechet distance and KID in the features of the
    classifier that comes with duckrabbit; repeated training pictures. A denoiser: PSNR and SSIM at every noise level,
    against the best blur. All settings use the same seeds.

    A text-to-image model of drawings: whether a judge sees the subject and the style that were asked for, in pairs
    that training showed and in pairs it did not; Frechet distance and KID to held-out drawings; repeated training
    drawings; a sheet of 100 samples. It needs the drawings (`duckrabbit data build drawings`).

    **Examples**

        duckrabbit evaluate mnist-class
        duckrabbit evaluate miniature
        duckrabbit evaluate miniature --scales 1,2,4,7 --steps 10,25 --samples 100 --dry-run
        duckrabbit evaluate runs/fast-class/model --solver dpm++,ddpm-large --steps 20 --guidance-scale 2
    """
    from duckrabbit.cli.drawing_scores import ScoreOptions, report
    from duckrabbit.evaluation.drawings.judge import SHIPPED
    from duckrabbit.folders import data_folder
    from duckrabbit.models.load import digits_folder, load

    if (digits := digits_folder(_on_its_schedule(model))) is not None:
        if judge or data or stage != 1 or dry_run:
            raise UserError("A model of digits takes no --judge, --data, --stage or --dry-run.")
        _digits(model, digits, (device, dtype), (guidance_scale, solver, steps), count or 2000, memory, output)
        return
    loaded = load(model, device=device, dtype=dtype)
    if stage > len(loaded.stages):
        raise UserError(f"{loaded.card.name} has {len(loaded.stages)} stage(s); --stage {stage} does not exist.")
    own = f"{loaded.card.guidance_scale:g}", loaded.card.solver, str(loaded.stages[0].steps)
    settings = tuple(_settings(guidance_scale or own[0], solver or own[1], steps or own[2]))
    files = judge or SHIPPED, data or data_folder("drawings-64"), output
    options = ScoreOptions(settings, count or 64, stage, memory, sheet, dry_run, *files)
    with nullcontext() if dry_run else only_writer(output, BUSY):
        report(loaded, _lies(model), options)


def _on_its_schedule(model: str) -> str:
    """The model. Raises UserError for one that is to be walked on another schedule."""
    if split_recast(model)[1] is not None:
        raise UserError("A model is scored on its own schedule; leave out @flow.")
    return model


def _digits(
    name: str,
    folder: Path,
    where: tuple[str | None, str | None],
    typed: tuple[str | None, str | None, str | None],
    count: int,
    memory: bool,
    output: Path,
) -> None:
    """Score a model of digits on the device and in the precision of `where`, with the settings `typed`."""
    from duckrabbit.cli.digit_scores import denoiser_scores, diffusion_scores
    from duckrabbit.evaluation.digits.scores import refuse_unread
    from duckrabbit.models.digits.model import DigitsConfig
    from duckrabbit.models.load import load

    config = DigitsConfig.read(folder)
    learned, classes = config.training.get("recipe", {}).get("data", "mnist"), config.network.conditioning == "class"
    if config.network.conditioning == "none":
        with only_writer(output, BUSY):
            denoiser_scores(folder, learned, count, output)
        return
    refuse_unread(config, name)
    if typed[0] and not classes:
        raise UserError(f"{name} knows no classes, so it cannot be guided; leave out --guidance-scale.")
    model = load(name, device=where[0], dtype=where[1])
    scales, solvers, steps = typed
    usual = "1,2,5" if classes else "1"
    settings = _settings(scales or usual, solvers or model.card.solver, steps or str(model.stages[0].steps))
    with only_writer(output, BUSY):
        diffusion_scores(model, settings, count, memory, output, classes=classes)


def _settings(scales: str, solvers: str, steps: str) -> list[Setting]:
    """All combinations of the comma lists. Raises UserError for what is no number, and for no solver."""
    from duckrabbit.evaluation.sampling import Setting

    return [
        Setting(scale, name.strip(), n)
        for name in solvers.split(",")
        for n in numbers(steps, "--steps", int)
        for scale in numbers(scales, "--guidance-scale", float)
    ]


def _lies(name: str) -> Path | None:
    """The folder in which a text-to-image model lies, if it lies in one."""
    from duckrabbit.models.cascade.hub import Hub
    from duckrabbit.models.cascade.parts import Folder
    from duckrabbit.models.load import find_sources

    source = None if name == "oracle" else find_sources(name, False, None, Hub())[1]
    return source.path if isinstance(source, Folder) else None
