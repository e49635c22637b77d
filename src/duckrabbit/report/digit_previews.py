"""What a run on digits shows while it trains."""

from __future__ import annotations

from typing import cast

from duckrabbit.data.mnist.read import Pictures
from duckrabbit.training.digits.recipe import DigitRecipe
from duckrabbit.training.run import METRICS, read_metrics
from duckrabbit.training.trainer import Progress, Trainer


def show(trainer: Trainer, step: Progress, data: Pictures) -> None:
    """Write curve.png, and samples-EPOCH.png, into the run's folder."""
    from duckrabbit.evaluation.digits.scores import draw
    from duckrabbit.evaluation.sampling import Setting
    from duckrabbit.models.digits.model import load_denoiser, load_digits
    from duckrabbit.report import plots as figures
    from duckrabbit.training.digits.export import export

    folder, recipe, epoch = trainer.folder, cast(DigitRecipe, trainer.recipe), step.epoch
    figures.write(figures.loss_curve({recipe.name: read_metrics(folder / METRICS)}), folder / "curve.png")
    trainer.save()
    model = export(folder, folder / "preview", data)
    path = folder / f"samples-{epoch:03d}.png"
    if recipe.goal == "picture":
        nets, sigma = {f"epoch {epoch}": load_denoiser(model)}, None if recipe.pure_noise else recipe.sigma
        figures.write(figures.denoising_results(nets, data[-5:], sigma), path)
        return
    digits = load_digits(model)
    if recipe.task == "class":  # a preview: guided, 20 steps of DDIM will do
        drawn = draw(digits, 40, Setting(5.0, "ddim", 20))
    else:
        drawn = draw(digits, 20, Setting(1.0, digits.card.solver, digits.stages[0].steps), classes=False)
    figures.write(figures.digit_grid(drawn, f"{recipe.name} after epoch {epoch}"), path)
