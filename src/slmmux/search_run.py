"""Table → the outcome of a search: sets, rankings, how stable they are, and what they cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from slmmux.errors import UsageError
from slmmux.evaluate import default_k, measured_accuracy
from slmmux.search import Limits, Ranking, search
from slmmux.search_accuracy import Expected, expected, search_accuracy
from slmmux.search_outcome import Objective, SearchOutcome
from slmmux.search_pareto import pareto_front, prices
from slmmux.search_sets import SearchSets, correctness, search_sets
from slmmux.search_stability import (
    RESAMPLES,
    Stability,
    accuracy_values,
    objective_values,
    stability,
)
from slmmux.table import Table, guess_notes

_RANKED = 100  # subsets of each size that the bootstrap chooses among


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """What to search for.

    Attributes:
        sizes: numbers of models; those that the pool does not have are left out.
        weight: λ.
        correct: `mode`, `any` or `at-least:C`.
        k: samples in a group; None is 3, or as many as every model has where that is less.
        count_single_samples: one wrong sample is consistently wrong.
        objective: `paper` is O of rule 9, `accuracy` the expected one of SLM-MUX.
        top: subsets of each size to show.
        pareto: also the front of accuracy against draws, tokens and cost, from one model on.
        resamples: of the bootstrap; 0 is none.
        seed: of the bootstrap.
    """

    sizes: Sequence[int] = (2, 3, 4, 5)
    weight: Fraction = Fraction(1)
    correct: str = "mode"
    k: int | None = None
    count_single_samples: bool = False
    objective: Objective = "paper"
    top: int = 5
    pareto: bool = False
    resamples: int = RESAMPLES
    seed: int = 0


def run_search(table: Table, plan: SearchPlan, limits: Limits | None = None) -> SearchOutcome:
    """Everything that `slmmux search` tells.

    Args:
        table: of the validation questions.
        plan: what to search for.
        limits: of time, for everything together.

    Raises:
        UsageError: the plan asks for what the table does not have.
    """
    _check(plan)
    limits = (limits or Limits()).started()
    sets = search_sets(
        table,
        default_k(table) if plan.k is None else plan.k,
        correctness(plan.correct),
        count_single_samples=plan.count_single_samples,
    )
    accuracy = measured_accuracy(table)
    votes = expected(table, sets.k, accuracy.by_model)
    sizes = _sizes(plan.sizes, sets)
    rankings = _rankings(sets, votes, sizes, plan, limits)
    singles = {name: votes.accuracy([m]) for m, name in enumerate(table.models)}
    mux = {
        subset.members: votes.accuracy(subset.members)
        for ranking in rankings.values()
        for subset in ranking.subsets[: plan.top]
    }
    price = prices(table, sets.k)
    largest = range(1, max(sizes) + 1)
    front = pareto_front(votes, largest, price, limits=limits) if plan.pareto else None
    stable = _stability(sets, votes, rankings, plan, limits)
    return SearchOutcome(
        task="+".join(dict.fromkeys(q.task for q in table.questions)),
        objective=plan.objective,
        weight=plan.weight,
        correct=plan.correct,
        count_single_samples=plan.count_single_samples,
        sets=sets,
        run_seed=table.run_seed,
        seed=plan.seed,
        kinds=tuple(dict.fromkeys(table.kinds)),
        accuracy=accuracy,
        rankings=rankings,
        stability=stable,
        singles=singles,
        mux=mux,
        top=plan.top,
        prices=price,
        front=front,
        notes=(
            *_notes(table, sets, plan),
            *_no_better(rankings, mux, singles),
            *_cut_short(rankings, stable, plan),
        ),
    )


def _no_better(
    rankings: Mapping[int, Ranking],
    mux: Mapping[tuple[int, ...], Fraction],
    singles: Mapping[str, Fraction],
) -> list[str]:
    """Sizes whose best subset is no more accurate than one model."""
    alone = max(singles, key=singles.__getitem__)
    sizes = [
        str(size)
        for size, ranking in rankings.items()
        if size > 1 and mux[ranking.subsets[0].members] <= singles[alone]
    ]
    told = f"SLM-MUX with the best models is no more accurate than {alone} alone"
    return [f"size {', '.join(sizes)}: {told}"] if sizes else []


def _cut_short(
    rankings: Mapping[int, Ranking], stable: Mapping[int, Stability], plan: SearchPlan
) -> list[str]:
    """What the time limit left of the bootstrap."""
    if not plan.resamples or all(ranking.total == 1 for ranking in rankings.values()):
        return []
    made = min((found.resamples for found in stable.values()), default=0)
    if made == plan.resamples:
        return []
    return [f"bootstrap: the time limit came after {made:,} of {plan.resamples:,} resamples"]


def _check(plan: SearchPlan) -> None:
    if plan.top < 1:
        raise UsageError(f"top is {plan.top}; make it 1 or more")
    if plan.seed < 0:
        raise UsageError(f"seed is {plan.seed}; make it 0 or more")
    if plan.resamples < 0:
        raise UsageError(f"resamples is {plan.resamples}; make it 0 or more")


def _sizes(wanted: Sequence[int], sets: SearchSets) -> list[int]:
    """Those that the pool has.

    Raises:
        UsageError: there is none.
    """
    pool = len(sets.models)
    sizes = [size for size in sorted(set(wanted)) if 1 <= size <= pool]
    if not sizes:
        raise UsageError(
            f"the pool has {pool} model{'s' * (pool != 1)}: no subset has the sizes that are "
            "searched; --sizes 1 looks at single models"
        )
    return sizes


def _rankings(
    sets: SearchSets, votes: Expected, sizes: Sequence[int], plan: SearchPlan, limits: Limits
) -> dict[int, Ranking]:
    top = max(plan.top, _RANKED if plan.resamples else 1)
    if plan.objective == "accuracy":
        return search_accuracy(sets, votes, sizes, plan.weight, top=top, limits=limits)
    return search(sets, sizes, plan.weight, top=top, limits=limits)


def _stability(
    sets: SearchSets,
    votes: Expected,
    rankings: Mapping[int, Ranking],
    plan: SearchPlan,
    limits: Limits,
) -> dict[int, Stability]:
    """By size; nothing to say where there is one subset, or no time left."""
    if not plan.resamples:
        return {}
    values = {}
    for size, ranking in rankings.items():
        members = [subset.members for subset in ranking.subsets]
        if ranking.total == 1:
            continue
        if plan.objective == "accuracy":
            of_size = accuracy_values(votes, members, limits.over)
        else:
            of_size = None if limits.over() else objective_values(sets, members, plan.weight)
        if of_size is None:
            return {}
        values[size] = of_size
    rng = np.random.default_rng(plan.seed)
    return stability(values, rng, resamples=plan.resamples, over=limits.over)


def _notes(table: Table, sets: SearchSets, plan: SearchPlan) -> list[str]:
    notes = guess_notes(table)
    pool, left_out = len(sets.models), [n for n in plan.sizes if n > len(sets.models)]
    if left_out:
        notes.append(f"the pool has {pool} model{'s' * (pool != 1)}: there are no subsets of more")
    if sets.missing:
        notes.append(
            f"{sets.missing:,} samples are missing and vote for nothing; `slmmux collect` draws "
            "them"
        )
    if sets.spare:
        used = sets.groups * sets.k
        most = used + max(sets.spare.values())
        notes.append(
            f"union and contradiction: {sets.groups} group{'s' * (sets.groups != 1)} of {sets.k}, "
            f"the first {used} samples a question; {len(sets.spare)} of the models have more, up "
            f"to {most}; mux: expected over all of them"
        )
    if plan.count_single_samples and sets.k == 1:
        notes.append("one sample a model: every wrong one counts as consistently wrong")
    return notes
