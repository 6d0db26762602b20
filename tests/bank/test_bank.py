import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from slmmux.bank import Bank
from slmmux.bank.rows import BankSample, SampleKey, settings_of
from slmmux.bank.schema import APPLICATION_ID, MIGRATIONS, VERSION, migrate
from slmmux.errors import BankConflictError, BankError
from slmmux.results import Json
from slmmux.types import Answer, Example, Model, PromptStyle, Question, Sample, Usage

WEAK = Model(name="weak", model="smollm2-135m", temperature=0.7)
STRONG = Model(name="strong", model="qwen", base_url="http://localhost:8001/v1")


@dataclass(frozen=True)
class Problem:
    question: Question
    reference: str
    metadata: Mapping[str, Json] = field(default_factory=dict)


def problem(name: str, text: str = "What is 2 + 2?", reference: str = "4") -> Problem:
    return Problem(Question(text=text, id=name, kind="number"), reference, {"level": 1})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bank.db"


@pytest.fixture
def bank(path: Path) -> Iterator[Bank]:
    with Bank.open(path, create=True) as opened:
        yield opened


def first_key(bank: Bank, index: int = 0, run_seed: int = 0) -> SampleKey:
    question = bank.add_questions("sums", [problem("q1")])["q1"]
    return SampleKey(question, bank.add_model(WEAK), run_seed, index)


def said(key: SampleKey, text: str = "4") -> BankSample:
    return BankSample(key=key, text=text, answer=text, answer_key=text)


def contents(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM samples ORDER BY 1, 2, 3, 4").fetchall()


# What goes in comes out.


def test_a_sample_comes_back_with_everything_that_is_known_of_it(bank: Bank, path: Path) -> None:
    key = first_key(bank, index=2, run_seed=-7)
    drawn = Sample(
        model="weak",
        question_id="q1",
        index=2,
        text="It is \x00 4 — ½",
        reasoning="2 and 2",
        finish_reason="stop",
        usage=Usage(11, 3, estimated=True),
        seed=2**31 - 1,
        seed_honoured=False,
        latency_s=0.25,
        answer=Answer("4", "4"),
    )
    bank.add([BankSample.of(drawn, key, cost=0.002, drawn_at="2030-01-02T03:04:05Z")])
    assert contents(path) == [
        (
            *(key.question, key.model, -7, 2, "4", "4", "stop", 11, 3, 1, 0.002),
            *(2**31 - 1, 0, 0.25, "2030-01-02T03:04:05Z", None, "It is \x00 4 — ½", "2 and 2"),
        )
    ]


def test_questions_and_models_come_back(bank: Bank) -> None:
    numbers = bank.add_questions("sums", [problem("q2"), problem("q1", text="1 + 3?")])
    strong, weak = bank.add_model(STRONG), bank.add_model(WEAK)
    first, second = bank.questions(["sums"])
    assert [first.name, second.name] == ["q1", "q2"]
    assert (first.id, first.text, first.kind) == (numbers["q1"], "1 + 3?", "number")
    assert (first.reference, first.metadata) == ("4", {"level": 1})
    assert [model.id for model in bank.models()] == [strong, weak]
    assert bank.models()[0].settings == settings_of(STRONG)
    assert bank.questions(["others"]) == ()
    assert bank.tasks() == ("sums",)


def test_adding_questions_and_models_again_changes_nothing(bank: Bank) -> None:
    first = bank.add_questions("sums", [problem("q1"), problem("q2")]), bank.add_model(WEAK)
    again = bank.add_questions("sums", [problem("q1"), problem("q2")]), bank.add_model(WEAK)
    assert first == again
    assert len(bank.questions()) == 2
    assert len(bank.models()) == 1


def test_a_changed_question_is_another_question(bank: Bank) -> None:
    first = bank.add_questions("sums", [problem("q1")])
    assert bank.add_questions("sums", [problem("q1", text="What is 3 + 3?")]) != first


def test_another_reference_for_a_question_is_refused(bank: Bank) -> None:
    bank.add_questions("sums", [problem("q1")])
    with pytest.raises(BankConflictError, match="sums q1: its reference there is '4', not '5'"):
        bank.add_questions("sums", [problem("q0"), problem("q1", reference="5")])
    assert [q.name for q in bank.questions()] == ["q1"]


def test_two_questions_of_one_name_are_refused(bank: Bank) -> None:
    with pytest.raises(BankError, match="two questions have the same id"):
        bank.add_questions("sums", [problem("q1"), problem("q1", text="What is 3 + 3?")])


# One sample a key.


def test_the_same_sample_again_is_no_change(bank: Bank, path: Path) -> None:
    key = first_key(bank)
    bank.add([said(key)])
    before = contents(path)
    bank.add([replace(said(key), latency_s=3.0)])
    assert contents(path) == before


def test_another_text_under_a_key_is_refused_and_changes_nothing(bank: Bank, path: Path) -> None:
    key = first_key(bank)
    bank.add([said(key)])
    before = contents(path)
    words = r"sample 0 of weak on sums q1 \(run seed 0\) is there already with another text"
    with pytest.raises(BankConflictError, match=words):
        bank.add([said(replace(key, index=1)), said(key, "5")])
    assert contents(path) == before


@pytest.mark.parametrize(
    ("there", "new"),
    [
        ({"text": "4"}, {"error": "refused"}),
        ({"error": "refused"}, {"text": "4"}),
        ({"answer": "4", "answer_key": "4"}, {"answer": "5", "answer_key": "5"}),
        ({"answer": None}, {"error": "refused"}),
        ({"text": ""}, {"text": None}),
    ],
)
def test_a_failure_a_reply_and_a_bare_answer_are_different(
    bank: Bank, there: dict[str, str | None], new: dict[str, str | None]
) -> None:
    key = first_key(bank)
    bank.add([BankSample(key=key, **there)])  # type: ignore[arg-type]
    with pytest.raises(BankConflictError):
        bank.add([BankSample(key=key, **new)])  # type: ignore[arg-type]


def test_repeats_of_one_text_are_as_many_samples(bank: Bank, path: Path) -> None:
    key = first_key(bank)
    bank.add(
        [said(replace(key, index=index, run_seed=seed)) for index in (0, 1) for seed in (0, 1)]
    )
    assert len(contents(path)) == 4


def test_a_sample_of_a_question_that_is_not_there_is_refused(bank: Bank, path: Path) -> None:
    with pytest.raises(BankError, match="FOREIGN KEY"):
        bank.add([said(SampleKey(9, 9, 0, 0))])
    assert contents(path) == []


# What makes two models of the bank.


@pytest.mark.parametrize(
    "other",
    [
        replace(WEAK, model="gemma3-270m"),
        replace(WEAK, base_url="http://localhost:8001/v1"),
        replace(WEAK, api="completions"),
        replace(WEAK, temperature=0.0),
        replace(WEAK, top_p=0.9),
        replace(WEAK, max_tokens=5),
        replace(WEAK, prompt=PromptStyle(examples=(Example("1 + 1?", "2"),))),
        replace(WEAK, prompt=PromptStyle(system="Be brief.")),
        replace(WEAK, prompt=PromptStyle(stop=("\n",))),
        replace(WEAK, prompt=PromptStyle(instruction="")),
        replace(WEAK, name="other"),
    ],
)
def test_whatever_shapes_a_sample_makes_another_model(bank: Bank, other: Model) -> None:
    assert bank.add_model(WEAK) != bank.add_model(other)


@pytest.mark.parametrize(
    "same",
    [
        replace(WEAK, price_per_mtok_in=1.0, validation_accuracy=0.5),
        replace(WEAK, api_key_env="KEY", max_concurrency=1, n="never"),
        replace(WEAK, temperature=7 / 10),
    ],
)
def test_prices_keys_and_accuracies_make_no_other_model(bank: Bank, same: Model) -> None:
    assert bank.add_model(WEAK) == bank.add_model(same)


def test_one_endpoint_at_another_address_serves_the_same_model() -> None:
    moved = replace(STRONG, base_url="https://example.org/v1")
    assert settings_of(moved) == settings_of(STRONG)


# What is missing, and who draws it.


def test_missing_are_the_keys_without_a_sample(bank: Bank) -> None:
    key = first_key(bank)
    bank.add([said(replace(key, index=1)), said(replace(key, run_seed=5))])
    missing = bank.missing([key.question], [key.model], 0, 3)
    assert [k.index for k in missing] == [0, 2]
    assert [k.index for k in bank.missing([key.question], [key.model], 5, 3)] == [1, 2]


def test_a_claimed_key_is_not_given_to_another_owner(bank: Bank) -> None:
    first, second = first_key(bank), first_key(bank, index=1)
    assert bank.claim([first], "ann", 60) == (first,)
    assert bank.claim([first, second], "bob", 60) == (second,)


def test_an_owner_claims_its_own_keys_again(bank: Bank) -> None:
    key = first_key(bank)
    bank.claim([key], "ann", 60)
    assert bank.claim([key], "ann", 60) == (key,)


def test_an_expired_lease_is_taken_over(bank: Bank) -> None:
    key = first_key(bank)
    bank.claim([key], "ann", 0.01)
    time.sleep(0.02)
    assert bank.claim([key], "bob", 60) == (key,)
    assert bank.claim([key], "ann", 60) == ()


def test_a_released_key_is_free(bank: Bank) -> None:
    key = first_key(bank)
    bank.claim([key], "ann", 60)
    bank.release([key], "bob")
    assert bank.claim([key], "bob", 60) == ()
    bank.release([key], "ann")
    assert bank.claim([key], "bob", 60) == (key,)


def test_adding_a_sample_ends_its_claim_for_good(bank: Bank) -> None:
    key = first_key(bank)
    bank.claim([key], "ann", 60)
    bank.add([said(key)])
    assert bank.query("SELECT count(*) FROM claims") == [(0,)]
    assert bank.claim([key], "bob", 60) == ()


# Votes.


def test_votes_come_by_question_model_and_index(bank: Bank) -> None:
    numbers = bank.add_questions("sums", [problem("q2"), problem("q1")])
    bank.add_questions("others", [problem("q1")])
    weak, strong = bank.add_model(WEAK), bank.add_model(STRONG)
    keys = [
        SampleKey(question, model, 0, index)
        for index in (1, 0)
        for model in (strong, weak)
        for question in sorted(numbers.values(), reverse=True)
    ]
    bank.add([said(key) for key in keys])
    votes = bank.votes(["sums"], 0, [weak, strong])
    assert [vote[:3] for vote in votes] == sorted((k.question, k.model, k.index) for k in keys)
    assert {vote[3:] for vote in votes} == {("4", "4", 0, None, None, None)}
    assert {vote[1] for vote in bank.votes((), 0, [strong])} == {strong}
    assert bank.votes(["others"], 0, [weak]) == []
    assert bank.votes(["sums"], 1, [weak]) == []
    assert bank.votes(["sums"], 0, []) == []


def test_a_failed_sample_is_marked(bank: Bank) -> None:
    key = first_key(bank)
    bank.add([BankSample(key=key, error="refused", prompt_tokens=0, completion_tokens=0, cost=0.0)])
    assert bank.votes((), 0, [key.model])[0][3:] == (None, None, 1, 0, 0, 0.0)


def test_run_seeds_and_models_are_those_of_the_tasks(bank: Bank) -> None:
    key = first_key(bank, run_seed=3)
    bank.add([said(key)])
    bank.add_questions("others", [problem("q1")])
    bank.add_model(STRONG)
    assert bank.run_seeds() == bank.run_seeds(["sums"]) == (3,)
    assert bank.run_seeds(["others"]) == ()
    assert [model.name for model in bank.models(["sums"])] == ["weak"]
    assert bank.models(["others"]) == ()


# The file.


def test_what_is_written_is_on_disk_in_wal_mode(bank: Bank) -> None:
    for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
        assert bank.query(f"PRAGMA {pragma}") == [(value,)]
    assert bank.query("PRAGMA application_id") == [(APPLICATION_ID,)]
    assert bank.query("PRAGMA user_version") == [(VERSION,)]


def test_a_bank_that_is_not_there_is_not_made_by_reading(path: Path) -> None:
    for write in (False, True):
        with pytest.raises(BankError, match=r"bank\.db: there is no such bank"):
            Bank.open(path, write=write)
    assert not path.exists()


def test_a_folder_is_no_bank(tmp_path: Path) -> None:
    with pytest.raises(BankError, match="a folder"):
        Bank.open(tmp_path, create=True)


def test_a_bank_in_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(BankError, match="see that the folder is there"):
        Bank.open(tmp_path / "none" / "bank.db", create=True)


def test_a_text_file_is_refused_and_left_alone(path: Path) -> None:
    path.write_text("a text of some length, which is surely no bank\n" * 100)
    before = path.read_bytes()
    for arguments in ({}, {"write": True}, {"create": True}):
        with pytest.raises(BankError, match=r"bank\.db: not a bank"):
            Bank.open(path, **arguments)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE notes (text)")
    before = path.read_bytes()
    for arguments in ({}, {"create": True}):
        with pytest.raises(BankError, match="an SQLite file of another program"):
            Bank.open(path, **arguments)
    assert path.read_bytes() == before


def test_a_bank_of_a_newer_version_is_refused(path: Path) -> None:
    Bank.open(path, create=True).close()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    for arguments in ({}, {"write": True}, {"create": True}):
        with pytest.raises(BankError, match=rf"has version {VERSION + 1}.*upgrade slmmux"):
            Bank.open(path, **arguments)


def test_an_empty_file_is_a_bank_only_to_be_made(path: Path) -> None:
    path.touch()
    with pytest.raises(BankError, match="an empty file"):
        Bank.open(path)
    with Bank.open(path, create=True) as bank:
        assert bank.tasks() == ()


def test_an_older_bank_is_upgraded_by_whoever_opens_it(path: Path) -> None:
    with closing(sqlite3.connect(path)) as older:  # version 0: marked as a bank, no tables yet
        older.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    with Bank.open(path) as bank:
        assert bank.query("PRAGMA user_version") == [(VERSION,)]
        assert bank.tasks() == ()


def test_every_migration_step_is_taken_once_and_keeps_what_is_there(bank: Bank, path: Path) -> None:
    bank.add([said(first_key(bank))])
    steps = (*MIGRATIONS, ("ALTER TABLE samples ADD COLUMN mood TEXT DEFAULT 'calm'",))
    for _ in range(2):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            migrate(connection, steps)
    assert [row[-1] for row in contents(path)] == ["calm"]
    with pytest.raises(BankError, match="newer slmmux"):
        Bank.open(path)


def test_a_migration_that_fails_leaves_the_bank_as_it_was(path: Path) -> None:
    Bank.open(path, create=True).close()
    steps = (*MIGRATIONS, ("CREATE TABLE new (x)", "CREATE TABLE samples (x)"))
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as connection,
        pytest.raises(sqlite3.OperationalError),
    ):
        migrate(connection, steps)
    with Bank.open(path) as bank:
        assert bank.query("SELECT name FROM sqlite_master WHERE name = 'new'") == []


# Faults.


def test_a_bank_opened_for_reading_cannot_be_changed(path: Path) -> None:
    with Bank.open(path, create=True) as bank:
        key = first_key(bank)
    with Bank.open(path) as reader:
        with pytest.raises(BankError, match=r"bank\.db: cannot be written"):
            reader.add([said(key)])
        with pytest.raises(BankError, match="cannot be written"):
            reader.claim([key], "ann", 60)
    assert contents(path) == []


def test_a_locked_bank_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slmmux.bank.connection.BUSY_S", 0.1)
    with Bank.open(path, create=True) as bank, closing(sqlite3.connect(path)) as other:
        key = first_key(bank)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BankError, match=r"bank\.db: another process has locked it"):
            bank.add([said(key)])
        assert bank.votes((), 0, [key.model]) == []  # readers do not wait for a writer
        other.rollback()
        bank.add([said(key)])
    assert len(contents(path)) == 1


def test_a_writer_waits_for_another_one(path: Path) -> None:
    program = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1])
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(0.3)
connection.rollback()
"""
    with Bank.open(path, create=True) as bank:
        key = first_key(bank)
        command = [sys.executable, "-c", program, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            other.stdout.readline()
            bank.add([said(key)])
    assert len(contents(path)) == 1


def test_a_damaged_bank_says_so(path: Path) -> None:
    with Bank.open(path, create=True) as bank:
        key = first_key(bank)
        bank.add([said(replace(key, index=index), "4" * 500) for index in range(200)])
    data = bytearray(path.read_bytes())
    data[8192:-4096] = os.urandom(len(data) - 12288)
    path.write_bytes(data)
    with Bank.open(path) as bank, pytest.raises(BankError, match=r"bank\.db: damaged; restore"):
        bank.votes((), 0, [key.model])


def test_a_full_disk_says_so_and_loses_nothing(path: Path) -> None:
    with Bank.open(path, create=True) as bank:
        key = first_key(bank)
        bank.add([said(key)])
    before = contents(path)
    program = f"""
import resource, sys
from pathlib import Path
from slmmux.bank import Bank
from slmmux.bank.rows import BankSample, SampleKey
from slmmux.errors import BankError
with Bank.open(Path(sys.argv[1]), write=True) as bank:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, 1 << 17))
    key = {key!r}
    try:
        bank.add([BankSample(key=SampleKey(key.question, key.model, 0, i), text="x" * 5000)
                  for i in range(1, 100)])
    except BankError as error:
        print(error)
    bank.add([BankSample(key=SampleKey(key.question, key.model, 0, 1), text="small")])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert "make room and try again. The bank is as it was before" in done.stdout
    after = contents(path)
    assert after[0] == before[0]
    assert [row[-2] for row in after] == ["4", "small"]
    with Bank.open(path) as bank:
        assert bank.query("PRAGMA integrity_check") == [("ok",)]


def test_a_bank_is_read_where_nothing_can_be_written() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody who may not write")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Bank.open(folder / "bank.db", create=True) as bank:
            bank.add([said(first_key(bank))])
        folder.chmod(0o555)
        program = f"""
import os, sys, tempfile
from pathlib import Path
from slmmux.bank import Bank
from slmmux.bank.merge import merge
from slmmux.errors import BankError
os.setgid(65534)
os.setuid(65534)
path = Path({str(folder / "bank.db")!r})
with Bank.open(path) as bank:
    print(bank.tasks(), len(bank.votes((), 0, [1])))
with tempfile.TemporaryDirectory() as own, Bank.open(Path(own) / "own.db", create=True) as bank:
    print(merge(bank, path).new_samples)
try:
    with Bank.open(path, write=True) as bank:
        bank.claim([], "ann", 1)
except BankError as error:
    print(error)
"""
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        lines = done.stdout.splitlines()
        assert lines[0] == "('sums',) 1"
        assert lines[1] == "1"
        assert "cannot be written" in lines[2]
        assert len(list(folder.iterdir())) == 1


def test_a_bank_made_by_many_at_once_is_one_bank(path: Path) -> None:
    program = """
import sys
from pathlib import Path
from slmmux.bank import Bank
from slmmux.types import Model
with Bank.open(Path(sys.argv[1]), create=True) as bank:
    bank.add_model(Model(name=sys.argv[2], model="m"))
"""
    makers = [
        subprocess.Popen([sys.executable, "-c", program, str(path), f"model-{i}"]) for i in range(4)
    ]
    assert [maker.wait() for maker in makers] == [0] * 4
    with Bank.open(path) as bank:
        assert len(bank.models()) == 4


def test_an_interrupted_transaction_is_undone(path: Path) -> None:
    with Bank.open(path, create=True) as bank:
        key = first_key(bank)
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012, SIM117 - it comes in the middle
            with bank.transaction() as connection:
                connection.execute("DELETE FROM questions")
                signal.raise_signal(signal.SIGINT)
        bank.add([said(key)])
    assert len(contents(path)) == 1


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_no_file_stays_open_when_opening_fails(path: Path) -> None:
    path.write_bytes(b"no bank" * 1000)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(BankError):
            Bank.open(path, write=True)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_new_bank_where_nothing_can_be_written_is_refused_by_its_own_name() -> None:
    path = Path("/proc/bank.db")
    with pytest.raises(BankError, match=r"^/proc/bank\.db: cannot be opened; see that the folder"):
        Bank.open(path, create=True)


def test_making_a_bank_leaves_nothing_else_behind(path: Path) -> None:
    Bank.open(path, create=True).close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
