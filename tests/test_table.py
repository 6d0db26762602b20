"""A bank as arrays: classes, right ones, ragged streams, and who takes part."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slmmux.bank import Bank
from slmmux.bank.imports import import_file
from slmmux.errors import QuestionError, UsageError
from slmmux.pool_models import pool_models
from slmmux.table import MISSING, NO_VOTE, Table, load_table, lookup
from slmmux.types import Kind


def row(question: str, model: str, answers: list[str | None], **more: Any) -> dict[str, Any]:
    fields = {"task": "t", "question_id": question, "gold": "1", "model": model}
    return {**fields, "kind": "number", "answers": answers, **more}


def bank_of(folder: Path, rows: list[dict[str, Any]], name: str = "bank") -> Path:
    source, bank = folder / f"{name}.jsonl", folder / f"{name}.db"
    source.write_text("".join(json.dumps(r) + "\n" for r in rows))
    import_file(bank, source)
    return bank


def table_of(bank: Path, *models: str, kind: Kind | None = None) -> Table:
    with Bank.open(bank) as opened:
        chosen = pool_models(opened.models(), models)
        return load_table(opened, opened.tasks(), run_seed=0, models=chosen, kind=kind)


def test_classes_are_numbered_by_first_appearance_in_pool_order_and_index(tmp_path: Path) -> None:
    rows = [row("q", "a", ["7", None, "1"]), row("q", "b", ["2", "1", "7.0"])]
    table = table_of(bank_of(tmp_path, rows))
    assert table.samples.classes.tolist() == [[[0, NO_VOTE, 1], [2, 1, 0]]]
    assert table_of(tmp_path / "bank.db", "b", "a").samples.classes.tolist() == [
        [[0, 1, 2], [2, NO_VOTE, 1]]
    ]


def test_a_class_is_right_when_its_members_match_the_reference(tmp_path: Path) -> None:
    rows = [row("q", "a", ["7", "1.0", None]), row("p", "a", ["3", "3", "1"])]
    table = table_of(bank_of(tmp_path, rows))
    assert [q.name for q in table.questions] == ["p", "q"]
    assert lookup(table.right, table.samples.classes).tolist() == [
        [[False, False, True]],
        [[False, True, False]],
    ]


def test_answers_written_differently_are_one_class_and_graded_once(tmp_path: Path) -> None:
    rows = [row("q", "a", ["0.75"], gold="75%"), row("q", "b", ["75%"], gold="75%")]
    table = table_of(bank_of(tmp_path, rows))
    assert table.samples.classes.tolist() == [[[0], [0]]]
    assert table.right.tolist() == [[True, False, False]]


def test_streams_may_be_ragged(tmp_path: Path) -> None:
    rows = [row("q", "a", ["1", "2"]), row("q", "b", ["1"]), row("p", "a", ["5"])]
    table = table_of(bank_of(tmp_path, rows))
    assert table.samples.classes.tolist() == [
        [[0, MISSING], [MISSING, MISSING]],
        [[0, 1], [0, MISSING]],
    ]
    assert lookup(table.right, table.samples.classes).sum() == 2


def test_the_order_of_rows_and_questions_makes_no_difference(tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = [
        row(f"q{i}", model, [rng.choice(["1", "2", "3", None]) for _ in range(3)])
        for i in range(30)
        for model in "abc"
    ]
    ordered = table_of(bank_of(tmp_path, rows, "ordered"), "a", "b", "c")
    rng.shuffle(rows)
    shuffled = table_of(bank_of(tmp_path, rows, "shuffled"), "a", "b", "c")
    assert [q.name for q in shuffled.questions] == [q.name for q in ordered.questions]
    assert np.array_equal(shuffled.samples.classes, ordered.samples.classes)
    assert np.array_equal(shuffled.right, ordered.right)


def test_errors_tokens_and_cost_stand_beside_the_classes(tmp_path: Path) -> None:
    usage = [{"prompt_tokens": 5, "completion_tokens": 2}, None]
    first = row("q", "a", [], samples=["1", None], errors=[None, "a: down"], usage=usage)
    del first["answers"]
    table = table_of(bank_of(tmp_path, [first, row("q", "b", ["1", "1"])]))
    assert table.samples.errored.tolist() == [[[False, True], [False, False]]]
    assert table.samples.tokens[0, 0].tolist() == [7, 0]
    assert np.isnan(table.samples.tokens[0, 1]).all()
    assert np.isnan(table.samples.cost[0, 1]).all()


def test_another_kind_reads_the_replies_anew_and_leaves_the_bank_alone(tmp_path: Path) -> None:
    reply = row("q", "a", [], samples=["The answer is 1 (B)."], gold="B", kind="choice")
    del reply["answers"]
    bank = bank_of(tmp_path, [reply])
    before = bank.read_bytes()
    assert table_of(bank).samples.classes.tolist() == [[[0]]]
    assert table_of(bank).right[0, 0]
    read_as_number = table_of(bank, kind="number")
    assert read_as_number.kinds == ("number",)
    assert not read_as_number.right[0, 0]
    assert bank.read_bytes() == before


def test_a_kind_that_nobody_says_is_guessed_and_said_so(tmp_path: Path) -> None:
    rows = [row("q", "a", ["C"], gold="C"), row("p", "a", ["A"], gold="B")]
    for each in rows:
        del each["kind"]
    table = table_of(bank_of(tmp_path, rows))
    assert dict(table.guessed) == {"t": "choice"}
    assert table.kinds == ("choice", "choice")


def test_a_question_without_a_reference_is_refused(tmp_path: Path) -> None:
    bank = bank_of(tmp_path, [row("q", "a", ["1"])])
    with Bank.open(bank, write=True) as opened, opened.transaction() as connection:
        connection.execute("UPDATE questions SET reference = NULL")
    with pytest.raises(QuestionError, match="1 of 1 questions have no reference answer"):
        table_of(bank)


def test_samples_at_temperature_0_are_the_greedy_ones_of_the_same_model(tmp_path: Path) -> None:
    rows = [
        row("q", "a", ["2", "1"], temperature=0.3),
        row("q", "a", ["1"], temperature=0),
        row("q", "b", ["1", "1"], temperature=0.3),
    ]
    table = table_of(bank_of(tmp_path, rows))
    assert table.models == ("a", "b")
    assert table.samples.classes.tolist() == [[[0, 1], [1, 1]]]
    assert table.greedy.classes[0, 0, 0] == 1
    assert (table.greedy.classes[0, 1] == MISSING).all()


def test_a_model_with_nothing_but_greedy_samples_takes_part_with_them(tmp_path: Path) -> None:
    table = table_of(bank_of(tmp_path, [row("q", "a", ["1"], temperature=0)]))
    assert table.samples.classes.tolist() == table.greedy.classes.tolist() == [[[0]]]


def test_several_settings_of_one_name_must_be_told_apart(tmp_path: Path) -> None:
    rows = [row("q", "a", ["1"], temperature=0.3), row("q", "a", ["2"], temperature=0.7)]
    bank = bank_of(tmp_path, rows)
    with pytest.raises(UsageError, match=r"2 models of this name.*temperature 0\.3"):
        table_of(bank)
    with Bank.open(bank) as opened:
        warm = opened.models()[1]
    table = table_of(bank, f"a#{warm.fingerprint[:8]}")
    assert not table.right[0, table.samples.classes[0, 0, 0]]


def test_an_unknown_model_is_refused_with_what_there_is(tmp_path: Path) -> None:
    bank = bank_of(tmp_path, [row("q", "gemma", ["1"])])
    with pytest.raises(
        UsageError, match=r"no model gemna; did you mean gemma\? The bank has gemma"
    ):
        table_of(bank, "gemna")
    with pytest.raises(UsageError, match="names gemma twice"):
        table_of(bank, "gemma", "gemma")
