"""Evaluation against recorded answers, others' figures, and a slow evaluation in plain Python."""

import gzip
import importlib.util
import json
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slmmux.bank import Bank
from slmmux.bank.imports import import_file
from slmmux.errors import UsageError
from slmmux.evaluate import Plan, default_k, evaluate, measured_accuracy
from slmmux.evaluation import Entry, Evaluation, to_json
from slmmux.methods import METHODS, budget_of, find_methods
from slmmux.pool_models import pool_models
from slmmux.table import NO_VOTE, Table, load_table

SHARED = Path(__file__).resolve().parents[2] / "shared"
DATA = SHARED / "data"
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="needs the recorded answers in ../shared/data"
)
THREE = ("gemma-3-27b-it", "mistral-small-3.1-24b-instruct", "llama-3.3-70b-instruct")


def table_of(bank: Path, *models: str) -> Table:
    with Bank.open(bank) as opened:
        chosen = pool_models(opened.models(), models)
        return load_table(opened, opened.tasks(), run_seed=0, models=chosen)


def recorded(name: str, folder: Path, *models: str) -> Table:
    bank = folder / f"{name}.db"
    import_file(bank, DATA / f"{name}.jsonl.gz")
    return table_of(bank, *models)


def written(folder: Path, rows: list[dict[str, Any]], *models: str) -> Table:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file(folder / "rows.db", folder / "rows.jsonl")
    return table_of(folder / "rows.db", *models)


def row(question: str, model: str, answers: Sequence[str | None], **more: Any) -> dict[str, Any]:
    fields = {"task": "t", "question_id": question, "gold": "1", "model": model, "kind": "number"}
    return {**fields, "answers": list(answers), **more}


def run(table: Table, *methods: str, **plan: Any) -> Evaluation:
    return evaluate(table, find_methods(methods or list(METHODS)), Plan(**plan))


def entry(evaluation: Evaluation, method: str, model: str | None = None) -> Entry:
    (found,) = (
        e
        for e in evaluation.entries
        if e.method == method and (model is None or e.models == (model,))
    )
    return found


def reference(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SHARED / "reference" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Against others' figures.


@needs_data
def test_single_model_accuracies_of_the_ragged_date_bank(tmp_path: Path) -> None:
    table = recorded("date_4_models", tmp_path)
    singles = run(table, "single", k=10).entries
    assert [round(e.estimate.accuracy, 3) for e in singles] == [0.752, 0.704, 0.501, 0.504]
    assert [e.estimate.accuracy for e in singles] == pytest.approx(
        list(measured_accuracy(table).by_model.values())
    )


@needs_data
def test_mux_and_pooled_vote_of_plain_string_classes_on_reasoning_gym() -> None:
    """0.5788 and 0.5894 of 850, when a class is a string and nothing else."""
    streams: dict[str, dict[str, list[str | None]]] = {}
    gold: dict[str, str] = {}
    name = DATA / "reasoning_gym_9_models_3_samples.jsonl.gz"
    with gzip.open(name, "rt", encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            streams.setdefault(line["question_id"], {})[line["model"]] = line["answers"][:3]
            gold[line["question_id"]] = line["gold"]
    numbers: list[dict[str, int]] = []
    for models in streams.values():
        said = [a for m in THREE for a in models[m] if a is not None]
        numbers.append({a: place for place, a in enumerate(dict.fromkeys(said))})
    classes = np.array(
        [
            [[NO_VOTE if a is None else number[a] for a in models[m]] for m in THREE]
            for models, number in zip(streams.values(), numbers, strict=True)
        ],
        np.int32,
    )
    right = [number.get(gold[q], -9) for q, number in zip(streams, numbers, strict=True)]
    shares = (classes == np.array(right)[:, None, None]).mean(axis=(0, 2))
    budget = budget_of(THREE, classes, dict(zip(THREE, shares.tolist(), strict=True)))
    correct = {
        method: int((METHODS[method]().decide(budget)[0].picks[:, 0] == right).sum())
        for method in ("mux", "pooled_vote")
    }
    assert correct == {"mux": 492, "pooled_vote": 501}
    assert round(492 / 850, 4) == 0.5788
    assert round(501 / 850, 4) == 0.5894


@needs_data
def test_richer_text_classes_differ_where_a_trailing_zero_is_dropped(tmp_path: Path) -> None:
    """Kind text reads a decimal by its value: `13.518` is 13.5180, and 0.859 is 0.8590."""
    table = recorded("reasoning_gym_9_models_3_samples", tmp_path, *THREE)
    found = run(table, "mux", "pooled_vote", k=3, trials=1)
    assert [e.estimate.correct for e in found.entries] == [494, 503]
    written = {q.name: q.reference for q in table.questions}
    assert written["arithmetic/decimal_chain_sum#2"] == "13.5180"
    assert written["arithmetic/decimal_chain_sum#46"] == "0.8590"


@needs_data
def test_the_mean_over_subsamples_agrees_with_the_monte_carlo_reference(tmp_path: Path) -> None:
    table = recorded("date_4_models", tmp_path)
    found = entry(run(table, "mux", k=3, trials=60), "mux")
    samples = [
        [[None if c == NO_VOTE else c for c in stream if c >= NO_VOTE] for stream in model]
        for model in table.samples.classes.transpose(1, 0, 2).tolist()
    ]
    gold = [int(flags.argmax()) if flags.any() else -9 for flags in table.right]
    accuracies = list(measured_accuracy(table).by_model.values())
    order = sorted(range(4), key=lambda m: -accuracies[m])
    expected = reference("loops").mux_accuracy_monte_carlo(samples, gold, 3, order, 60)
    assert found.estimate.accuracy == pytest.approx(expected, abs=0.004)


@needs_data
def test_draws_counted_on_a_part_of_the_questions_stand_for_all(tmp_path: Path) -> None:
    table = recorded("date_4_models", tmp_path)
    (every,) = run(table, "mux", k=3).entries
    part = run(table, "mux", k=3, replays=120)
    (entry,) = part.entries
    assert entry.used.draws == pytest.approx(every.used.draws, rel=0.1)
    assert entry.used.draws != every.used.draws
    assert entry.estimate == every.estimate
    assert any("counted on 120 of 369 questions" in note for note in part.notes)


@needs_data
def test_draws_of_exact_stopping_lie_between_the_hindsight_bound_and_the_budget(
    tmp_path: Path,
) -> None:
    table = recorded("date_4_models", tmp_path, "gpt-3.5-turbo/cot1", "llama-2-13b/cot2")
    mux = entry(run(table, "mux", k=3, trials=1), "mux")
    hindsight = reference("hindsight")
    streams = table.samples.classes[:, :, :3].tolist()
    bound = sum(
        hindsight.hindsight_bound([tuple(None if c < 0 else c for c in s) for s in question])
        for question in streams
    )
    assert bound <= mux.used.draws <= 1.2 * bound < mux.full.draws == 369 * 2 * 3


# Against a slow evaluation in plain Python.

answer = st.sampled_from(["1", "1.0", "2", "3", None])


@st.composite
def banks(draw: st.DrawFn) -> tuple[list[dict[str, Any]], int]:
    """Rows of a bank with 1 to 3 models and at least k samples each, and k."""
    k = draw(st.integers(1, 3))
    counts = draw(st.lists(st.integers(k, k + 2), min_size=1, max_size=3))
    questions = draw(st.integers(1, 6))
    rows = [
        row(f"q{q}", f"m{m}", draw(st.lists(answer, min_size=count, max_size=count)))
        for q in range(questions)
        for m, count in enumerate(counts)
    ]
    return rows, k


def slow(rows: list[dict[str, Any]], k: int) -> dict[str, list[float]]:
    """Method → correct answers (one a model where it uses one), from the definitions."""

    def value(text: str | None) -> float | None:
        return None if text is None else float(text)

    def mode(values: Sequence[float | None]) -> tuple[float | None, int]:
        voted = [v for v in values if v is not None]
        counts = [(-voted.count(v), voted.index(v), v) for v in voted]
        return (min(counts)[2], -min(counts)[0]) if counts else (None, 0)

    names = list(dict.fromkeys(r["model"] for r in rows))
    questions = list(dict.fromkeys(r["question_id"] for r in rows))
    said = {(r["question_id"], r["model"]): [value(a) for a in r["answers"]] for r in rows}
    single = [
        sum(Fraction(said[q, m].count(1.0), len(said[q, m])) for q in questions) for m in names
    ]
    modes = {(q, m): mode(said[q, m][:k]) for q in questions for m in names}
    ranked = sorted(names, key=lambda m: -single[names.index(m)])
    mux = [max((modes[q, m] for m in ranked), key=lambda found: found[1])[0] for q in questions]
    pooled = [mode([v for m in names for v in said[q, m][:k]])[0] for q in questions]
    right = [[modes[q, m][0] == 1.0 for m in names] for q in questions]
    return {
        "single": [float(total) for total in single],
        "self_consistency": [sum(modes[q, m][0] == 1.0 for q in questions) for m in names],
        "pooled_vote": [pooled.count(1.0)],
        "mux": [mux.count(1.0)],
        "random_model": [sum(sum(r) / len(r) for r in right)],
        "oracle": [sum(any(r) for r in right)],
    }


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(banks())
def test_every_method_agrees_with_a_slow_evaluation(case: tuple[list[dict[str, Any]], int]) -> None:
    rows, k = case
    defined = [name for name in METHODS if name != "calibrated"]  # has tests of its own
    with tempfile.TemporaryDirectory() as folder:
        found = run(written(Path(folder), rows), *defined, k=k, trials=1)
    correct: dict[str, list[float]] = {}
    for e in found.entries:
        correct.setdefault(e.method, []).append(e.estimate.correct)
    expected = slow(rows, k)
    assert correct.keys() == expected.keys()
    for method, values in expected.items():
        assert correct[method] == pytest.approx(values), method


# What the figures mean.


def test_tokens_cost_and_errors_are_those_of_the_samples_used(tmp_path: Path) -> None:
    def usage(*tokens: int) -> list[dict[str, int]]:
        return [{"prompt_tokens": 10, "completion_tokens": t} for t in tokens]

    first = row("q", "a", (), samples=["1", "1", "1"], usage=usage(1, 2, 3))
    second = row(
        "q", "b", (), samples=["1", None, "2"], usage=usage(5, 0, 7), errors=[None, "b: down", None]
    )
    for each in (first, second):
        del each["answers"]
    found = run(written(tmp_path, [first, second]), k=3)
    mux = entry(found, "mux")
    assert (mux.used.draws, mux.full.draws) == (3, 6)  # the better model is unanimous
    assert (mux.used.tokens, mux.full.tokens) == (36, 36 + 42)
    assert mux.errored == pytest.approx(1 / 6)
    assert entry(found, "single", "a").used.tokens == 12
    assert entry(found, "random_model").used.tokens == (36 + 42) / 2
    assert mux.used.cost is None


def test_unknown_tokens_of_one_model_leave_those_of_others_known(tmp_path: Path) -> None:
    counted = row("q", "a", (), samples=["1"], usage=[{"prompt_tokens": 3, "completion_tokens": 4}])
    del counted["answers"]
    found = run(written(tmp_path, [counted, row("q", "b", ["1"])]), k=1)
    assert entry(found, "self_consistency", "a").full.tokens == 7
    assert entry(found, "mux").full.tokens is None


def test_attribution_and_abstentions_are_shares_of_all_questions(tmp_path: Path) -> None:
    rows = [row("p", "a", ["1", "2"]), row("q", "a", [None, None]), row("r", "a", [None, "1"])]
    rows += [row("p", "b", ["3", "3"]), row("q", "b", [None, None]), row("r", "b", [None, None])]
    mux = entry(run(written(tmp_path, rows), k=2), "mux")
    assert mux.attribution == pytest.approx({"a": 1 / 3, "b": 1 / 3})
    assert mux.abstained == pytest.approx(1 / 3)
    assert mux.estimate.correct == 1


def test_comparisons_are_with_the_best_single_model_and_pooled_vote(tmp_path: Path) -> None:
    rows = [row(q, "a", ["1", "1"]) for q in "pq"] + [row(q, "b", ["2", "2"]) for q in "pq"]
    mux = entry(run(written(tmp_path, rows), "mux", k=2), "mux")
    assert mux.vs_best_single is not None
    assert mux.vs_pooled_vote is not None
    assert mux.vs_best_single.models == ("a",)
    assert mux.vs_best_single.difference.difference == 0
    assert mux.vs_pooled_vote.method == "pooled_vote"
    pooled = entry(run(written(tmp_path, rows), "pooled_vote", k=2), "pooled_vote")
    assert pooled.vs_pooled_vote is None


def test_the_fairer_comparison_is_with_one_models_own_most_common_answer(tmp_path: Path) -> None:
    rows = [row(q, "a", ["1", "1", "2"]) for q in "pqr"] + [row(q, "b", ["1"] * 3) for q in "pq"]
    rows.append(row("r", "b", ["2"] * 3))
    found = run(written(tmp_path, rows), "mux", "self_consistency", k=3)
    mux = entry(found, "mux").vs_best_self_consistency
    assert mux is not None
    assert (mux.method, mux.models) == ("self_consistency", ("a",))
    assert mux.difference.difference == pytest.approx(-1 / 3)
    assert mux.mcnemar is not None
    assert (mux.mcnemar.only_this, mux.mcnemar.only_other) == (0, 1)
    assert entry(found, "self_consistency", "a").vs_best_self_consistency is None
    methods = to_json(found)["methods"]
    assert isinstance(methods, list)
    told = methods[0]
    assert isinstance(told, dict)
    assert isinstance(told["vs_best_self_consistency"], dict)


def test_mcnemar_counts_questions_where_one_of_two_single_answers_is_right(tmp_path: Path) -> None:
    rows = [row("p", "a", ["2", "1", "1"]), row("q", "a", ["1", "2", "2"])]
    found = entry(run(written(tmp_path, rows), "self_consistency", k=3), "self_consistency")
    assert found.vs_best_single is not None
    mcnemar = found.vs_best_single.mcnemar
    assert mcnemar is not None
    assert (mcnemar.only_this, mcnemar.only_other) == (1, 1)  # against its own first sample


def test_groups_share_out_all_questions(tmp_path: Path) -> None:
    rows = [
        row("p", "a", ["1"], metadata={"level": 10}),
        row("q", "a", ["2"], metadata={"level": 2}),
        row("r", "a", ["1"], metadata={"level": 2}),
        row("s", "a", ["1"]),
    ]
    table = written(tmp_path, rows)
    groups = entry(run(table, "mux", k=1, by="level"), "mux").groups
    assert [(g.value, g.questions, g.estimate.correct) for g in groups] == [
        (2, 2, 1),
        (10, 1, 1),
        (None, 1, 1),
    ]
    assert [g.value for g in entry(run(table, "mux", k=1, by="task"), "mux").groups] == ["t"]
    with pytest.raises(UsageError, match=r"--by subject: no question has that field.*level, task"):
        run(table, "mux", k=1, by="subject")


def test_single_greedy_is_a_models_accuracy_at_temperature_0(tmp_path: Path) -> None:
    rows = [
        row("p", "a", ["2", "2"], temperature=0.3),
        row("p", "a", ["1"], temperature=0),
        row("q", "a", ["2", "1"], temperature=0.3),
        row("q", "a", ["2"], temperature=0),
        row("p", "b", ["1", "1"], temperature=0.3),
        row("q", "b", ["1", "1"], temperature=0.3),
    ]
    found = run(written(tmp_path, rows), k=2)
    assert entry(found, "single_greedy").models == ("a",)
    assert entry(found, "single_greedy").estimate.correct == 1
    assert "single_greedy: no samples at temperature 0 of b" in found.notes


def test_equal_validation_accuracies_tie_whatever_they_are_sums_of(tmp_path: Path) -> None:
    shares = {"a": [3, 2, 1], "b": [1, 2, 3], "c": [2, 2, 2]}
    rows = [
        row(f"q{q}", model, ["1"] * right + ["2"] * (10 - right))
        for model, rights in shares.items()
        for q, right in enumerate(rights)
    ]
    by_model = measured_accuracy(written(tmp_path, rows)).by_model
    assert set(by_model.values()) == {0.2}


# What is refused.


def test_missing_samples_are_refused_with_how_many_and_where(tmp_path: Path) -> None:
    rows = [row("p", "a", ["1", "1", "1"]), row("q", "a", ["1"]), row("p", "b", ["1", "1", "2"])]
    table = written(tmp_path, rows)
    assert default_k(table) == 3
    with pytest.raises(UsageError) as refused:
        run(table, "mux", k=3)
    message = str(refused.value)
    assert message.startswith("5 of 12 samples are missing for k = 3:")
    assert "a: 1 of 2 questions lack some" in message
    assert "b: 1 of 2 questions lack some" in message
    assert "--allow-missing" in message


def test_allowed_missing_samples_vote_for_nothing_and_are_stated(tmp_path: Path) -> None:
    rows = [row("p", "a", ["1", "1", "1"]), row("q", "a", ["1"]), row("p", "b", ["1", "1", "2"])]
    found = run(written(tmp_path, rows), k=3, allow_missing=True)
    assert found.missing == 5
    assert "5 missing samples vote for nothing (--allow-missing)" in found.notes
    assert entry(found, "single", "a").estimate.correct == 2  # of what is recorded: not of k
    assert entry(found, "single", "b").estimate.correct == pytest.approx(2 / 3)
    assert entry(found, "mux").estimate.correct == 2


def test_a_gap_in_the_first_k_samples_counts_as_missing_for_one_trial(tmp_path: Path) -> None:
    table = written(tmp_path, [row("p", "a", ["2", "1", "1"])])
    with Bank.open(tmp_path / "rows.db", write=True) as bank, bank.transaction() as connection:
        connection.execute("DELETE FROM samples WHERE idx = 0")
    table = table_of(tmp_path / "rows.db")
    with pytest.raises(UsageError, match="1 of 2 samples are missing"):
        run(table, "mux", k=2, trials=1)
    with pytest.raises(UsageError, match="1 of 3 samples are missing"):
        run(table, "mux", k=3)


@pytest.mark.parametrize("plan", [{"k": 0}, {"k": 1, "trials": 0}, {"k": 1, "seed": -1}])
def test_a_plan_out_of_range_is_refused(tmp_path: Path, plan: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="make it"):
        run(written(tmp_path, [row("p", "a", ["1"])]), **plan)


# Runs.


def test_one_trial_takes_the_first_k_samples_and_more_take_subsets(tmp_path: Path) -> None:
    rows = [row("p", "a", ["1", "2", "2", "2"])]
    table = written(tmp_path, rows)
    assert entry(run(table, "self_consistency", k=1, trials=1), "self_consistency").estimate.correct
    many = entry(run(table, "self_consistency", k=1, trials=400), "self_consistency")
    assert many.estimate.correct == pytest.approx(0.25, abs=0.06)


def test_subsets_follow_from_the_seed_and_not_from_the_other_models(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        row(f"q{q}", model, [str(v) for v in rng.integers(1, 4, 6)])
        for q in range(20)
        for model in "ab"
    ]
    both = written(tmp_path, rows)
    alone = table_of(tmp_path / "rows.db", "b")
    names = ("self_consistency",)
    one, two = (run(table, *names, k=3, trials=7) for table in (both, alone))
    assert entry(one, *names, "b").estimate == entry(two, *names, "b").estimate
    other = run(both, *names, k=3, trials=7, seed=1)
    assert entry(other, *names, "b").estimate != entry(one, *names, "b").estimate


def test_there_is_one_run_where_no_model_has_more_than_k_samples(tmp_path: Path) -> None:
    table = written(tmp_path, [row("p", "a", ["1", "2"])])
    found = run(table, "mux", k=2, trials=50)
    assert found.trials == 1
    assert "no model has more than 2 samples: there is one run to make" in found.notes
    assert run(table, "mux", k=1).trials == 100


def test_the_json_form_says_what_machines_need(tmp_path: Path) -> None:
    found = to_json(run(written(tmp_path, [row("p", "a", ["1", "2"])]), "mux", k=2))
    assert found["schema"] == "slmmux.evaluation/1"
    assert found["task"] == "t"
    assert found["validation_accuracy"] == {
        "source": "evaluated questions",
        "by_model": {"a": 0.5},
    }
    methods = found["methods"]
    assert isinstance(methods, list)
    (mux,) = methods
    assert isinstance(mux, dict)
    assert mux["method"] == "mux"
    assert mux["models"] == ["a"]
    assert (mux["accuracy"], mux["correct"], mux["draws_full"]) == (1.0, 1, 2)
    assert json.loads(json.dumps(found)) == found
