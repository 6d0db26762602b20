"""llama.cpp inside: a native server in a child process, asked through the OpenAI client."""

import asyncio
import contextlib
import importlib.util
import json
import os
import re
import secrets
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from slmmux.engines import weights
from slmmux.engines.base import Completion, Relayed, Request
from slmmux.engines.catalog import CatalogModel, lookup
from slmmux.engines.embedded_process import ServerProcess
from slmmux.engines.embedded_server import Settings
from slmmux.errors import (
    ConnectionDroppedError,
    EmbeddedServerError,
    EngineError,
    MissingExtraError,
    RequestRejectedError,
    SlmmuxError,
    UnreachableError,
    UpstreamError,
)
from slmmux.types import Model

# Chosen by benchmarks/embedded_throughput.py: throughput of the smallest models on few cores grows
# up to 16 sequences a batch. A slot takes memory in proportion to the model, 25 to 50 MB for those
# and 300 MB for one of 4 B parameters, while batching gains less: larger models get fewer slots.
_SLOTS = ((500_000_000, 16), (1_500_000_000, 8))  # up to so many bytes of weights
_FEWEST_SLOTS = 4
DEFAULT_CONTEXT = 2048  # tokens of a few-shot prompt and its answer

_RETRY_START_S = 30.0
_STABLE_S = 600.0

_OWN_FAULT = re.compile(r"comput|decod|memory|alloc|slot|internal", re.IGNORECASE)


class EmbeddedEngine:
    """Draws samples from a catalog model; fetches its weights when they are not there yet.

    The server starts on the first draw. When it dies it is started again, once; a server that
    then runs for ten minutes has earned another restart. Safe to use from several event loops,
    one after the other or at once.

    Args:
        catalog_name: which model (`slmmux models list`).
        slots: samples drawn at once; further requests wait in the server. By default 16 for
            the smallest models, fewer for larger ones.
        context: tokens of prompt and answer for each sample, within the model's own context.
        threads: threads that compute; all cores by default, also where two engines share them.
        report: told how far the pull of the weights is, where one is needed.
    """

    def __init__(
        self,
        catalog_name: str,
        *,
        slots: int | None = None,
        context: int | None = None,
        threads: int | None = None,
        report: weights.Report | None = None,
    ) -> None:
        self._model = lookup(catalog_name)
        self._slots = slots or default_slots(self._model)
        self._context = min(context or DEFAULT_CONTEXT, self._model.context)
        self._threads = threads or cores()
        self._report = report
        self._guard = threading.Lock()  # held by the thread that starts or stops the server
        self._server: ServerProcess | None = None
        self._restarted = False
        self._failure: tuple[float, SlmmuxError] | None = None  # when a start failed, and how
        self._lock: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    @property
    def endpoint(self) -> str:
        """`embedded:` and the catalog name."""
        return f"embedded:{self._model.name}"

    def choices_per_request(self, model: Model, *, ordered: bool) -> int:  # noqa: ARG002
        """As many as there are slots; choice j is the text of seed + j."""
        # The prompt is read once for all of them: most of a few-shot prompt's work on a CPU.
        return 1 if model.n == "never" else self._slots

    async def draw(self, request: Request) -> Sequence[Completion]:
        """Up to `request.n` completions, in seed order.

        Raises:
            EmbeddedServerError: the server did not start, or died again after its restart.
            MissingExtraError: xllamacpp is not installed.
            WeightsError: the weights could not be fetched, or are not what they should be.
            ContextLengthError: prompt and answer do not fit the context.
        """
        request = replace(request, n=min(request.n, self._slots))  # the server refuses more
        request = _with_schema(request)
        while True:
            server = await self._running()
            try:
                completions = await server.client.draw(request)
            except (UnreachableError, ConnectionDroppedError):
                if not await server.died():
                    raise
                await server.client.close()
                continue  # `_running` starts it again, or says that it has died too often
            except UpstreamError as error:
                raise _blamed(request.model, error) from error
            return [replace(completion, seed_honoured=True) for completion in completions]

    async def start(self) -> None:
        """Start the server now, so that the first draw need not wait for it.

        Raises:
            EmbeddedServerError, MissingExtraError, WeightsError: as `draw`.
        """
        await self._running()

    @asynccontextmanager
    async def relay(
        self,
        model: Model,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Relayed]:
        """Pass a request on to the server as it is, and its reply as it comes.

        Raises:
            EngineError, MissingExtraError, WeightsError: as `draw`.
        """
        async with AsyncExitStack() as stack:
            while True:
                server = await self._running()
                try:
                    passed = server.client.relay(model, path, body, headers)
                    reply = await stack.enter_async_context(passed)
                    break
                except (UnreachableError, ConnectionDroppedError):
                    if not await server.died():
                        raise
                    await server.client.close()
                except UpstreamError as error:
                    raise _blamed(model, error) from error
            yield reply

    def stands_for(self, other: object) -> bool:
        """Whether its server runs, and is the one that the other engine would start."""
        server = self._server
        return (
            isinstance(other, EmbeddedEngine)
            and server is not None
            and server.alive()
            and self._shape() == other._shape()  # noqa: SLF001 - of the same class
        )

    def _shape(self) -> tuple[CatalogModel, int, int, int]:
        return self._model, self._slots, self._context, self._threads

    async def close(self) -> None:
        """Stop the server; safe to call twice. A later draw starts it again."""
        server = await asyncio.to_thread(self._take)
        if server is not None:
            await server.client.close()
            await asyncio.to_thread(server.stop)

    async def _running(self) -> ServerProcess:
        """The server, started when there is none that lives."""
        if self._server is not None and self._server.alive():
            return self._server
        async with self._gate():
            cancelled = threading.Event()
            try:
                # Loading takes seconds and pulling minutes: the loop has other engines to serve.
                return await asyncio.to_thread(self._ensure, cancelled)
            finally:
                cancelled.set()

    def _take(self) -> ServerProcess | None:
        with self._guard:
            server, self._server = self._server, None
            self._failure, self._restarted = None, False
            return server

    def _gate(self) -> asyncio.Lock:
        """The running loop's lock, so that one draw starts the server and no thread waits idle."""
        loop = asyncio.get_running_loop()
        if self._lock is None or self._lock[0] is not loop:
            self._lock = (loop, asyncio.Lock())
        return self._lock[1]

    def _ensure(self, cancelled: threading.Event) -> ServerProcess:
        with self._guard:
            server = self._server
            if server is not None and server.alive():
                return server
            self._raise_fresh_failure()
            try:
                if server is not None:
                    self._bury(server)
                self._server = self._start(cancelled)
            except SlmmuxError as error:
                if not cancelled.is_set():
                    self._failure = (time.monotonic(), error)
                raise
            return self._server

    def _raise_fresh_failure(self) -> None:
        """The draws that waited for a failed start fail with it; they do not each try again."""
        if self._failure is not None and time.monotonic() < self._failure[0] + _RETRY_START_S:
            raise type(self._failure[1])(str(self._failure[1]))

    def _bury(self, server: ServerProcess) -> None:
        """Let go of a dead server; it may be replaced unless it replaced one itself just now."""
        server.mourn()
        if self._restarted and server.age_s() < _STABLE_S:
            raise EmbeddedServerError(
                f"{self._model.name}: the embedded server died again after its restart "
                f"({server.last_words()}); try fewer slots or a smaller context, or another model"
            )
        self._restarted = True
        self._server = None
        server.stop()

    def _start(self, cancelled: threading.Event) -> ServerProcess:
        require_extra(self._model.name)
        settings = Settings(
            path=str(self._weights(cancelled)),
            model=self._model.name,
            api_key=secrets.token_urlsafe(16),
            context=self._context,
            slots=self._slots,
            threads=self._threads,
        )
        server = ServerProcess(settings)
        server.wait_until_ready(cancelled)
        return server

    def _weights(self, cancelled: threading.Event) -> Path:
        def report(progress: weights.PullProgress) -> None:
            if cancelled.is_set():
                raise EmbeddedServerError(f"{self._model.name}: the pull was cancelled")
            if self._report is not None:
                self._report(progress)

        if weights.find(self._model) is None:
            return weights.pull(self._model, report)
        return weights.load(self._model)


def default_slots(model: CatalogModel) -> int:
    """How many samples of this model are drawn at once unless the caller says."""
    return next((slots for size, slots in _SLOTS if model.size_bytes <= size), _FEWEST_SLOTS)


def _with_schema(request: Request) -> Request:
    """llama.cpp takes the reply's form for chats; its other API knows it by another name."""
    fields = request.prompt.fields
    if fields is None or request.prompt.text is None or "response_format" not in fields:
        return request
    further = json.loads(fields)
    form = further.pop("response_format", None)
    if isinstance(form, dict):
        schema = form.get("json_schema", {}).get("schema")
        further["json_schema"] = {"type": "object"} if schema is None else schema
    return replace(request, prompt=replace(request.prompt, fields=json.dumps(further)))


def _blamed(model: Model, error: UpstreamError) -> EngineError:
    """The error, as a rejection where the request is to blame.

    llama.cpp says 500, too, of a message's parts and of what a chat template does not allow.
    """
    said = re.search(r"\(500: (.*)\); see the server's log", str(error), re.DOTALL)
    if said is None or _OWN_FAULT.search(said[1]):
        return error
    return RequestRejectedError(f"{model.name}: it cannot take this request ({said[1]})")


def require_extra(name: str) -> None:
    """Make sure that the embedded engine is installed.

    Raises:
        MissingExtraError: it is not; the message names the model that wants it.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingExtraError(
            f"{name} runs in the embedded engine: pip install 'slmmux[embedded]'"
        )


def cores() -> int:
    """Cores that this process may use: its affinity, within its container's quota."""
    pinned = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(pinned or 1, int(quota) // int(period)))
    return pinned or 1
