"""Methods on the same recorded samples → accuracies, comparisons, draws, tokens, cost.

Every method sees the same runs. A run is samples 0..k-1 of every model; with more trials it is a
seeded subset of k for every question and model, and a method's score on a question is its mean
over the runs. What the intervals are over is said in `slmmux.metrics`: questions.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from slmmux.calibration import cross_fit, fit
from slmmux.config import MuxConfig
from slmmux.errors import UsageError
from slmmux.evaluation import (
    EVALUATED,
    Comparison,
    Entry,
    Evaluation,
    Group,
    ValidationAccuracy,
)
from slmmux.methods import METHODS, Calibrated, Method
from slmmux.metrics import difference, estimate, mcnemar
from slmmux.results import Json
from slmmux.scores import Bench, Report, Score
from slmmux.stopping import Schedule
from slmmux.subsamples import Shortage, has_more_than, shortage, usual_count
from slmmux.table import MISSING, Positions, Table, guess_notes, lookup
from slmmux.waves import MOST_SAMPLES

TRIALS = 100
_DEFAULT_K = 3
_DECIMALS = 12  # means this close are equal: the first model of the pool is the best one
_BASELINES = ("single", "self_consistency", "pooled_vote")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to evaluate.

    Attributes:
        k: samples from each model.
        trials: runs; 1 takes samples 0..k-1, None is 1 where the bank holds no more than k
            samples a model, and 100 subsets of k where it does.
        seed: of the subsets and the bootstrap.
        by: metadata field to group by, or `task`.
        allow_missing: let missing samples vote for nothing instead of refusing.
        schedule: of exact stopping, whose draws are counted on the run of samples 0..k-1.
        replays: questions on which the draws of exact stopping are counted, seeded, to stand for
            all; None counts them on every question.
        in_full: methods whose draws are counted in full, since counting them with exact stopping
            takes too long.
        compared: methods to compare with the best single model, the best model's self-consistency
            and pooled vote; None means all.
    """

    k: int
    trials: int | None = None
    seed: int = 0
    by: str | None = None
    allow_missing: bool = False
    schedule: Schedule = MuxConfig().schedule
    replays: int | None = None
    in_full: frozenset[str] = frozenset()
    compared: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Others:
    """What methods are compared with; of one model, the best."""

    single: Score
    self_consistency: Score
    pooled: Score


def evaluate(
    table: Table,
    methods: Mapping[str, Method],
    plan: Plan,
    accuracy: ValidationAccuracy | None = None,
    *,
    validation: Table | None = None,
    report: Report | None = None,
) -> Evaluation:
    """Every method on the same runs.

    Args:
        table: the samples.
        methods: by name, in the order of the results.
        plan: how many samples and runs.
        accuracy: settles ties; None is measured on the table itself.
        validation: questions that method `calibrated` is fitted on, the same models in the same
            order; None fits it on all folds of the table's questions but one, for each fold.
        report: told whose draws under exact stopping are being counted, and the share done.

    Raises:
        UsageError: samples are missing, or the plan asks for what the table does not have.
    """
    _check(table, plan)
    accuracy = accuracy or measured_accuracy(table)
    trials = (plan.trials or TRIALS) if has_more_than(table.samples.classes, plan.k) else 1
    missing = shortage(table.samples.classes, table.models, plan.k, first=trials == 1)
    if "single_greedy" in methods:
        missing = missing.plus(_greedy_shortage(table))
    if missing.samples and not plan.allow_missing:
        raise UsageError(refusal(table, plan.k, missing))
    methods, fitted_on = _with_calibration(table, methods, plan.k, accuracy, validation)
    bench = Bench(
        table,
        accuracy.by_model,
        k=plan.k,
        trials=trials,
        seed=plan.seed,
        schedule=plan.schedule,
        replays=plan.replays,
        in_full=plan.in_full,
        report=report,
    )
    baselines = {name: METHODS[name]() for name in _BASELINES}
    scores = bench.scores({**methods, **baselines})
    others = _Others(
        single=_best(scores["single"]),
        self_consistency=_best(scores["self_consistency"]),
        pooled=scores["pooled_vote"][0],
    )
    groups = _groups(table, plan.by)
    if not any(scores[name] for name in methods):
        raise UsageError(
            "single_greedy: no samples at temperature 0; `slmmux collect --greedy` draws them"
        )
    return Evaluation(
        task="+".join(dict.fromkeys(q.task for q in table.questions)),
        models=table.models,
        k=plan.k,
        questions=len(table.questions),
        trials=trials,
        seed=plan.seed,
        run_seed=table.run_seed,
        by=plan.by,
        missing=missing.samples,
        kinds=tuple(dict.fromkeys(table.kinds)),
        accuracy=accuracy,
        entries=tuple(
            _entry(score, others, groups, plan) for name in methods for score in scores[name]
        ),
        notes=(*_notes(table, methods, plan, trials, missing), *fitted_on),
    )


def _with_calibration(
    table: Table,
    methods: Mapping[str, Method],
    k: int,
    accuracy: ValidationAccuracy,
    validation: Table | None,
) -> tuple[dict[str, Method], list[str]]:
    """The methods with the calibrated one fitted, and what a reader must know of that."""
    fitted, notes = dict(methods), []
    for name, method in methods.items():
        if isinstance(method, Calibrated) and method.weights is None:
            fitted[name], note = _calibrated(table, k, accuracy, validation)
            notes.append(f"{name}: {note}")
    return fitted, notes


def _calibrated(
    table: Table, k: int, accuracy: ValidationAccuracy, validation: Table | None
) -> tuple[Calibrated, str]:
    try:
        if validation is not None:
            questions = len(validation.questions)
            fitted = Calibrated.fitted(fit(validation, k))
            return fitted, f"fitted on the {questions:,} questions of {accuracy.source}"
        crossed = cross_fit(table, k)
    except UsageError as problem:
        equal = np.ones((1, len(table.models)), np.int64)
        return Calibrated(equal), f"all votes weigh the same: {problem}"
    count = len(crossed.calibrations)
    return Calibrated.cross_fitted(crossed), (
        f"cross-fitted: each of {count} folds of these questions by weights fitted on the others"
    )


def default_k(table: Table) -> int:
    """3, or as many samples as every model has where that is less."""
    return max(1, min(_DEFAULT_K, usual_count(table.samples.classes)))


def measured_accuracy(table: Table, source: str = EVALUATED) -> ValidationAccuracy:
    """Share of correct samples by model, of everything recorded: a mean over questions (rule 8).

    Computed exactly: equal accuracies are equal numbers, whatever they are sums of.

    Args:
        table: of the validation questions.
        source: what to call them.
    """
    correct = lookup(table.right, table.samples.classes).sum(axis=2)
    counts = (table.samples.classes != MISSING).sum(axis=2)
    by_model = {
        model: float(_total(correct[:, place], counts[:, place]) / len(table.questions))
        for place, model in enumerate(table.models)
    }
    return ValidationAccuracy(source, by_model)


def _total(correct: Positions, counts: Positions) -> Fraction:
    """Sum over questions of correct / count; a question without samples adds nothing."""
    return sum(
        (
            Fraction(int(correct[counts == count].sum()), int(count))
            for count in np.unique(counts[counts > 0])
        ),
        Fraction(0),
    )


def _check(table: Table, plan: Plan) -> None:
    if not table.questions:
        raise UsageError("there are no questions to evaluate")
    if not 1 <= plan.k <= MOST_SAMPLES:
        raise UsageError(
            f"k is {plan.k}; it counts samples from each model, so make it 1 to {MOST_SAMPLES}"
        )
    if plan.trials is not None and plan.trials < 1:
        raise UsageError(f"trials is {plan.trials}; make it 1 or more")
    if plan.seed < 0:
        raise UsageError(f"seed is {plan.seed}; make it 0 or more")


def _greedy_models(table: Table) -> list[int]:
    """Positions of the models with samples at temperature 0."""
    return np.flatnonzero((table.greedy.classes != MISSING).any(axis=(0, 2))).tolist()


def _greedy_shortage(table: Table) -> Shortage:
    """Questions without a sample at temperature 0, of models that have any."""
    places = _greedy_models(table)
    names = [f"{table.models[place]} at temperature 0" for place in places]
    return shortage(table.greedy.classes[:, places], names, 1, first=False)


def refusal(table: Table, k: int, missing: Shortage) -> str:
    """What is missing, where, and what to do."""
    questions = len(table.questions)
    lacking = "".join(
        f"\n  {model}: {count:,} of {questions:,} questions lack some"
        for model, count in missing.questions.items()
    )
    return (
        f"{missing.samples} of {missing.wanted} samples are missing for k = {k}:{lacking}\n"
        "`slmmux collect` draws what is missing; else take a smaller --k, other --models, or let "
        "them vote for nothing with --allow-missing"
    )


def _notes(
    table: Table, methods: Mapping[str, Method], plan: Plan, trials: int, missing: Shortage
) -> list[str]:
    notes = guess_notes(table)
    if missing.samples:
        notes.append(f"{missing.samples} missing samples vote for nothing (--allow-missing)")
    if plan.replays is not None and plan.replays < len(table.questions):
        notes.append(
            f"draws of exact stopping are counted on {plan.replays} of {len(table.questions):,} "
            "questions, chosen by the seed, and stand for all"
        )
    if plan.trials is not None and plan.trials > trials:
        notes.append(f"no model has more than {plan.k} samples: there is one run to make")
    if "single_greedy" in methods:
        greedy = _greedy_models(table)
        lacking = [m for place, m in enumerate(table.models) if place not in greedy]
        if lacking:
            whose = ", ".join(lacking) if greedy else "any model"
            notes.append(f"single_greedy: no samples at temperature 0 of {whose}")
    return notes


def _entry(score: Score, others: _Others, groups: Mapping[Json, Positions], plan: Plan) -> Entry:
    runs = score.runs
    compared = plan.compared is None or score.method in plan.compared
    cases = runs * len(score.credit)
    return Entry(
        method=score.method,
        models=score.models,
        estimate=estimate(score.scores),
        used=score.used,
        full=score.full,
        abstained=score.abstained / cases,
        errored=score.errored,
        attribution=None
        if score.decided is None
        else {model: count / cases for model, count in score.decided.items()},
        vs_best_single=_compared(score, others.single, plan.seed) if compared else None,
        vs_best_self_consistency=(
            _compared(score, others.self_consistency, plan.seed) if compared else None
        ),
        vs_pooled_vote=_compared(score, others.pooled, plan.seed) if compared else None,
        groups=tuple(
            Group(value=value, questions=len(rows), estimate=estimate(score.scores[rows]))
            for value, rows in groups.items()
        ),
    )


def _best(scores: Sequence[Score]) -> Score:
    """Of one method's scores with each model, the highest; the first of equals."""
    return max(scores, key=lambda score: round(float(score.scores.mean()), _DECIMALS))


def _compared(score: Score, other: Score, seed: int) -> Comparison | None:
    if (score.method, score.models) == (other.method, other.models):
        return None
    mine, others = score.one_answer, other.one_answer
    return Comparison(
        method=other.method,
        models=other.models,
        difference=difference(score.scores, other.scores, np.random.default_rng(seed)),
        mcnemar=None if mine is None or others is None else mcnemar(mine, others),
    )


def _groups(table: Table, by: str | None) -> dict[Json, Positions]:
    """Value of the field → questions; numbers by size, then texts, then None.

    Raises:
        UsageError: no question has the field.
    """
    if by is None:
        return {}
    known = dict.fromkeys(name for q in table.questions for name in sorted(q.metadata))
    if by not in known and by != "task":
        fields = ", ".join([*known, "task"])
        raise UsageError(f"--by {by}: no question has that field; they have {fields}")
    members: dict[Json, list[int]] = {}
    for place, question in enumerate(table.questions):
        value = question.metadata.get(by) if by in known else question.task
        plain = value if isinstance(value, str | int | float | None) else json.dumps(value)
        members.setdefault(plain, []).append(place)
    return {value: np.array(members[value]) for value in sorted(members, key=_by_value)}


def _by_value(value: Json) -> tuple[int, float, str]:
    if value is None:
        return 2, 0.0, ""
    return (0, value, "") if isinstance(value, int | float) else (1, 0.0, str(value))
