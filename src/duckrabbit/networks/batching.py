"""From a module to a network: the only place that stacks pictures and splits them again."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor

from duckrabbit.diffusion.levels import CLEAN, NoiseLevel, Schedule
from duckrabbit.diffusion.prediction import Condition, Network, Parameterisation, Prediction, Query, read_output
from duckrabbit.errors import UserError
from duckrabbit.values import words_of

Forward = Callable[[Tensor, NoiseLevel, list[Condition], Tensor | None], Tensor]
"""forward(x, at, conditions, low_res): one call of a module on N pictures.

x (N, C, H, W) float32; `conditions` one for each of the N; `low_res` (N, C, H, W), already enlarged
and noised, or None. Returns (N, C, H, W), or (N, 2 C, H, W) with the variance channels last, in
any floating dtype.
"""


def batched(
    forward: Forward,
    prediction_type: Parameterisation = "epsilon",
    *,
    learned_variance: bool = False,
    low_res: Tensor | None = None,
    micro_batch: int | None = None,
    schedule: Schedule | None = None,
) -> Network:
    """A network that asks all questions of a round in one `forward`.

    With `micro_batch`, at most so many pictures go at once. `low_res` (B, C, H, W) belongs to the
    loop's x; the rows that a question is about go through its views, as x did. The answers are float32 (or
    wider, if x is): combining and stepping happen there whatever the network computes in. Gradients flow to
    an x that asks for them, and only then is a graph made. A time that
    `schedule`, the network's own, does not have is refused with a UserError, and so is a picture without noise.
    """
    if micro_batch is not None and micro_batch < 1:
        raise UserError(f"A micro-batch holds 1 picture or more, not {micro_batch}; leave it out for no limit.")

    def network(queries: list[Query], at: NoiseLevel) -> list[Prediction]:
        _check_time(at, schedule)
        _check_alike(queries, low_res)
        counts = [len(q.x) for q in queries]
        with torch.set_grad_enabled(torch.is_grad_enabled() and any(q.x.requires_grad for q in queries)):
            x = torch.cat([q.x for q in queries])
            conditions = [q.condition for q, n in zip(queries, counts, strict=True) for _ in range(n)]
            low = None if low_res is None else torch.cat([_through_views(low_res, q) for q in queries])
            rows = micro_batch or len(x)
            outputs = [
                forward(x[i : i + rows], at, conditions[i : i + rows], None if low is None else low[i : i + rows])
                for i in range(0, len(x), rows)
            ]
            output = torch.cat(outputs).to(torch.promote_types(x.dtype, torch.float32))
            value, var_interp = _channels(output, x.shape[1], learned_variance)
            p = read_output(prediction_type, x, at, value, var_interp)
        vars_ = [None] * len(queries) if var_interp is None else var_interp.split(counts)
        return [Prediction(*parts) for parts in zip(p.x0.split(counts), p.eps.split(counts), vars_, strict=True)]

    return network


def _channels(output: Tensor, channels: int, learned_variance: bool) -> tuple[Tensor, Tensor | None]:
    """What is predicted and, if it is learned, the variance. Raises UserError for another number of channels."""
    wanted = channels * (2 if learned_variance else 1)
    if output.shape[1] != wanted:
        raise UserError(
            f"The network answers with {output.shape[1]} channels where {wanted} are expected; "
            "check whether it has learned its variance."
        )
    value, var_interp = output.chunk(2, dim=1) if learned_variance else (output, None)
    return value, var_interp


def _check_alike(queries: list[Query], low_res: Tensor | None) -> None:
    """Raises UserError for questions about pictures of several sizes, and for a low resolution picture not enlarged.

    A view makes another size of a picture where it is a quarter turn of one that is not square.
    """
    sizes = list(dict.fromkeys(words_of((q.x.shape[-2], q.x.shape[-1])) for q in queries))
    if len(sizes) > 1:
        raise UserError(f"A view makes pictures of other sizes ({' and '.join(sizes)} pixels); it needs a square one.")
    if low_res is not None and [words_of((low_res.shape[-2], low_res.shape[-1]))] != sizes:
        raise UserError(
            f"The low resolution picture is {tuple(low_res.shape[1:])}; enlarge it to {sizes[0]} pixels first."
        )


def _check_time(at: NoiseLevel, schedule: Schedule | None) -> None:
    if at.t == CLEAN.t:
        raise UserError("A network is not asked about a picture without noise (t = -1); ask at a noisier level.")
    if schedule is not None:
        schedule.level(at.t)


def _through_views(low_res: Tensor, query: Query) -> Tensor:
    own = low_res if query.rows is None else low_res[list(query.rows)]
    return reduce(lambda picture, view: view(picture), query.views, own)
