"""Expected scores: how often a rule is right on every question when k recorded samples are drawn.

Of N ≥ k recorded samples of each model, all ordered ways to draw k are equally likely. Where a
model has N < k, and that is allowed, its N samples are in every draw and k - N votes are missing;
smaller k know nothing of it. `mux`,
`self_consistency` and `single` are exact (`scaling_modes`). `pooled_vote` is exact on questions
whose sum is within reach (`scaling_pooled`), and a mean over seeded draws, with its error, on the
others (`scaling_sampled`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from slmmux.errors import UsageError
from slmmux.metrics import Scores
from slmmux.scaling_modes import ClassCounts, Modes, modes, recorded_counts
from slmmux.scaling_pooled import Ballot, ballot, pooled_scores, work
from slmmux.scaling_sampled import sampled_pooled_scores
from slmmux.selection import priority
from slmmux.table import Amounts, Flags, Positions, Table

RULES = ("single", "self_consistency", "mux", "pooled_vote")
REACH = 5_000_000  # multiplications on one question that are worth an exact sum: about 20 ms
_ROWS = 60_000  # draws over all questions: a standard error below 0.2 points, mostly 0.05
_FEWEST = 50  # draws of a question


@dataclass(frozen=True, slots=True)
class Pooled:
    """Pooled vote on every question, for k = 1..k_max.

    Attributes:
        scores: [questions × k_max] chance of a right answer.
        variance: [questions × k_max] squared standard error of the score; 0 where it is exact.
        exact: [questions × k_max] whether it is.
    """

    scores: Amounts
    variance: Amounts
    exact: Flags


@dataclass(frozen=True, slots=True)
class Expected:
    """Expected scores of a table's questions.

    Attributes:
        models: names in pool order.
        counts: of the recorded samples.
        modes: of every model, for k = 1..k_max.
    """

    models: tuple[str, ...]
    counts: ClassCounts
    modes: Modes

    @classmethod
    def of(cls, table: Table, k_max: int, *, allow_missing: bool = False) -> "Expected":
        """For a table with k_max or more samples of every model on every question.

        Args:
            table: the samples.
            k_max: the most from each model.
            allow_missing: it may have fewer; what is missing votes for nothing.

        Raises:
            UsageError: it has fewer, and that is not allowed.
        """
        if k_max < 1:
            raise UsageError(f"k is {k_max}; it counts samples from each model: make it 1 or more")
        counts = recorded_counts(table.samples, table.right)
        return cls(table.models, counts, modes(counts, k_max, allow_missing=allow_missing))

    def order(self, members: Sequence[int], accuracies: Mapping[str, float | None]) -> list[int]:
        """The members by priority (rule 4).

        Args:
            members: positions in the pool; the pool's order is theirs.
            accuracies: validation accuracy by model name.
        """
        place = {self.models[m]: m for m in sorted(members)}
        return [place[name] for name in priority(list(place), accuracies)]

    def single(self, model: int) -> Scores:
        """[questions] P(one recorded sample is right); 0 where there is none."""
        right = (self.counts.votes[:, model] * self.counts.right).sum(axis=1)
        return np.asarray(right / np.maximum(self.counts.total[:, model], 1))

    def pooled(
        self,
        members: Sequence[int],
        *,
        seed: int = 0,
        reach: int = REACH,
        step: Callable[[], object] = lambda: None,
    ) -> Pooled:
        """Pooled vote of these models.

        Args:
            members: positions in the pool.
            seed: of the draws where exact sums are out of reach.
            reach: multiplications on one question that an exact sum may take.
            step: called once for every question.
        """
        members = sorted(members)
        k_max = self.modes.k_max
        questions = len(self.counts.total)
        found = Pooled(
            np.zeros((questions, k_max)),
            np.zeros((questions, k_max)),
            np.ones((questions, k_max), np.bool_),
        )
        known: dict[Ballot, Amounts] = {}
        for row in range(questions):
            case = _ballot(self.counts, row, members)
            if case not in known:
                known[case] = _exactly(case, k_max, reach)
            within = len(known[case])
            found.scores[row, :within] = known[case]
            found.exact[row, within:] = False
            step()
        self._draw(found, members, seed)
        return found

    def _draw(self, found: Pooled, members: Sequence[int], seed: int) -> None:
        """Fill in what is out of reach of an exact sum."""
        rows = np.flatnonzero(~found.exact.all(axis=1))
        if not len(rows):
            return
        sampled = sampled_pooled_scores(
            self.counts.at(rows),
            self.models,
            members,
            self.modes.k_max,
            draws=max(_FEWEST, -(-_ROWS // len(self.counts.total))),
            seed=seed,
        )
        # With k all there is, nothing but ties is left to chance, and those are counted exactly.
        total = self.counts.total[rows][:, list(members)]
        everything = (total[:, :, None] <= np.arange(1, self.modes.k_max + 1)).all(axis=1)
        drawn = ~found.exact[rows]
        found.exact[rows] |= everything
        found.scores[rows] = np.where(drawn, sampled.scores, found.scores[rows])
        found.variance[rows] = np.where(found.exact[rows], 0.0, sampled.variance)


def expected_scores(
    table: Table,
    rule: str,
    k: int,
    *,
    accuracies: Mapping[str, float | None],
    models: Sequence[int] | None = None,
    seed: int = 0,
    allow_missing: bool = False,
) -> Scores:
    """[questions] chance that a rule is right when k samples of each model are drawn.

    Args:
        table: with k or more samples of every model on every question.
        rule: `mux`, `pooled_vote`; or `single`, `self_consistency`, which take one model.
        k: samples from each model.
        accuracies: validation accuracy by model name; settles ties of `mux`.
        models: positions of those that take part; None is all.
        seed: of draws, where pooled vote is out of reach of an exact sum.
        allow_missing: the table may have fewer; what is missing votes for nothing.

    Raises:
        UsageError: no such rule, several models for one that takes one, or too few samples.
    """
    members = list(range(len(table.models))) if models is None else list(models)
    if rule not in RULES:
        raise UsageError(f"no rule {rule}; there are {', '.join(RULES)}")
    if rule in {"single", "self_consistency"} and len(members) != 1:
        raise UsageError(f"{rule} takes one model, and {len(members)} take part")
    expected = Expected.of(table.of(members), k, allow_missing=allow_missing)
    everyone = range(len(members))
    if rule == "single":
        return expected.single(0)
    if rule == "self_consistency":
        return expected.modes.mux_at([0], k)
    if rule == "mux":
        return expected.modes.mux_at(expected.order(everyone, accuracies), k)
    return np.asarray(expected.pooled(everyone, seed=seed).scores[:, k - 1])


def _ballot(counts: ClassCounts, row: int, members: Sequence[int]) -> Ballot:
    votes = counts.votes[row, members]
    voted: Positions = np.flatnonzero(votes.any(axis=0))
    classes = [tuple(column) for column in votes[:, voted].T.tolist()]
    return ballot(counts.total[row, members].tolist(), classes, counts.right[row, voted].tolist())


def _exactly(case: Ballot, k_max: int, reach: int) -> Amounts:
    """[as many k as are within reach] the exact scores."""
    within = _within_reach(case, k_max, reach)
    least = min(case.totals)
    whole = min(within, least)
    found = [pooled_scores(case, whole)] if whole else []
    for k in range(whole + 1, within + 1):
        # Missing samples fill up to this k and no further, and all that there are take part.
        filled = replace(case, totals=tuple(max(total, k) for total in case.totals))
        found.append(pooled_scores(filled, k)[k - 1 :])
    return np.concatenate(found) if found else np.zeros(0)


def _within_reach(case: Ballot, k_max: int, reach: int) -> int:
    """The largest k up to k_max whose exact sum is within reach; 0 if none is."""
    low, high = 0, k_max
    if work(case, k_max) <= reach:
        return k_max
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if work(case, middle) <= reach else (low, middle)
    return low
