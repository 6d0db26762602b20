"""The killable processes that do symbolic work, and their limits.

A worker is a plain subprocess, so it also starts from a script without a `__main__` guard. It is
started when first needed, serves one request at a time, and is killed and started anew when a
request exceeds its time or memory. It has its own session (Ctrl-C does not reach it) and ends when
this process does, however that ends, because its standard input closes.

While one worker is busy another one serves: an expression that takes its whole time limit does not
keep the others waiting. Ordinary expressions take milliseconds, and then there is only one worker.
"""

import atexit
import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from slmmux.errors import SlmmuxError

_START_LIMIT_S = 60.0
# The worker's own limit counts CPU time; the clock only backs it up, for a machine this busy.
_CLOCK_FACTOR = 3.0
_CPU_LIMIT_SIGNAL = getattr(signal, "SIGPROF", 0)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may use: seconds of CPU time, and the worker's memory in bytes."""

    time_s: float = 1.0
    memory_bytes: int = 2**30


class SymbolicWorker:
    """Starts, feeds, kills and restarts the worker process. Safe to share between threads."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._served = 0

    @property
    def pid(self) -> int | None:
        """The worker's process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def run(self, operation: str, arguments: tuple[str, ...]) -> str | None:
        """The worker's reply; None when it cannot read the arguments or hits a limit.

        Raises:
            SlmmuxError: the process does not come up: an installation problem, not an answer's.
        """
        request = {"operation": operation, "arguments": arguments, "limit_s": self.limits.time_s}
        body = json.dumps(request).encode()
        with self._lock:
            while True:
                process = self._running()
                try:
                    reply = self._exchange(process, body)
                except TimeoutError:
                    self._stop()
                    return None
                except (OSError, EOFError):
                    over_time = process.wait() == -_CPU_LIMIT_SIGNAL
                    fresh = self._served == 0
                    self._stop()
                    # A worker that died of anything else may have been short of memory because
                    # of earlier requests, or killed from outside: a fresh one decides.
                    if over_time or fresh:
                        return None
                else:
                    self._served += 1
                    return reply

    def close(self) -> None:
        """End the process; the next request starts another one."""
        with self._lock:
            self._stop()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        self._served = 0
        environment = os.environ | {
            "PYTHONHASHSEED": "0",  # sympy iterates sets: one order everywhere
            "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path),
        }
        command = [
            sys.executable,
            "-P",
            "-m",
            "slmmux.answers.symbolic",
            str(self.limits.memory_bytes),
        ]
        self._process = subprocess.Popen(  # noqa: S603  # our own module, by the running interpreter
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        try:
            _receive(self._process, time.monotonic() + _START_LIMIT_S)
        except (OSError, EOFError) as error:
            self._stop()
            raise SlmmuxError(
                f"the symbolic worker does not start; run `{' '.join(command)}` to see why"
            ) from error
        return self._process

    def _exchange(self, process: subprocess.Popen[bytes], body: bytes) -> str | None:
        deadline = time.monotonic() + self.limits.time_s * _CLOCK_FACTOR
        if process.stdin is None:
            raise EOFError
        process.stdin.write(struct.pack(">I", len(body)) + body)
        process.stdin.flush()
        return _receive(process, deadline)

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # unsent bytes for a dead process
                    pipe.close()
        process.wait()


def _receive(process: subprocess.Popen[bytes], deadline: float) -> str | None:
    header = _read(process, 4, deadline)
    body = _read(process, struct.unpack(">I", header)[0], deadline)
    key = json.loads(body)["key"]
    return None if key is None else str(key)


def _read(process: subprocess.Popen[bytes], size: int, deadline: float) -> bytes:
    """Exactly `size` bytes.

    Raises:
        TimeoutError: not by the deadline (a `time.monotonic` value).
        EOFError: the process ended.
    """
    if process.stdout is None:
        raise EOFError
    source = process.stdout.fileno()
    poll = select.poll()  # unlike select, it takes any file descriptor number
    poll.register(source, select.POLLIN)
    data = b""
    while len(data) < size:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError("the symbolic worker did not reply in time")
        chunk = os.read(source, size - len(data))
        if not chunk:
            raise EOFError("the symbolic worker ended")
        data += chunk
    return data


class SymbolicWorkers:
    """A few workers, started when those before them are busy. Safe to share between threads.

    Args:
        most: how many.
        limits: of each.
    """

    def __init__(self, most: int, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._workers = [SymbolicWorker(self.limits) for _ in range(most)]
        self._idle = self._workers[::-1]
        self._one_is_idle = threading.Condition()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers that run."""
        return tuple(pid for worker in self._workers if (pid := worker.pid) is not None)

    def run(self, operation: str, arguments: tuple[str, ...]) -> str | None:
        """`SymbolicWorker.run` of the first idle worker.

        Raises:
            SlmmuxError: the process does not come up: an installation problem, not an answer's.
        """
        with self._one_is_idle:
            self._one_is_idle.wait_for(lambda: self._idle)
            worker = self._idle.pop()
        try:
            return worker.run(operation, arguments)
        finally:
            with self._one_is_idle:
                self._idle.append(worker)  # the next one to be used: it is running already
                self._one_is_idle.notify()

    def close(self) -> None:
        """End the processes; the next request starts another one."""
        for worker in self._workers:
            worker.close()


class _Shared:
    """The workers that this process uses; a forked child gets its own."""

    most = max(2, min(4, os.cpu_count() or 1))
    workers = SymbolicWorkers(most)

    @classmethod
    def renew(cls) -> None:
        cls.workers = SymbolicWorkers(cls.most)

    @classmethod
    def close(cls) -> None:
        cls.workers.close()


def shared_workers() -> SymbolicWorkers:
    """The workers of this process, started when first used."""
    return _Shared.workers


# A child that shares its parent's pipes would read the parent's replies.
os.register_at_fork(after_in_child=_Shared.renew)
atexit.register(_Shared.close)
