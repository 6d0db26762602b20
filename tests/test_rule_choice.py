"""Which rule is served: the calibrated one, unless another is clearly better on validation."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from slmmux.bank import Bank
from slmmux.bank.imports import import_file
from slmmux.calibration import cross_fit
from slmmux.errors import UsageError
from slmmux.evaluate import measured_accuracy
from slmmux.methods import METHODS, Calibrated, Method, budget_of
from slmmux.pool_models import pool_models
from slmmux.rule_choice import choose_rule, rule_scores
from slmmux.scores import mean_scores
from slmmux.table import Table, load_table

Answers = list[str | None]


def table_of(folder: Path, questions: list[dict[str, Answers]]) -> Table:
    """Questions whose right answer is 1: model → what it said."""
    source = folder / "rows.jsonl"
    source.write_text(
        "".join(
            json.dumps(
                {
                    "task": "t",
                    "question_id": f"q{number:03}",
                    "gold": "1",
                    "kind": "number",
                    "model": model,
                    "answers": said,
                }
            )
            + "\n"
            for number, models in enumerate(questions)
            for model, said in models.items()
        )
    )
    import_file(folder / "bank.db", source)
    with Bank.open(folder / "bank.db") as bank:
        return load_table(bank, ["t"], run_seed=0, models=pool_models(bank.models(["t"])))


def mixed(rng: random.Random, models: dict[str, float]) -> list[dict[str, Answers]]:
    """Forty questions with four samples of each model, which are right with these chances."""
    return [
        {
            name: ["1" if rng.random() < chance else rng.choice(["2", "3", None]) for _ in range(4)]
            for name, chance in models.items()
        }
        for _ in range(40)
    ]


def test_models_that_answer_alike_are_served_by_the_calibrated_rule(tmp_path: Path) -> None:
    rng = random.Random(3)
    table = table_of(
        tmp_path,
        [
            {m: ["1" if rng.random() < 0.5 else rng.choice("234") for _ in range(3)] for m in "ab"}
            for _ in range(40)
        ],
    )
    choice = choose_rule(table, 3)
    assert choice.rule == "calibrated"
    assert choice.models == ("a", "b")
    assert choice.calibration is not None
    assert {s.rule for s in choice.scores} == {
        "single",
        "self_consistency",
        "mux",
        "pooled_vote",
        "calibrated",
    }
    accuracies = [s.estimate.accuracy for s in choice.scores]
    assert accuracies == sorted(accuracies, reverse=True)
    assert choice.why.startswith("calibrated has ")


def test_mux_is_served_where_consistency_alone_tells_who_is_right(tmp_path: Path) -> None:
    """Whoever is right says so three times; the two others agree on something wrong, twice each.

    Each model is right equally often, so no weights help: only the most confident model does.
    """
    questions: list[dict[str, Answers]] = []
    for number in range(30):
        said: dict[str, Answers] = {m: ["2", "2", "3"] for m in "abc"}
        said["abc"[number % 3]] = ["1", "1", "1"]
        questions.append(said)
    choice = choose_rule(table_of(tmp_path, questions), 3)
    assert choice.rule == "mux"
    assert choice.scores[0].estimate.accuracy == 1.0
    assert choice.why == (
        "mux has 100.0% on 30 validation questions, 100.0 points more than calibrated (0.0%): more "
        "than the standard error of the difference with one more question won and one more lost, "
        "6.7"
    )


def test_a_single_model_is_served_where_the_others_only_disturb(tmp_path: Path) -> None:
    """Both others agree on the same wrong answer half of the time, when a is right."""
    rng = random.Random(5)
    questions: list[dict[str, Answers]] = []
    for _ in range(60):
        wrong = rng.random() < 0.5
        questions.append({"a": ["1"] * 3, "b": ["2" if wrong else "1"] * 3})
    choice = choose_rule(table_of(tmp_path, questions), 3)
    best = choice.scores[0]
    assert best.estimate.accuracy == 1.0
    served = next(s for s in choice.scores if s.rule == choice.rule)
    assert served.estimate.accuracy == 1.0


def test_one_or_two_questions_decide_nothing(tmp_path: Path) -> None:
    """b is right where a is, and on two more: one standard error, and no more, of any number."""
    both: list[dict[str, Answers]] = [{"a": ["1"] * 3, "b": ["1"] * 3}] * 60
    more: list[dict[str, Answers]] = [{"a": ["1"] * 3, "b": ["2"] * 3}] * 2
    choice = choose_rule(table_of(tmp_path, both + more), 3)
    assert choice.rule == "calibrated"


def test_a_choice_does_not_depend_on_the_order_in_which_samples_were_recorded(
    tmp_path: Path,
) -> None:
    rng = random.Random(8)
    said = mixed(rng, {"a": 0.8, "b": 0.5, "c": 0.1})
    choices = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        choices.append(choose_rule(table_of(tmp_path / name, said), 3))
        said = [{m: rng.sample(said, len(said)) for m, said in q.items()} for q in said]
    one, other = choices
    assert one.calibration == other.calibration
    assert len(set(one.calibration.weights if one.calibration else ())) > 1
    assert [(s.rule, s.models, s.estimate) for s in one.scores] == [
        (s.rule, s.models, s.estimate) for s in other.scores
    ]


def test_the_scores_are_those_of_every_draw_through_the_methods(tmp_path: Path) -> None:
    """The calibrated rule's are means over draws; so are those that they are compared with."""
    said = mixed(random.Random(2), {"a": 0.2, "b": 0.3, "c": 0.2, "good": 0.9})
    table = table_of(tmp_path, said)
    crossed = cross_fit(table, 3)
    assert len({*crossed.weights.ravel().tolist()}) > 1
    found = rule_scores(table, 3, crossed)
    methods: dict[str, Method] = {name: METHODS[name]() for name in ("mux", "pooled_vote")}
    methods["calibrated"] = Calibrated.cross_fitted(crossed)
    orders = np.random.default_rng(0).permuted(
        np.tile(table.samples.classes, (2000, 1, 1)), axis=2
    )[:, :, :3]
    budget = budget_of(table.models, orders, measured_accuracy(table).by_model)
    for name, method in methods.items():
        (decision,) = method.decide(budget)
        assert found[name].scores == pytest.approx(mean_scores(decision, table.right), abs=0.05)


def test_the_scores_are_means_over_runs_of_each_question(tmp_path: Path) -> None:
    table = table_of(tmp_path, [{"a": ["1", "2", "1", "1"]}, {"a": ["2", "2", "2", "2"]}])
    single = next(s for s in choose_rule(table, 1).scores if s.rule == "single")
    assert single.scores.tolist() == [0.75, 0.0]
    assert np.isclose(single.estimate.accuracy, 0.375)


def test_one_question_is_too_few_to_calibrate_and_mux_is_served(tmp_path: Path) -> None:
    choice = choose_rule(table_of(tmp_path, [{"a": ["1"], "b": ["2"]}]), 1)
    assert (choice.rule, choice.calibration) == ("mux", None)
    assert choice.why.endswith("too few questions to calibrate")


def test_a_k_that_the_questions_do_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="k is 3"):
        choose_rule(table_of(tmp_path, [{"a": ["1", "1"]}, {"a": ["1", "2"]}]), 3)
