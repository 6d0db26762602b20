"""Exact stopping on recorded streams of many questions at once.

`stopping.replay` plays one question: what is known → next wave → what is known then. Here all
questions whose known outcomes are equal up to the names of classes take a step together, so
`stopping.next_wave` is asked once for each state that occurs, however many questions reach it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slmmux.methods.added_up import balanced_draws
from slmmux.methods.base import Amounts, Budget
from slmmux.methods.base import Weights as RowWeights
from slmmux.methods.patterns import distinct_rows
from slmmux.rules import Weights
from slmmux.selection import priority
from slmmux.stopping import Schedule, next_wave
from slmmux.votes import stream

Report: TypeAlias = Callable[[float], None]
_Ints: TypeAlias = npt.NDArray[np.int32]
_Places: TypeAlias = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _State:
    """Rows that know the same.

    Attributes:
        rows: which.
        known: outcomes by stream, classes named by first appearance; None is no vote.
        names: how many classes have been named.
    """

    rows: _Places
    known: tuple[tuple[str | None, ...], ...]
    names: int


def exact_draws(
    budget: Budget,
    schedule: Schedule,
    weights: RowWeights | None = None,
    report: Report | None = None,
) -> Amounts:
    """[rows × models] samples that exact stopping draws from each model's stream.

    Args:
        budget: the streams.
        schedule: of the draws.
        weights: [rows × models] where votes are added up; None is Algorithm 1.
        report: told what share of the rows is done, 0 to 1: models that rarely agree take long.
    """
    draws = np.empty(budget.modes.shape)
    if weights is not None and schedule == "balanced":
        return balanced_draws(budget.classes, weights).astype(np.float64)
    if weights is not None:
        distinct, which = distinct_rows(weights.astype(np.int32))
        for place, row in enumerate(distinct.tolist()):
            rows = np.flatnonzero(which == place)
            draws[rows] = replayed_draws(budget.classes[rows], schedule, tuple(row))
        return draws
    order = [budget.models.index(name) for name in priority(budget.models, budget.accuracies)]
    draws[:, order] = replayed_draws(budget.classes[:, order], schedule, report=report)
    return draws


def replayed_rows(count: int, most: int | None, seed: int) -> _Places:
    """The rows to play where playing all of them takes too long: seeded, in their order.

    Args:
        count: rows there are.
        most: rows to play; None plays all.
        seed: of the choice.
    """
    if most is None or count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def replayed_draws(
    classes: _Ints,
    schedule: Schedule,
    weights: Weights | None = None,
    report: Report | None = None,
) -> _Ints:
    """Samples that exact stopping draws from each stream: `stopping.replay(…).draws` of each row.

    Args:
        classes: [rows × models × k], models in the order of the streams; -1 for no vote.
        schedule: of the draws.
        weights: of the models' votes.
        report: told what share of the rows is done.

    Returns:
        [rows × models].
    """
    count, models, k = classes.shape
    draws = np.empty((count, models), np.int32)
    named = np.full((count, int(classes.max(initial=0)) + 2), -1, np.int32)
    done = 0
    open_states = [_State(np.arange(count), ((),) * models, 0)]
    while open_states:
        state = open_states.pop()
        streams = [stream(dict(enumerate(outcomes)), k) for outcomes in state.known]
        wave = next_wave(streams, schedule, weights=weights)
        if any(wave):
            open_states.extend(_after(state, wave, classes, named))
        else:
            draws[state.rows] = [len(outcomes) for outcomes in state.known]
            done += len(state.rows)
            if report is not None:
                report(done / count)
    return draws


def _after(state: _State, wave: tuple[int, ...], classes: _Ints, named: _Ints) -> list[_State]:
    """The states that a wave leads to; `named` learns the classes that it brings."""
    cells = [
        (position, len(state.known[position]) + offset)
        for position, count in enumerate(wave)
        for offset in range(count)
    ]
    outcomes = np.empty((len(state.rows), len(cells)), np.int32)
    names = np.full(len(state.rows), state.names, np.int32)
    for column, (position, index) in enumerate(cells):
        drawn = classes[state.rows, position, index]
        new = (drawn >= 0) & (named[state.rows, drawn] < 0)
        named[state.rows[new], drawn[new]] = names[new]
        names += new
        outcomes[:, column] = named[state.rows, drawn]  # the last column of `named` stays -1
    distinct, which = distinct_rows(outcomes)
    members = np.split(
        state.rows[np.argsort(which, kind="stable")],
        np.cumsum(np.bincount(which, minlength=len(distinct)))[:-1],
    )
    return [
        _State(rows, _extended(state.known, wave, row), max(state.names, max(row) + 1))
        for rows, row in zip(members, distinct.tolist(), strict=True)
    ]


def _extended(
    known: tuple[tuple[str | None, ...], ...], wave: tuple[int, ...], outcomes: list[int]
) -> tuple[tuple[str | None, ...], ...]:
    rest = iter(None if name < 0 else str(name) for name in outcomes)
    return tuple(
        (*before, *(next(rest) for _ in range(count)))
        for before, count in zip(known, wave, strict=True)
    )
