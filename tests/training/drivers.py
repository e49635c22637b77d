"""What the tests of the trainer run in processes of their own: `python drivers.py MODE FOLDER`; see the last lines.

One process imports torch once and forks the runs that are killed, so that a kill costs
milliseconds instead of seconds.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

torch.set_num_threads(1)

from accelerate import Accelerator  # noqa: E402

from duckrabbit.data.mnist.read import Pictures  # noqa: E402
from duckrabbit.errors import UserError  # noqa: E402
from duckrabbit.training.digits.recipe import find_recipe  # noqa: E402
from duckrabbit.training.trainer import Trainer, read_metrics  # noqa: E402

KILLS = 24


def pictures() -> Pictures:
    """Each of the 50 pictures carries its number in its first pixel."""
    images = torch.randint(0, 256, (50, 28, 28), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    images[:, 0, 0] = torch.arange(50)
    return Pictures(images, torch.arange(50) % 10)


def recipe(**changes):
    tiny = {"name": "tiny", "hidden": 2, "batch": 16, "epochs": 6, "snapshots": (3,)}
    return replace(find_recipe("fast-class"), **{**tiny, **changes})


def digits():
    """The run on digits that is killed."""
    return recipe(), pictures()


def text():
    """The run of stage I that is killed."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    import shapes

    one = shapes.text_recipe(images=48, batch=4, sheets=2)
    return one, shapes.captioned(one)


def classifier():
    """The run of the judge of digits that is killed."""
    from duckrabbit.evaluation.digits.classifier import ClassifierRecipe

    return ClassifierRecipe(epochs=3, batch=16), pictures()


def drawings_judge():
    """How judges are trained; a tiny one, untaught; and the drawings of four subjects and of two others."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    import drawn_shapes as drawn
    from duckrabbit.evaluation.drawings import judge_training as judging
    from duckrabbit.evaluation.drawings.judge import Judge
    from duckrabbit.evaluation.drawings.vocabulary import Vocabulary

    torch.manual_seed(0)
    known = Vocabulary(drawn.STYLES, drawn.SHAPES[:4], {})
    some = drawn.drawings(1)
    return judging, Judge(known, drawn.TINY), judging.labelled(some, known), judging.unknown(some, known)


def subjects():
    """The run of the judge of drawings that is killed while it learns subjects."""
    judging, judge, learned, others = drawings_judge()
    return judging.SubjectRecipe(judge=judge, epochs=3, batch=24, others=2), judging.SubjectData(learned, others)


def styles():
    """The run of the judge of drawings that is killed while it learns styles."""
    judging, judge, learned, _ = drawings_judge()
    return judging.StyleRecipe(judge=judge, epochs=6, batch=60), judging.Statistics(learned, judge)


RUNS = {
    "kill": {"digits": digits},
    "kill-text": {"text": text},
    "kill-judges": {"classifier": classifier, "subjects": subjects, "styles": styles},
}
"""What is killed in one process of each mode, by its name."""


def train(folder: Path, run=digits) -> None:
    trainer = Trainer(*run(), folder, Accelerator(cpu=True), checkpoint_seconds=0.0)
    objective = trainer.objective

    class Dropping:
        def loss(self, net, x0, labels, draws):
            """The objective, with a picture left out by the global generator: it has to go on, too."""
            return objective.loss(net, x0, labels, draws) * (torch.rand(len(x0)) < 0.9)

    trainer.objective = Dropping()
    for _ in trainer.run():
        pass


def in_child(folder: Path, arm, run) -> int:
    """Train in a fork that `arm` prepares; its exit code, -9 where it was killed."""
    pid = os.fork()
    if pid == 0:
        try:
            arm()
            train(folder, run)
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(seconds: float):
    """Die after so much time, wherever the run is then."""

    def arm() -> None:
        killer = os.getpid()
        if os.fork() == 0:
            time.sleep(seconds)
            if os.getppid() == killer:  # else it has ended already
                os.kill(killer, signal.SIGKILL)
            os._exit(0)

    return arm


def inside_write(moment: str, write: int):
    """Die in the middle of writing the `write`-th file from now, at one of three moments."""

    def arm() -> None:
        left = [write]
        fsync, replace_ = os.fsync, Path.replace

        def count_down(where: str) -> None:
            if where == moment:
                left[0] -= 1
                if left[0] == 0:
                    die()

        def watched_fsync(fd: int) -> None:
            count_down("half written")
            fsync(fd)

        def watched_replace(self: Path, target: Path) -> Path:
            count_down("before rename")
            done = replace_(self, target)
            count_down("after rename")
            return done

        os.fsync, Path.replace = watched_fsync, watched_replace

    return arm


def kill_test(root: Path, run, enough: int) -> dict:
    """Final weights and log of an undisturbed run and of runs killed `enough` times in all."""
    train(root / "warm", run)  # so that no fork has to import anything
    chance = random.Random()
    start = time.perf_counter()
    assert in_child(root / "undisturbed", lambda: None, run) == 0
    length = time.perf_counter() - start
    kills, runs, codes = 0, 0, []
    while kills < enough or codes[-1] != 0:
        moments = [after(chance.uniform(0, length / 3))] * 5
        moments += [inside_write(m, chance.randint(3, 9)) for m in ("half written", "before rename", "after rename")]
        arm = chance.choice(moments) if kills < enough else (lambda: None)
        code = in_child(root / f"killed-{runs}", arm, run)
        codes.append(code)
        assert code in (0, -9), code
        kills += code == -9
        runs += code == 0
    return {"kills": kills, "runs": runs}


def rank_test(root: Path) -> None:
    """One epoch on this process's share; writes which pictures it saw, and the losses."""
    accelerator = Accelerator(cpu=True)
    seen: list[int] = []
    one = recipe(name="ranks", hidden=8, epochs=2, batch=10)
    trainer = Trainer(one, pictures(), root / f"of-{accelerator.num_processes}", accelerator)
    objective = trainer.objective

    class Watched:
        def loss(self, net, x0, labels, draws):
            seen.extend(((x0[:, 0, 0, 0] + 1) * 255 / 2).round().int().tolist())
            return objective.loss(net, x0, labels, draws)

    trainer.objective = Watched()
    for _ in trainer.run():
        pass
    name = f"seen-{accelerator.process_index}-of-{accelerator.num_processes}.json"
    (root / name).write_text(json.dumps(seen))
    accelerator.end_training()


def apart_test(root: Path) -> None:
    """Each process in a folder of its own, as on machines that share none: what each is told."""
    accelerator = Accelerator(cpu=True)
    try:
        Trainer(recipe(), pictures(), root / f"apart-{accelerator.process_index}", accelerator)
    except UserError as error:
        (root / f"told-{accelerator.process_index}").write_text(str(error))
    accelerator.wait_for_everyone()


def hold_test(folder: Path) -> None:
    """A run that makes two steps, tells so, and then takes its time."""
    trainer = Trainer(*digits(), folder, Accelerator(cpu=True), checkpoint_seconds=0.0)
    for step in trainer.run():
        if step.step == 2:
            print("two steps", flush=True)
            time.sleep(600)


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    if sys.argv[1] in RUNS:
        enough = KILLS if sys.argv[1] == "kill" else 5
        print(json.dumps({name: kill_test(folder / name, run, enough) for name, run in RUNS[sys.argv[1]].items()}))
    elif sys.argv[1] == "apart-then-ranks":
        apart_test(folder)
        rank_test(folder)
    elif sys.argv[1] == "hold":
        hold_test(folder)
    else:
        rank_test(folder)

__all__ = ["read_metrics"]
