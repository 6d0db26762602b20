"""The outcome of a search, and its JSON form."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

from slmmux.evaluation import ValidationAccuracy
from slmmux.results import Json
from slmmux.search import Ranking, Subset
from slmmux.search_pareto import Front, Point, Prices
from slmmux.search_sets import SearchSets
from slmmux.search_stability import Stability

SCHEMA = "slmmux.search/1"

Objective: TypeAlias = Literal["paper", "accuracy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOutcome:
    """The best subsets of every size, and what a person should know before trusting them.

    Attributes:
        task: names joined by `+`.
        objective: `paper` is O of rule 9, `accuracy` that of SLM-MUX.
        weight: λ.
        correct: what makes a model correct: `mode`, `any` or `at-least:C`.
        sets: what was searched.
        run_seed: of the samples.
        seed: of the bootstrap.
        kinds: how answers were read.
        accuracy: settles ties within SLM-MUX.
        rankings: by size.
        stability: by size; of a size with one subset there is none.
        singles: accuracy of every model's most common answer (self-consistency).
        mux: expected accuracy of SLM-MUX by members, for every ranked subset that is shown.
        top: how many subsets of each size are shown.
        prices: of the models.
        front: None unless asked for.
        notes: what a reader must know, in words.
    """

    task: str
    objective: Objective
    weight: Fraction
    correct: str
    count_single_samples: bool
    sets: SearchSets
    run_seed: int
    seed: int
    kinds: tuple[str, ...]
    accuracy: ValidationAccuracy
    rankings: Mapping[int, Ranking]
    stability: Mapping[int, Stability]
    singles: Mapping[str, Fraction]
    mux: Mapping[tuple[int, ...], Fraction]
    top: int
    prices: Prices
    front: Front | None
    notes: tuple[str, ...] = ()

    @property
    def winner(self) -> Subset:
        """The best subset of all sizes (rule 9)."""
        return min((r.subsets[0] for r in self.rankings.values()), key=lambda s: s.order)

    @property
    def best_single(self) -> str:
        """The model that is best alone; of equals the first of the pool."""
        return max(self.sets.models, key=lambda name: self.singles[name])

    def names(self, members: tuple[int, ...]) -> tuple[str, ...]:
        """Of the models, pool order."""
        return tuple(self.sets.models[place] for place in members)


def to_json(outcome: SearchOutcome) -> dict[str, Json]:
    """The outcome as plain JSON values, with the schema's name and version first."""
    sets = outcome.sets
    return {
        "schema": SCHEMA,
        "task": outcome.task,
        "questions": sets.questions,
        "objective": outcome.objective,
        "lambda": _number(outcome.weight),
        "correct": outcome.correct,
        "count_single_samples": outcome.count_single_samples,
        "k": sets.k,
        "groups": sets.groups,
        "missing_samples": sets.missing,
        "models": list(sets.models),
        "validation_accuracy": dict(outcome.accuracy.by_model),
        "self_consistency": {name: float(share) for name, share in outcome.singles.items()},
        "run_seed": outcome.run_seed,
        "seed": outcome.seed,
        "kinds": list(outcome.kinds),
        "best": {str(n): _subset(outcome, r.subsets[0]) for n, r in outcome.rankings.items()},
        "winner": _subset(outcome, outcome.winner),
        "top": {
            str(n): [_subset(outcome, subset) for subset in r.subsets[: outcome.top]]
            for n, r in outcome.rankings.items()
        },
        "searched": {str(n): _searched(r) for n, r in outcome.rankings.items()},
        "stability": {str(n): _stability(outcome, n) for n in outcome.rankings},
        "pareto": None if outcome.front is None else _front(outcome, outcome.front),
        "notes": list(outcome.notes),
    }


def _subset(outcome: SearchOutcome, subset: Subset) -> dict[str, Json]:
    return {
        "models": list(outcome.names(subset.members)),
        "objective": float(subset.objective),
        "union": subset.union / subset.cells,
        "contradiction": subset.contradiction / subset.cells,
        "accuracy": float(outcome.mux[subset.members]),
        "exact": {
            "objective": str(subset.objective),
            "union": subset.union,
            "contradiction": subset.contradiction,
            "cells": subset.cells,
        },
    }


def _searched(ranking: Ranking) -> dict[str, Json]:
    return {
        "subsets": ranking.total,
        "begun": ranking.begun,
        "proven": ranking.proven,
        "bound": float(ranking.bound),
    }


def _stability(outcome: SearchOutcome, size: int) -> Json:
    found = outcome.stability.get(size)
    if found is None:
        return None
    subsets = outcome.rankings[size].subsets
    return {
        "wins": found.wins,
        "resamples": found.resamples,
        "ranked": found.ranked,
        "within_noise": found.within_noise,
        "rivals": [
            {
                "models": list(outcome.names(subsets[rival.place].members)),
                "difference": rival.difference,
                "ci95": [rival.ci95.low, rival.ci95.high],
                "wins": rival.wins,
                "within_noise": rival.within_noise,
            }
            for rival in found.rivals[: outcome.top - 1]
        ],
    }


def _front(outcome: SearchOutcome, front: Front) -> dict[str, Json]:
    return {
        "complete": front.complete,
        "points": [_point(outcome, point) for point in front.points],
    }


def _point(outcome: SearchOutcome, point: Point) -> dict[str, Json]:
    return {
        "models": list(outcome.names(point.members)),
        "accuracy": float(point.accuracy),
        "draws": point.draws,
        "tokens": point.tokens,
        "cost": point.cost,
    }


def _number(weight: Fraction) -> int | float:
    return weight.numerator if weight.denominator == 1 else float(weight)
