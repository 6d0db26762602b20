"""The outcome of `slmmux scale`, and its JSON form."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from slmmux.evaluation import ValidationAccuracy
from slmmux.holdout import HINDSIGHT, Split
from slmmux.metrics import Estimate
from slmmux.results import Json
from slmmux.scaling import Plan, Point, Scaling
from slmmux.theory import Approximation, Comparison, Theory

SCHEMA = "slmmux.scaling/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingOutcome:
    """Points, choices, and how they came about.

    Attributes:
        split: where choices were made, where they are reported.
        accuracy: the models' validation accuracies, which settle ties.
        search_k: samples in a group of the search for subsets.
        plan: what was computed.
        scaling: the points.
        theory: the paper's approximations; None where not asked for.
        notes: for a person.
    """

    split: Split
    accuracy: ValidationAccuracy
    search_k: int
    plan: Plan
    scaling: Scaling
    theory: Theory | None
    notes: tuple[str, ...]

    @property
    def task(self) -> str:
        """The tasks' names."""
        return "+".join(dict.fromkeys(q.task for q in self.split.test.questions))

    @property
    def label(self) -> str:
        """How a choice is to be read."""
        return HINDSIGHT if self.split.hindsight else f"chosen on {self.split.source}"


def to_json(outcome: ScalingOutcome) -> Json:
    """Documented in docs/scaling.md."""
    split, scaling, plan = outcome.split, outcome.scaling, outcome.plan
    return {
        "schema": SCHEMA,
        "task": outcome.task,
        "models": list(split.test.models),
        "questions": len(split.test.questions),
        "validation": {
            "source": split.source,
            "questions": len(split.validation.questions),
            "also_tested": split.common,
            "hindsight": split.hindsight,
            "accuracies": dict(outcome.accuracy.by_model),
        },
        "k_max": plan.k_max,
        "worth": plan.worth,
        "seed": plan.seed,
        "search": {"k": outcome.search_k},
        "stopping": {"schedule": plan.schedule, "rows": plan.replays, "up_to": plan.replay_to},
        "points": [_point(point) for point in scaling.points],
        "chosen": {
            "label": outcome.label,
            "best": _choice(scaling.best),
            "enough": _choice(scaling.enough),
            "enough_k": {str(size): k for size, k in scaling.enough_k.items()},
        },
        "theory": None if outcome.theory is None else _theory(outcome.theory),
        "notes": list(outcome.notes),
    }


def _point(point: Point) -> Json:
    pooled = point.pooled
    return {
        "size": len(point.models),
        "k": point.k,
        "models": list(point.models),
        "validation_accuracy": point.validation,
        "mux": _estimate(point.mux),
        "self_consistency": {"model": point.consistent, **_estimate(point.self_consistency)},
        "pooled_vote": None
        if pooled is None
        else {
            **_estimate(pooled.estimate),
            "exact": pooled.drawn == 0,
            "drawn_questions": pooled.drawn,
            "monte_carlo_stderr": pooled.stderr,
        },
        "gain": point.gain,
        "draws": {
            "budget": point.budget,
            "expected": None if point.draws is None else point.draws.mean,
            "stderr": None if point.draws is None else point.draws.stderr,
            "gain_per_draw": point.gain_per_draw,
        },
    }


def _choice(point: Point) -> dict[str, Json]:
    return {
        "size": len(point.models),
        "k": point.k,
        "models": list(point.models),
        "validation_accuracy": point.validation,
        "accuracy": point.mux.accuracy,
    }


def _estimate(estimate: Estimate) -> dict[str, Json]:
    return {
        "accuracy": estimate.accuracy,
        "stderr": estimate.stderr,
        "ci95": [estimate.ci95.low, estimate.ci95.high],
    }


def _theory(theory: Theory) -> Json:
    return {
        "questions": {name: asdict(types) for name, types in theory.types.items()},
        "points": [_comparison(comparison) for comparison in theory.comparisons],
        "mean_absolute_error": {
            rule: mean_error([getattr(each, rule) for each in theory.comparisons])
            for rule in ("mux", "pooled", "self_consistency")
        },
    }


def _comparison(comparison: Comparison) -> Json:
    return {
        "size": len(comparison.models),
        "k": comparison.k,
        "mux": _approximation(comparison.mux),
        "pooled_vote": _approximation(comparison.pooled),
        "self_consistency": _approximation(comparison.self_consistency),
    }


def _approximation(found: Approximation | None) -> Json:
    if found is None:
        return None
    return {
        "approximation": found.approximation,
        "expected": found.expected,
        "error": found.error,
    }


def mean_error(found: Sequence[Approximation | None]) -> float | None:
    """Mean distance of approximations from the expected accuracies; None without any."""
    errors = [abs(each.error) for each in found if each is not None]
    return sum(errors) / len(errors) if errors else None
