"""The training loop: a generator of steps that can be killed between any two instructions.

Everything that is random in a step follows from (seed, step), and everything else that a step
depends on is in the checkpoint. So a run that was killed and taken up again ends with the same
weights as one that was not, bit for bit, on one machine and one number of threads.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn

from duckrabbit.diffusion.streams import stream_seed
from duckrabbit.errors import UserError
from duckrabbit.files import clear_unfinished, only_writer, write_text
from duckrabbit.networks.loading import LOADING
from duckrabbit.training.checkpoint import (
    load_own_state,
    load_tensors,
    own_state,
    random_states,
    restore_random_states,
    save_tensors,
)
from duckrabbit.training.ema import averaged
from duckrabbit.training.objectives import Draws
from duckrabbit.training.protocols import AnyRecipe, Data
from duckrabbit.training.run import CHECKPOINT, METRICS, RECIPE, read_metrics, snapshot_name, without
from duckrabbit.training.speed import Speed

REPORT = 20
"""Steps between two reports where the device computes while the next step is prepared; on a CPU there is one each."""
BUSY = "one run has one trainer. Wait until it is done, or train into another folder (--run)"
"""What to do where another process trains into the folder."""


class Progress(NamedTuple):
    """A step that was made: number `step` of `steps`, in `epoch` (1, 2, ...).

    loss: its mean over the batch, of all processes. images: pictures seen so far. seconds: the time
    spent training so far, in this process and those before it.
    """

    step: int
    steps: int
    epoch: int
    loss: float
    rate: float
    images: int
    seconds: float


class Trainer:
    """A run of `recipe` on `data` in `folder`, taken up where its checkpoint left it.

    checkpoint_seconds: how often to write one (it is also written where the recipe rests). start
    fills a new run's network with weights to begin from. `report` is told what is to be known of a run that goes
    on, by its first process. Raises UserError where the folder holds a
    run of another recipe, or a damaged checkpoint, or another process trains into it.
    """

    def __init__(
        self,
        recipe: AnyRecipe,
        data: Data,
        folder: Path,
        accelerator: Accelerator,
        speed: Speed | None = None,
        checkpoint_seconds: float = 120.0,
        start: Callable[[nn.Module], None] = lambda module: None,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.recipe, self.data, self.folder = recipe, data, folder
        self.steps_per_epoch, self.steps = recipe.length(len(data))
        self.accelerator, self.speed = accelerator, speed or Speed()
        self.checkpoint_seconds, self._tell = checkpoint_seconds, report
        self.step, self.seconds = 0, 0.0
        set_seed(stream_seed(recipe.seed, "weights", 0) % 2**32)
        with LOADING:
            self.bare = recipe.build()
        start(self.bare)
        self.speed.arrange(self.bare)
        groups = [{"params": parameters, "factor": factor} for parameters, factor in recipe.rates(self.bare)]
        optimizer = torch.optim.AdamW(groups, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True)
        self.ema = averaged(self.bare.to(accelerator.device), recipe.ema) if recipe.ema else None
        self.module, self.optimizer = accelerator.prepare(self.bare, optimizer)
        self.objective = recipe.objective()
        self.report_every = 1 if accelerator.device.type == "cpu" else REPORT
        with self._alone():
            self._take_up()
        self._data = data.to(accelerator.device)

    def run(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Progress]:
        """Make the steps that are left; after each, ask `stop` whether to end early.

        The steps are told of, and their losses read, some at a time, so that no device is waited for in every
        step; at once where an epoch ends and where the recipe rests. Ends with a checkpoint in any case.
        """
        self.module.train()
        saved = start = time.perf_counter()
        before = self.seconds
        made: list[tuple[Tensor, float]] = []
        with self._alone(), (self.folder / METRICS).open("a", encoding="utf-8") as log:
            while self.step < self.steps and not stop():
                loss = self._train()
                self.seconds = before + time.perf_counter() - start
                made.append((loss, self.seconds))
                rests = self.recipe.rests(self.step, self.steps_per_epoch)
                ended = self.step % self.steps_per_epoch == 0
                if not (rests or ended or len(made) >= self.report_every):
                    continue
                reports, made = self._report(made, log), []
                if ended:
                    self._snapshot(self.step // self.steps_per_epoch)
                if rests or time.perf_counter() - saved > self.checkpoint_seconds:
                    self.save()
                    saved = time.perf_counter()
                yield from reports
            reports = self._report(made, log)
            self.save()
            yield from reports

    def _alone(self) -> AbstractContextManager[None]:
        """The lock of the folder, which the first of a run's processes holds for all of them."""
        if not self.accelerator.is_main_process:
            return nullcontext()
        return only_writer(self.folder, BUSY)

    def save(self) -> None:
        """Write the checkpoint."""
        if not self.accelerator.is_main_process:
            return
        states, random = random_states()
        tensors = {**_prefixed("model", own_state(self.bare)), **_prefixed("optimizer", self._moments()), **states}
        if self.ema:
            tensors |= _prefixed("ema", self.weights())
        facts = {"step": self.step, "seconds": self.seconds, "random": random, **self._identity()}
        facts["processes"] = self.accelerator.num_processes
        save_tensors(self.folder / CHECKPOINT, tensors, facts)

    def weights(self) -> dict[str, Tensor]:
        """What to sample with: the average where the recipe keeps one."""
        return own_state(self.ema.module if self.ema else self.bare)

    def _train(self) -> Tensor:
        """One step; its loss on this process, weighted so that the sum over processes is the mean."""
        epoch, k = divmod(self.step, self.steps_per_epoch)
        generator = torch.Generator().manual_seed(stream_seed(self.recipe.seed, "order", epoch))
        order = torch.randperm(len(self.data), generator=generator)
        batch = order[k * self.recipe.batch : (k + 1) * self.recipe.batch]
        mine = slice(self.accelerator.process_index, None, self.accelerator.num_processes)
        rows, device = batch[mine].to(self.accelerator.device), self.accelerator.device
        draws = Draws(self.recipe.seed, self.step, len(batch), mine, device if self.recipe.noise == "device" else "cpu")
        x0, condition = self.recipe.inputs(self._data, rows, draws)
        rate = self.recipe.learning_rate(self.step, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        x0 = x0.contiguous(memory_format=self.speed.memory_format)
        with self.speed.attention(device.type):
            losses = self.objective.loss(self.module, x0, condition, draws)
            loss = losses.sum() / len(batch)
            # DistributedDataParallel divides the sum of the gradients by the number of processes.
            self.accelerator.backward(loss * self.accelerator.num_processes)
        if self.recipe.clip:
            self.accelerator.clip_grad_norm_(self.module.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.ema:
            self.ema.update_parameters(self.bare)
        self.step += 1
        return loss.detach()

    def _report(self, made: list[tuple[Tensor, float]], log: TextIO) -> list[Progress]:
        """The last steps, with the loss of each on this process and the seconds so far; into the log, too."""
        if not made:
            return []
        losses = self.accelerator.reduce(torch.stack([loss for loss, _ in made]), reduction="sum").tolist()
        first = self.step - len(made)
        reports = [
            self._progress(first + k, loss, s) for k, (loss, (_, s)) in enumerate(zip(losses, made, strict=True))
        ]
        if self.accelerator.is_main_process:
            log.write("".join(json.dumps(progress._asdict()) + "\n" for progress in reports))
            log.flush()
        return reports

    def _progress(self, step: int, loss: float, seconds: float) -> Progress:
        """What is told of step 0, 1, ...; raises UserError for a loss that is not finite."""
        if not math.isfinite(loss):
            raise UserError(f"The loss is not finite after step {step + 1}; lower the learning rate, or train in fp32.")
        epoch, k = divmod(step, self.steps_per_epoch)
        pictures = min(len(self.data), self.steps_per_epoch * self.recipe.batch)
        images = epoch * pictures + min((k + 1) * self.recipe.batch, pictures)
        rate = self.recipe.learning_rate(step, self.steps_per_epoch)
        return Progress(step + 1, self.steps, epoch + 1, loss, rate, images, round(seconds, 3))

    def _take_up(self) -> None:
        """Go on from the checkpoint, if there is one; the log loses what came after it."""
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            self.folder.mkdir(parents=True, exist_ok=True)
            clear_unfinished(self.folder)
        if (self.folder / CHECKPOINT).exists():
            self._restore(*load_tensors(self.folder / CHECKPOINT))
        if self.accelerator.is_main_process:
            text = json.dumps(self._identity(), indent=2) + "\n"
            write_text(self.folder / RECIPE, text)
            log = self.folder / METRICS
            lines = [row for row in read_metrics(log) if row["step"] <= self.step] if log.exists() else []
            write_text(log, "".join(json.dumps(row) + "\n" for row in lines))
        self.accelerator.wait_for_everyone()
        self._agree()

    def _agree(self) -> None:
        """Raises UserError unless all processes see one folder, and begin at one step."""
        seen = torch.tensor([[float(self.step), float((self.folder / RECIPE).is_file())]])
        everybody = self.accelerator.gather(seen.to(self.accelerator.device))
        if bool((everybody != everybody[0]).any()):
            raise UserError(
                f"The processes see different files in {self.folder}; name a folder that all machines share, "
                "with $DUCKRABBIT_RUNS."
            )

    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        identity = {k: facts.get(k) for k in self._identity()}
        if "step" not in facts:
            raise UserError(
                f"{self.folder / CHECKPOINT} holds the weights after an epoch, and not what is needed to go on; "
                "put the run's own checkpoint in its place, or remove it."
            )
        if identity != self._identity():
            differ = _differences(identity, self._identity())
            raise UserError(
                f"{self.folder} holds another run (it differs in {differ}); train into another folder, "
                "or remove this one."
            )
        load_own_state(self.bare, without("model", tensors))
        if self.ema:
            load_own_state(self.ema.module, without("ema", tensors))
            self.ema.n_averaged.fill_(1 + facts["step"])
        moments = without("optimizer", tensors)
        for i, parameter in enumerate(self.bare.parameters() if moments else ()):
            self.optimizer.state[parameter] = {
                "step": moments[f"{i}.step"].to(parameter.device),
                **{k: torch.empty_like(parameter).copy_(moments[f"{i}.{k}"]) for k in ("exp_avg", "exp_avg_sq")},
            }
        restore_random_states(tensors, facts["random"])
        self.step, self.seconds = facts["step"], facts["seconds"]
        before, now = facts.get("processes"), self.accelerator.num_processes
        if before not in (None, now) and self.accelerator.is_main_process:
            self._tell(
                f"Up to step {self.step} this run had {before} process(es), and now it has {now}: the batches are the "
                "same, but not bit for bit what they would have given."
            )

    def _moments(self) -> dict[str, Tensor]:
        state = self.optimizer.state
        return {f"{i}.{k}": v for i, p in enumerate(self.bare.parameters()) for k, v in state[p].items()}

    def _snapshot(self, epoch: int) -> None:
        if epoch in self.recipe.snapshots and self.accelerator.is_main_process:
            facts = {"epoch": epoch, "seconds": self.seconds, **self._identity()}
            save_tensors(self.folder / snapshot_name(epoch), self.weights(), facts)

    def _identity(self) -> dict[str, Any]:
        """What has to be the same for a run to be the same run."""
        return {"recipe": self.recipe.to_json(), "precision": self.speed.precision, **self.data.identity()}


def _differences(a: dict[str, Any], b: dict[str, Any]) -> str:
    flat = [{**(d.get("recipe") or {}), **{k: v for k, v in d.items() if k != "recipe"}} for d in (a, b)]
    return ", ".join(sorted(k for k in flat[1] if flat[0].get(k) != flat[1][k])) or "an unknown field"


def _prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{k}": v for k, v in tensors.items()}
