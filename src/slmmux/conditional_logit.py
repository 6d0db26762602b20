"""A conditional logit over the classes of each question: how much each model's votes tell.

P(class c is the right one) ∝ exp Σ_m w_m · share_m(c), share the model's votes for c over k, among
the classes that have votes, on questions where one of them is right (McFadden 1974). The weights
are w_m = common + own_m with own_m normal around 0 with standard deviation τ.

**How τ is chosen.** By empirical Bayes: the τ of a short list with the highest evidence, the
probability of the data with the weights integrated out (Laplace's approximation around the best
weights). With little data, or models that are alike, τ = 0 explains as much and wins, which makes
all weights equal: a pooled vote. So the noise of a few dozen questions is not taken for a
difference between models, and there is nothing to tune.
"""

from dataclasses import dataclass

import numpy as np

from slmmux.ballots import Ballots, Floats
from slmmux.table import Flags

SPREADS = (0.0, 0.125, 0.25, 0.5, 1.0)
_PRECISION = 0.01  # of the common weight's prior: as good as none
_COMMON = 2.0  # its mean
_STEPS = 50
_CLOSE = 1e-9  # of the penalised log-likelihood
_HALVINGS = 20
_LEAST = 1e-300  # keeps the logarithm of a chance finite
_MARGIN = 1e-6  # a larger τ must explain more than another machine's rounding does


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The best weights for one τ.

    Attributes:
        weights: [models] log-odds that all votes of each are worth.
        spread: τ.
        evidence: log probability of the data.
    """

    weights: Floats
    spread: float
    evidence: float


def fit_weights(ballots: Ballots, right: Flags, row_weight: float) -> Fit:
    """The weights with the τ of highest evidence; of about equal ones the smallest.

    Args:
        ballots: of all runs of the validation questions.
        right: [classes] at most one a row.
        row_weight: what a row counts, so that a question counts 1 however many runs it is in.
    """
    shares = ballots.votes / ballots.k
    models = shares.shape[1]
    if not right.any():
        return Fit(weights=np.full(models, _COMMON), spread=0.0, evidence=0.0)
    data = _Data(ballots, right, row_weight)
    pooled = _maximise(data, shares.sum(axis=1, keepdims=True), 0.0, np.array([_COMMON]))
    best = Fit(weights=np.full(models, pooled.point[0]), spread=0.0, evidence=pooled.evidence)
    if models == 1:
        return best
    design = np.column_stack([shares.sum(axis=1), shares])
    start = np.append(pooled.point, np.zeros(models))
    for spread in SPREADS[1:]:
        found = _maximise(data, design, spread, start)
        start = found.point
        if found.evidence > best.evidence + _MARGIN:
            weights = found.point[0] + found.point[1:]
            best = Fit(weights=weights, spread=spread, evidence=found.evidence)
    return best


@dataclass(frozen=True, slots=True)
class _Data:
    """What `fit_weights` is given."""

    ballots: Ballots
    right: Flags
    row_weight: float


@dataclass(frozen=True, slots=True)
class _Maximum:
    """Where the penalised log-likelihood is highest, and the evidence there."""

    point: Floats
    evidence: float


@dataclass(frozen=True, slots=True)
class _Likelihood:
    """Value, slope and curvature at a point; of the data alone."""

    value: float
    slope: Floats
    curvature: Floats


def _maximise(data: _Data, design: Floats, spread: float, start: Floats) -> _Maximum:
    """Newton's method with halved steps: the objective is concave.

    Args:
        data: of the validation questions.
        design: [classes × columns] the sum of all shares, then each model's own.
        spread: τ.
        start: a point to begin at.
    """
    size = design.shape[1]
    precision = np.append(_PRECISION, np.full(size - 1, spread**-2 if spread else 1.0))
    centre = np.append(_COMMON, np.zeros(size - 1))

    def penalty(at: Floats) -> float:
        return float((precision * (at - centre) ** 2).sum()) / 2

    point, here = start, _likelihood(data, design, start)
    for _ in range(_STEPS):
        slope = here.slope - precision * (point - centre)
        step = np.linalg.solve(here.curvature + np.diag(precision), slope)
        for _ in range(_HALVINGS):
            there = _likelihood(data, design, point + step)
            gained = there.value - penalty(point + step) - here.value + penalty(point)
            if gained >= 0:
                break
            step = step / 2
        else:
            break
        point, here = point + step, there
        if gained < _CLOSE:
            break
    volume = np.linalg.slogdet(here.curvature + np.diag(precision)).logabsdet
    evidence = here.value - penalty(point) + float(np.log(precision).sum() - volume) / 2
    return _Maximum(point, evidence)


def _likelihood(data: _Data, design: Floats, point: Floats) -> _Likelihood:
    ballots, right = data.ballots, data.right
    utility = design @ point
    top = np.repeat(np.maximum.reduceat(utility, ballots.starts), ballots.lengths)
    odds = np.exp(utility - top)
    chance = odds / np.repeat(ballots.sums(odds), ballots.lengths)
    winnable = ballots.sums(right.astype(np.float64)) > 0
    mean = ballots.sums(chance[:, None] * design)[winnable]
    counted = np.repeat(winnable, ballots.lengths) * data.row_weight
    value = float((counted * right * np.log(np.maximum(chance, _LEAST))).sum())
    slope = (counted * right) @ design - data.row_weight * mean.sum(axis=0)
    second = design.T @ ((counted * chance)[:, None] * design)
    return _Likelihood(value, slope, second - data.row_weight * mean.T @ mean)
