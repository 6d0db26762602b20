import gzip
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard

from slmmux.bank import Bank
from slmmux.bank.imports import Imported, import_file
from slmmux.errors import BankConflictError, BankError
from slmmux.types import Kind

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

ROW: dict[str, Any] = {
    "task": "sums",
    "question_id": "q1",
    "gold": "4",
    "model": "weak",
    "answers": ["4", "5"],
}
TEXTS = {key: value for key, value in ROW.items() if key != "answers"} | {
    "samples": ["The answer is 4.", None]
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bank.db"


def lines_of(*rows: Mapping[str, Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def imported(path: Path, *rows: Mapping[str, Any], kind: Kind | None = None) -> Imported:
    source = path.with_name("rows.jsonl")
    source.write_bytes(lines_of(*rows))
    return import_file(path, source, kind=kind)


def column(path: Path, name: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        sql = f"SELECT {name} FROM samples ORDER BY question, model, run_seed, idx"  # noqa: S608
        return [value for (value,) in connection.execute(sql)]


def contents(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


# What a row becomes.


def test_answers_are_kept_as_written_with_their_class(path: Path) -> None:
    imported(path, ROW | {"answers": ["4", "4.0", None, "", " ", "about 5"]})
    assert column(path, "answer") == ["4", "4.0", None, None, None, "about 5"]
    assert column(path, "key") == ["4", "4", None, None, None, "5"]
    assert column(path, "text") == column(path, "error") == [None] * 6


def test_samples_are_read(path: Path) -> None:
    imported(path, TEXTS)
    assert column(path, "text") == ["The answer is 4.", None]
    assert column(path, "answer") == ["4", None]
    assert column(path, "key") == ["4", None]


def test_a_reply_that_was_cut_off_is_read_as_one(path: Path) -> None:
    imported(path, TEXTS | {"samples": ["4 and then 1"] * 2, "finish_reasons": ["length", "stop"]})
    assert column(path, "answer") == [None, "1"]


def test_everything_else_that_a_row_says_is_kept(path: Path) -> None:
    more = {
        "question": "2 + 2?",
        "kind": "number",
        "metadata": {"level": 2, "by": {"who": ["me"]}},
        "temperature": 1,
        "run_seed": 9,
        "errors": [None, "refused"],
        "usage": [{"prompt_tokens": 5, "completion_tokens": 2}, None],
        "finish_reasons": ["stop", None],
        "seeds": [10, 11],
        "seeds_honoured": [True, None],
        "latencies": [0.5, 1],
        "costs": [0.1, None],
        "drawn_at": ["2030-01-01T00:00:00Z", None],
        "reasoning": ["hm", None],
        "indices": [4, 2],
    }
    imported(path, TEXTS | more)
    assert column(path, "idx") == [2, 4]
    assert column(path, "error") == ["refused", None]
    assert column(path, "prompt_tokens") == [None, 5]
    assert column(path, "tokens_estimated") == [None, None]
    assert column(path, "seed") == [11, 10]
    assert column(path, "seed_honoured") == [None, 1]
    assert column(path, "latency_s") == [1.0, 0.5]
    assert column(path, "cost") == [None, 0.1]
    assert column(path, "run_seed") == [9, 9]
    assert column(path, "reasoning") == [None, "hm"]
    with Bank.open(path) as bank:
        (question,), (model,) = bank.questions(), bank.models()
    assert (question.text, question.kind) == ("2 + 2?", "number")
    assert question.metadata == {"level": 2, "by": {"who": ["me"]}}
    assert model.settings == {"temperature": 1.0}


def test_models_stand_in_the_order_of_their_first_rows(path: Path) -> None:
    imported(path, *(ROW | {"model": name} for name in "zma"), ROW | {"model": "z"})
    with Bank.open(path) as bank:
        assert [model.name for model in bank.models()] == ["z", "m", "a"]


def test_models_of_other_temperatures_are_other_models(path: Path) -> None:
    rows = [ROW, ROW | {"temperature": 0}, ROW | {"temperature": 0.0, "settings": {"top_p": 1.0}}]
    imported(path, *rows)
    with Bank.open(path) as bank:
        assert len(bank.models()) == 3


def test_banks_may_be_ragged(path: Path) -> None:
    done = imported(path, ROW | {"answers": []}, ROW | {"question_id": "q2", "answers": ["1"] * 5})
    assert done.absorbed.new_samples == 5
    assert done.absorbed.new_questions == 2


def test_what_one_row_does_not_say_another_one_may(path: Path) -> None:
    first = {"model": "a", "gold": None, "metadata": {"level": 2}}
    imported(path, ROW | first, ROW | {"metadata": {"topic": "sums"}})
    imported(path, ROW | {"model": "c", "metadata": {"more": 1}})
    with Bank.open(path) as bank:
        (question,) = bank.questions()
    assert question.reference == "4"
    assert question.metadata == {"level": 2, "topic": "sums", "more": 1}


# Kinds.


@pytest.mark.parametrize(
    ("references", "kind"),
    [(["1", "2.5"], "number"), (["A", "J"], "choice"), (["05/01/2021"], "date"), (["dog"], "text")],
)
def test_a_kind_that_nobody_says_is_guessed_and_told(
    path: Path, references: list[str], kind: Kind
) -> None:
    rows = [ROW | {"question_id": str(i), "gold": gold} for i, gold in enumerate(references)]
    assert imported(path, *rows).guessed == {"sums": kind}
    with Bank.open(path) as bank:
        assert {question.kind for question in bank.questions()} == {None}
        assert set(bank.kinds().values()) == {kind}


def test_the_row_says_its_kind_before_the_caller_and_the_task(path: Path) -> None:
    source = path.with_name("rows.jsonl")
    rows = [ROW | {"kind": "text"}, ROW | {"task": "known"}, ROW | {"kind": "auto", "model": "b"}]
    source.write_bytes(lines_of(*rows))
    registered: dict[str, Kind] = {"sums": "number", "known": "date"}
    assert import_file(path, source, kind_of=registered.get).guessed == {}
    with Bank.open(path) as bank:
        kinds = {(question.task, question.kind) for question in bank.questions()}
    assert kinds == {("sums", "text"), ("known", "date"), ("sums", "number")}


def test_the_callers_kind_comes_before_the_tasks(path: Path) -> None:
    source = path.with_name("rows.jsonl")
    source.write_bytes(lines_of(ROW))
    assert import_file(path, source, kind="json", kind_of=lambda _: "date").guessed == {}
    with Bank.open(path) as bank:
        assert bank.questions()[0].kind == "json"


def test_a_question_with_choices_is_a_choice(path: Path) -> None:
    done = imported(path, ROW | {"choices": ["dog", "cat"], "answers": ["cat"]})
    assert done.guessed == {}
    assert column(path, "key") == ["B"]


def test_the_last_reference_of_a_long_file_can_change_the_kind_of_all(path: Path) -> None:
    rows = [ROW | {"question_id": str(i), "answers": ["04"]} for i in range(1200)]
    done = imported(path, *rows, ROW | {"question_id": "last", "gold": "dog", "answers": ["cat"]})
    assert done.guessed == {"sums": "text"}
    assert set(column(path, "key")) == {"text:04", "text:cat"}


def test_references_of_a_second_file_can_change_the_kind_of_what_is_there(path: Path) -> None:
    imported(path, ROW | {"answers": ["04"]})
    assert column(path, "key") == ["4"]
    done = imported(path, ROW | {"question_id": "q2", "gold": "dog", "answers": ["cat"]})
    assert done.absorbed.reread == {"sums": "text"}
    assert column(path, "key") == ["text:04", "text:cat"]


def test_a_second_file_is_read_as_all_references_say(path: Path) -> None:
    imported(path, ROW | {"gold": "dog", "answers": ["cat"]})
    done = imported(path, ROW | {"question_id": "q2", "answers": ["04"]})
    assert done.guessed == {"sums": "text"}
    assert column(path, "key") == ["text:cat", "text:04"]


# Packings.


def test_plain_gzip_and_zstandard_are_told_by_content(tmp_path: Path) -> None:
    data = lines_of(ROW, ROW | {"question_id": "q2"})
    frames = b"".join(zstandard.ZstdCompressor().compress(part) for part in (data[:9], data[9:]))
    members = gzip.compress(data[:9]) + gzip.compress(data[9:])
    banks = []
    for name, packed in (("a", data), ("b", members), ("c", frames), ("d", b"\xef\xbb\xbf" + data)):
        source, path = tmp_path / f"{name}.whatever", tmp_path / f"{name}.db"
        source.write_bytes(packed)
        assert import_file(path, source).absorbed.new_samples == 4
        banks.append(contents(path))
    assert banks[0] == banks[1] == banks[2] == banks[3]


def test_blank_lines_and_windows_lines_are_fine(path: Path) -> None:
    source = path.with_name("rows.jsonl")
    source.write_bytes(b"\n" + lines_of(ROW).replace(b"\n", b"\r\n") + b"  \r\n\n")
    assert import_file(path, source).rows == 1


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
@pytest.mark.parametrize("keep", [0.5, 0.99])
def test_a_packed_file_that_ends_in_the_middle_is_refused(
    path: Path, pack: Any, keep: float
) -> None:
    rows = [ROW | {"question_id": str(i), "gold": str(i * 7919 % 1000)} for i in range(3000)]
    data = pack(lines_of(*rows))
    source = path.with_name("rows.jsonl.gz")
    source.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(BankError, match=r"rows\.jsonl\.gz: the packed file ends in the middle"):
        import_file(path, source)
    assert not path.exists()


def test_a_packed_file_that_is_damaged_is_refused(path: Path) -> None:
    data = bytearray(gzip.compress(lines_of(*[ROW] * 100)))
    data[40:60] = bytes(20)
    source = path.with_name("rows.jsonl.gz")
    source.write_bytes(data)
    with pytest.raises(BankError, match="damaged"):
        import_file(path, source)


def test_a_file_that_is_not_there_says_so(path: Path) -> None:
    with pytest.raises(BankError, match=r"none\.jsonl: No such file"):
        import_file(path, path.with_name("none.jsonl"))
    with pytest.raises(BankError, match="Is a directory"):
        import_file(path, path.parent)
    assert not path.exists()


# Lines that cannot be used.

BAD = [
    (b"{", "not JSON"),
    (b"[1]", "not a JSON object"),
    (b'"text"', "not a JSON object"),
    (b"\xff\xfe{}", "not UTF-8"),
    (b'{"task": "caf\xe9"}', "not UTF-8"),
    (b'{"task": "\\ud800"}', "not JSON"),
    (b'{"question_id": "q", "model": "m", "answers": []}', "no `task`"),
    (lines_of(ROW | {"task": ""}), "`task`"),
    (lines_of(ROW | {"question_id": 7}), "`question_id`"),
    (lines_of(ROW | {"gold": 4}), "`gold`"),
    (lines_of(ROW | {"answers": "4"}), "`answers`"),
    (lines_of(ROW | {"answers": [4]}), r"`answers\[0\]`"),
    (lines_of(ROW | {"samples": ["4"]}), "both `samples` and `answers`"),
    (lines_of(ROW | {"answers": None}), "neither `samples` nor `answers`"),
    (lines_of(ROW | {"kind": "numeric"}), "`kind`"),
    (lines_of(ROW | {"choices": "A"}), "`choices`"),
    (lines_of(ROW | {"seeds": [1]}), "1 seeds for 2 answers"),
    (lines_of(ROW | {"seeds": [1, 2**63]}), r"`seeds\[1\]`"),
    (lines_of(ROW | {"run_seed": "0"}), "`run_seed`"),
    (lines_of(ROW | {"run_seed": True}), "`run_seed`"),
    (lines_of(ROW | {"temperature": "hot"}), "`temperature`"),
    (lines_of(ROW | {"temperature": -4}), "`temperature`: .* greater than or equal to 0"),
    (lines_of(ROW | {"settings": {"temperature": -4}}), "settings.temperature is -4"),
    (lines_of(ROW | {"latencies": [1, -1]}), r"`latencies\[1\]`"),
    (lines_of(ROW | {"costs": [-0.5, 1]}), r"`costs\[0\]`"),
    (lines_of(ROW).replace(b"{", b'{"model": "x", '), "`model` stands twice in one object"),
    (lines_of(ROW | {"metadata": {"a": 1}}).replace(b'"a"', b'"a": 0, "a"'), "`a` stands twice"),
    (lines_of(ROW).replace(b'"4"', b"NaN"), "`gold`"),
    (lines_of(ROW | {"costs": [float("nan"), 1.0]}), r"`costs\[0\]`"),
    (lines_of(ROW | {"metadata": {"x": float("inf")}}), "not JSON compliant"),
    (lines_of(ROW | {"metadata": []}), "`metadata`"),
    (lines_of(ROW | {"indices": [1, 1]}), "an index stands twice"),
    (lines_of(ROW | {"indices": [-1, 1]}), r"`indices\[0\]`"),
    (lines_of(ROW | {"extracted": ["4", "5"]}), "both `answers` and `extracted`"),
    (lines_of(ROW | {"usage": [{"tokens": 1}, None]}), r"unknown field `usage\[0\].tokens`"),
    (lines_of(ROW | {"finish_reason": ["stop"]}), "did you mean `finish_reasons`"),
    (lines_of(ROW | {"subject": "x"}), "unknown field `subject`; put what .* into `metadata`"),
    (lines_of(ROW | {"temperature": 1.0, "settings": {"temperature": 2.0}}), "settings.temp"),
    (lines_of(ROW | {"gold": "5"}), "`gold` is '5'; an earlier line says '4'"),
    (lines_of(ROW | {"answers": ["9"]}), "sample 0 stands on line 1 already, with another text"),
    (b"[" * 100_000, "not JSON"),
]


@pytest.mark.parametrize(("line", "reason"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_a_bad_line_is_named_and_nothing_is_imported(path: Path, line: bytes, reason: str) -> None:
    imported(path, ROW | {"task": "before"})
    before = contents(path)
    source = path.with_name("bad.jsonl")
    good = lines_of(ROW, ROW | {"question_id": "q2"})
    source.write_bytes(good + b"\n" + line.strip() + b"\n" + good)
    with pytest.raises(
        BankError, match=rf"bad\.jsonl: nothing was imported, since\n  line 4: .*{reason}"
    ):
        import_file(path, source)
    assert contents(path) == before


def test_the_same_words_as_a_key_and_in_a_text_are_no_doubled_key(path: Path) -> None:
    imported(path, TEXTS | {"samples": ['{"answer": "4"}: "gold": 4', None], "gold": "4"})
    assert column(path, "answer") == ["4", None]


def test_all_bad_lines_are_listed_up_to_a_limit(path: Path) -> None:
    source = path.with_name("bad.jsonl")
    source.write_bytes(lines_of(ROW) + b"{\n" * 700 + lines_of(ROW | {"gold": 1}))
    with pytest.raises(BankError) as caught:
        import_file(path, source)
    message = str(caught.value).splitlines()
    assert [line.split(":")[0].strip() for line in message[1:21]] == [
        f"line {number}" for number in range(2, 22)
    ]
    assert message[21].strip() == "… and 681 more"
    assert not path.exists()


def test_metadata_that_differs_between_rows_of_a_question_is_refused(path: Path) -> None:
    with pytest.raises(BankError, match=r"line 2: metadata describes the question.*`level`"):
        imported(path, ROW | {"metadata": {"level": 1}}, ROW | {"metadata": {"level": 2}})


# Against what is there.


def test_the_same_file_again_adds_nothing(path: Path) -> None:
    rows = [ROW, TEXTS | {"model": "other", "errors": [None, "refused"]}]
    imported(path, *rows)
    before = contents(path)
    done = imported(path, *rows, *rows)
    assert (done.absorbed.new_samples, done.absorbed.samples) == (0, 4)
    assert (done.absorbed.new_questions, done.absorbed.new_models) == (0, 0)
    assert contents(path) == before


def test_another_text_for_a_sample_of_the_bank_is_refused_by_line(path: Path) -> None:
    imported(path, ROW)
    before = contents(path)
    words = r"line 2: sample 1 of weak on sums q1 \(run seed 0\) is in the bank with another text"
    with pytest.raises(BankConflictError, match=words):
        imported(path, ROW | {"question_id": "q0"}, ROW | {"answers": ["4", "6"]})
    assert contents(path) == before


def test_another_reference_than_the_banks_is_refused(path: Path) -> None:
    imported(path, ROW)
    before = contents(path)
    with pytest.raises(BankConflictError, match="sums q1 has the reference '5', and '4' in the b"):
        imported(path, ROW | {"gold": "5", "model": "other"})
    assert contents(path) == before


def test_other_metadata_than_the_banks_is_refused(path: Path) -> None:
    imported(path, ROW | {"metadata": {"level": 1}})
    before = contents(path)
    with pytest.raises(BankConflictError, match="sums q1 has other metadata: level"):
        imported(path, ROW | {"metadata": {"level": 2, "topic": "x"}})
    assert contents(path) == before


def test_a_bank_that_cannot_be_used_is_refused_before_the_file_is_read(path: Path) -> None:
    path.write_text("no bank " * 1000)
    with pytest.raises(BankError, match=r"bank\.db: not a bank"):
        import_file(path, path.with_name("none.jsonl"))


def test_an_import_ends_the_claims_on_its_samples(path: Path) -> None:
    imported(path, ROW | {"answers": []})
    with Bank.open(path, write=True) as bank:
        (question,), (model,) = bank.questions(), bank.models()
        bank.claim(bank.missing([question.id], [model.id], 0, 3), "ann", 60)
    imported(path, ROW)
    with Bank.open(path) as bank:
        assert bank.query("SELECT idx FROM claims") == [(2,)]


# Recorded answers.


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the recorded answers in ../shared/data")
@pytest.mark.parametrize(
    ("name", "samples", "kinds"),
    [
        ("date_4_models", 22_140, {"date"}),
        ("gsm8k_11_models_greedy", 3_300, {"number"}),
        ("reasoning_gym_9_models_3_samples", 22_950, {"text"}),
        ("amc_aime_2_models_50_samples", 7_000, {"text"}),
        ("embedded_6_models_10_samples", 18_000, {"number"}),
    ],
)
def test_recorded_answers_are_imported(
    path: Path, name: str, samples: int, kinds: set[Kind]
) -> None:
    shares: list[float] = []
    done = import_file(path, DATA / f"{name}.jsonl.gz", report=shares.append)
    assert done.absorbed.new_samples == samples
    assert shares == sorted(shares)
    with Bank.open(path) as bank:
        assert set(bank.kinds().values()) == kinds
