import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmmux.bank import Bank
from slmmux.bank.export import export_rows
from slmmux.bank.imports import import_file
from slmmux.bank.merge import Absorbed, merge
from slmmux.errors import BankConflictError, BankError

ROW = {"task": "sums", "question_id": "q1", "gold": "4", "model": "weak", "answers": ["4", None]}


def bank_of(path: Path, *rows: dict[str, Any]) -> Path:
    source = path.with_suffix(".jsonl")
    source.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    import_file(path, source)
    return path


def merged(path: Path, other: Path) -> Absorbed:
    with Bank.open(path, create=True) as bank:
        return merge(bank, other)


def contents(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def rows_of(path: Path) -> list[dict[str, Any]]:
    with Bank.open(path) as bank:
        return list(export_rows(bank))


def test_two_banks_become_one(tmp_path: Path) -> None:
    first = bank_of(tmp_path / "a.db", ROW, ROW | {"model": "strong"})
    second = bank_of(tmp_path / "b.db", ROW | {"model": "new"}, ROW | {"question_id": "q0"})
    before = contents(second)
    done = merged(first, second)
    assert done == Absorbed(samples=4, new_samples=4, new_questions=1, new_models=1)
    with Bank.open(first) as bank:
        assert [model.name for model in bank.models()] == ["weak", "strong", "new"]
        assert [question.name for question in bank.questions()] == ["q0", "q1"]
    assert contents(second) == before


def test_merging_twice_adds_nothing(tmp_path: Path) -> None:
    first, second = (
        bank_of(tmp_path / "a.db", ROW),
        bank_of(tmp_path / "b.db", ROW | {"model": "m"}),
    )
    merged(first, second)
    before = contents(first)
    assert merged(first, second).new_samples == 0
    assert contents(first) == before


def test_a_bank_merged_into_a_new_one_is_the_same_bank(tmp_path: Path) -> None:
    old = bank_of(tmp_path / "a.db", *(ROW | {"model": m, "task": t} for m in "zay" for t in "cb"))
    merged(tmp_path / "new.db", old)
    assert contents(tmp_path / "new.db") == contents(old)


def test_another_text_is_refused_and_nothing_is_merged(tmp_path: Path) -> None:
    first = bank_of(tmp_path / "a.db", ROW)
    second = bank_of(tmp_path / "b.db", ROW | {"model": "new"}, ROW | {"answers": ["4", "5"]})
    before = contents(first)
    with pytest.raises(
        BankConflictError, match=r"b\.db: nothing was .*\n  sample 1 of weak on sums"
    ):
        merged(first, second)
    assert contents(first) == before


def test_many_other_texts_are_listed_up_to_a_limit(tmp_path: Path) -> None:
    first = bank_of(tmp_path / "a.db", ROW | {"answers": ["1"] * 50})
    second = bank_of(tmp_path / "b.db", ROW | {"answers": ["2"] * 50})
    with pytest.raises(BankConflictError) as caught:
        merged(first, second)
    assert len(str(caught.value).splitlines()) == 23


def test_merged_references_can_change_how_answers_are_read(tmp_path: Path) -> None:
    first = bank_of(tmp_path / "a.db", ROW | {"answers": ["04"]})
    second = bank_of(tmp_path / "b.db", ROW | {"question_id": "q2", "gold": "dog"})
    assert merged(first, second).reread == {"sums": "text"}
    with Bank.open(first) as bank:
        keys = {vote[3] for vote in bank.votes((), 0, [1])}
    assert keys == {"text:04", "4", None}


def test_a_bank_is_not_merged_into_itself(tmp_path: Path) -> None:
    path = bank_of(tmp_path / "a.db", ROW)
    with pytest.raises(BankError, match="is the bank to merge into"):
        merged(path, tmp_path / "." / "a.db")


def test_what_is_no_bank_is_not_merged(tmp_path: Path) -> None:
    path = bank_of(tmp_path / "a.db", ROW)
    (tmp_path / "text.db").write_text("no bank" * 1000)
    for name in ("none.db", "text.db"):
        with pytest.raises(BankError, match=name):
            merged(path, tmp_path / name)


def test_a_damaged_bank_is_not_merged(tmp_path: Path) -> None:
    first = bank_of(tmp_path / "a.db", ROW)
    second = bank_of(
        tmp_path / "b.db",
        *(ROW | {"question_id": f"q{i}", "question": "?" * 99} for i in range(400)),
    )
    data = bytearray(second.read_bytes())
    data[20480:] = os.urandom(len(data) - 20480)
    second.write_bytes(data)
    before = contents(first)
    with pytest.raises(BankError, match=r"b\.db into .*a\.db: damaged"):
        merged(first, second)
    assert contents(first) == before


answers = st.lists(st.sampled_from(["1", "2", None]), max_size=3)
places = st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from([0, 1]))


@settings(max_examples=25, deadline=None)
@given(whole=st.dictionaries(places, answers, min_size=1), data=st.data())
def test_parts_of_a_bank_merge_to_the_whole_in_any_order(
    tmp_path_factory: pytest.TempPathFactory,
    whole: dict[tuple[str, str, int], list[str | None]],
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("bank")
    rows = [
        ROW | {"question_id": name, "model": model, "run_seed": seed, "answers": said}
        for (name, model, seed), said in whole.items()
        if said
    ]
    parts = data.draw(
        st.lists(st.lists(st.sampled_from(rows)) if rows else st.just([]), min_size=1)
    )
    for number, part in enumerate([*parts, rows]):
        merged(folder / "all.db", bank_of(folder / f"{number}.db", *part))
    expected = rows_of(bank_of(folder / "whole.db", *rows))
    order = lambda row: (row["model"], row["question_id"], row["run_seed"])  # noqa: E731
    assert sorted(rows_of(folder / "all.db"), key=order) == sorted(expected, key=order)
