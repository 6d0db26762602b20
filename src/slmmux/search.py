"""Model selection search (SLM-MUX paper, section 3.2): the subsets that answer best together.

For a subset S of the pool, over all questions (and groups of samples, `search_sets`):

* UnionAcc(S): share where some model of S is correct;
* Contradiction(S): share where some model of S is correct while another is consistently wrong;
* O(S) = UnionAcc(S) − λ · Contradiction(S), which is maximised.

Ties go to the higher UnionAcc, then to the smaller subset, then to the subset that comes first in
lexicographic order of pool positions. Everything is counted in whole numbers and λ is a fraction:
no float decides which subset is better. The result is exact (`search_tree`) unless a time limit
ends the search; then it is the best found, with a bound on what could still be better.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slmmux.errors import UsageError
from slmmux.search_best import Best
from slmmux.search_cells import Weights, candidates
from slmmux.search_sets import SearchSets
from slmmux.search_start import start
from slmmux.search_tree import Tree

Members: TypeAlias = tuple[int, ...]

_LARGEST = 2**60  # sums of keys stay well within 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """Some models and how they do together.

    Attributes:
        members: positions in the pool, ascending.
        union: cells where some model is correct.
        contradiction: cells where some model is correct and another is consistently wrong.
        cells: questions × groups: what both are counted in.
        objective: O, exactly.
    """

    members: Members
    union: int
    contradiction: int
    cells: int
    objective: Fraction

    @property
    def order(self) -> tuple[Fraction, int, int, Members]:
        """Sorts better subsets first, of all sizes (rule 9)."""
        return -self.objective, -self.union, len(self.members), self.members


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The best subsets of one size.

    Attributes:
        size: models in a subset.
        subsets: best first.
        total: how many subsets of this size there are.
        proven: nothing is better than what is ranked; else the time limit came first.
        bound: no subset of this size has a higher objective.
        begun: False where the time limit came before this size: what is ranked is a guess.
    """

    size: int
    subsets: tuple[Subset, ...]
    total: int
    proven: bool
    bound: Fraction
    begun: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a search may take, and whom it tells how far it is.

    Attributes:
        time_limit_s: seconds for all sizes together; None is as long as it takes.
        report: is told the size and the share of its subsets that are settled, now and then.
        clock: seconds.
        began: when its time began to run.
    """

    time_limit_s: float | None = None
    report: Callable[[int, float], None] | None = None
    clock: Callable[[], float] = time.monotonic
    began: float | None = None

    def started(self) -> "Limits":
        """The same, its time running."""
        return replace(self, began=self.clock()) if self.began is None else self

    def go_on(self, size: int, share: float) -> bool:
        """Tell how far it is; whether there is time left."""
        if self.report is not None:
            self.report(size, share)
        return not self.over()

    def over(self) -> bool:
        """Whether there is no time left."""
        if self.time_limit_s is None or self.began is None:
            return False
        return self.clock() - self.began >= self.time_limit_s


def search(
    sets: SearchSets,
    sizes: Sequence[int],
    weight: Fraction = Fraction(1),
    *,
    top: int = 1,
    limits: Limits | None = None,
) -> dict[int, Ranking]:
    """The best subsets of every size.

    Args:
        sets: of the pool's models.
        sizes: numbers of models in a subset, each 1 to as many as the pool has.
        weight: λ, 0 or more.
        top: how many subsets of each size are ranked.
        limits: of time.

    Raises:
        UsageError: sizes or λ that cannot be.
    """
    check_sizes(sets, sizes, top)
    limits = (limits or Limits()).started()
    pool = candidates(sets.correct, sets.wrong, weights_of(sets, weight, max(sizes)))
    found: dict[int, Ranking] = {}
    seeds: npt.NDArray[np.intp] | None = None
    for size in sorted(set(sizes)):
        best = Best(top, np.empty(0, np.int64), np.empty((0, size), np.intp))
        begun = not found or not limits.over()
        start(pool, best, size, seeds, improve=begun)
        tree = Tree(pool, best, size)
        if begun:
            tree.run(partial(limits.go_on, size))
        seeds = best.members
        found[size] = _ranking(sets, tree, weight, begun=begun)
    return found


def weights_of(sets: SearchSets, weight: Fraction, largest: int) -> Weights:
    """What a cell of either kind counts for in a key, so that keys sort as rule 9 says.

    With λ = p/q, C = U − A and M = cells + 1: key = M · (q·U − p·C) + U, at most max(p, q) · M².
    With r models to come the search adds up r keys, and r times what r models add to U and A.

    Args:
        sets: that are searched.
        weight: λ.
        largest: models in a subset.

    Raises:
        UsageError: λ is below 0, or the keys would not fit 64 bits.
    """
    if weight < 0:
        raise UsageError(f"λ is {float(weight):g}; make it 0 or more")
    p, q, more = weight.numerator, weight.denominator, sets.cells + 1
    if 4 * largest**2 * max(p, q) * more**2 > _LARGEST:
        raise UsageError(f"λ = {float(weight)!r} has too many digits or is too large for a search")
    return Weights(union=(q - p) * more + 1, clean=p * more)


def evaluated(sets: SearchSets, members: Sequence[int], weight: Fraction = Fraction(1)) -> Subset:
    """One subset, counted from its models' bits."""
    rows = list(members)
    some_correct = np.bitwise_or.reduce(sets.correct[rows], axis=0)
    some_wrong = np.bitwise_or.reduce(sets.wrong[rows], axis=0)
    union = int(np.bitwise_count(some_correct).sum())
    contradiction = int(np.bitwise_count(some_correct & some_wrong).sum())
    return Subset(
        members=tuple(rows),
        union=union,
        contradiction=contradiction,
        cells=sets.cells,
        objective=(union - weight * contradiction) / sets.cells,
    )


def check_sizes(sets: SearchSets, sizes: Sequence[int], top: int) -> None:
    """See that such subsets can be ranked.

    Raises:
        UsageError: they cannot.
    """
    pool = len(sets.models)
    if not sizes:
        raise UsageError("no sizes to search")
    if min(sizes) < 1 or max(sizes) > pool:
        raise UsageError(
            f"sizes {min(sizes)} to {max(sizes)}: the pool has {pool} models, so 1 to {pool} can be"
        )
    if top < 1:
        raise UsageError(f"top is {top}; make it 1 or more")


def _ranking(sets: SearchSets, tree: Tree, weight: Fraction, *, begun: bool) -> Ranking:
    subsets = tuple(evaluated(sets, row, weight) for row in tree.best.members.tolist())
    bound = subsets[0].objective
    if tree.open:
        # key = M · q · cells · O + U, and U is 0 or more.
        # A tree that was not begun knows no bound: no O is above 1.
        value = Fraction(tree.bound // (sets.cells + 1), weight.denominator * sets.cells)
        bound = max(bound, min(value, Fraction(1)))
    return Ranking(
        size=tree.size,
        subsets=subsets,
        total=tree.total,
        proven=not tree.open,
        bound=bound,
        begun=begun,
    )
