import gzip
import json
import os
import sqlite3
import string
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slmmux.bank import Bank
from slmmux.bank.checks import verify
from slmmux.bank.export import export_file, export_rows
from slmmux.bank.imports import import_file
from slmmux.bank.rows import BankSample, SampleKey
from slmmux.errors import BankError
from slmmux.types import Model

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "parquet")
ROW = {"task": "sums", "question_id": "q1", "gold": "4", "model": "weak", "answers": ["4", None]}


def contents(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def exported(path: Path, name: str = "out.jsonl") -> Path:
    target = path.with_name(name)
    with Bank.open(path) as bank:
        export_file(bank, target)
    return target


def bank_of(folder: Path, *rows: dict[str, Any], name: str = "first.db") -> Path:
    source, path = folder / "rows.jsonl", folder / name
    source.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    import_file(path, source)
    return path


def check_round_trip(path: Path, extension: str) -> None:
    """Bank → file → bank → file: equal banks, equal bytes; and the same once more."""
    before = exported(path).read_bytes()
    first = exported(path, f"first.{extension}")
    again, third = path.with_name("again.db"), path.with_name("third.db")
    import_file(again, first)
    assert exported(again).read_bytes() == before
    second = exported(again, f"second.{extension}")
    assert second.read_bytes() == first.read_bytes()
    import_file(third, second)
    assert contents(third) == contents(again)
    with Bank.open(path) as old, Bank.open(again) as new:
        assert [m.name for m in new.models()] == [m.name for m in old.models()]
        assert verify(new) == ()


# Round trips.

# Everything that SQLite and UTF-8 can hold.
texts = st.text(st.characters(codec="utf-8"), max_size=12)
names = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=4)
maybe_texts = st.none() | texts
reals = st.floats(allow_nan=False, allow_infinity=False)
amounts = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
integers = st.integers(-(2**63), 2**63 - 1)
counts = st.integers(0, 2**63 - 1)
json_values = st.recursive(
    st.none() | st.booleans() | integers | reals | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
usages = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": st.none() | counts,
        "completion_tokens": st.none() | counts,
        "estimated": st.none() | st.booleans(),
    },
)
numbers = st.none() | st.integers(-99, 99).map(str) | texts


@st.composite
def rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A file's rows: questions × models × run seeds, ragged, with any of the fields."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for task in draw(st.sets(names, min_size=1, max_size=2)):
        for name in draw(st.sets(names, min_size=1, max_size=2)):
            question = {"task": task, "question_id": name} | draw(questions)
            for model in draw(st.lists(names, min_size=1, max_size=3)):
                row = question | {"model": model} | draw(runs) | draw(samples())
                place = (
                    task,
                    name,
                    model,
                    str(row.get("run_seed") or 0),
                    json.dumps([row.get("temperature"), row.get("settings")], sort_keys=True),
                )
                found.setdefault(place, row)
    return draw(st.permutations(list(found.values())))


questions = st.fixed_dictionaries(
    {},
    optional={
        "gold": numbers,
        "question": maybe_texts,
        "kind": st.sampled_from(["number", "text", "date", "yes_no", "auto", None]),
        "choices": st.lists(texts, max_size=3),
        "metadata": st.dictionaries(texts, json_values, max_size=2),
    },
)
runs = st.fixed_dictionaries(
    {},
    optional={
        "run_seed": st.none() | integers,
        "temperature": st.none() | st.sampled_from([0, 0.3, 1.0]),
        "settings": st.none() | st.dictionaries(st.sampled_from(["top_p", "api"]), json_values),
    },
)


@st.composite
def samples(draw: st.DrawFn) -> dict[str, Any]:
    size = draw(st.integers(0, 4))

    def parallel(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
        return st.lists(values, min_size=size, max_size=size)

    optional = {
        "indices": st.lists(st.integers(0, 2**40), min_size=size, max_size=size, unique=True),
        "reasoning": parallel(maybe_texts),
        "errors": parallel(maybe_texts),
        "usage": parallel(usages),
        "finish_reasons": parallel(st.none() | st.sampled_from(["stop", "length"])),
        "seeds": parallel(st.none() | integers),
        "seeds_honoured": parallel(st.none() | st.booleans()),
        "latencies": parallel(st.none() | amounts),
        "costs": parallel(st.none() | amounts),
        "drawn_at": parallel(maybe_texts),
    }
    kept: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries({}, optional=optional)
    said = draw(st.sampled_from(["samples", "answers"]))
    return {said: draw(parallel(numbers))} | draw(kept)


@pytest.mark.parametrize("extension", FORMATS)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(made=rows())
def test_import_export_import_gives_an_identical_bank(
    tmp_path_factory: pytest.TempPathFactory, extension: str, made: list[dict[str, Any]]
) -> None:
    check_round_trip(bank_of(tmp_path_factory.mktemp("bank"), *made), extension)


@pytest.mark.parametrize("extension", FORMATS)
def test_a_collected_bank_comes_back_identical(tmp_path: Path, extension: str) -> None:
    path = bank_of(tmp_path, ROW | {"task": "b"}, ROW | {"task": "a", "model": "late"})
    with Bank.open(path, write=True) as bank:
        bank.add_model(Model(name="idle", model="m", temperature=1))
        number = bank.add_model(Model(name="busy", model="m"))
        question = bank.questions()[0].id
        bank.add(
            [
                BankSample(
                    key=SampleKey(question, number, 7, index),
                    text=None if index == 4 else f"The answer is {index}.",
                    error="refused" if index == 4 else None,
                    answer=None if index == 4 else f"{index} as read before",
                    answer_key=None if index == 4 else str(index),
                    reasoning="hm",
                    prompt_tokens=3,
                    completion_tokens=index,
                    tokens_estimated=False,
                    cost=0.25,
                    seed=index,
                    seed_honoured=True,
                    latency_s=0.1,
                    drawn_at="2030-01-01T00:00:00Z",
                )
                for index in (1, 4, 2)
            ]
        )
    check_round_trip(path, extension)


def test_models_and_questions_without_samples_are_not_lost(tmp_path: Path) -> None:
    path = bank_of(tmp_path, ROW | {"answers": []}, ROW | {"question_id": "q2", "model": "b"})
    with Bank.open(path, write=True) as bank:
        bank.add_model(Model(name="idle", model="m"))
    check_round_trip(path, "jsonl")
    with Bank.open(tmp_path / "again.db") as bank:
        assert [model.name for model in bank.models()] == ["weak", "b", "idle"]
        assert [question.name for question in bank.questions()] == ["q1", "q2"]


def test_an_empty_bank_is_an_empty_file(tmp_path: Path) -> None:
    Bank.open(tmp_path / "first.db", create=True).close()
    check_round_trip(tmp_path / "first.db", "jsonl")
    check_round_trip(tmp_path / "first.db", "parquet")


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the recorded answers in ../shared/data")
@pytest.mark.parametrize(
    "name", ["embedded_6_models_10_samples", "reasoning_gym_9_models_3_samples"]
)
@pytest.mark.parametrize("extension", ["jsonl.gz", "parquet"])
def test_recorded_answers_come_back_identical(tmp_path: Path, name: str, extension: str) -> None:
    import_file(tmp_path / "first.db", DATA / f"{name}.jsonl.gz")
    check_round_trip(tmp_path / "first.db", extension)


# What is written.


def test_rows_go_by_model_then_task_question_and_run_seed(tmp_path: Path) -> None:
    made = [
        ROW | {"task": task, "question_id": name, "model": model, "run_seed": seed}
        for model in ("z", "a")
        for seed in (1, 0)
        for name in ("q2", "q10", "q1")
        for task in ("t2", "t1")
    ]
    with Bank.open(bank_of(tmp_path, *made)) as bank:
        order = [
            (row["model"], row["task"], row["question_id"], row["run_seed"])
            for row in export_rows(bank)
        ]
    assert order == sorted(order, key=lambda place: (place[0] != "z", *place[1:]))


def test_only_what_the_bank_knows_is_written(tmp_path: Path) -> None:
    target = exported(bank_of(tmp_path, ROW))
    assert json.loads(target.read_text()) == ROW | {"run_seed": 0}


def test_only_the_named_tasks_are_written(tmp_path: Path) -> None:
    path = bank_of(tmp_path, ROW, ROW | {"task": "others", "model": "other"})
    with Bank.open(path) as bank:
        assert [row["task"] for row in export_rows(bank, ["others"])] == ["others"]


def test_the_order_of_drawing_does_not_matter(tmp_path: Path) -> None:
    made = [ROW | {"question_id": f"q{i}", "model": "m"} for i in range(5)]
    there = exported(bank_of(tmp_path, *made, name="a.db"), "a.jsonl")
    back = exported(bank_of(tmp_path, *reversed(made), name="b.db"), "b.jsonl")
    assert there.read_bytes() == back.read_bytes()


def test_equal_banks_make_equal_files_for_every_hash_seed(tmp_path: Path) -> None:
    path = bank_of(tmp_path, *(ROW | {"task": task, "model": m} for task in "cab" for m in "yxz"))
    program = (
        "import sys; from pathlib import Path; from slmmux.bank import Bank; "
        "from slmmux.bank.export import export_file; "
        "export_file(Bank.open(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    made = []
    for seed in "123":
        target = tmp_path / f"{seed}.jsonl.gz"
        command = [sys.executable, "-c", program, str(path), str(target)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
        made.append(target.read_bytes())
    assert made[0] == made[1] == made[2]
    assert gzip.decompress(made[0]).count(b"\n") == 9


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = bank_of(tmp_path, *(ROW | {"question_id": "q" * 200 + str(i)} for i in range(2000)))
    for extension in ("jsonl", "jsonl.gz", "parquet"):
        target = tmp_path / f"out.{extension}"
        target.write_text("what was there")
        program = (
            "import resource, sys; from pathlib import Path; from slmmux.bank import Bank\n"
            "from slmmux.bank.export import export_file\n"
            "from slmmux.errors import BankError\n"
            "with Bank.open(Path(sys.argv[1])) as bank:\n"
            "    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
            "    try:\n"
            "        export_file(bank, Path(sys.argv[2]))\n"
            "    except BankError as error:\n"
            "        print(error)\n"
        )
        command = [sys.executable, "-c", program, str(path), str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert f"out.{extension}: the disk is full or a size limit is reached" in done.stdout
        assert target.read_text() == "what was there"
    assert sorted(p.name for p in tmp_path.iterdir() if "tmp" in p.name) == []


def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    path = bank_of(tmp_path, ROW)
    with Bank.open(path) as bank, pytest.raises(BankError, match="No such file or directory"):
        export_file(bank, tmp_path / "none" / "out.jsonl")


def test_broken_parquet_is_refused(tmp_path: Path) -> None:
    target = exported(bank_of(tmp_path, ROW), "out.parquet")
    target.write_bytes(target.read_bytes()[:-30])
    with pytest.raises(BankError, match=r"out\.parquet: damaged, or not Parquet"):
        import_file(tmp_path / "new.db", target)


def test_a_record_of_parquet_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    arrow, parquet = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
    source = tmp_path / "bad.parquet"
    good = {"task": "t", "question_id": "q", "model": "m", "answers": ["1"]}
    records = [good | {"metadata": "{}"}, good | {"metadata": "{"}, good | {"metadata": "[]"}]
    parquet.write_table(arrow.Table.from_pylist(records), source)
    with pytest.raises(BankError, match=r"line 2: .*\n  line 3: `metadata`"):
        import_file(tmp_path / "new.db", source)


def test_names_sort_as_python_sorts_them(tmp_path: Path) -> None:
    letters = [*string.ascii_letters, "é", "中", "😀", "\uffff"]
    path = bank_of(tmp_path, *(ROW | {"question_id": letter} for letter in letters))
    with Bank.open(path) as bank:
        assert [question.name for question in bank.questions()] == sorted(letters)
