"""The child process that holds llama.cpp: `python -m slmmux.engines.embedded_server`.

It reads one JSON line of settings from stdin and answers with one JSON line on stdout: the
address that it listens on. It serves until stdin closes, which also happens when its parent is
killed, so that it never outlives it.
"""

import json
import os
import signal
import sys
import threading
from dataclasses import asdict, dataclass
from typing import Self

_LOG_GRACE_S = 0.5
_PARENT_POLL_S = 1.0
_PROMPT_CACHE_MIB = 256  # of prompts that left their slot; llama.cpp's own default is 8 GiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the native server is started with.

    Attributes:
        api_key: other users of the machine reach the loopback port too; they lack this.
        context: tokens of prompt and answer, per slot.
        slots: sequences decoded together in a batch.
        threads: threads that compute.
    """

    path: str
    model: str
    api_key: str
    context: int
    slots: int
    threads: int

    def to_line(self) -> bytes:
        """One JSON line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        """The inverse of `to_line`."""
        return cls(**json.loads(line))


def main() -> None:
    """Serve until the parent closes stdin or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    parent = os.getppid()
    # A forked sibling may hold the pipe open after the parent died; the parent's id tells too.
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    settings = Settings.from_line(sys.stdin.readline())
    # Whatever native code prints belongs in the log, not in the handshake.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as parent_pipe:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        server, address = _serve(settings)
        parent_pipe.write(json.dumps({"address": address}) + "\n")
    while sys.stdin.readline():
        pass
    del server
    _leave()


def _serve(settings: Settings) -> tuple[object, str]:
    """Load the model and start to listen; end this process where that fails."""
    import xllamacpp  # noqa: PLC0415 - an optional extra, and slow to load

    params = xllamacpp.CommonParams()
    params.model.path = settings.path
    params.model_alias = {settings.model}
    params.api_keys = [settings.api_key]
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # any free one
    params.n_parallel = settings.slots
    params.n_ctx = settings.context * settings.slots  # the slots divide it
    params.cpuparams.n_threads = settings.threads
    params.cpuparams_batch.n_threads = settings.threads
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.verbosity = 2  # warnings; the default writes several lines a request
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:  # llama.cpp logs why, from a thread of its own
        threading.Event().wait(_LOG_GRACE_S)
        sys.exit(str(error))
    return server, server.listening_address


def _leave_with(parent: int) -> None:
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(_PARENT_POLL_S)
    _leave()


def _leave() -> None:
    os._exit(0)  # the native destructor waits for requests that nobody reads any more


if __name__ == "__main__":
    main()
