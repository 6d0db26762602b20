"""The parent's handle on the child process that holds llama.cpp."""

import asyncio
import contextlib
import http
import http.client
import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
import weakref
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import IO

from slmmux.engines.embedded_server import Settings
from slmmux.engines.openai import OpenAIEngine
from slmmux.errors import EmbeddedServerError

# llama.cpp's threads meet at a barrier hundreds of times a token, and by default spin there for
# as long as it takes. With more threads than free cores the one that is waited for is not running:
# measured, one token took seconds. A short spin, then sleep, costs nothing when cores are free.
_ENVIRONMENT = {"GOMP_SPINCOUNT": "1000"}

_REQUEST_TIMEOUT_S = 600.0  # a full queue on a slow machine is not a failure
_START_TIMEOUT_S = 300.0  # gigabytes from a slow disk
_STOP_TIMEOUT_S = 5.0
_DEATH_GRACE_S = 1.0  # a killed process closes its sockets before it can be waited for
_KILLED = -9  # SIGKILL, as a return code
_LOG_TAIL_LINES = 8
_LOG_TAIL_BYTES = 4096
_POLL_S = 0.05

log = logging.getLogger("slmmux.engines")


class ServerProcess:
    """The child process and the client that speaks to it.

    Attributes:
        address: where it listens, once it is ready; on loopback.
        client: asks it, once it is ready.
    """

    address: str
    client: OpenAIEngine

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._started = time.monotonic()
        self._ended_at: float | None = None
        self._telling = threading.Lock()  # held by whoever tells of its death, or ends it
        self._stopped = False
        # The log has no name: it is read for its last words, and gone with whoever holds it.
        self._log = TemporaryFile()  # noqa: SIM115 - closed by `stop`
        self._process = subprocess.Popen(
            [sys.executable, "-m", "slmmux.engines.embedded_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**_ENVIRONMENT, **os.environ},
            start_new_session=True,  # the terminal's Ctrl-C is for the parent
        )

    def wait_until_ready(self, cancelled: threading.Event) -> None:
        """Hand over the settings, read the address, see that it is healthy.

        Raises:
            EmbeddedServerError: it ended, hung, or nobody waits for it any more.
        """
        with ExitStack() as undo:
            undo.callback(self.stop)
            try:
                self.address = self._shake_hands(cancelled)
                _check_health(self.address)
            except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
                raise EmbeddedServerError(
                    f"{self._settings.model}: the embedded server did not start "
                    f"({self.last_words() if self._ended() else error})"
                ) from error
            undo.pop_all()
        self.client = OpenAIEngine(
            f"{self.address}/v1",
            api_key=self._settings.api_key,
            request_timeout_s=_REQUEST_TIMEOUT_S,
            name=f"embedded:{self._settings.model}",
        )
        _watch(self, self._process.pid)

    def _shake_hands(self, cancelled: threading.Event) -> str:
        stdin, stdout = self._pipes()
        stdin.write(self._settings.to_line())
        stdin.flush()
        while not select.select([stdout], [], [], _POLL_S)[0]:
            if cancelled.is_set():
                raise TimeoutError("nobody waits for it any more")
            if self.age_s() > _START_TIMEOUT_S:
                raise TimeoutError(f"no address within {_START_TIMEOUT_S:.0f} s")
        return str(json.loads(stdout.readline())["address"])

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101 - both were asked for
        assert stdout is not None  # noqa: S101
        return stdin, stdout

    def age_s(self) -> float:
        """Seconds since it was started, up to its end."""
        return (self._ended_at or time.monotonic()) - self._started

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def _ended(self) -> bool:
        """Whether it has ended by itself; what closed its pipe takes a moment to be waited for."""
        try:
            self._process.wait(_DEATH_GRACE_S)
        except subprocess.TimeoutExpired:
            return False
        return True

    async def died(self) -> bool:
        """Whether a failed request was the process's death; does not block the loop."""
        return await asyncio.to_thread(self._ended)

    def mourn(self) -> None:
        """Tell the log that it died, once; not where `stop` ended it."""
        with self._telling:
            if self._stopped or self._ended_at is not None or not self._ended():
                return
            self._ended_at = time.monotonic()
            log.warning(
                "%s: the embedded server died after %.0f s (%s); the next request starts it again",
                self._settings.model,
                self.age_s(),
                self.last_words(),
            )

    def last_words(self) -> str:
        """How the process ended, and the end of its log."""
        code = self._process.returncode
        if code == _KILLED:  # what it wrote before has nothing to do with it
            return "signal 9: killed from outside, by the system where memory ran out"
        end = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        written = os.fstat(self._log.fileno()).st_size
        # Not `seek`: the child writes at the position that both share.
        log = os.pread(self._log.fileno(), _LOG_TAIL_BYTES, max(0, written - _LOG_TAIL_BYTES))
        tail = log.decode(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return "; ".join([end, *tail]) if tail else f"{end}; its log is empty"

    def stop(self) -> None:
        """End the process and let go of its log; safe to call twice."""
        with self._telling:
            self._stopped = True
        for pipe in self._pipes():
            with contextlib.suppress(BrokenPipeError):  # unsent settings of a dead child
                pipe.close()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def _watch(server: ServerProcess, pid: int) -> None:
    """See to it that the log tells of the process's death when it dies, not when it is missed."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13: then when it is missed
        return
    known = weakref.ref(server)  # whoever forgets the server ends the process with it

    def wait() -> None:
        # It is left to be waited for by its owner.
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        found = known()
        if found is not None:
            found.mourn()

    threading.Thread(target=wait, name=f"watch-{pid}", daemon=True).start()


def _check_health(address: str) -> None:
    """Ask the server whether it is ready; straight to loopback, whatever proxy is configured."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/health")
        status = connection.getresponse().status
    if status != http.HTTPStatus.OK:
        raise ValueError(f"its health check says {status}")
