"""Which rule to serve, from validation questions.

**The criterion.** The calibrated rule, unless another one is better on the validation questions by
more than the standard error of the paired difference; of several such the best. One sample of a
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
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slmmux.calibration import RUNS, CrossFit, cross_fit, fit
from slmmux.errors import UsageError
from slmmux.evaluate import measured_accuracy
from slmmux.methods import METHODS, Calibrated, Method, budget_of
from slmmux.metrics import Estimate, Scores, estimate
from slmmux.rules import Calibration
from slmmux.scores import mean_scores
from slmmux.subsamples import has_more_than, windows
from slmmux.table import Table

_PLAIN = ("mux", "pooled_vote", "self_consistency", "single")
_DECIMALS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleScore:
    """What a rule makes of the validation questions.

    Attributes:
        rule: `single`, `self_consistency`, `mux`, `pooled_vote` or `calibrated`.
        models: that it uses: all, or the one with which the first two are best.
        estimate: its accuracy.
        scores: [questions] its mean over runs on each, 0..1.
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
    """Every rule on the same runs of the table's questions.

    Args:
        table: validation questions.
        k: samples from each model.
        crossed: `cross_fit` of the same; without it the calibrated rule is left out.
    """
    methods: dict[str, Method] = {name: METHODS[name]() for name in _PLAIN}
    if crossed is not None:
        methods = {"calibrated": Calibrated.cross_fitted(crossed), **methods}
    runs = RUNS if has_more_than(table.samples.classes, k) else 1
    budget = budget_of(
        table.models,
        windows(table.samples, k, runs),
        measured_accuracy(table).by_model,
        recorded=table.samples.classes,
    )
    found: dict[str, RuleScore] = {}
    for name, method in methods.items():
        graded = [(d.models, mean_scores(d, table.right)) for d in method.decide(budget)]
        models, scores = max(graded, key=lambda pair: round(float(pair[1].mean()), _DECIMALS))
        found[name] = RuleScore(rule=name, models=models, estimate=estimate(scores), scores=scores)
    return found


def rule_of(scores: Mapping[str, RuleScore], default: RuleScore) -> RuleScore:
    """The default, or the best of those that are clearly better: the criterion."""
    better = [score for score in scores.values() if _leads(score, default)]
    return max(better, key=lambda s: round(s.estimate.accuracy, _DECIMALS), default=default)


def _leads(score: RuleScore, default: RuleScore) -> bool:
    """Whether it is better by more than the standard error of the difference."""
    difference = np.round(score.scores - default.scores, _DECIMALS)
    return bool(difference.mean() > difference.std() / np.sqrt(len(difference)))


def _why(
    chosen: RuleScore,
    default: RuleScore,
    ranked: Sequence[RuleScore],
    calibration: Calibration,
) -> str:
    questions = f"{len(chosen.scores)} validation questions"
    if chosen is not default:
        difference = chosen.scores - default.scores
        error = float(difference.std() / np.sqrt(len(difference)))
        return (
            f"{_named(chosen)} on {questions}, {100 * difference.mean():.1f} points more than "
            f"{default.rule} ({default.estimate.accuracy:.1%}): more than the standard error of "
            f"the difference, {100 * error:.1f}"
        )
    other = next((s for s in ranked if s is not default), default)
    told = f"{_named(default)} on {questions}; next, {_named(other)}"
    if other.estimate.accuracy > default.estimate.accuracy:
        told = (
            f"{_named(default)} on {questions}; {_named(other)} is ahead by no more than the "
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
