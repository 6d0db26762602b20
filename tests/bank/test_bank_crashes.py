"""Real processes on one bank: killed at random moments, and several at once."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from slmmux.bank import Bank
from slmmux.bank.checks import verify
from slmmux.bank.rows import SampleKey

QUESTIONS, K = 20, 40

# A collector: claims what is missing, draws it, adds it, and writes down what was acknowledged.
COLLECTOR = """
import json, os, random, sys, time
from dataclasses import dataclass, field
from pathlib import Path
from slmmux.bank import Bank
from slmmux.bank.rows import BankSample
from slmmux.types import Model, Question

@dataclass(frozen=True)
class Problem:
    question: Question
    reference: str
    metadata: dict = field(default_factory=dict)

path, log, owner, lease_s = Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])
rng = random.Random(owner)
problems = [Problem(Question(text=f"{i} + {i}?", id=f"q{i}", kind="number"), str(2 * i))
            for i in range(QUESTIONS)]
with Bank.open(path, create=True) as bank, open(log, "a") as acknowledged:
    while not all(map(os.path.exists, sys.argv[5:])):  # those that begin at the same time
        time.sleep(0.001)
    questions = list(bank.add_questions("sums", problems).values())
    model = bank.add_model(Model(name="weak", model="m"))
    while missing := list(bank.missing(questions, [model], 0, K)):
        rng.shuffle(missing)
        for key in bank.claim(missing[:3], owner, lease_s):
            text = f"{owner} {key.index} ½ " * 50
            bank.add([BankSample(key=key, text=text, answer="2", answer_key="2")])
            line = [key.question, key.model, key.run_seed, key.index, text]
            os.write(acknowledged.fileno(), (json.dumps(line) + chr(10)).encode())
""".replace("QUESTIONS", str(QUESTIONS)).replace("K)", f"{K})")


def collector(
    path: Path, owner: str, lease_s: float, others: Sequence[str] = ()
) -> "subprocess.Popen[bytes]":
    log, *logs = (str(path.with_name(f"{name}.log")) for name in (owner, *others))
    return subprocess.Popen(
        [sys.executable, "-c", COLLECTOR, str(path), log, owner, str(lease_s), *logs]
    )


def acknowledged(folder: Path) -> list[tuple[int, int, int, int, str]]:
    """A line that a kill has cut short tells nobody anything."""
    lines = [line for log in folder.glob("*.log") for line in log.read_text().split("\n")[:-1]]
    return [tuple(json.loads(line)) for line in lines]


def kept(path: Path) -> list[tuple[int, int, int, int, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT question, model, run_seed, idx, text FROM samples"
        ).fetchall()


def test_two_collectors_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    both = [collector(path, "ann", 60, ["bob"]), collector(path, "bob", 60, ["ann"])]
    assert [one.wait(60) for one in both] == [0, 0]
    rows = kept(path)
    assert len(rows) == QUESTIONS * K
    assert sorted(rows) == sorted(acknowledged(tmp_path))
    assert set(Counter(row[4].split()[0] for row in rows)) == {"ann", "bob"}
    with Bank.open(path) as bank:
        assert bank.query("SELECT count(*) FROM claims") == [(0,)]
        assert verify(bank) == ()


def test_a_collector_killed_twenty_times_loses_nothing_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    path, rng = tmp_path / "bank.db", random.Random(1)
    for life in range(20):
        log = tmp_path / f"life-{life}.log"
        process = collector(path, f"life-{life}", 0.05)
        enough = rng.randrange(1500)  # bytes of the log: a few samples
        while not log.exists() or log.stat().st_size < enough:
            assert process.poll() is None
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.005))
        process.kill()
        assert process.wait() == -signal.SIGKILL
    process = collector(path, "last", 0.05)
    assert process.wait(60) == 0
    rows = kept(path)
    # A kill may fall between the commit and the log: such a sample is kept, though nobody knows.
    assert set(acknowledged(tmp_path)) <= set(rows)
    assert len({text.split()[0] for *_, text in rows}) > 10  # most lives got to add something
    keys = [row[:4] for row in rows]
    assert len(set(keys)) == len(keys) == QUESTIONS * K
    with Bank.open(path) as bank:
        assert verify(bank) == ()
        assert bank.missing([1], [1], 0, K) == ()


def test_an_import_that_is_killed_is_there_wholly_or_not_at_all(tmp_path: Path) -> None:
    source, rng = tmp_path / "rows.jsonl", random.Random(2)
    rows = [
        {"task": "sums", "question_id": str(i), "gold": "1", "model": "m", "answers": ["1"] * 20}
        for i in range(2000)
    ]
    source.write_text("\n".join(json.dumps(row) for row in rows))
    command = "import sys; from pathlib import Path; from slmmux.bank.imports import import_file; "
    command += "print(flush=True); import_file(Path(sys.argv[1]), Path(sys.argv[2]))"
    counts = set()
    for attempt in range(8):
        path = tmp_path / f"{attempt}.db"
        arguments = [sys.executable, "-c", command, str(path), str(source)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.uniform(0.1, 0.6))
            process.kill()
        if path.exists() and path.stat().st_size:
            with Bank.open(path, create=True) as bank:
                ((count,),) = bank.query("SELECT count(*) FROM samples")
                counts.add(count)
                assert bank.query("PRAGMA integrity_check") == [("ok",)]
    assert counts <= {0, 40_000}


def test_threads_share_one_bank(tmp_path: Path) -> None:
    with Bank.open(tmp_path / "bank.db", create=True) as bank, ThreadPoolExecutor(4) as pool:
        keys = [SampleKey(1, 1, 0, index) for index in range(40)]
        granted = list(pool.map(lambda i: bank.claim(keys, f"owner-{i}", 60), range(4)))
    assert sorted(key for keys in granted for key in keys) == keys
