"""Which rule to serve, from validation questions.

**The criterion.** The calibrated rule, unless another one is clearly better on the validation
questions: by more than the standard error of the paired difference, which counts one question more
as won and one more as lost (`metrics.lead`); of several such the best. One sample of a
model, its self-consistency, mux and the pooled vote are the others.

**Why the calibrated rule is what others have to beat.** It contains the pooled vote (equal weights)
and comes near self-consistency (one weight far above the rest), and its shrinkage has already
weighed the evidence for that; and a few dozen questions cannot tell rules apart that differ by a
point, so most of the time the rule that is to be beaten is the one served. On the recorded banks
(`benchmarks/rules.py`) plain mux in that place ends 0.7 points below the best rule in hindsight
where there are fewest questions, and the calibrated rule within 0.1 everywhere.

Its own accuracy is measured by cross-fitting: each fold of the questions is answered with weights
fitted on the other folds. The best single model is chosen on the same questions that it is measured
on, which flatters it by a little.

**What is compared** are expected accuracies over all ordered draws of k of the recorded samples
(`scaling_scores`), the same figures that `slmmux search` and `slmmux scale` show: exact, but for
the calibrated rule and pooled votes out of reach, which are means over seeded draws. The order in
which samples were recorded changes nothing (`recorded_order`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slmmux.ballots import Ints
from slmmux.calibration import CrossFit, cross_fit, fit
from slmmux.errors import UsageError
from slmmux.evaluate import measured_accuracy
from slmmux.metrics import Estimate, Scores, estimate, lead, told_apart
from slmmux.recorded_order import counts_without_order, without_order
from slmmux.rules import Calibration
from slmmux.scaling_modes import modes
from slmmux.scaling_sampled import sampled_pooled_scores
from slmmux.scaling_scores import Expected
from slmmux.table import Table

_DECIMALS = 12
_REACH = 1_000_000  # multiplications on one question that are worth an exact pooled vote
_DRAWS = 20_000  # over all questions
_FEWEST = 20  # draws of a question


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleScore:
    """What a rule makes of the validation questions.

    Attributes:
        rule: `single`, `self_consistency`, `mux`, `pooled_vote` or `calibrated`.
        models: that it uses: all, or the one with which the first two are best.
        estimate: its accuracy.
        scores: [questions] its expected score on each, 0..1.
    """

    rule: str
    models: tuple[str, ...]
    estimate: Estimate
    scores: Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The rule to serve.

    Attributes:
        rule: its name; `single` and `self_consistency` are a pool of one model, the former with
            k = 1.
        models: to serve it with.
        why: a sentence.
        scores: of every rule, the best first.
        calibration: fitted on all validation questions; None where they are too few.
    """

    rule: str
    models: tuple[str, ...]
    why: str
    scores: tuple[RuleScore, ...]
    calibration: Calibration | None


def choose_rule(table: Table, k: int) -> Choice:
    """The rule to serve with these models and k.

    Args:
        table: validation questions and the pool's models.
        k: samples from each model.

    Raises:
        UsageError: no question has k samples of every model, or there are no questions.
    """
    table = without_order(table)
    calibration = fit(table, k)
    try:
        crossed = cross_fit(table, k)
    except UsageError:
        crossed = None
    scores = rule_scores(table, k, crossed)
    default = scores.get("calibrated", scores["mux"])
    chosen = rule_of(scores, default)
    ranked = sorted(scores.values(), key=lambda s: -round(s.estimate.accuracy, _DECIMALS))
    return Choice(
        rule=chosen.rule,
        models=chosen.models,
        why=_why(chosen, default, ranked, calibration),
        scores=tuple(ranked),
        calibration=None if crossed is None else calibration,
    )


def rule_scores(table: Table, k: int, crossed: CrossFit | None) -> dict[str, RuleScore]:
    """Every rule's expected scores on the table's questions.

    Args:
        table: validation questions.
        k: samples from each model; where there are fewer, those missing vote for nothing.
        crossed: `cross_fit` of the same; without it the calibrated rule is left out.
    """
    counts = counts_without_order(table)
    expected = Expected(table.models, counts, modes(counts, k, allow_missing=True))
    everyone = range(len(table.models))
    order = expected.order(everyone, measured_accuracy(table).by_model)
    pooled = expected.pooled(everyone, reach=_REACH).scores[:, k - 1]
    found = {
        "mux": _score("mux", table.models, expected.modes.mux_at(order, k)),
        "pooled_vote": _score("pooled_vote", table.models, pooled),
        "self_consistency": _best_model(
            "self_consistency", table, [expected.modes.mux_at([m], k) for m in everyone]
        ),
        "single": _best_model("single", table, [expected.single(m) for m in everyone]),
    }
    if crossed is None:
        return found
    weighed = _weighed(expected, k, pooled, crossed.weights)
    return {"calibrated": _score("calibrated", table.models, weighed), **found}


def _score(rule: str, models: tuple[str, ...], scores: Scores) -> RuleScore:
    return RuleScore(rule=rule, models=models, estimate=estimate(scores), scores=scores)


def _best_model(rule: str, table: Table, scores: Sequence[Scores]) -> RuleScore:
    """Of the model with which the rule is best, the first of equals."""
    means = [round(float(own.mean()), _DECIMALS) for own in scores]
    best = means.index(max(means))
    return _score(rule, (table.models[best],), scores[best])


def _weighed(expected: Expected, k: int, pooled: Scores, weights: Ints) -> Scores:
    """[questions] expected scores of weighted votes.

    Draws say what weights change of the pooled vote, whose score is known: less than the whole
    score, so that fewer draws will do, and nothing where all models weigh the same.

    Args:
        expected: of the table.
        k: samples from each model.
        pooled: [questions] scores of the pooled vote.
        weights: [questions × models].
    """
    rows = np.flatnonzero((weights != weights[:, :1]).any(axis=1))
    scores = np.array(pooled)
    if not len(rows):
        return scores
    counts = expected.counts.at(rows)
    # Where nothing is left out of a draw only ties are open, and those are counted, not drawn.
    everything = bool((counts.total <= k).all())
    plain, weighed = (
        sampled_pooled_scores(
            counts,
            expected.models,
            range(len(expected.models)),
            k,
            draws=2 if everything else max(_FEWEST, _DRAWS // len(weights)),
            seed=0,
            weights=given,
        ).scores[:, k - 1]
        for given in (None, weights[rows])
    )
    scores[rows] = np.clip(pooled[rows] + weighed - plain, 0, 1)
    return scores


def rule_of(scores: Mapping[str, RuleScore], default: RuleScore) -> RuleScore:
    """The default, or the best of those that are clearly better: the criterion."""
    better = [score for score in scores.values() if lead(score.scores, default.scores).clear]
    return max(better, key=lambda s: round(s.estimate.accuracy, _DECIMALS), default=default)


def _why(
    chosen: RuleScore,
    default: RuleScore,
    ranked: Sequence[RuleScore],
    calibration: Calibration,
) -> str:
    questions = f"{len(chosen.scores):,} validation questions"
    if chosen is not default:
        found = lead(chosen.scores, default.scores)
        ahead, error = told_apart(found.ahead, found.stderr)
        return (
            f"{_named(chosen)} on {questions}, {ahead} points more than {default.rule} "
            f"({default.estimate.accuracy:.1%}): more than the standard error of the difference "
            f"with one more question won and one more lost, {error}"
        )
    other = next((s for s in ranked if s is not default), default)
    told = f"{_named(default)} on {questions}; next, {_named(other)}"
    if other.estimate.accuracy > default.estimate.accuracy:
        told = (
            f"{_named(default)} on {questions}; {_named(other)}, ahead by no more than the "
            "standard error of the difference"
        )
    if default.rule == "calibrated" and len(set(calibration.weights)) == 1:
        told += "; all models weigh the same, which makes it a pooled vote with a probability"
    if default.rule != "calibrated":
        told += "; too few questions to calibrate"
    return told


def _named(score: RuleScore) -> str:
    whose = f" of {score.models[0]}" if score.rule in ("single", "self_consistency") else ""
    return f"{score.rule}{whose} has {score.estimate.accuracy:.1%}"
