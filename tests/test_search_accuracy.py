"""Subsets judged by the accuracy of SLM-MUX, against the method `mux` and brute force."""

import functools
import itertools
import json
import tempfile
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slmmux.bank import Bank
from slmmux.bank.imports import import_file
from slmmux.evaluate import measured_accuracy
from slmmux.methods import METHODS, budget_of
from slmmux.pool_models import pool_models
from slmmux.search import Limits
from slmmux.search_accuracy import Expected, Scored, expected, scored, search_accuracy
from slmmux.search_pareto import Prices, pareto_front, prices
from slmmux.search_run import SearchPlan, run_search
from slmmux.search_sets import SearchSets, correctness, search_sets
from slmmux.table import Table, load_table, lookup

MODELS = "abcd"
SAID = ["1", "2", "3", None]


def table_of(seed: int, questions: int = 12, samples: int = 3) -> Table:
    """Four models that answer at random, some better than others; some samples fail."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for question, (place, model) in itertools.product(range(questions), enumerate(MODELS)):
        chances = [0.2 + 0.08 * place, 0.28, 0.2, 0.32 - 0.08 * place]
        usage = [{"prompt_tokens": 10 * (place + 1), "completion_tokens": 5}] * samples
        rows.append(
            {
                "task": "t", "question_id": str(question), "gold": "1", "model": model,
                "kind": "number", "usage": usage,
                "answers": [SAID[i] for i in rng.choice(len(SAID), samples, p=chances)],
            }
        )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        source, bank = Path(folder) / "rows.jsonl", Path(folder) / "bank.db"
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        import_file(bank, source)
        with Bank.open(bank) as opened:
            return load_table(opened, ["t"], run_seed=0, models=pool_models(opened.models()))


TABLES = [table_of(seed) for seed in range(3)]


@functools.cache
def by_method(which: int, members: tuple[int, ...], k: int) -> Fraction:
    """Accuracy of the method `mux`, a mean over all ordered draws of k samples of every model."""
    table = TABLES[which]
    classes = table.samples.classes
    orders = list(itertools.permutations(range(classes.shape[2]), k))
    draws = itertools.product(orders, repeat=len(members))
    rows = np.concatenate(
        [
            np.stack([classes[:, m][:, list(o)] for m, o in zip(members, drawn, strict=True)], 1)
            for drawn in draws
        ]
    )
    names = tuple(table.models[m] for m in members)
    (decision,) = METHODS["mux"]().decide(budget_of(names, rows, measured_accuracy(table).by_model))
    right = np.tile(table.right, (len(rows) // len(classes), 1))
    return Fraction(int(lookup(right, decision.picks).sum()), len(rows))


def searched(which: int) -> tuple[SearchSets, Expected]:
    table = TABLES[which]
    sets = search_sets(table, 2, correctness("mode"))
    return sets, expected(table, 2, measured_accuracy(table).by_model)


def union(sets: SearchSets, members: tuple[int, ...]) -> int:
    return int(np.bitwise_count(np.bitwise_or.reduce(sets.correct[list(members)], axis=0)).sum())


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_accuracy_of_a_subset_is_that_of_the_method_mux_over_all_draws(
    which: int, size: int
) -> None:
    _, votes = searched(which)
    for members in itertools.combinations(range(len(MODELS)), size):
        assert float(votes.accuracy(members)) == pytest.approx(
            float(by_method(which, members, 2)), abs=2e-9
        )


@pytest.mark.parametrize("which", range(3))
def test_the_subsets_of_highest_accuracy_are_those_of_brute_force(which: int) -> None:
    sets, votes = searched(which)
    found = search_accuracy(sets, votes, [1, 2, 3], top=4)
    for size, ranking in found.items():
        ranked = sorted(
            itertools.combinations(range(len(MODELS)), size),
            key=lambda s: (-round(float(by_method(which, s, 2)), 9), -union(sets, s), s),
        )
        assert [s.members for s in ranking.subsets] == ranked[:4]
        assert [s.objective for s in ranking.subsets] == [votes.accuracy(s) for s in ranked[:4]]
        assert ranking.proven


def test_every_subset_is_scored_once_and_the_whole_pool_too() -> None:
    _, votes = searched(0)
    for size in range(1, len(MODELS) + 1):
        seen = [(tuple(m), a) for some in scored(votes, size) for m, a in rows_of(some)]
        assert sorted(m for m, _ in seen) == list(itertools.combinations(range(len(MODELS)), size))
        for members, accuracy in seen:
            assert accuracy == pytest.approx(float(votes.accuracy(members)), abs=2e-9)


def rows_of(some: Scored) -> Iterable[tuple[list[int], float]]:
    return zip(some.members.tolist(), some.accuracies.tolist(), strict=True)


def test_without_time_for_every_subset_the_bound_is_the_chance_that_some_mode_is_right() -> None:
    sets, votes = searched(0)
    full = search_accuracy(sets, votes, [3], top=1)[3]
    clock = iter([0.0, 5.0])
    limits = Limits(time_limit_s=1, clock=lambda: next(clock))
    cut = search_accuracy(sets, votes, [3], limits=limits)[3]
    assert not cut.proven
    assert cut.subsets[0].objective <= full.subsets[0].objective <= cut.bound <= 1


# What is worth its cost.


@pytest.mark.parametrize("which", range(3))
def test_the_front_holds_exactly_the_subsets_that_no_other_beats(which: int) -> None:
    _, votes = searched(which)
    front = pareto_front(votes, range(1, 4), prices(TABLES[which], 2))
    every: dict[tuple[int, ...], tuple[float, ...]] = {
        s: (
            -round(float(by_method(which, s, 2)), 8),
            2.0 * len(s),
            sum(2.0 * (10 * (m + 1) + 5) for m in s),
        )
        for size in range(1, 4)
        for s in itertools.combinations(range(len(MODELS)), size)
    }
    undominated = {
        values
        for values in every.values()
        if not any(
            other != values and all(a <= b for a, b in zip(other, values, strict=True))
            for other in every.values()
        )
    }
    found = {p.members: (-round(float(p.accuracy), 8), p.draws, p.tokens) for p in front.points}
    assert len(found) == len(undominated)
    assert set(found.values()) == undominated
    assert all(every[members] == values for members, values in found.items())
    assert all(p.cost is None for p in front.points)
    assert front.complete


def test_unknown_tokens_leave_draws_as_the_only_cost() -> None:
    _, votes = searched(0)
    front = pareto_front(votes, [1, 2], Prices(None, None))
    assert [p.draws for p in front.points] == sorted({p.draws for p in front.points})
    assert all(p.tokens is None for p in front.points)


# Everything together.


def test_sizes_whose_best_subset_is_no_better_than_one_model_are_named() -> None:
    for table in TABLES:
        outcome = run_search(table, SearchPlan(sizes=(1, 2, 3, 4), k=2))
        alone = max(outcome.singles.values())
        behind = [
            str(size)
            for size, ranking in outcome.rankings.items()
            if size > 1 and outcome.mux[ranking.subsets[0].members] <= alone
        ]
        told = [note for note in outcome.notes if "no more accurate than" in note]
        assert [note.partition(":")[0] for note in told] == [
            f"size {', '.join(sizes)}" for sizes in [behind] if sizes
        ]


def test_the_search_of_a_table_ranks_by_the_objective_that_is_asked_for() -> None:
    paper = run_search(TABLES[1], SearchPlan(sizes=(2, 3), k=2))
    accuracy = run_search(TABLES[1], SearchPlan(sizes=(2, 3), k=2, objective="accuracy"))
    for size in (2, 3):
        best = accuracy.rankings[size].subsets[0]
        assert best.objective == accuracy.mux[best.members]
        assert best.objective >= paper.mux[paper.rankings[size].subsets[0].members]
        assert accuracy.stability[size].rivals[0].difference >= 0
    assert paper.winner.objective == max(r.subsets[0].objective for r in paper.rankings.values())
