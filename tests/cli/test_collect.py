"""`slmmux collect` as a person starts it: a real process, a real loopback server, a real bank."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from slmmux.bank import Bank
from slmmux.testing import Fault, FaultEndpoint

SLMMUX = str(Path(sys.executable).with_name("slmmux"))
_DOWN: tuple[Fault, ...] = ("unknown model",) * 4
FAST = "[sampling]\nmax_attempts = 2\nmax_retry_time = 0.5\nrequest_timeout = 2.0\n"


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def pool(folder: Path, *endpoints: FaultEndpoint, **keys: object) -> Path:
    extra = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    entries = [
        f'[[models]]\nname = "{name}"\nmodel = "tiny"\nbase_url = "{e.base_url}"\n{extra}'
        for name, e in zip("abc", endpoints, strict=False)
    ]
    path = folder / "pool.toml"
    path.write_text(FAST + "\n".join(entries))
    return path


def command(folder: Path, *arguments: str | Path) -> list[str]:
    fixed = ["--pool", str(folder / "pool.toml"), "--bank", str(folder / "bank.db")]
    return [SLMMUX, "collect", *fixed, *map(str, arguments)]


def collect(folder: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(folder, *arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=folder,
    )


def count(folder: Path, condition: str = "1") -> int:
    with Bank.open(folder / "bank.db") as bank:
        ((number,),) = bank.query(f"SELECT count(*) FROM samples WHERE {condition}")  # noqa: S608
        assert isinstance(number, int)
        return number


def test_it_says_what_was_drawn_and_the_next_run_draws_nothing(
    servers: ExitStack, tmp_path: Path
) -> None:
    server = servers.enter_context(FaultEndpoint())
    pool(tmp_path, server, server)
    done = collect(tmp_path, "--task", "arithmetic", "--limit", "5", "-k", "2")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("20 drawn, ")
    assert "20 samples of the plan are in " in done.stderr
    again = collect(tmp_path, "--task", "arithmetic", "--limit", "5", "-k", "2")
    assert again.stderr.startswith("0 drawn, ")
    assert count(tmp_path) == 20


def test_validation_and_test_questions_are_different_ones(
    servers: ExitStack, tmp_path: Path
) -> None:
    server = servers.enter_context(FaultEndpoint())
    pool(tmp_path, server)
    for split in ("validation", "test"):
        done = collect(
            tmp_path, "--task", "arithmetic", "--limit", "5", "--split", split, "-k", "1"
        )
        assert done.returncode == 0, done.stderr
    assert count(tmp_path) == 10


def test_questions_of_a_file_are_collected_under_the_files_name(
    servers: ExitStack, tmp_path: Path
) -> None:
    server = servers.enter_context(FaultEndpoint())
    pool(tmp_path, server)
    rows = [{"question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(4)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = collect(tmp_path, "--task", "file:sums.jsonl", "-k", "1")
    assert done.returncode == 0, done.stderr
    with Bank.open(tmp_path / "bank.db") as bank:
        assert bank.tasks() == ("file:sums.jsonl",)
        assert len(bank.questions()) == 4


def test_greedy_draws_one_sample_at_temperature_0(servers: ExitStack, tmp_path: Path) -> None:
    server = servers.enter_context(FaultEndpoint())
    pool(tmp_path, server)
    done = collect(tmp_path, "--task", "arithmetic", "--limit", "3", "--greedy")
    assert done.returncode == 0, done.stderr
    assert {body["temperature"] for body in server.requests} == {0.0}
    assert count(tmp_path) == 3


def test_shots_replace_the_models_own_prompts(servers: ExitStack, tmp_path: Path) -> None:
    server = servers.enter_context(FaultEndpoint())
    pool(tmp_path, server)
    done = collect(tmp_path, "--task", "arithmetic", "--limit", "1", "-k", "1", "--shots", "2")
    assert done.returncode == 0, done.stderr
    roles = [message["role"] for message in server.requests[0]["messages"]]
    assert roles == ["user", "assistant", "user", "assistant", "user"]


def test_a_spent_budget_is_exit_code_1_and_says_so(servers: ExitStack, tmp_path: Path) -> None:
    server = servers.enter_context(FaultEndpoint())
    pool(tmp_path, server, max_tokens=20)
    done = collect(
        tmp_path, "--task", "arithmetic", "--limit", "20", "-k", "3", "--max-tokens", "500"
    )
    assert done.returncode == 1
    assert "stopped, since the budget does not allow another request; " in done.stderr
    assert "the same command goes on from there" in done.stderr
    assert 0 < count(tmp_path) < 60


def test_a_wrong_key_is_told_once_and_is_exit_code_3(servers: ExitStack, tmp_path: Path) -> None:
    server = servers.enter_context(FaultEndpoint("wrong key"))
    pool(tmp_path, server)
    done = collect(tmp_path, "--task", "arithmetic", "--limit", "50", "-k", "3")
    assert done.returncode == 3
    assert done.stderr.count("refused the API key") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--task", "gsm9k"], "did you mean gsm8k?"),
        (["--task", "arithmetic", "--split", "training"], "validation, test, all"),
        (["--task", "arithmetic", "-k", "0"], "k is 0"),
        (["--task", "arithmetic", "--max-cost", "1"], "--max-cost needs prices"),
        (["--task", "arithmetic", "--max-tokens", "0"], "--max-tokens is 0"),
        (["--task", "arithmetic", "--greedy", "-k", "3"], "--greedy draws one sample"),
        (["--task", "file:nowhere.jsonl"], "nowhere.jsonl"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_makes_no_bank(
    servers: ExitStack, tmp_path: Path, arguments: list[str], words: str
) -> None:
    pool(tmp_path, servers.enter_context(FaultEndpoint()))
    done = collect(tmp_path, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("signum", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")]
)
def test_a_signal_keeps_what_has_arrived_and_says_how_to_go_on(
    servers: ExitStack, tmp_path: Path, signum: signal.Signals, word: str
) -> None:
    server = servers.enter_context(FaultEndpoint(delay_s=0.02))
    pool(tmp_path, server, max_concurrency=2, n="never")
    arguments = ["--task", "arithmetic", "--limit", "100", "-k", "3"]
    process = subprocess.Popen(
        command(tmp_path, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 20
    while len(server.requests) < 20 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signum)
    out, err = process.communicate(timeout=20)
    kept = count(tmp_path)
    assert (process.returncode, out) == (128 + signum, "")
    assert f"{kept} of 300 samples are in " in err
    assert err.endswith(f"the same command goes on from there\n{word}\n")
    assert 10 <= kept < 300
    assert count(tmp_path, "error IS NOT NULL") == 0


def test_a_bank_on_a_full_disk_is_one_message(servers: ExitStack, tmp_path: Path) -> None:
    server = servers.enter_context(FaultEndpoint())
    pool(tmp_path, server)
    limited = ["bash", "-c", 'ulimit -f 100; exec "$@"', "limited"]
    done = subprocess.run(
        [*limited, *command(tmp_path, "--task", "arithmetic", "--limit", "400", "-k", "3")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 4
    assert "bank.db" in done.stderr
    assert "make room" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_leaves_no_empty_bank_behind(servers: ExitStack, tmp_path: Path) -> None:
    pool(tmp_path, servers.enter_context(FaultEndpoint()))
    limited = ["bash", "-c", 'ulimit -f 4; exec "$@"', "limited"]
    done = subprocess.run(
        [*limited, *command(tmp_path, "--task", "arithmetic", "--limit", "4", "-k", "1")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 4
    assert "make room" in done.stderr.replace("\n", " ")
    assert list(tmp_path.glob("bank.db*")) == []


def test_a_second_set_under_the_same_name_is_said_before_it_is_drawn(
    servers: ExitStack, tmp_path: Path
) -> None:
    server = servers.enter_context(FaultEndpoint())
    arguments = ["--task", "arithmetic", "--limit", "3", "-k", "1"]
    pool(tmp_path, server, server)
    assert "other settings" not in collect(tmp_path, *arguments).stderr
    pool(tmp_path, server, temperature=0.7)
    warned = collect(tmp_path, *arguments)
    assert warned.returncode == 0
    said = "a: the bank has samples of it with other settings (temperature 0.3 there, 0.7 now); "
    assert warned.stderr.startswith(said)
    assert count(tmp_path) == 9
    assert "other settings" not in collect(tmp_path, *arguments).stderr  # no more news
    assert "other settings" not in collect(tmp_path, *arguments[:-2], "--greedy").stderr


def test_failures_of_an_outage_are_told_and_drawn_again_on_demand(
    servers: ExitStack, tmp_path: Path
) -> None:
    server = servers.enter_context(FaultEndpoint(*_DOWN, "ok"))
    pool(tmp_path, server, max_concurrency=1, n="never")
    arguments = ["--task", "arithmetic", "--limit", "3", "-k", "2"]
    done = collect(tmp_path, *arguments)
    assert "4 of them failures (--retry-failed draws those again)" in done.stderr
    assert count(tmp_path, "error IS NOT NULL") == 4
    assert collect(tmp_path, *arguments).stderr.startswith("0 drawn, ")
    again = collect(tmp_path, *arguments, "--retry-failed")
    assert again.returncode == 0, again.stderr
    assert again.stderr.startswith("4 drawn, ")
    assert count(tmp_path, "error IS NOT NULL") == 0
    assert count(tmp_path) == 6


def test_a_model_that_is_given_up_is_never_exit_code_0(servers: ExitStack, tmp_path: Path) -> None:
    good = servers.enter_context(FaultEndpoint())
    bad = servers.enter_context(FaultEndpoint("unknown model"))
    pool(tmp_path, good, bad, n="never")
    done = collect(tmp_path, "--task", "arithmetic", "--limit", "6", "-k", "2")
    assert done.returncode == 1
    assert "failed every time: " in done.stderr


@pytest.mark.parametrize(
    ("faults", "code"), [(("wrong key", "wrong key"), 3), (("ok", "wrong key"), 1)]
)
def test_a_model_that_fails_every_time_is_told_however_few_samples_it_was_asked_for(
    servers: ExitStack, tmp_path: Path, faults: tuple[Fault, Fault], code: int
) -> None:
    pool(tmp_path, *(servers.enter_context(FaultEndpoint(fault)) for fault in faults))
    done = collect(tmp_path, "--task", "arithmetic", "--limit", "1", "-k", "1")
    assert done.returncode == code
    assert done.stderr.count("refused the API key") == faults.count("wrong key")
