"""Budgets → ballots: which classes of each row have how many votes of each model, as flat arrays.

A row is one question in one run. Only classes with votes are listed, row after row, and within a
row in the order in which they are met (pool order, then sample index), which is how rules that add
up votes settle ties (`slmmux.weighted`; here the same for many rows at once, and a test compares).
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slmmux.table import NO_VOTE, Classes, Flags, Positions

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballots:
    """Votes for classes; what is said per class is in the order of the module's docstring.

    Attributes:
        votes: [classes × models].
        classes: [classes] number, as in the budget.
        rows: [voting rows] which rows of the budget have any votes, ascending.
        starts: [voting rows] where the classes of each begin.
        count: rows of the budget.
        k: samples from each model.
    """

    votes: Ints
    classes: Classes
    rows: Positions
    starts: Positions
    count: int
    k: int

    @property
    def owners(self) -> Positions:
        """[classes] position in `rows` of the row that each belongs to."""
        return np.repeat(np.arange(len(self.rows)), self.lengths)

    @property
    def lengths(self) -> Positions:
        """[voting rows] how many classes each has."""
        return np.diff(np.append(self.starts, len(self.classes)))

    def right(self, flags: Flags) -> Flags:
        """[classes] whether each is right.

        Args:
            flags: `Table.right` of the questions; row r of the budget is question r modulo these.
        """
        questions = self.rows[self.owners] % max(len(flags), 1)
        return np.asarray(flags[questions, self.classes])

    def scores(self, weights: Ints) -> Ints:
        """[classes] Σ_m weight_m · votes_m.

        Args:
            weights: [models], or [rows of the budget × models].
        """
        if weights.ndim > 1:
            weights = weights[self.rows[self.owners]]
        return np.asarray((self.votes * weights).sum(axis=1))

    def best(self, scores: Ints) -> Positions:
        """[voting rows] position of the class with the highest score, the first met of equals."""
        if not len(self.rows):
            return np.empty(0, np.intp)
        highest = np.repeat(np.maximum.reduceat(scores, self.starts), self.lengths)
        places = np.where(scores == highest, np.arange(len(scores)), len(scores))
        return np.minimum.reduceat(places, self.starts)

    def sums(self, values: Floats) -> Floats:
        """[voting rows …] sums over the classes of each row of [classes …]."""
        if not len(self.rows):
            return np.zeros((0, *values.shape[1:]))
        return np.add.reduceat(values, self.starts, axis=0)

    def winners(self, weights: Ints) -> Classes:
        """[rows of the budget] the class that weighted votes select; NO_VOTE without any."""
        selected = np.full(self.count, NO_VOTE, np.int32)
        selected[self.rows] = self.classes[self.best(self.scores(weights))]
        return selected


def ballots_of(classes: Classes) -> Ballots:
    """The ballots of these budgets.

    Args:
        classes: [rows × models × k] class of each sample, negative where it votes for nothing.
    """
    count, models, k = classes.shape
    samples = np.maximum(classes, NO_VOTE).reshape(count, models * k).astype(np.int64)
    base = int(samples.max(initial=0)) + 1
    voted = np.flatnonzero(samples >= 0)
    row, place = np.divmod(voted, max(models * k, 1))
    keys = row * base + samples.reshape(-1)[voted]
    distinct, first, which = np.unique(keys, return_index=True, return_inverse=True)
    met = np.argsort(first)  # rows ascend with the samples, so this is by row, then as met
    number = np.empty(len(met), np.intp)
    number[met] = np.arange(len(met))
    votes = np.bincount(number[which] * models + place // max(k, 1), minlength=len(met) * models)
    owner = distinct[met] // base
    rows, starts = np.unique(owner, return_index=True)
    return Ballots(
        votes=votes.reshape(len(met), models).astype(np.int64),
        classes=(distinct[met] % base).astype(np.int32),
        rows=rows.astype(np.intp),
        starts=starts.astype(np.intp),
        count=count,
        k=k,
    )
