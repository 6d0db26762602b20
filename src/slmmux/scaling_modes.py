"""Exactly how often one model's mode is right, and with how many votes, when k of N are drawn.

**What is computed.** A model has N recorded samples of a question, c_i of them in class i, u of
them without a vote. Of the ordered ways to draw k of the N without replacement, all are equally
likely. The draw's votes are a count vector (j_1, j_2, …; the rest has no vote), of probability
Π C(c_i, j_i) · C(u, k − Σ j_i) / C(N, k). The mode is the class of the largest j; of t classes that
share it, the one whose first member was drawn first (rule 3). Given the count vector every order of
the draws is equally likely, and exchanging the names of two tied classes turns orders in which one
of them comes first into orders in which the other does: each of the t wins in 1/t of the orders.

**How.** Summed over count vectors by generating functions. In z, which counts draws:

    P(votes of the mode ≤ v) · C(N, k) = [z^k]  Π_i Σ_{j ≤ v} C(c_i, j) z^j  ·  (1 + z)^u

For the right classes to win with v votes, let y count the tied ones: with
g_i(y, z) = Σ_{j < v} C(c_i, j) z^j + y C(c_i, v) z^v, R_a the coefficient of y^a in Π g_i over the
right classes and W_b that of y^b over the wrong ones (usually one class is right and a ≤ 1),

    P(the mode is right with v votes) · C(N, k) = [z^k]  Σ_{a ≥ 1, b} a / (a + b) R_a W_b (1 + z)^u

A class with fewer than v recorded members can neither exceed nor reach v, so its factor is
(1 + z)^c and joins the last one. With k > N samples asked for, the N are in
every draw and k - N votes are missing from it (rule 1): what is so for k = N is so for every larger
k. Only sums of products of positive numbers occur, so floats lose a few last digits and nothing
else. Questions and models with equal counts are computed once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slmmux.errors import UsageError
from slmmux.methods.patterns import distinct_rows
from slmmux.metrics import Scores
from slmmux.table import MISSING, Amounts, Flags, Positions, Recorded, Table

_LARGEST = 10**300  # well within a float

Counts: TypeAlias = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """How often every class was recorded.

    Attributes:
        votes: [questions × models × classes].
        total: [questions × models] samples, those without a vote included.
        right: [questions × classes].
    """

    votes: Counts
    total: Counts
    right: Flags

    def at(self, questions: Positions) -> "ClassCounts":
        """The same of the questions at these positions."""
        return ClassCounts(self.votes[questions], self.total[questions], self.right[questions])


@dataclass(frozen=True, slots=True)
class Modes:
    """What becomes of every model's mode, for k = 1..k_max; index k − 1 stands for k.

    Attributes:
        which: [questions × models] row of the other arrays.
        at_most: [rows × k_max × k_max + 1] P(votes of the mode ≤ v), v = 0..k_max.
        right: [rows × k_max × k_max + 1] P(the mode is right and has v votes).
    """

    which: Positions
    at_most: Amounts
    right: Amounts

    @property
    def k_max(self) -> int:
        """The most samples from each model."""
        return int(self.at_most.shape[1])

    def self_consistency(self, model: int) -> Amounts:
        """[questions × k_max] P(the model's mode is right)."""
        return np.asarray(np.minimum(self.right.sum(axis=2)[self.which[:, model]], 1.0))

    def mux(self, order: Sequence[int]) -> Amounts:
        """[questions × k_max] P(the most confident of these models' modes is right).

        Models draw independently. One decides with v votes when all of higher priority have fewer
        and all of lower priority have no more (rule 4):
        Σ_m Σ_{v ≥ 1} P_m(right with v) Π_{before m} P(votes < v) Π_{after m} P(votes ≤ v).

        Args:
            order: positions of the models that take part, by priority.
        """
        return _mux(self.at_most[:, :, 1:], self.at_most[:, :, :-1], self.right, self.which, order)

    def mux_at(self, order: Sequence[int], k: int) -> Scores:
        """[questions] as `mux`, for one k and at a fraction of its price."""
        at_most = self.at_most[:, k - 1 : k, : k + 1]
        right = self.right[:, k - 1 : k, : k + 1]
        found = _mux(at_most[:, :, 1:], at_most[:, :, :-1], right, self.which, order)
        return np.asarray(found[:, 0])


def _mux(
    at_most: Amounts, below: Amounts, right: Amounts, which: Positions, order: Sequence[int]
) -> Amounts:
    rows = which[:, order[0]]
    # `won` is right with v votes among the models so far, `bar` that none of them has v or more.
    won, bar = right[rows, :, 1:], below[rows]
    for model in order[1:]:
        rows = which[:, model]
        won = won * at_most[rows] + bar * right[rows, :, 1:]
        bar = bar * below[rows]
    return np.asarray(np.minimum(won.sum(axis=2), 1.0))


def recorded_counts(recorded: Recorded, right: Flags) -> ClassCounts:
    """How often every class was recorded.

    Args:
        recorded: samples of a table.
        right: `Table.right`.
    """
    classes = recorded.classes
    questions, models, _ = classes.shape
    width = right.shape[1] - 2
    votes = np.zeros(questions * models * (width + 1), np.int32)
    rows = np.arange(questions * models).reshape(questions, models, 1) * (width + 1)
    cells = np.where(classes >= 0, classes, width) + rows
    votes += np.bincount(cells.ravel(), minlength=len(votes)).astype(np.int32)
    return ClassCounts(
        votes=votes.reshape(questions, models, width + 1)[:, :, :width],
        total=(classes != MISSING).sum(axis=2, dtype=np.int32),
        right=right[:, :width],
    )


def modes_of_table(table: Table, k_max: int) -> Modes:
    """Every model's mode on every question of a table, for k = 1..k_max.

    Args:
        table: with k_max or more samples of every model on every question.
        k_max: the most samples from each model.

    Raises:
        UsageError: somewhere there are fewer, or so many that their number of subsets is beyond a
            float.
    """
    return modes(recorded_counts(table.samples, table.right), k_max)


def modes(counts: ClassCounts, k_max: int, *, allow_missing: bool = False) -> Modes:
    """As `modes_of_table`, from counts.

    Args:
        counts: of every question.
        k_max: the most samples from each model.
        allow_missing: where a model has fewer, all it has are in every draw, and the others of the
            k vote for nothing.
    """
    least = int(counts.total.min(initial=1 << 30))
    if least < k_max and not allow_missing:
        raise UsageError(f"k = {k_max} takes as many samples of every model; some have {least}")
    right = counts.right[:, None, :]
    rows = counts.total.size
    columns = [
        counts.total.reshape(rows, 1),
        *(_largest_first(counts.votes * side, rows) for side in (right, ~right)),
    ]
    distinct, which = distinct_rows(np.concatenate(columns, axis=1))
    cut = 1 + columns[1].shape[1]
    at_most, won = _tabulated(distinct[:, 0], distinct[:, 1:cut], distinct[:, cut:], k_max)
    return Modes(which.reshape(counts.total.shape), at_most, won)


def binomials(top: int, k_max: int) -> Amounts:
    """[top + 1 × k_max + 1] C(n, j).

    Raises:
        UsageError: the largest is beyond a float.
    """
    if comb(top, min(k_max, top // 2)) > _LARGEST:
        raise UsageError(f"k = {k_max} of {top} samples is out of reach; take a smaller k")
    table = np.zeros((top + 1, k_max + 1))
    table[:, 0] = 1
    for n in range(1, top + 1):
        table[n, 1:] = table[n - 1, 1:] + table[n - 1, :-1]
    return table


def _largest_first(votes: Counts, rows: int) -> Counts:
    """[rows × as many classes as any row has], the largest first."""
    ordered = -np.sort(-votes.reshape(rows, votes.shape[2]), axis=1)
    return ordered[:, : int((ordered > 0).sum(axis=1).max(initial=0))]


def _tabulated(total: Counts, right: Counts, wrong: Counts, k_max: int) -> tuple[Amounts, Amounts]:
    """`Modes.at_most` and `Modes.right` of rows with these counts."""
    choose = binomials(int(total.max(initial=0)), k_max)
    at_most = np.zeros((len(total), k_max, k_max + 1))
    won = np.zeros((len(total), k_max, k_max + 1))
    silent = total - right.sum(axis=1) - wrong.sum(axis=1)
    at_most[:, :, 0] = choose[silent, 1:]
    for v in range(1, k_max + 1):
        live_right, live_wrong = (np.where(side >= v, side, 0) for side in (right, wrong))
        rest = total - live_right.sum(axis=1) - live_wrong.sum(axis=1)
        tied_right = _tied(live_right, v, k_max, choose)
        tied_wrong = _tied(live_wrong, v, k_max, choose)
        everything = _times(tied_right.sum(axis=1), tied_wrong.sum(axis=1))
        at_most[:, :, v] = _times(everything, choose[rest])[:, 1:]
        for a in range(1, tied_right.shape[1]):
            shares = a / (a + np.arange(tied_wrong.shape[1]))
            split = np.einsum("b,rbz->rz", shares, tied_wrong)
            won[:, :, v] += _times(_times(tied_right[:, a], split), choose[rest])[:, 1:]
    ways = np.maximum(choose[total, 1:, None], 1)
    at_most, won = at_most / ways, won / ways
    at_most[total == 0] = 1
    drawn = np.maximum(np.minimum(np.arange(1, k_max + 1), total[:, None]), 1)[:, :, None] - 1
    return np.take_along_axis(at_most, drawn, axis=1), np.take_along_axis(won, drawn, axis=1)


def _tied(live: Counts, v: int, k_max: int, choose: Amounts) -> Amounts:
    """[rows × tied classes × k_max + 1] coefficients of Π g_i in y and z.

    Args:
        live: [rows × classes] counts of v or more, 0 where there is no class (factor 1).
        v: votes.
        k_max: highest power of z.
        choose: binomials.
    """
    rows = len(live)
    product = np.zeros((rows, 1, k_max + 1))
    product[:, 0, 0] = 1
    for column in range(int((live > 0).sum(axis=1).max(initial=0))):
        factor = choose[live[:, column]]
        ties = min(product.shape[1], k_max // v)
        longer = np.zeros((rows, ties + 1, k_max + 1))
        kept = product[:, : ties + 1]
        for j in range(v):
            longer[:, : kept.shape[1], j:] += factor[:, j, None, None] * kept[:, :, : k_max + 1 - j]
        longer[:, 1:, v:] += factor[:, v, None, None] * product[:, :ties, : k_max + 1 - v]
        product = longer
    return product


def _times(these: Amounts, others: Amounts) -> Amounts:
    """Products of polynomials, row by row, up to the same power."""
    product = np.zeros_like(these)
    for power in range(these.shape[1]):
        product[:, power:] += these[:, power, None] * others[:, : these.shape[1] - power]
    return product
