"""The outcome of an evaluation, and its JSON form."""

from collections.abc import Mapping
from dataclasses import dataclass

from slmmux.metrics import Difference, Estimate, McNemar
from slmmux.results import Json
from slmmux.types import Interval

SCHEMA = "slmmux.evaluation/1"
EVALUATED = "evaluated questions"


@dataclass(frozen=True, slots=True)
class ValidationAccuracy:
    """Validation accuracies that settle ties (rule 4), and where they come from.

    Attributes:
        source: `evaluated questions`, or the bank that they were measured on.
        by_model: 0..1 by name.
    """

    source: str
    by_model: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A method against another one on the same questions.

    Attributes:
        method, models: the other one.
        difference: of the accuracies, with its interval.
        mcnemar: on the run of samples 0..k-1 (`single`: sample 0), where each has one answer to a
            question; None where it has not (`random_model`).
    """

    method: str
    models: tuple[str, ...]
    difference: Difference
    mcnemar: McNemar | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Accuracy on the questions that share a value of a metadata field.

    Attributes:
        value: of the field; None where the question does not have it.
        questions: how many there are.
    """

    value: Json
    questions: int
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a method uses for all questions, in the run of samples 0..k-1.

    Of methods that use one sample of a model, or one model of several, what they use on average.

    Attributes:
        draws: samples.
        tokens: prompt and completion tokens; None where a sample's are unknown.
        cost: money; None where a sample's is unknown.
    """

    draws: float
    tokens: float | None
    cost: float | None

    def times(self, factor: float) -> "Used":
        """So many times as much."""
        return Used(
            draws=self.draws * factor,
            tokens=None if self.tokens is None else self.tokens * factor,
            cost=None if self.cost is None else self.cost * factor,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One method's outcome; for `single` and the like, of one model.

    Attributes:
        models: that it uses, pool order.
        used: with exact stopping, where the method has it (`mux`, `pooled_vote`, `calibrated`).
        full: with the full budget.
        abstained: share of questions without an answer.
        errored: share of the full budget's samples that failed.
        attribution: share of questions that each model decided, on full budgets (the rest is
            abstentions); None where no one model decides.
        vs_best_single: against one sample of the best model.
        vs_best_self_consistency: against as many samples of one model, the best at that.
        vs_pooled_vote: against the same samples, added up. None for any of these against itself.
        groups: by a metadata field; empty unless asked for.
    """

    method: str
    models: tuple[str, ...]
    estimate: Estimate
    used: Used
    full: Used
    abstained: float
    errored: float
    attribution: Mapping[str, float] | None
    vs_best_single: Comparison | None
    vs_best_self_consistency: Comparison | None
    vs_pooled_vote: Comparison | None
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All methods on one table.

    Attributes:
        task: names joined by `+`.
        models: pool order.
        trials: runs that were made.
        seed: of the subsamples and the bootstrap.
        run_seed: of the samples.
        missing: samples that runs of k lack; above 0 only where that was allowed.
        kinds: how answers were read.
        notes: what a reader must know, in words.
    """

    task: str
    models: tuple[str, ...]
    k: int
    questions: int
    trials: int
    seed: int
    run_seed: int
    by: str | None
    missing: int
    kinds: tuple[str, ...]
    accuracy: ValidationAccuracy
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()


def to_json(evaluation: Evaluation) -> dict[str, Json]:
    """The evaluation as plain JSON values, with the schema's name and version first."""
    accuracy = evaluation.accuracy
    return {
        "schema": SCHEMA,
        "task": evaluation.task,
        "k": evaluation.k,
        "questions": evaluation.questions,
        "models": list(evaluation.models),
        "trials": evaluation.trials,
        "seed": evaluation.seed,
        "run_seed": evaluation.run_seed,
        "kinds": list(evaluation.kinds),
        "by": evaluation.by,
        "missing_samples": evaluation.missing,
        "validation_accuracy": {"source": accuracy.source, "by_model": dict(accuracy.by_model)},
        "methods": [_entry(entry) for entry in evaluation.entries],
        "notes": list(evaluation.notes),
    }


def _entry(entry: Entry) -> dict[str, Json]:
    fields: dict[str, Json] = {
        "method": entry.method,
        "models": list(entry.models),
        **_estimate(entry.estimate),
    }
    for suffix, used in (("", entry.used), ("_full", entry.full)):
        fields[f"draws{suffix}"] = _number(used.draws)
        fields[f"tokens{suffix}"] = None if used.tokens is None else _number(used.tokens)
        fields[f"cost{suffix}"] = used.cost
    fields["abstained"] = entry.abstained
    fields["errored"] = entry.errored
    fields["attribution"] = None if entry.attribution is None else dict(entry.attribution)
    fields["vs_best_single"] = _comparison(entry.vs_best_single)
    fields["vs_best_self_consistency"] = _comparison(entry.vs_best_self_consistency)
    fields["vs_pooled_vote"] = _comparison(entry.vs_pooled_vote)
    if entry.groups:
        fields["groups"] = [
            {"value": g.value, "questions": g.questions, **_estimate(g.estimate)}
            for g in entry.groups
        ]
    return fields


def _estimate(estimate: Estimate) -> dict[str, Json]:
    return {
        "accuracy": estimate.accuracy,
        "correct": _number(estimate.correct),
        "stderr": estimate.stderr,
        "ci95": _interval(estimate.ci95),
    }


def _comparison(comparison: Comparison | None) -> Json:
    if comparison is None:
        return None
    mcnemar = comparison.mcnemar
    return {
        "method": comparison.method,
        "models": list(comparison.models),
        "difference": comparison.difference.difference,
        "ci95": _interval(comparison.difference.ci95),
        "mcnemar": None
        if mcnemar is None
        else {
            "only_this": mcnemar.only_this,
            "only_other": mcnemar.only_other,
            "p_value": mcnemar.p_value,
        },
    }


def _interval(interval: Interval) -> list[Json]:
    return [interval.low, interval.high]


def _number(value: float) -> int | float:
    """A count as an integer; a mean of counts as it is."""
    return int(value) if value.is_integer() else value
