"""Scores of questions → accuracy with its uncertainty, and paired comparisons.

**The sampling unit is the question.** A score is one number in 0..1 for one question: 1 or 0 for
one run, else the mean over the runs or samples that the bank allows on that question. Questions
are taken as drawn independently from the questions that the task stands for; a question's score
then carries both what differs between questions and what differs between the samples recorded for
it. So the spread of the scores over questions is all that the standard error needs, however many
subsamples went into each score: more subsamples make a score steadier, they do not make questions.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from slmmux.types import Interval

Scores: TypeAlias = npt.NDArray[np.float64]

_Z95 = float(special.ndtri(0.975))
_RESAMPLES = 10_000
_MORE = 4  # questions of the largest variance, beside those whose variance is measured
_DECIMALS = 12  # scores this close are equal: they are means of the same few zeros and ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """An accuracy and how well it is known.

    Attributes:
        accuracy: mean score over all questions (rule 6), 0..1.
        correct: sum of the scores: questions answered correctly, on average over runs.
        stderr: standard error of the accuracy over questions.
        ci95: 95% interval of the accuracy over questions.
    """

    accuracy: float
    correct: float
    stderr: float
    ci95: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """Two single answers to each question, compared where exactly one of them is right.

    Attributes:
        only_this, only_other: questions that only this, or only the other, answered correctly.
        p_value: two-sided exact binomial probability of so uneven a split, were both as good.
    """

    only_this: int
    only_other: int
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference of two accuracies on the same questions.

    Attributes:
        difference: this accuracy − the other, −1..1.
        ci95: 95% percentile interval of the paired bootstrap over questions.
    """

    difference: float
    ci95: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """How far one is ahead of another on the same questions, and how well that is known.

    Attributes:
        ahead: this accuracy − the other, −1..1.
        stderr: its standard error as it is with one more question won and one more lost, so that
            it is never 0 and one or two questions that differ never make a clear lead.
    """

    ahead: float
    stderr: float

    @property
    def clear(self) -> bool:
        """Whether it is ahead by more than the standard error."""
        return round(self.ahead - self.stderr, _DECIMALS) > 0


def lead(these: Scores, others: Scores) -> Lead:
    """How far the first are ahead of the others.

    A handful of questions decide between accuracies that differ by a point, and the spread of so
    few says little of itself: where one question differs the plain standard error is below the
    difference, whatever the number of questions. So it is taken (unbiased) from the differences and
    two more, one won and one lost (Agresti and Min 2005 do so for paired shares): two questions won
    of any number are then exactly one standard error.

    Args:
        these: [questions], 0..1.
        others: of the same questions in the same order.
    """
    differences = np.round(these - others, _DECIMALS)
    questions = len(differences)
    spread = float(np.append(differences, (1.0, -1.0)).std(ddof=1))
    return Lead(
        ahead=float(differences.mean()), stderr=spread * float(np.sqrt(questions + 2)) / questions
    )


def told_apart(more: float, less: float) -> tuple[str, str]:
    """Two shares in points, with as many digits as it takes to tell them apart."""
    texts = [(f"{100 * more:.{digits}f}", f"{100 * less:.{digits}f}") for digits in (1, 2, 3)]
    return next((pair for pair in texts if pair[0] != pair[1]), texts[0])


def estimate(scores: Scores) -> Estimate:
    """Accuracy with standard error and 95% interval, questions as the sampling unit.

    The interval is Wilson's at the effective number of questions, p(1 − p)/stderr²: for scores of
    0 and 1 (one run) that is the number of questions and the interval is Wilson's own; averaged
    scores vary less between questions, so it is narrower. Their variance counts as if four more
    questions had been seen with scores of 0 and 1 (Agresti and Coull's four): a few equal scores do
    not make a certainty, and with scores of 0 and 1 it changes nothing. It covers the accuracy
    over the population of questions, with the samples of each drawn anew.

    Args:
        scores: [questions], 0..1.
    """
    questions = len(scores)
    accuracy = float(scores.mean())
    variance = float(np.square(np.round(scores - accuracy, _DECIMALS)).mean())
    stderr = float(np.sqrt(variance / questions))
    binomial = accuracy * (1 - accuracy)
    seen = (questions * variance + _MORE * binomial) / (questions + _MORE)
    effective = questions * binomial / seen if seen > 0 else questions
    return Estimate(
        accuracy=accuracy,
        correct=float(scores.sum()),
        stderr=stderr,
        ci95=wilson(accuracy, effective),
    )


def wilson(share: float, count: float) -> Interval:
    """Wilson's 95% score interval of a share seen in so many independent cases."""
    spread = _Z95**2 / count
    centre = (share + spread / 2) / (1 + spread)
    half = _Z95 / (1 + spread) * np.sqrt(share * (1 - share) / count + spread / (4 * count))
    return Interval(max(0.0, float(centre - half)), min(1.0, float(centre + half)))


def difference(these: Scores, others: Scores, rng: np.random.Generator) -> Difference:
    """Paired bootstrap over questions.

    Resampling n questions with replacement draws each distinct difference a multinomial number of
    times, so it is these counts that are drawn: the same distribution, without touching n numbers
    ten thousand times.

    Args:
        these: [questions], 0..1.
        others: of the same questions in the same order.
        rng: of the resamples.
    """
    differences = np.round(these - others, _DECIMALS)
    values, counts = np.unique(differences, return_counts=True)
    total = int(counts.sum())
    drawn = rng.multinomial(total, counts / total, size=_RESAMPLES)
    low, high = np.quantile(drawn @ values / total, (0.025, 0.975))
    return Difference(
        difference=float((these - others).mean()), ci95=Interval(float(low), float(high))
    )


def mcnemar(these: npt.NDArray[np.bool_], others: npt.NDArray[np.bool_]) -> McNemar:
    """McNemar's exact test; [questions] of right or wrong, the same questions in the same order."""
    only_this = int((these & ~others).sum())
    only_other = int((others & ~these).sum())
    fewer, both = min(only_this, only_other), only_this + only_other
    p_value = min(1.0, 2 * float(special.bdtr(fewer, both, 0.5))) if both else 1.0
    return McNemar(only_this=only_this, only_other=only_other, p_value=p_value)
