"""How much the choice of a subset depends on the questions: a bootstrap over them.

Questions are drawn anew with replacement, and the best ranked subset is the winner of each such
draw; t that tie share it, 1/t each, for the questions do not tell them apart. Only ranked subsets
take part; of these, one that is 6 standard errors behind the winner is taken never to win, and its
interval is the normal one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slmmux.search_accuracy import UNIT, Expected
from slmmux.search_sets import SearchSets, unpacked
from slmmux.types import Interval

Over: TypeAlias = Callable[[], bool]

RESAMPLES = 1_000
_AT_ONCE = 100  # resamples
_FAR = 6.0  # standard errors: a subset this far behind wins one resample in a thousand million
_Z95 = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A subset beside the winner.

    Attributes:
        place: in the ranking; the winner is 0.
        difference: the winner's objective − this one's.
        ci95: 95% percentile interval of the difference, paired bootstrap over questions.
        wins: share of the resamples in which this one is the best of the ranked ones; of t that
            tie in one, each has 1/t of it.
    """

    place: int
    difference: float
    ci95: Interval
    wins: float

    @property
    def within_noise(self) -> bool:
        """Whether the questions do not tell the two apart."""
        return self.ci95.low <= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """How sure a winner is.

    Attributes:
        wins: share of the resamples in which the winner is the best of the ranked subsets, ties
            shared.
        resamples: of the questions.
        ranked: subsets that take part.
        rivals: the others, in the ranking's order.
    """

    wins: float
    resamples: int
    ranked: int
    rivals: tuple[Rival, ...]

    @property
    def told(self) -> str:
        """The share of wins in words; all of them is said of all of them only."""
        share = f"{self.wins:.0%}"
        return ">99%" if share == "100%" and self.wins < 1 else share

    @property
    def within_noise(self) -> int:
        """How many others the questions do not tell apart from the winner."""
        return sum(rival.within_noise for rival in self.rivals)


@dataclass(frozen=True, slots=True)
class Values:
    """What each question adds to the objective of each subset.

    Attributes:
        numbers: [subsets × questions] whole numbers, so that equal objectives are equal sums.
        unit: of the numbers: the objective is their mean / unit.
    """

    numbers: npt.NDArray[np.float64]
    unit: int


def stability(
    values: Mapping[int, Values],
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    over: Over = lambda: False,
) -> dict[int, Stability]:
    """The bootstrap, for several rankings on the same resamples.

    Args:
        values: ranking → its subsets' values, best first.
        rng: of the resamples.
        resamples: how many.
        over: whether to be content with those made so far; with none there is nothing to say.
    """
    if not values:
        return {}
    near = {which: np.flatnonzero(_distances(v.numbers) <= _FAR) for which, v in values.items()}
    numbers = np.concatenate([v.numbers[near[which]] for which, v in values.items()])
    parts = []
    for counts in _drawn(numbers.shape[1], rng, resamples):
        if over():
            break
        parts.append(counts @ numbers.T)
    if not parts:
        return {}
    sums = np.concatenate(parts)
    found, begin = {}, 0
    for which, ranked in values.items():
        end = begin + len(near[which])
        found[which] = _judged(ranked, near[which], sums[:, begin:end])
        begin = end
    return found


def _distances(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[subsets] how far behind the winner, in standard errors of the paired difference."""
    behind = numbers[0] - numbers
    errors = behind.std(axis=1) / np.sqrt(numbers.shape[1])
    means = behind.mean(axis=1)
    far = np.where(means > 0, np.inf, 0.0)
    return np.asarray(np.divide(means, errors, out=far, where=errors > 0))


def _drawn(
    questions: int, rng: np.random.Generator, resamples: int
) -> Iterator[npt.NDArray[np.float64]]:
    """[some resamples × questions] how often each question is drawn."""
    for begin in range(0, resamples, _AT_ONCE):
        some = min(_AT_ONCE, resamples - begin)
        drawn = rng.integers(questions, size=(some, questions))
        drawn += questions * np.arange(some)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=some * questions)
        yield counts.reshape(some, questions).astype(np.float64)


def _judged(values: Values, near: npt.NDArray[np.intp], sums: npt.NDArray[np.float64]) -> Stability:
    """How sure the winner is.

    Args:
        values: of the ranked subsets.
        near: places of those that were resampled, the winner first.
        sums: [resamples × near] of their values.
    """
    resamples, subsets = len(sums), len(values.numbers)
    scale = values.unit * values.numbers.shape[1]
    wins = np.zeros(subsets)
    best = sums == sums.max(axis=1, keepdims=True)  # whole numbers: equal is equal
    wins[near] = (best / best.sum(axis=1, keepdims=True)).sum(axis=0) / resamples
    behind = values.numbers[0] - values.numbers
    low, high = (
        (behind.mean(axis=1) + z * behind.std(axis=1) / np.sqrt(behind.shape[1])) / values.unit
        for z in (-_Z95, _Z95)
    )
    low[near], high[near] = np.quantile((sums[:, :1] - sums) / scale, (0.025, 0.975), axis=0)
    means = behind.mean(axis=1) / values.unit
    return Stability(
        wins=float(wins[0]),
        resamples=resamples,
        ranked=subsets,
        rivals=tuple(
            Rival(
                place=place,
                difference=float(means[place]),
                ci95=Interval(float(low[place]), float(high[place])),
                wins=float(wins[place]),
            )
            for place in range(1, subsets)
        ),
    )


def objective_values(
    sets: SearchSets, subsets: Sequence[Sequence[int]], weight: Fraction
) -> Values:
    """Of O; a question counts with the mean over its groups."""
    found = np.empty((len(subsets), sets.questions))
    for row, members in enumerate(subsets):
        places = list(members)
        correct = np.bitwise_or.reduce(sets.correct[places], axis=0)
        wrong = np.bitwise_or.reduce(sets.wrong[places], axis=0)
        union, both = (unpacked(w, sets).sum(axis=0) for w in (correct, correct & wrong))
        found[row] = union * weight.denominator - both * weight.numerator
    return Values(found, weight.denominator * sets.groups)


def accuracy_values(
    votes: Expected, subsets: Sequence[Sequence[int]], over: Over = lambda: False
) -> Values | None:
    """Of the expected accuracy of SLM-MUX; None when the time is over before all are counted."""
    found = np.empty((len(subsets), votes.questions))
    for row, members in enumerate(subsets):
        if over():
            return None
        found[row] = votes.scores(members)
    return Values(found, UNIT)
