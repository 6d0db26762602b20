"""Which subsets answer best by SLM-MUX itself: its expected accuracy, subset after subset.

The accuracy of a subset is the expected one over all ordered ways to draw k of the N samples of
every model, exactly (`scaling_modes`). Models are taken in the order that settles ties. For a
prefix P of a subset, on one question, let won(v) be the chance that a model of P decides with v
votes and is right, and bar(v) that none of P has v votes or more. One more model j makes this

    won(v) ← won(v) · P_j(votes ≤ v) + bar(v) · P_j(right with v)
    bar(v) ← bar(v) · P_j(votes < v)

and the sum of won over v is the accuracy, so that the last models of many subsets are two products
of matrices.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np

from slmmux.methods.base import Amounts
from slmmux.scaling_modes import Modes, modes, recorded_counts
from slmmux.search import Limits, Ranking, check_sizes, evaluated
from slmmux.search_best import Best, Places
from slmmux.search_sets import SearchSets
from slmmux.selection import priority
from slmmux.subsamples import filled
from slmmux.table import Table

_ONE_CORE = 200_000  # multiplications of one product of matrices
_LEAST, _MOST = 128, 4096  # columns of one product of matrices

UNIT = 1_000_000_000  # accuracies that agree to so many digits are equal


@dataclass(frozen=True, slots=True)
class Expected:
    """What becomes of the votes of every model, in the order that settles ties.

    Attributes:
        modes: of all models, pool order.
        k: samples of each model.
        order: [models] pool positions by priority.
        at_most, below: [models × questions · k] P(votes ≤ v) and P(votes < v), v = 1..k.
        right: [models × questions · k] P(the mode is right and has v votes).
    """

    modes: Modes
    k: int
    order: Places
    at_most: Amounts
    below: Amounts
    right: Amounts

    @property
    def questions(self) -> int:
        """How many there are."""
        return len(self.modes.which)

    def scores(self, members: Sequence[int]) -> Amounts:
        """[questions] whole numbers: the accuracy of SLM-MUX on these models, in 1 / `UNIT`."""
        chosen = [place for place in self.order.tolist() if place in members]
        return np.round(self.modes.mux_at(chosen, self.k) * UNIT)

    def accuracy(self, members: Sequence[int]) -> Fraction:
        """Mean over the questions, as exact as `UNIT` is fine."""
        return Fraction(int(self.scores(members).sum()), UNIT * self.questions)

    def ceiling(self) -> Fraction:
        """The chance that some model's mode is right: no subset is better."""
        wrong = np.ones(self.questions)
        for model in range(len(self.order)):
            wrong *= 1 - self.modes.self_consistency(model)[:, self.k - 1]
        return Fraction(int(np.ceil((1 - wrong).mean() * UNIT)), UNIT)


@dataclass(frozen=True, slots=True)
class Scored:
    """Subsets of one size and their accuracies.

    Attributes:
        members: [subsets × size] pool positions, ascending.
        accuracies: [subsets] 0..1.
    """

    members: Places
    accuracies: Amounts


def expected(table: Table, k: int, accuracies: Mapping[str, float]) -> Expected:
    """The votes of a table's models; where samples are missing they vote for nothing.

    Args:
        table: of the validation questions.
        k: samples from each model.
        accuracies: validation accuracy by model: settles ties (rule 4).
    """
    found = modes(recorded_counts(filled(table.samples, k), table.right), k)
    order = [table.models.index(name) for name in priority(table.models, accuracies)]
    which = found.which[:, order].T
    at_most = found.at_most[:, k - 1, : k + 1]
    width = len(table.questions) * k
    return Expected(
        modes=found,
        k=k,
        order=np.array(order, np.intp),
        at_most=at_most[:, 1:][which].reshape(len(order), width),
        below=at_most[:, :-1][which].reshape(len(order), width),
        right=found.right[:, k - 1, 1 : k + 1][which].reshape(len(order), width),
    )


def scored(votes: Expected, size: int) -> Iterator[Scored]:
    """All subsets of this size, some at a time; those of the models that come first, first."""
    models = len(votes.order)
    if size == 1:
        yield Scored(votes.order[:, None], votes.right.sum(axis=1) / votes.questions)
        return
    for head in combinations(range(models - 2), size - 2) if size > 2 else [()]:  # noqa: PLR2004
        won, bar = np.zeros(votes.right.shape[1]), np.ones(votes.right.shape[1])
        for place in head:
            won = won * votes.at_most[place] + bar * votes.right[place]
            bar = bar * votes.below[place]
        first = head[-1] + 1 if head else 0
        found = _with_two_more(votes, won, bar, first)
        # Row i is place first + i, column j place first + 1 + j: the last one comes later.
        row, column = np.triu_indices(models - 1 - first)
        places = np.column_stack(
            [np.tile(np.array(head, np.intp), (len(row), 1)), first + row, first + 1 + column]
        )
        yield Scored(np.sort(votes.order[places], axis=1), found[row, column] / votes.questions)


def _with_two_more(votes: Expected, won: Amounts, bar: Amounts, first: int) -> Amounts:
    """[models from `first` × models behind `first`] sums of won, of which i ≤ j mean something.

    In parts that stay in a core's cache, and that are too small for a linear algebra library to
    share between cores: where these are busy, it waits a thousand times as long as it multiplies.
    """
    more = len(votes.order) - 1 - first
    one, last = slice(first, -1), slice(first + 1, None)
    found = np.zeros((more, more))
    step = min(max(_LEAST, _ONE_CORE // more**2), _MOST)
    for begin in range(0, len(won), step):
        part = slice(begin, begin + step)
        here = won[part] * votes.at_most[one, part] + bar[part] * votes.right[one, part]
        found += here @ votes.at_most[last, part].T
        found += (bar[part] * votes.below[one, part]) @ votes.right[last, part].T
    return found


def search_accuracy(
    sets: SearchSets,
    votes: Expected,
    sizes: Sequence[int],
    weight: Fraction = Fraction(1),
    *,
    top: int = 1,
    limits: Limits | None = None,
) -> dict[int, Ranking]:
    """The subsets of every size with the highest accuracy of SLM-MUX; `Subset.objective` is that.

    Every subset is counted: nothing bounds this accuracy well from a part of a subset.

    Args:
        sets: of the pool's models; settle ties by UnionAcc.
        votes: of the same.
        sizes: numbers of models in a subset, each 1 to as many as the pool has.
        weight: λ, for what is told beside the accuracy.
        top: how many subsets of each size are ranked.
        limits: of time.

    Raises:
        UsageError: sizes that cannot be.
    """
    check_sizes(sets, sizes, top)
    limits = (limits or Limits()).started()
    found: dict[int, Ranking] = {}
    for size in sorted(set(sizes)):
        best = Best(top, np.empty(0, np.int64), np.empty((0, size), np.intp))
        begun = not found or not limits.over()
        seen = _count_all(sets, votes, best, limits)
        found[size] = replace(_ranking(sets, votes, best, seen, weight), begun=begun)
    return found


def _count_all(sets: SearchSets, votes: Expected, best: Best, limits: Limits) -> int:
    """Rank the subsets; how many were counted before the time was over."""
    size = best.members.shape[1]
    more, seen, total = sets.cells + 1, 0, comb(len(sets.models), size)
    for some in scored(votes, size):
        correct = np.round(some.accuracies * UNIT).astype(np.int64)
        # Ties are settled by UnionAcc, which is counted for those that could be kept only.
        good = correct * more + sets.cells >= best.bar
        unions = np.bitwise_or.reduce(sets.correct[some.members[good]], axis=1)
        keys = correct[good] * more + np.bitwise_count(unions).sum(axis=1, dtype=np.int64)
        best.offer(keys, some.members[good])
        seen += len(correct)
        if not limits.go_on(size, seen / total):
            break
    return seen


def _ranking(sets: SearchSets, votes: Expected, best: Best, seen: int, weight: Fraction) -> Ranking:
    total = comb(len(sets.models), best.members.shape[1])
    subsets = tuple(
        replace(evaluated(sets, row, weight), objective=votes.accuracy(row))
        for row in best.members.tolist()
    )
    return Ranking(
        size=best.members.shape[1],
        subsets=subsets,
        total=total,
        proven=seen == total,
        bound=subsets[0].objective if seen == total else votes.ceiling(),
    )
