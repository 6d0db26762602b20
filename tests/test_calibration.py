"""Calibrations: weights that follow the data as far as it goes, probabilities that hold."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slmmux.ballots import ballots_of
from slmmux.bank import Bank
from slmmux.bank.imports import import_file
from slmmux.calibration import cross_fit, fit, probabilities, reliability
from slmmux.errors import UsageError
from slmmux.evaluate import Plan, evaluate
from slmmux.methods import Calibrated, budget_of, find_methods
from slmmux.methods.replays import exact_draws
from slmmux.pool_models import pool_models
from slmmux.rules import FULL_WEIGHT, Calibration
from slmmux.stopping import replay
from slmmux.table import NO_VOTE, Table, load_table
from slmmux.votes import stream
from slmmux.weighted import standing

DATE = Path(__file__).resolve().parents[2] / "shared" / "data" / "date_4_models.jsonl.gz"


def answers(rng: random.Random, accuracy: float, count: int) -> list[str | None]:
    """Right ones are "1"; wrong ones are scattered, and some are not readable."""
    return [
        "1" if rng.random() < accuracy else rng.choice(["2", "3", "4", "5", None])
        for _ in range(count)
    ]


def table_of(folder: Path, accuracies: dict[str, float], questions: int, samples: int) -> Table:
    """Questions of differing difficulty; a model's accuracy is its mean."""
    rng = random.Random(7)
    rows: list[dict[str, Any]] = []
    for number in range(questions):
        ease = rng.choice([0.5, 1.5])
        rows += [
            {
                "task": "t",
                "question_id": f"q{number}",
                "gold": "1",
                "kind": "number",
                "model": model,
                "answers": answers(rng, min(1.0, ease * accuracy), samples),
            }
            for model, accuracy in accuracies.items()
        ]
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file(folder / "bank.db", source)
    return read(folder / "bank.db")


def read(path: Path) -> Table:
    with Bank.open(path) as bank:
        tasks = bank.tasks()
        return load_table(bank, tasks, run_seed=0, models=pool_models(bank.models(tasks)))


def test_models_that_differ_get_weights_that_differ(tmp_path: Path) -> None:
    found = fit(table_of(tmp_path, {"weak": 0.15, "strong": 0.6}, 200, 6), 3)
    assert found.models == ("weak", "strong")
    assert found.weights[1] == FULL_WEIGHT
    assert found.weights[0] < FULL_WEIGHT / 2
    assert found.spread > 0


def test_models_that_are_alike_get_one_weight_which_is_a_pooled_vote(tmp_path: Path) -> None:
    found = fit(table_of(tmp_path, {"a": 0.4, "b": 0.4, "c": 0.4}, 60, 6), 3)
    assert found.weights == (FULL_WEIGHT,) * 3
    assert found.spread == 0.0


def test_a_few_questions_are_enough_for_a_cautious_calibration(tmp_path: Path) -> None:
    found = fit(table_of(tmp_path, {"a": 0.5, "b": 0.3}, 6, 3), 3)
    certain = found.probability({"1": 6 * FULL_WEIGHT}, "1").low
    assert 0.3 < certain < 0.99


def test_questions_that_nobody_answers_rightly_make_answers_improbable(tmp_path: Path) -> None:
    found = fit(table_of(tmp_path, {"a": 0.0, "b": 0.0}, 30, 4), 2)
    assert found.weights == (FULL_WEIGHT,) * 2
    assert found.probability({"1": 4 * FULL_WEIGHT}, "1").low < 0.2


def test_the_order_of_the_pool_does_not_change_what_a_model_weighs(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"a": 0.2, "b": 0.5, "c": 0.7}, 80, 6)
    one, other = fit(table, 3), fit(table.of([2, 0, 1]), 3)
    assert dict(zip(one.models, one.weights, strict=True)) == dict(
        zip(other.models, other.weights, strict=True)
    )
    assert one == fit(table, 3)


def test_what_cannot_be_calibrated_is_refused(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"a": 0.5}, 3, 2)
    with pytest.raises(UsageError, match="2 samples of every model, and k is 3"):
        fit(table, 3)
    with pytest.raises(UsageError, match="one question is too few"):
        cross_fit(table.at([0]), 2)
    with pytest.raises(UsageError, match="no validation questions"):
        fit(table.at([]), 2)


def test_every_question_is_judged_by_a_calibration_that_never_saw_it(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"a": 0.3, "b": 0.5}, 23, 3)
    crossed = cross_fit(table, 3)
    for fold, calibration in enumerate(crossed.calibrations):
        others = np.flatnonzero(crossed.folds != fold).tolist()
        assert calibration == fit(table.at(others), 3)
    assert sorted(set(crossed.folds.tolist())) == [0, 1, 2, 3, 4]


def test_probabilities_hold_on_questions_that_were_not_fitted_on(tmp_path: Path) -> None:
    found = reliability(table_of(tmp_path, {"a": 0.3, "b": 0.5, "c": 0.6}, 200, 6), 3)
    assert found.error < 0.06
    assert found.brier < 0.2
    assert sum(b.share for b in found.bins) == pytest.approx(1.0)
    assert [b.low for b in found.bins] == sorted(b.low for b in found.bins)


def test_many_ballots_are_counted_as_the_line_counts_one(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"a": 0.3, "b": 0.5, "c": 0.6}, 60, 4)
    classes = table.samples.classes
    calibration = Calibration(
        models=table.models,
        k=4,
        weights=(300, 0, 1000),
        sharpness=2.5,
        outside=0.7,
        questions=60,
        spread=0.5,
    )
    ballots = ballots_of(classes)
    winners = ballots.winners(np.array(calibration.weights))
    said = probabilities(ballots, calibration)
    best = ballots.best(ballots.scores(np.array(calibration.weights)))
    for place, row in enumerate(ballots.rows.tolist()):
        streams = [
            stream({j: None if c < 0 else str(c) for j, c in enumerate(samples)}, 4)
            for samples in classes[row].tolist()
        ]
        now = standing(streams, calibration.weights)
        assert now.ranking[0] == str(winners[row])
        expected = calibration.probability(now.scores, now.ranking[0]).low
        assert said[best[place]] == pytest.approx(expected, abs=1e-6)


def test_rows_without_votes_have_no_winner() -> None:
    empty = np.full((2, 2, 3), NO_VOTE, np.int32)
    assert ballots_of(empty).winners(np.array([1, 1])).tolist() == [NO_VOTE, NO_VOTE]


def test_the_method_draws_what_the_line_would_draw(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"a": 0.3, "b": 0.5}, 20, 3)
    (decision,) = Calibrated.cross_fitted(cross_fit(table, 3)).decide(
        budget := budget_of(table.models, table.samples.classes, {})
    )
    assert decision.weights is not None
    draws = exact_draws(budget, "balanced", decision.weights)
    for row, weights in enumerate(decision.weights.tolist()):
        streams = [
            [None if c < 0 else str(c) for c in samples] for samples in budget.classes[row].tolist()
        ]
        done = replay(streams, "balanced", weights=tuple(weights))
        assert tuple(draws[row]) == done.draws
        assert (None if done.key is None else int(done.key)) == (
            None if decision.picks[row, 0] == NO_VOTE else decision.picks[row, 0]
        )


def test_eval_fits_on_the_validation_bank_or_across_folds_and_says_which(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"a": 0.2, "b": 0.6}, 40, 3)
    across = evaluate(table, find_methods(["calibrated"]), Plan(k=3))
    assert any("cross-fitted: each of 5 folds" in note for note in across.notes)
    apart = evaluate(table, find_methods(["calibrated"]), Plan(k=3), validation=table.at(range(9)))
    assert any("fitted on the 9 questions" in note for note in apart.notes)
    assert apart.entries[0].used.draws < apart.entries[0].full.draws


def test_a_bank_of_one_question_is_still_evaluated(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"a": 0.2, "b": 0.6}, 1, 3)
    found = evaluate(table, find_methods(["calibrated"]), Plan(k=3))
    assert any("all votes weigh the same: one question is too few" in n for n in found.notes)


def test_on_recorded_answers_the_calibrated_rule_is_no_worse_than_mux(tmp_path: Path) -> None:
    if not DATE.exists():
        pytest.skip("the recorded answers are not beside this checkout")
    import_file(tmp_path / "date.db", DATE)
    table = read(tmp_path / "date.db")
    found = evaluate(table, find_methods(["mux", "calibrated"]), Plan(k=3, trials=20))
    mux, calibrated = (entry.estimate.accuracy for entry in found.entries)
    assert calibrated > mux
    assert reliability(table, 3).error < 0.06
