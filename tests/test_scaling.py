"""Points over K and k: what is chosen where, what is drawn, and that nothing depends on order."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slmmux.bank import Bank
from slmmux.bank.imports import import_file
from slmmux.errors import UsageError
from slmmux.holdout import Split, split
from slmmux.pool_models import pool_models
from slmmux.scaling import Plan, scaling, smallest_count, steps
from slmmux.scaling_draws import expected_draws, shuffled
from slmmux.scaling_outcome import to_json
from slmmux.scaling_run import best_subsets, run_scaling, with_samples
from slmmux.scaling_scores import expected_scores
from slmmux.stopping import replay
from slmmux.table import NO_VOTE, Table, load_table

SAID: dict[str, list[list[str | None]]] = {
    "strong": [["1", "1", "1", "2"], ["1", "1", "1", "1"], ["1", "3", "1", None]],
    "weak": [["2", "1", "2", "2"], ["2", "3", "1", "4"], [None, "1", "2", "3"]],
    "wild": [["5", "6", "7", "8"], ["1", "2", "3", "4"], ["1", "1", "2", "2"]],
}


def written(folder: Path, said: dict[str, list[list[str | None]]] = SAID, times: int = 4) -> Table:
    rows: list[dict[str, Any]] = [
        {"task": "t", "question_id": f"q{turn}-{place}", "gold": "1", "kind": "number"}
        | {"question": f"{turn}-{place}?", "model": model, "answers": answers}
        for turn in range(times)
        for model, questions in said.items()
        for place, answers in enumerate(questions)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file(folder / "rows.db", folder / "rows.jsonl")
    with Bank.open(folder / "rows.db") as bank:
        chosen = pool_models(bank.models(), list(said))
        return load_table(bank, bank.tasks(), run_seed=0, models=chosen)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return written(tmp_path)


def test_a_point_says_the_expected_accuracy_of_every_rule(table: Table) -> None:
    found = scaling(split(table), [[0], [0, 1]], Plan(k_max=4))
    accuracies = {"strong": 0.9, "weak": 0.3}
    assert [(len(p.models), p.k) for p in found.points] == [
        (size, k) for size in (1, 2) for k in range(1, 5)
    ]
    for point in found.points:
        members = [table.models.index(name) for name in point.models]
        mux = expected_scores(table, "mux", point.k, accuracies=accuracies, models=members)
        assert point.mux.accuracy == pytest.approx(mux.mean())
        assert point.validation == point.mux.accuracy
        assert point.pooled is not None
        pooled = expected_scores(table, "pooled_vote", point.k, accuracies={}, models=members)
        assert point.pooled.estimate.accuracy == pytest.approx(pooled.mean())
        assert (point.pooled.drawn, point.pooled.stderr) == (0, 0.0)
        assert point.consistent == "strong"
        assert point.budget == point.k * len(members)


def test_gains_add_up_to_the_last_accuracy(table: Table) -> None:
    points = scaling(split(table), [[1]], Plan(k_max=4, pooled=False, replays=0)).points
    gains = [point.gain for point in points]
    assert gains[0] is None
    total = points[0].mux.accuracy + sum(gain for gain in gains if gain is not None)
    assert points[-1].mux.accuracy == pytest.approx(total)
    assert [point.pooled for point in points] == [None] * 4
    assert [point.draws for point in points] == [None] * 4


def test_the_best_point_is_chosen_on_the_validation_questions(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    test = written(tmp_path / "here")
    swapped = {"strong": SAID["weak"], "weak": SAID["strong"], "wild": SAID["wild"]}
    validation = written(tmp_path / "there", swapped)
    found = scaling(
        split(test, validation=validation, name="v.db"), [[0], [1]], Plan(k_max=2, replays=0)
    )
    assert found.best.models == ("weak",)  # which it is on the test questions
    assert found.best.validation > found.best.mux.accuracy
    hindsight = scaling(split(test), [[0], [1]], Plan(k_max=2, replays=0))
    assert hindsight.best.models == ("strong",)


def test_enough_is_where_a_draw_no_longer_brings_what_it_is_worth(table: Table) -> None:
    subsets = [[0], [0, 1], [0, 1, 2]]
    free = scaling(split(table), subsets, Plan(k_max=4, replays=0, worth=0.0))
    assert free.enough == free.best
    dear = scaling(split(table), subsets, Plan(k_max=4, replays=0, worth=1.0))
    assert (dear.enough.models, dear.enough.k) == (("strong",), 1)
    assert dear.enough_k == {1: 1, 2: 1, 3: 1}
    assert dear.best == free.best


def test_expected_draws_are_those_of_the_stopping_code(table: Table) -> None:
    orders = shuffled(table, 3, rows=30, seed=0)
    accuracies = {"strong": 0.9, "weak": 0.5, "wild": 0.1}  # pool order is the priority
    found = expected_draws(orders, table, [0, 1, 2], 3, accuracies=accuracies, schedule="balanced")
    made = [
        sum(
            replay(
                [[None if c == NO_VOTE else str(c) for c in stream] for stream in row], "balanced"
            ).draws
        )
        for row in orders.tolist()
    ]
    assert found.mean == pytest.approx(np.mean(made))
    assert found.stderr == pytest.approx(np.std(made, ddof=1) / np.sqrt(30))
    assert found.rows == 30


def test_replayed_rows_are_orders_of_what_was_recorded_and_questions_take_turns(
    table: Table,
) -> None:
    orders = shuffled(table, 4, rows=2 * len(table.questions), seed=1)
    recorded = sorted(map(str, np.sort(table.samples.classes, axis=2).tolist()))
    assert sorted(map(str, np.sort(orders, axis=2).tolist())) == sorted(recorded * 2)
    assert (shuffled(table, 4, rows=5, seed=1) == shuffled(table, 4, rows=5, seed=1)).all()


def test_points_with_a_large_budget_are_not_replayed_and_steps_are_counted(table: Table) -> None:
    subsets = [[0], [0, 1, 2]]
    plan = Plan(k_max=4, replays=5, replay_to=6)
    taken: list[str] = []
    found = scaling(split(table), subsets, plan, taken.append)
    assert [p.draws is not None for p in found.points] == [True] * 4 + [True, True, False, False]
    assert len(taken) == steps(plan, split(table), subsets)
    assert found.points[0].draws is not None
    assert found.points[0].draws.mean == 1.0


def test_k_goes_up_to_the_smallest_count_unless_missing_samples_vote_for_nothing(
    tmp_path: Path,
) -> None:
    said = SAID | {"weak": [["2"], ["2", "3", "1", "4"], ["1"]]}
    table = written(tmp_path, said)
    assert smallest_count(table) == 1
    assert with_samples(split(table), None) == (split(table), 1)
    with pytest.raises(UsageError, match=r"weak: 8 of 12 questions lack some\n.*--k-max 1"):
        with_samples(split(table), 3)
    assert with_samples(split(table), 3, allow_missing=True) == (split(table), 3)


def test_missing_samples_change_nothing_at_smaller_k(tmp_path: Path) -> None:
    said = SAID | {"weak": [["1"], ["2", "3", "1", "4"], ["2", "1"]]}
    ragged = split(written(tmp_path, said))
    plan = Plan(k_max=1, pooled=True, allow_missing=True)
    far, near = (
        scaling(ragged, [[1], [0, 1]], replace(plan, k_max=k_max)).points for k_max in (20, 1)
    )
    assert near[0].mux.accuracy == pytest.approx((1 + 1 / 4 + 1 / 2) / 3)
    assert far[0].draws == near[0].draws
    for there, here in ((far[0], near[0]), (far[20], near[1])):
        assert there.mux == here.mux
        assert there.pooled == here.pooled
    assert far[19].mux.accuracy == pytest.approx(far[3].mux.accuracy)
    with pytest.raises(UsageError, match="some have 1"):
        scaling(ragged, [[1]], Plan(k_max=2))


def test_the_order_of_the_questions_does_not_matter(table: Table) -> None:
    mixed = table.at(np.random.default_rng(0).permutation(len(table.questions)).tolist())
    here, there = (
        run_scaling(each, best_subsets(each.validation), Plan(k_max=3, replays=0))
        for each in (split(table, share=0.5, seed=2), split(mixed, share=0.5, seed=2))
    )
    for one, other in zip(here.scaling.points, there.scaling.points, strict=True):
        assert one.models == other.models
        assert one.mux.accuracy == pytest.approx(other.mux.accuracy)


def test_subsets_come_from_the_search_and_sizes_that_cannot_be_are_refused(table: Table) -> None:
    subsets = best_subsets(table)
    assert sorted(subsets.by_size) == [1, 2, 3]
    assert subsets.by_size[3] == (0, 1, 2)
    assert best_subsets(table, [2, 9]).by_size.keys() == {2}
    with pytest.raises(UsageError, match="the pool has 3 models"):
        best_subsets(table, [4, 5])
    with pytest.raises(UsageError, match="no subsets"):
        scaling(split(table), [], Plan(k_max=1))


def test_the_json_says_how_choices_were_made(table: Table) -> None:
    held_out = split(table, share=0.5, seed=0)
    outcome = run_scaling(held_out, best_subsets(held_out.validation), Plan(k_max=2, replays=10))
    found: Any = json.loads(json.dumps(to_json(outcome)))
    assert found["schema"] == "slmmux.scaling/1"
    assert found["validation"]["hindsight"] is False
    assert found["validation"]["questions"] + found["questions"] == 12
    assert found["chosen"]["label"] == "chosen on the other questions (split seed 0)"
    assert found["points"][1]["draws"]["expected"] is not None
    hindsight: Any = to_json(replace(outcome, split=split(table)))
    assert hindsight["chosen"]["label"] == "best in hindsight"


def test_a_validation_bank_that_holds_tested_questions_is_told(table: Table) -> None:
    outcome = run_scaling(
        Split(validation=table.at([0, 1]), test=table, source="validation bank v.db", common=2),
        best_subsets(table, [1]),
        Plan(k_max=1, replays=0),
    )
    (note,) = outcome.notes
    assert note.startswith("2 of the 12 tested questions are also validation questions")
