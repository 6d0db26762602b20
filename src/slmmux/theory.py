"""The paper's model of accuracy, A(N, p), and how far it is from what the samples say.

If a question is answered correctly with chance p by each of N independent samples, a majority of
them is right with chance A(N, p) = Pr(X ≥ ⌈N/2⌉), X ~ Bin(N, p): 1 for p = 1, growing with N for
p > ½, falling for p < ½. For K models with k samples each, chances p_1 … p_K on a question, the
paper takes

* SLM-MUX as the best of its models: A(k, p_max), p_max = max p_m;
* Agent Forest (pooled vote) as one vote of average samples: A(K · k, p̄), p̄ = mean p_m;
* self-consistency of a model: A(k, p_m).

A task's accuracy is the mean over its questions; p_m is the share of a model's recorded samples
that is right. The approximations leave out how wrong answers spread over classes (a class can win
without a majority), that a confident wrong model beats an unsure right one, and that p is itself
estimated from N samples; a tie at even N counts as won. `theory` says what that comes to.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from slmmux.scaling import Point
from slmmux.table import MISSING, Amounts, Table, lookup


@dataclass(frozen=True, slots=True)
class QuestionTypes:
    """How many questions a model answers with which chance p.

    The paper has three types: p = 1, p > ½ and p < ½. Its third holds `unlikely` and `never` here;
    questions at exactly ½, where more samples change nothing at odd N, are kept apart.

    Attributes:
        certain: p = 1.
        likely: ½ < p < 1.
        even: p = ½.
        unlikely: 0 < p < ½.
        never: p = 0.
    """

    certain: int
    likely: int
    even: int
    unlikely: int
    never: int


@dataclass(frozen=True, slots=True)
class Approximation:
    """An approximated accuracy beside the expected one.

    Attributes:
        approximation: by A(N, p).
        expected: from the recorded samples (`scaling_scores`).
    """

    approximation: float
    expected: float

    @property
    def error(self) -> float:
        """Approximation − expected accuracy."""
        return self.approximation - self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The approximations of one point.

    Attributes:
        models: that take part.
        k: samples from each.
        mux: A(k, p_max).
        pooled: A(K · k, p̄); None where pooled vote was not computed.
        self_consistency: A(k, p) of the point's one model.
    """

    models: tuple[str, ...]
    k: int
    mux: Approximation
    pooled: Approximation | None
    self_consistency: Approximation


@dataclass(frozen=True, slots=True)
class Theory:
    """The paper's analysis of a task.

    Attributes:
        types: model → its questions by chance.
        comparisons: one a point.
    """

    types: dict[str, QuestionTypes]
    comparisons: tuple[Comparison, ...]


def majority(n: int, p: Amounts | float) -> Amounts:
    """A(N, p) = Pr(X ≥ ⌈N/2⌉) with X ~ Bin(N, p).

    Args:
        n: samples, 1 or more.
        p: chance that a sample is right; any shape.
    """
    return np.asarray(special.bdtrc(-(-n // 2) - 1, n, p), np.float64)


def chances(table: Table) -> Amounts:
    """[questions × models] share of the recorded samples that is right, 0 where there are none."""
    right = lookup(table.right, table.samples.classes).sum(axis=2)
    counts = (table.samples.classes != MISSING).sum(axis=2)
    return np.asarray(right / np.maximum(counts, 1), np.float64)


def question_types(p: Amounts) -> QuestionTypes:
    """Questions by their chance.

    Args:
        p: [questions].
    """
    return QuestionTypes(
        certain=int((p == 1).sum()),
        likely=int(((p > 0.5) & (p < 1)).sum()),  # noqa: PLR2004 - the paper's ½
        even=int((p == 0.5).sum()),  # noqa: PLR2004
        unlikely=int(((p > 0) & (p < 0.5)).sum()),  # noqa: PLR2004
        never=int((p == 0).sum()),
    )


def theory(table: Table, points: Sequence[Point]) -> Theory:
    """The paper's analysis of the questions that the points are reported on.

    Args:
        table: of the test questions.
        points: whose models are the table's.
    """
    p = chances(table)
    places = {name: place for place, name in enumerate(table.models)}
    return Theory(
        types={name: question_types(p[:, place]) for name, place in places.items()},
        comparisons=tuple(_compared(p, places, point) for point in points),
    )


def _compared(p: Amounts, places: dict[str, int], point: Point) -> Comparison:
    mine = p[:, [places[name] for name in point.models]]
    one = p[:, places[point.consistent]]
    pooled = None
    if point.pooled is not None:
        pooled = _approximation(point.budget, mine.mean(axis=1), point.pooled.estimate.accuracy)
    return Comparison(
        models=point.models,
        k=point.k,
        mux=_approximation(point.k, mine.max(axis=1), point.mux.accuracy),
        pooled=pooled,
        self_consistency=_approximation(point.k, one, point.self_consistency.accuracy),
    )


def _approximation(n: int, p: Amounts, expected: float) -> Approximation:
    return Approximation(float(majority(n, p).mean()), expected)
