import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from slmmux.answers import canonical_key, grade
from slmmux.answers.worker import Limits, SymbolicWorker, SymbolicWorkers, shared_workers

# Takes longer than any limit here, and looks as harmless as other polynomials do.
SLOW = r"(a+b+c+d+e)^{12}(f+g+h+k+m)^{12}"


@pytest.fixture
def worker() -> Iterator[SymbolicWorker]:
    worker = SymbolicWorker(Limits(time_s=0.5))
    yield worker
    worker.close()


def gone(pid: int, within_s: float = 10.0) -> bool:
    """Whether the process ends (a zombie that nobody waits for has ended)."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
                if stat.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_an_expression_is_simplified(worker: SymbolicWorker) -> None:
    assert worker.run("expression", (r"\sqrt{8}",)) == "expr:2*sqrt(2)"


def test_what_cannot_be_read_has_no_key_and_the_worker_goes_on(worker: SymbolicWorker) -> None:
    assert worker.run("expression", ("x+",)) is None
    first = worker.pid
    assert worker.run("expression", ("x+x",)) == "expr:2*x"
    assert worker.pid == first


def test_a_tower_of_powers_costs_its_time_limit_and_the_worker_is_replaced(
    worker: SymbolicWorker,
) -> None:
    worker.run("expression", ("x",))
    first = worker.pid
    start = time.monotonic()
    assert worker.run("expression", ("9^{9^{9^{9}}}",)) is None
    assert time.monotonic() - start < 3 * 0.5 + 0.5
    assert worker.run("expression", ("x+x",)) == "expr:2*x"
    assert worker.pid != first


def test_starting_sympy_is_not_counted_against_the_first_expression() -> None:
    worker = SymbolicWorker(Limits(time_s=0.3))
    try:
        assert worker.run("expression", ("x+x",)) == "expr:2*x"
    finally:
        worker.close()


def test_an_expression_that_eats_memory_has_no_key_and_the_worker_recovers() -> None:
    worker = SymbolicWorker(Limits(time_s=20.0, memory_bytes=160 * 2**20))
    try:
        start = time.monotonic()
        assert worker.run("expression", (r"2^{2^{34}}",)) is None
        assert time.monotonic() - start < 10
        assert worker.run("expression", ("x+x",)) == "expr:2*x"
    finally:
        worker.close()


def test_a_killed_worker_is_replaced(worker: SymbolicWorker) -> None:
    worker.run("expression", ("x",))
    first = worker.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    assert worker.run("expression", ("x+x",)) == "expr:2*x"
    assert worker.pid != first


def test_a_worker_that_dies_in_a_request_does_not_decide_about_it(
    worker: SymbolicWorker,
) -> None:
    worker.run("expression", ("x",))
    first = worker.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)  # so that it dies while the request waits
    killer = threading.Timer(0.3, os.kill, (first, signal.SIGKILL))
    killer.start()
    assert worker.run("expression", ("x+x",)) == "expr:2*x"
    killer.join()


def test_a_stopped_worker_costs_a_bounded_time(worker: SymbolicWorker) -> None:
    worker.run("expression", ("x",))
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    start = time.monotonic()
    assert worker.run("expression", ("x+x",)) is None
    assert time.monotonic() - start < 3


def test_threads_get_their_own_answers(worker: SymbolicWorker) -> None:
    found: dict[int, str | None] = {}

    def ask(number: int) -> None:
        found[number] = worker.run("expression", (f"x+{number}",))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 17)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: f"expr:x+{number}" for number in range(1, 17)}


def test_closing_ends_the_process(worker: SymbolicWorker) -> None:
    worker.run("expression", ("x",))
    pid = worker.pid
    assert pid is not None
    worker.close()
    worker.close()
    assert gone(pid)


# No `__main__` guard on purpose: this is how a first script looks.
SCRIPT = """
import sys, time
from slmmux.answers import canonical_key
from slmmux.answers.worker import shared_workers
canonical_key("\\\\sqrt{8}", "math")
print(*shared_workers().pids, flush=True)
%s
"""


@pytest.mark.parametrize(
    ("ending", "sent"),
    [
        ("", None),
        ("raise SystemExit(3)", None),
        ("time.sleep(60)", signal.SIGKILL),
        ("time.sleep(60)", signal.SIGINT),
        (f"canonical_key({SLOW!r}, 'math')", signal.SIGKILL),
    ],
)
def test_no_worker_outlives_its_parent(ending: str, sent: signal.Signals | None) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT % ending],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if sent is not None:
            time.sleep(0.2)
            parent.send_signal(sent)
        parent.wait(timeout=30)
    assert gone(pid)


def test_ctrl_c_does_not_reach_the_worker() -> None:
    shared_workers().close()
    assert shared_workers().run("expression", ("x",)) == "expr:x"
    (pid,) = shared_workers().pids
    assert os.getpgid(pid) != os.getpgid(0)
    os.kill(pid, signal.SIGINT)
    assert shared_workers().run("expression", ("x+x",)) == "expr:2*x"
    assert shared_workers().pids == (pid,)


def test_a_forked_child_uses_a_worker_of_its_own() -> None:
    canonical_key("x+x+x", "math")
    script = (
        "import os\nfrom slmmux.answers import canonical_key\n"
        "from slmmux.answers.worker import shared_workers\n"
        "canonical_key('x+x', 'math')\nbefore = shared_workers().pids\n"
        "child = os.fork()\n"
        "key = canonical_key('y+y', 'math')\nassert key == 'expr:2*y', key\n"
        "assert (shared_workers().pids == before) == bool(child)\n"
        "if child:\n    assert os.waitpid(child, 0)[1] == 0\n    print('ok')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "ok"


@pytest.mark.parametrize(
    "answer",
    [
        SLOW,
        "9^{9^{9^{9}}}",
        "2^{1000000}",
        "99999!",
        "(x+1)^{5000}",
        "(a+b+c+d)^{99}",
        "x=3^{10^{9}}",
    ],
)
def test_rule_2_what_takes_too_much_is_a_class_of_its_own(answer: str) -> None:
    start = time.monotonic()
    key = canonical_key(answer, "math")
    assert time.monotonic() - start < 8
    assert key == f"raw:{answer.removeprefix('x=')}"
    start = time.monotonic()
    assert canonical_key(answer, "math") == key
    assert time.monotonic() - start < 0.1


def test_grading_a_tower_of_powers_is_wrong_and_no_error() -> None:
    assert not grade("9^{9^{9^{9}}}", "81", "math").correct


def test_a_list_of_slow_expressions_costs_a_few_time_limits_and_not_one_for_each() -> None:
    answer = ", ".join(f"{SLOW}+{number}" for number in range(30))
    start = time.monotonic()
    key = canonical_key(answer, "math")
    assert time.monotonic() - start < 20
    assert key.startswith("raw:")
    assert canonical_key(answer, "math") == key


def test_towers_of_powers_cost_no_time_however_many_there_are() -> None:
    start = time.monotonic()
    keys = {canonical_key(f"{base}^{{9^{{9^{{9}}}}}}", "math") for base in range(2, 1002)}
    assert time.monotonic() - start < 5
    assert len(keys) == 1000


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        ("2^{10}", "1024"),
        ("10^{-6}", "1/1000000"),
        ("1^{999999}", "1"),
        (r"2^{3^{2}}", "512"),
        ("7!", "5040"),
        ("x^{1000000}", "expr:x**1000000"),
        (r"2^{2^{n}}", "expr:2**(2**n)"),
        (r"e^{10^{6}x}", "expr:exp(1000000*x)"),
        ("(x+1)^2", "expr:x**2+2*x+1"),
        (r"2^{\frac{1}{2}}", "expr:sqrt(2)"),
    ],
)
def test_what_can_be_worked_out_is(answer: str, key: str) -> None:
    assert canonical_key(answer, "math") == key


def test_a_slow_expression_does_not_keep_the_others_waiting() -> None:
    workers = SymbolicWorkers(2, Limits(time_s=2.0))
    try:
        assert workers.run("expression", ("x+x",)) == "expr:2*x"
        assert len(workers.pids) == 1
        slow = threading.Thread(target=workers.run, args=("expression", (SLOW,)))
        slow.start()
        time.sleep(0.2)
        assert workers.run("expression", ("y+y",)) == "expr:2*y"
        assert slow.is_alive()
        slow.join()
    finally:
        workers.close()
