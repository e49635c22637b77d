"""Guidance as data, and the one function that runs it.

A guidance is a small tree of frozen dataclasses. Its `ask` is a generator: it yields the questions
it has, is sent their answers, and returns one prediction. `ask_all` runs several in lockstep, so
that their questions meet in one round, and `lower` turns a round into one network call in which no
question stands twice. Every linear guidance is of the form

    eps_hat(x, t) = sum_k W_k eps_theta(V_k x, t, c_k)    with    sum_k W_k V_k = I,               (1)

which is what laws.py checks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import Denoiser, Network, Prediction, Query, View
from duckrabbit.errors import UserError
from duckrabbit.values import shown

Ask = Generator[list[Query], list[Prediction], Prediction]
"""A guidance at work: yields rounds of questions, is sent the answers, returns a prediction."""


class Guidance(ABC):
    """A rule for which estimates to ask for, and how to combine them. Subclasses are final.

    Raises UserError for a field that is to hold guidances, by its annotation, and holds something else.
    """

    def __post_init__(self) -> None:
        named: Any = fields(self) if is_dataclass(self) else ()
        for f in named:
            value, kind = getattr(self, f.name), str(f.type).replace(" ", "")
            if kind == "tuple[Guidance,...]" and not isinstance(value, tuple | list):
                raise UserError(f"{type(self).__name__}'s {f.name} are a tuple of guidances, not {shown(value)}.")
            parts = value if kind == "tuple[Guidance,...]" else (value,) if kind == "Guidance" else ()
            for part in parts:
                if isinstance(part, type) or not callable(getattr(part, "ask", None)):
                    raise UserError(
                        f"{type(self).__name__} is made of guidances, as Prompt('a cat') is one, not of {shown(part)}."
                    )

    @abstractmethod
    def ask(self, x: Tensor, at: NoiseLevel, views: tuple[View, ...] = ()) -> Ask:
        """Ask about x (B, C, H, W) at a level; `views` are those x has gone through already."""


def ask_all(asks: Sequence[Ask]) -> Generator[list[Query], list[Prediction], list[Prediction]]:
    """Run guidances in lockstep: each round is the union of what they ask; returns all results."""
    results: dict[int, Prediction] = {}
    pending: dict[int, list[Query]] = {}

    def advance(k: int, answers: list[Prediction] | None) -> None:
        try:
            pending[k] = next(asks[k]) if answers is None else asks[k].send(answers)
        except StopIteration as done:
            results[k] = done.value

    for k in range(len(asks)):
        advance(k, None)
    while pending:
        asked, pending = pending, {}
        answers = iter((yield [query for queries in asked.values() for query in queries]))
        for k, queries in asked.items():
            advance(k, [next(answers) for _ in queries])
    return [results[k] for k in range(len(asks))]


def answered(ask: Ask, answer: Callable[[list[Query]], list[Prediction]]) -> Prediction:
    """What a guidance at work comes to, each round of its questions answered by `answer`."""
    try:
        queries = next(ask)
        while True:
            queries = ask.send(answer(queries))
    except StopIteration as done:
        result: Prediction = done.value
        return result


def asked_as(ask: Ask, change: Callable[[Query], Query]) -> Ask:
    """A guidance at work, with every question of it changed."""
    try:
        queries = next(ask)
        while True:
            queries = ask.send((yield [change(q) for q in queries]))
    except StopIteration as done:
        result: Prediction = done.value
        return result


def lower(guidance: Guidance, network: Network, others: Callable[[str], Network] | None = None) -> Denoiser:
    """Bind a guidance to a network: the waist, (x, level) -> Prediction.

    Each round of questions is one call of `network` with the questions not yet answered; questions
    of equal key are answered once. A tree of the nodes in nodes.py takes exactly one round. `others` gives the
    networks that Through names, each of which is called by itself; without it, to name one is a UserError.
    """

    def asked(queries: list[Query], at: NoiseLevel) -> list[Prediction]:
        answers: dict[int, Prediction] = {}
        for name in dict.fromkeys(q.network for q in queries):
            if name is not None and others is None:
                raise UserError(f"This guidance asks the model '{name}' too; run it as a task, or give `others`.")
            own = [k for k, q in enumerate(queries) if q.network == name]
            one = network if name is None or others is None else others(name)
            answers |= zip(own, one([queries[k] for k in own], at), strict=True)
        return [answers[k] for k in range(len(queries))]

    def denoise(x: Tensor, at: NoiseLevel) -> Prediction:
        known: dict[tuple[object, ...], Prediction] = {}

        def answer(queries: list[Query]) -> list[Prediction]:
            new = {q.key: q for q in queries if q.key not in known}
            if new:
                known.update(zip(new, asked(list(new.values()), at), strict=True))
            return [known[q.key] for q in queries]

        return answered(guidance.ask(x, at), answer)

    return denoise
