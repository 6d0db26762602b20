"""Validation questions → a calibration: weights of models' votes, and probabilities.

Two steps. The weights come from a conditional logit (`slmmux.conditional_logit`), shrunk towards
equal ones as far as the data say, and are rounded to whole numbers. Two more parameters then turn
weighted votes into the probability that a class is right, "none of them is" included
(`rules.Calibration` has the formula): the likeliest ones, held near plain values by a weak prior,
so that a few dozen questions without a mistake do not make a certainty.

The computation is ours because it must give the same calibration on every machine: Newton's method
and nested searches of fixed lengths on concave or one-dimensional functions, no random numbers, and
results rounded far above what machines differ in. A general optimiser's path is no part of its
promise.

What a calibration promises is measured on questions that it was not fitted on: `cross_fit` fits it
on all folds but one, for each fold, and `reliability` compares its probabilities with what was
right.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from slmmux.ballots import Ballots, Floats, Ints, ballots_of
from slmmux.conditional_logit import fit_weights
from slmmux.errors import UsageError
from slmmux.holdout import content
from slmmux.rules import FULL_WEIGHT, Calibration
from slmmux.subsamples import has_more_than, usual_count, windows
from slmmux.table import Flags, Positions, Table

FOLDS = 5
RUNS = 8  # of each validation question, where the bank has more than k samples
_ROWS = 4000  # questions × runs that are fitted to; more change no weight by much
_SHARPNESS = (0.1, 40.0)
_USUAL_SHARPNESS, _SHARPNESS_SPREAD = 3.0, 1.0  # prior of log sharpness: centre and deviation
_OUTSIDE_SPREAD = 3.0  # and of the outside option, around 0
_GRID = 25
_HALVINGS = 40
_DECIMALS = 4
_LEAST = 1e-9  # chance of what happened: only models of weight 0 were right


def fit(table: Table, k: int) -> Calibration:
    """A calibration of the table's models, in its pool order.

    Args:
        table: validation questions; a few dozen will do.
        k: samples from each model.

    Raises:
        UsageError: there are no questions, or no question has k samples of every model.
    """
    _check(table, k)
    most = -(-len(table.questions) // _ROWS)  # every so many-th question, where there are many
    used = table.at(range(0, len(table.questions), most)) if most > 1 else table
    runs = 1
    if has_more_than(used.samples.classes, k):
        runs = max(1, min(RUNS, _ROWS // len(used.questions)))
    ballots = ballots_of(windows(used.samples, k, runs))
    right = ballots.right(used.right)
    fitted = fit_weights(ballots, right, 1 / runs)
    weights = _whole(fitted.weights)
    sharpness, outside = _probabilities(ballots, right, weights, 1 / runs)
    return Calibration(
        models=table.models,
        k=k,
        weights=weights,
        sharpness=sharpness,
        outside=outside,
        questions=len(table.questions),
        spread=fitted.spread,
    )


def folds(table: Table, count: int = FOLDS) -> Positions:
    """[questions] which of so many folds each is in; questions of one text share a fold."""
    place: dict[str, int] = {}
    return np.array([place.setdefault(content(q), len(place)) for q in table.questions]) % count


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossFit:
    """Calibrations that never saw the questions they are used on.

    Attributes:
        calibrations: one for each fold, fitted on the others.
        folds: [questions] fold of each.
    """

    calibrations: tuple[Calibration, ...]
    folds: Positions

    @property
    def weights(self) -> Ints:
        """[questions × models] the weights that each question's votes get."""
        return np.array([c.weights for c in self.calibrations], np.int64)[self.folds]


def cross_fit(table: Table, k: int, count: int = FOLDS) -> CrossFit:
    """A calibration for each fold of the questions, fitted on the other folds.

    Args:
        table: 2 or more different questions.
        k: samples from each model.
        count: folds; no more than there are different questions.

    Raises:
        UsageError: as `fit`, or a single question.
    """
    _check(table, k)
    different = len(set(map(content, table.questions)))
    if different < 2:  # noqa: PLR2004 - one to fit on and one to use it on
        raise UsageError("one question is too few to fit on some and measure on others")
    number = folds(table, min(count, different))
    fitted = tuple(
        fit(table.at(np.flatnonzero(number != fold).tolist()), k)
        for fold in range(min(count, different))
    )
    return CrossFit(calibrations=fitted, folds=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Answers of about the same probability.

    Attributes:
        low, high: its probabilities.
        share: of all answers.
        probability: mean, as said.
        right: share that was right.
    """

    low: float
    high: float
    share: float
    probability: float
    right: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Probabilities against what was right, on questions that were not fitted on.

    Attributes:
        bins: those with answers, from low to high: the reliability diagram.
        error: expected calibration error: mean over answers of |probability − right| by bin.
        brier: mean of (probability − right)², 0 or 1.
        answers: how many; questions without any answer have no probability.
    """

    bins: tuple[Bin, ...]
    error: float
    brier: float
    answers: int


def reliability(
    table: Table, k: int, *, bins: int = 10, fitted: CrossFit | None = None
) -> Reliability:
    """How far the calibrated rule's probabilities can be trusted, by cross-fitting.

    Args:
        table: validation questions.
        k: samples from each model.
        bins: of equal width.
        fitted: `cross_fit` of the same; None makes it.

    Raises:
        UsageError: as `cross_fit`.
    """
    fitted = fitted or cross_fit(table, k)
    runs = RUNS if has_more_than(table.samples.classes, k) else 1
    said, was_right = [], []
    for fold, calibration in enumerate(fitted.calibrations):
        held = table.at(np.flatnonzero(fitted.folds == fold).tolist())
        ballots = ballots_of(windows(held.samples, k, runs))
        best = ballots.best(ballots.scores(np.array(calibration.weights)))
        said.append(probabilities(ballots, calibration)[best])
        was_right.append(ballots.right(held.right)[best])
    return _reliability(np.concatenate(said), np.concatenate(was_right), bins)


def probabilities(ballots: Ballots, calibration: Calibration) -> Floats:
    """[classes] `Calibration.probability` of every class, all draws known."""
    shares = ballots.scores(np.array(calibration.weights)) / (FULL_WEIGHT * calibration.k)
    worth = np.expm1(calibration.sharpness * shares)
    total = ballots.sums(worth) + np.exp(calibration.outside)
    return np.asarray(worth / np.repeat(total, ballots.lengths))


def _reliability(said: Floats, was_right: Flags, bins: int) -> Reliability:
    number = np.minimum((said * bins).astype(int), bins - 1)
    filled = [(place, number == place) for place in range(bins) if (number == place).any()]
    found = tuple(
        Bin(
            low=place / bins,
            high=(place + 1) / bins,
            share=float(inside.mean()),
            probability=float(said[inside].mean()),
            right=float(was_right[inside].mean()),
        )
        for place, inside in filled
    )
    return Reliability(
        bins=found,
        error=sum(b.share * abs(b.probability - b.right) for b in found),
        brier=float(np.square(said - was_right).mean()) if len(said) else 0.0,
        answers=len(said),
    )


def _check(table: Table, k: int) -> None:
    if k < 1:
        raise UsageError(f"k is {k}; it counts samples from each model, so make it 1 or more")
    if not table.questions:
        raise UsageError("there are no validation questions to calibrate on")
    have = usual_count(table.samples.classes)
    if have < k:
        raise UsageError(
            f"the validation questions have {have} samples of every model, and k is {k}: take a "
            "smaller k, or `slmmux collect` more"
        )


def _whole(weights: Floats) -> tuple[int, ...]:
    """Weights as whole numbers up to FULL_WEIGHT; a model that misleads gets 0.

    Where every model does, none is better than another.
    """
    kept = np.maximum(weights, 0.0)
    largest = float(kept.max())
    if largest <= 0:
        return (FULL_WEIGHT,) * len(weights)
    return tuple(round(FULL_WEIGHT * float(weight) / largest) for weight in kept)


def _probabilities(
    ballots: Ballots, right: Flags, weights: Sequence[int], row_weight: float
) -> tuple[float, float]:
    """The likeliest sharpness and outside option, rounded.

    The likelihood is concave in the outside option; over the sharpness a grid is searched, and
    then the golden section between the grid's neighbours of its best point.
    """
    shares = ballots.scores(np.array(weights, np.int64)) / (FULL_WEIGHT * ballots.k)
    winnable = ballots.sums(right.astype(np.float64)) > 0

    def outside(log_sharpness: float) -> tuple[float, float]:
        worth = np.expm1(np.exp(log_sharpness) * shares)
        total = ballots.sums(worth)
        correct = ballots.sums(worth * right)
        best = _outside(total, winnable, row_weight)
        none = np.exp(best)
        chance = np.where(winnable, correct, none) / (total + none)
        far = (log_sharpness - np.log(_USUAL_SHARPNESS)) / _SHARPNESS_SPREAD
        penalty = (far**2 + (best / _OUTSIDE_SPREAD) ** 2) / 2
        return float(row_weight * np.log(np.maximum(chance, _LEAST)).sum() - penalty), best

    low, high = np.log(_SHARPNESS)
    grid = np.linspace(low, high, _GRID)
    best = int(np.argmax([outside(at)[0] for at in grid]))
    around = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, _GRID - 1)])
    log_sharpness = _golden(lambda at: outside(at)[0], *around)
    return (
        round(float(np.exp(log_sharpness)), _DECIMALS),
        round(outside(log_sharpness)[1], _DECIMALS),
    )


def _outside(total: Floats, winnable: Flags, row_weight: float) -> float:
    """Where Σ log P is highest, by halving: its slope falls from left to right."""
    low, high = -30.0, 30.0
    missed = row_weight * float((~winnable).sum())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        none = np.exp(middle)
        slope = missed - row_weight * float((none / (total + none)).sum())
        slope -= middle / _OUTSIDE_SPREAD**2
        low, high = (middle, high) if slope > 0 else (low, middle)
    return (low + high) / 2


def _golden(value: Callable[[float], float], low: float, high: float) -> float:
    """The highest point between two, to a millionth of their distance."""
    ratio = (5**0.5 - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = value(left), value(right)
    for _ in range(30):
        if at_left >= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = value(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = value(right)
    return (low + high) / 2
