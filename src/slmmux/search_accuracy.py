"""Which subsets answer best by SLM-MUX itself: accuracies of Algorithm 1, subset after subset.

What a model says on a cell is one number, higher the sooner Algorithm 1 takes it (more votes, then
`selection.priority`), with whether it is right in the lowest bit; 0 is no vote. So a subset's
answer is right where the maximum over its models is odd, and a longer subset needs one more
maximum. `tests/test_search_accuracy.py` holds this against the method `mux` on the same cells.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, combinations, islice
from math import comb
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slmmux.errors import UsageError
from slmmux.methods.patterns import modes_of
from slmmux.search import Limits, Ranking, Subset, check_sizes, evaluated
from slmmux.search_best import Best, Counts, Places
from slmmux.search_sets import SearchSets, grouped
from slmmux.selection import priority
from slmmux.table import NO_VOTE, Table, lookup

_Codes: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]

_BLOCK = 1 << 20  # bytes of codes that are worked on at once


@dataclass(frozen=True, slots=True)
class Answers:
    """What every model says on every cell.

    Attributes:
        codes: [models × cells, padded with 0] as in the module's docstring.
        cells: questions × groups.
    """

    codes: _Codes
    cells: int


@dataclass(frozen=True, slots=True)
class Scored:
    """Subsets of one size and how many cells they answer correctly.

    Attributes:
        members: [subsets × size] positions in the pool.
        correct: [subsets] cells.
    """

    members: Places
    correct: Counts


def mux_answers(table: Table, sets: SearchSets, accuracies: Mapping[str, float]) -> Answers:
    """The answers of the pool's models in the groups of the search.

    Args:
        table: that the sets were made from.
        sets: say how samples are grouped.
        accuracies: validation accuracy by model: settles ties (rule 4).
    """
    classes = grouped(table, sets.k, sets.groups)
    questions, models, groups, k = classes.shape
    order = priority(table.models, accuracies)
    codes = np.zeros((models, groups, questions), np.uint32)
    for place, name in enumerate(table.models):
        rows = np.maximum(classes[:, place], NO_VOTE).reshape(questions * groups, k)
        modes, votes = (found.reshape(questions, groups) for found in modes_of(rows))
        ranks = votes * models + models - 1 - order.index(name)
        codes[place] = np.where(votes > 0, 2 * ranks + lookup(table.right, modes), 0).T
    return Answers(_compact(codes.reshape(models, groups * questions)), sets.cells)


def scored(answers: Answers, size: int, block: int = _BLOCK) -> Iterator[Scored]:
    """All subsets of this size in lexicographic order, some at a time.

    Args:
        answers: of the pool's models.
        size: models in a subset.
        block: bytes of codes that are worked on at once.
    """
    models, width = answers.codes.shape
    some = max(1, block // (width * answers.codes.itemsize))
    if size == 1:
        yield Scored(np.arange(models)[:, None], _odd(answers.codes))
        return
    prefixes = combinations(range(models - 1), size - 1)
    while rows := list(islice(prefixes, some)):
        heads = np.fromiter(chain.from_iterable(rows), np.intp).reshape(len(rows), size - 1)
        best = answers.codes[heads].max(axis=1)
        node, last = np.nonzero(np.arange(models) > heads[:, -1:])
        counts = np.empty(len(node), np.int64)
        for i in range(0, len(node), some):
            part = slice(i, i + some)
            counts[part] = _odd(np.maximum(best[node[part]], answers.codes[last[part]]))
        yield Scored(np.column_stack([heads[node], last]), counts)


def right_cells(answers: Answers, members: Sequence[int]) -> npt.NDArray[np.bool_]:
    """[cells] where SLM-MUX on this subset answers correctly."""
    best = answers.codes[list(members)].max(axis=0)
    return np.asarray((best[: answers.cells] & 1).astype(np.bool_))


def search_accuracy(
    sets: SearchSets,
    answers: Answers,
    sizes: Sequence[int],
    weight: Fraction = Fraction(1),
    *,
    top: int = 1,
    limits: Limits | None = None,
    block: int = _BLOCK,
) -> dict[int, Ranking]:
    """The subsets of every size with the highest accuracy of SLM-MUX; `Subset.objective` is that.

    Every subset is counted: nothing bounds this accuracy well from a part of a subset.

    Args:
        sets: of the pool's models; settle ties by UnionAcc.
        answers: of the same.
        sizes: numbers of models in a subset, each 1 to as many as the pool has.
        weight: λ, for what is told beside the accuracy.
        top: how many subsets of each size are ranked.
        limits: of time, asked after each block.
        block: bytes of codes that are worked on at once.

    Raises:
        UsageError: sizes that cannot be.
    """
    check_sizes(sets, sizes, top)
    limits = (limits or Limits()).started()
    found = {}
    for size in sorted(set(sizes)):
        best = Best(top, np.empty(0, np.int64), np.empty((0, size), np.intp))
        seen = _count_all(sets, scored(answers, size, block), best, limits)
        found[size] = _ranking(sets, answers, best, seen, weight)
    return found


def _count_all(sets: SearchSets, subsets: Iterable[Scored], best: Best, limits: Limits) -> int:
    """Rank the subsets; how many were counted before the time was over."""
    size = best.members.shape[1]
    more, seen, total = sets.cells + 1, 0, comb(len(sets.models), size)
    for some in subsets:
        # Ties are settled by UnionAcc, which is counted for those that could be kept only.
        good = some.correct * more + sets.cells >= best.bar
        unions = np.bitwise_or.reduce(sets.correct[some.members[good]], axis=1)
        keys = some.correct[good] * more + np.bitwise_count(unions).sum(axis=1, dtype=np.int64)
        best.offer(keys, some.members[good])
        seen += len(some.correct)
        if not limits.go_on(size, seen / total):
            break
    return seen


def _ranking(
    sets: SearchSets, answers: Answers, best: Best, seen: int, weight: Fraction
) -> Ranking:
    size = best.members.shape[1]
    total = comb(len(sets.models), size)
    subsets = tuple(
        _with_accuracy(evaluated(sets, row, weight), key // (sets.cells + 1))
        for row, key in zip(best.members.tolist(), best.keys.tolist(), strict=True)
    )
    right_somewhere = int(_odd((answers.codes & 1).max(axis=0, keepdims=True))[0])
    return Ranking(
        size=size,
        subsets=subsets,
        total=total,
        proven=seen == total,
        bound=subsets[0].objective if seen == total else Fraction(right_somewhere, sets.cells),
    )


def _with_accuracy(subset: Subset, correct: int) -> Subset:
    return Subset(
        members=subset.members,
        union=subset.union,
        contradiction=subset.contradiction,
        cells=subset.cells,
        objective=Fraction(correct, subset.cells),
    )


def _compact(codes: npt.NDArray[np.uint32]) -> _Codes:
    """The same in the smallest type that holds them, cells padded to whole words of 64 bits."""
    highest = int(codes.max(initial=0))
    if highest >= 1 << 31:
        raise UsageError("too many models and samples to rank their votes")
    kind = np.min_scalar_type(highest)
    lacking = -codes.shape[1] % 8
    return np.pad(codes, ((0, 0), (0, lacking))).astype(kind)


def _odd(codes: _Codes) -> Counts:
    """[subsets] how many codes are odd."""
    odd = np.ascontiguousarray(codes & codes.dtype.type(1)).view(np.uint64)
    return np.asarray(np.bitwise_count(odd).sum(axis=1, dtype=np.int64))
