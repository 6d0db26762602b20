"""Subsets judged by the accuracy of SLM-MUX, against the method `mux` and brute force."""

import itertools
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmmux.bank import Bank
from slmmux.bank.imports import import_file
from slmmux.evaluate import measured_accuracy
from slmmux.methods import METHODS, budget_of
from slmmux.pool_models import pool_models
from slmmux.search import Limits
from slmmux.search_accuracy import mux_answers, right_cells, search_accuracy
from slmmux.search_pareto import Prices, pareto_front, prices
from slmmux.search_run import SearchPlan, run_search
from slmmux.search_sets import correctness, grouped, search_sets
from slmmux.table import Table, load_table, lookup

MODELS = "abcde"
SAID = ["1", "2", "3", None]


def bank_of(folder: Path, seed: int, questions: int = 12, samples: int = 4) -> Table:
    """Five models that answer at random, some better than others; some samples fail."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for question, (place, model) in itertools.product(range(questions), enumerate(MODELS)):
        chances = [0.2 + 0.08 * place, 0.28, 0.2, 0.32 - 0.08 * place]
        said = [SAID[i] for i in rng.choice(len(SAID), samples, p=chances)]
        usage = [{"prompt_tokens": 10 * (place + 1), "completion_tokens": 5}] * samples
        rows.append(
            {
                "task": "t", "question_id": str(question), "gold": "1", "model": model,
                "kind": "number", "answers": said, "usage": usage,
            }
        )  # fmt: skip
    source, bank = folder / f"{seed}.jsonl", folder / f"{seed}.db"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file(bank, source)
    with Bank.open(bank) as opened:
        return load_table(opened, ["t"], run_seed=0, models=pool_models(opened.models()))


def by_method(table: Table, members: tuple[int, ...], k: int) -> Fraction:
    """Accuracy of the method `mux` on these models, mean over the groups."""
    classes = grouped(table, k, table.samples.classes.shape[2] // k)
    names = tuple(table.models[m] for m in members)
    accuracies = measured_accuracy(table).by_model
    right = 0
    for group in range(classes.shape[2]):
        budget = budget_of(names, classes[:, list(members), group], accuracies)
        (decision,) = METHODS["mux"]().decide(budget)
        right += int(lookup(table.right, decision.picks).sum())
    return Fraction(right, classes.shape[0] * classes.shape[2])


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[Table]:
    folder = tmp_path_factory.mktemp("banks")
    return [bank_of(folder, seed) for seed in range(4)]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 3), st.integers(2, 4), st.sets(st.integers(0, 4), min_size=1))
def test_the_accuracy_of_a_subset_is_that_of_the_method_mux(
    tables: list[Table], which: int, k: int, members: set[int]
) -> None:
    table, subset = tables[which], tuple(sorted(members))
    sets = search_sets(table, k, correctness("mode"))
    answers = mux_answers(table, sets, measured_accuracy(table).by_model)
    right = right_cells(answers, subset)
    assert Fraction(int(right.sum()), len(right)) == by_method(table, subset, k)


@pytest.mark.parametrize("which", range(4))
def test_the_subsets_of_highest_accuracy_are_those_of_brute_force(
    tables: list[Table], which: int
) -> None:
    table = tables[which]
    sets = search_sets(table, 2, correctness("mode"))
    answers = mux_answers(table, sets, measured_accuracy(table).by_model)
    found = search_accuracy(sets, answers, [1, 2, 3, 5], top=4)
    for size, ranking in found.items():
        expected = sorted(
            itertools.combinations(range(5), size),
            key=lambda s: (-by_method(table, s, 2), -union(table, s), s),
        )
        assert [s.members for s in ranking.subsets] == expected[:4]
        assert [s.objective for s in ranking.subsets] == [
            by_method(table, s, 2) for s in expected[:4]
        ]
        assert ranking.proven


def union(table: Table, members: tuple[int, ...]) -> int:
    sets = search_sets(table, 2, correctness("mode"))
    return int(np.bitwise_count(np.bitwise_or.reduce(sets.correct[list(members)], axis=0)).sum())


def test_without_time_for_every_subset_the_bound_is_what_any_model_has_right(
    tables: list[Table],
) -> None:
    table = tables[0]
    sets = search_sets(table, 2, correctness("mode"))
    answers = mux_answers(table, sets, measured_accuracy(table).by_model)
    full = search_accuracy(sets, answers, [2], top=1)[2]
    clock = iter([0.0, 5.0])
    cut = search_accuracy(
        sets, answers, [2], limits=Limits(time_limit_s=1, clock=lambda: next(clock)), block=1
    )[2]
    assert not cut.proven
    assert cut.subsets[0].objective <= full.subsets[0].objective <= cut.bound
    assert cut.bound == Fraction(union(table, (0, 1, 2, 3, 4)), sets.cells)


# What is worth its cost.


@pytest.mark.parametrize("which", range(4))
def test_the_front_holds_exactly_the_subsets_that_no_other_beats(
    tables: list[Table], which: int
) -> None:
    table = tables[which]
    sets = search_sets(table, 2, correctness("mode"))
    answers = mux_answers(table, sets, measured_accuracy(table).by_model)
    front = pareto_front(answers, range(1, 6), 2, prices(table, 2))
    every: dict[tuple[int, ...], tuple[Fraction, ...]] = {
        s: (
            -by_method(table, s, 2),
            Fraction(2 * len(s)),
            Fraction(sum(2 * (10 * (m + 1) + 5) for m in s)),
        )
        for size in range(1, 6)
        for s in itertools.combinations(range(5), size)
    }
    undominated = {
        values
        for values in every.values()
        if not any(
            other != values and all(a <= b for a, b in zip(other, values, strict=True))
            for other in every.values()
        )
    }
    found = {
        p.members: (-p.accuracy, Fraction(p.draws), Fraction(p.tokens or 0)) for p in front.points
    }
    assert len(found) == len(undominated)
    assert set(found.values()) == undominated
    assert all(every[members] == values for members, values in found.items())
    assert all(p.cost is None for p in front.points)
    assert front.complete


def test_unknown_tokens_leave_draws_as_the_only_cost(tables: list[Table]) -> None:
    table = tables[0]
    sets = search_sets(table, 2, correctness("mode"))
    answers = mux_answers(table, sets, measured_accuracy(table).by_model)
    front = pareto_front(answers, [1, 2], 2, Prices(None, None))
    assert [p.draws for p in front.points] == sorted({p.draws for p in front.points})
    assert all(p.tokens is None for p in front.points)


# Everything together.


def test_the_search_of_a_table_ranks_by_the_objective_that_is_asked_for(
    tables: list[Table],
) -> None:
    paper = run_search(tables[1], SearchPlan(sizes=(2, 3), k=2))
    accuracy = run_search(tables[1], SearchPlan(sizes=(2, 3), k=2, objective="accuracy"))
    for size in (2, 3):
        best = accuracy.rankings[size].subsets[0]
        assert best.objective == accuracy.mux[best.members]
        assert best.objective >= paper.mux[paper.rankings[size].subsets[0].members]
    assert paper.winner.objective == max(r.subsets[0].objective for r in paper.rankings.values())
