"""The subsets worth their cost: no other is as accurate and as cheap, and better in one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slmmux.search import Limits
from slmmux.search_accuracy import Expected, scored
from slmmux.table import MISSING, Table

_DECIMALS = 9  # accuracies that agree to so many digits are equal

_Amounts: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prices:
    """What a question costs with each model's full budget of k samples, on average.

    Attributes:
        tokens: [models] prompt and completion tokens; None where a sample's are unknown.
        cost: [models] money; None where a sample's is unknown.
    """

    tokens: _Amounts | None
    cost: _Amounts | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A subset on the front, and what it takes a question.

    Attributes:
        members: positions in the pool, ascending.
        accuracy: of SLM-MUX, expected.
        draws: samples, the full budget.
        tokens, cost: of the full budget; None where unknown.
    """

    members: tuple[int, ...]
    accuracy: Fraction
    draws: int
    tokens: float | None
    cost: float | None


@dataclass(frozen=True, slots=True)
class Front:
    """The Pareto front of accuracy against draws, tokens and cost.

    Attributes:
        points: cheapest first.
        complete: every subset was looked at; else the time limit came first.
    """

    points: tuple[Point, ...]
    complete: bool


def prices(table: Table, k: int) -> Prices:
    """Mean use of k samples of every model."""
    recorded = table.samples
    drawn = recorded.classes != MISSING
    samples = np.maximum(drawn.sum(axis=(0, 2)), 1)

    def mean(amounts: _Amounts) -> _Amounts | None:
        total = np.where(drawn, amounts, 0).sum(axis=(0, 2))
        return k * total / samples if np.isfinite(total).all() else None

    return Prices(tokens=mean(recorded.tokens), cost=mean(recorded.cost))


def pareto_front(
    votes: Expected,
    sizes: Sequence[int],
    price: Prices,
    *,
    limits: Limits | None = None,
) -> Front:
    """The front over all subsets of these sizes.

    Of subsets that are alike in everything one stays: the first in the order that settles ties.

    Args:
        votes: of the pool's models.
        sizes: numbers of models in a subset.
        price: of the models.
        limits: of time.
    """
    limits = (limits or Limits()).started()
    models = len(votes.order)
    priced = [amounts for amounts in (price.tokens, price.cost) if amounts is not None]
    front = np.empty((0, 2 + len(priced)))
    members: list[tuple[int, ...]] = []
    complete = True
    for size in sorted(set(sizes)):
        seen, total = 0, comb(models, size)
        for some in scored(votes, size):
            draws = np.full(len(some.accuracies), float(votes.k * size))
            used = [amounts[some.members].sum(axis=1) for amounts in priced]
            found = np.column_stack([-np.round(some.accuracies, _DECIMALS), draws, *used])
            kept = _undominated(found, front)
            members += map(tuple, some.members[kept].tolist())
            front = np.concatenate([front, found[kept]])
            still = _undominated(front, front[:0])
            front, members = front[still], [members[i] for i in still.tolist()]
            seen += len(some.accuracies)
            if not limits.go_on(size, seen / total) and seen < total:
                complete = False
                break
    order = np.lexsort((front[:, 0], *front[:, :0:-1].T)).tolist()
    return Front(
        tuple(_point(members[i], votes, price) for i in order),
        complete,
    )


def _undominated(rows: _Amounts, others: _Amounts) -> npt.NDArray[np.intp]:
    """Which rows nothing in `others` or among themselves is as good as in every column.

    Columns: lower is better. Of equal rows the first stays.
    """
    kept: list[int] = []
    alive = np.ones(len(rows), np.bool_)
    for other in others:
        alive &= ~(other <= rows).all(axis=1)
    # Sorted by all columns, nothing later can be better than an earlier one in every column.
    for row in np.lexsort((np.arange(len(rows)), *rows.T[::-1])).tolist():
        if alive[row]:
            kept.append(row)
            alive &= ~(rows[row] <= rows).all(axis=1)
    return np.array(sorted(kept), np.intp)


def _point(members: tuple[int, ...], votes: Expected, price: Prices) -> Point:
    places = list(members)
    return Point(
        members=members,
        accuracy=votes.accuracy(members),
        draws=votes.k * len(members),
        tokens=None if price.tokens is None else float(price.tokens[places].sum()),
        cost=None if price.cost is None else float(price.cost[places].sum()),
    )
