"""What a run on digits shows while it trains."""

from __future__ import annotations

from typing import cast

from duckrabbit.training.data import Pictures
from duckrabbit.training.loop import METRICS, Progress, Trainer, read_metrics
from duckrabbit.training.recipes import Recipe


def show(trainer: Trainer, step: Progress, data: Pictures) -> None:
    """Write curve.png, and samples-EPOCH.png, into the run's folder."""
    from duckrabbit.app import training_figures as figures
    from duckrabbit.evaluation.sampling import Setting, draw_classes, draw_free
    from duckrabbit.models.digits import load_denoiser, load_digits
    from duckrabbit.training.export import export

    folder, recipe, epoch = trainer.folder, cast(Recipe, trainer.recipe), step.epoch
    figures.write(figures.loss_curve({recipe.name: read_metrics(folder / METRICS)}), folder / "curve.png")
    trainer.save()
    model = export(folder, folder / "preview", data)
    path = folder / f"samples-{epoch:03d}.png"
    if recipe.goal == "picture":
        figures.write(
            figures.denoising_results({f"epoch {epoch}": load_denoiser(model)}, data[-5:], recipe.sigma), path
        )
        return
    setting = Setting(5.0 if recipe.task == "class" else 1.0, "ddim", 20)
    digits = load_digits(model)
    drawn = draw_classes(digits, 40, setting)[0] if recipe.task == "class" else draw_free(digits, 40, setting)
    figures.write(figures.digit_grid(drawn, f"{recipe.name} after epoch {epoch}"), path)
