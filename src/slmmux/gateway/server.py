"""The application on a socket: uvicorn, with httptools and uvloop where they are installed."""

import asyncio
import contextlib
import gc
import importlib.util
import json
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from slmmux.errors import UsageError
from slmmux.gateway.caps import Caps
from slmmux.gateway.failures import Failure

_YOUNG = 50_000  # objects, of which a vote makes hundreds, between two looks for garbage
_CONNECTIONS = 4096  # that wait to be accepted


def has(name: str) -> bool:
    """Whether a package is installed."""
    return importlib.util.find_spec(name) is not None


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """The fastest event loop there is."""
    if has("uvloop"):
        import uvloop  # noqa: PLC0415 - optional

        return uvloop.new_event_loop
    return asyncio.new_event_loop


def server_of(
    app: ASGIApp, caps: Caps, *, drain_s: int = 30, on_stop: Callable[[], None] | None = None
) -> uvicorn.Server:
    """A server, for `serve(sockets=[bind(...)])`.

    Args:
        app: what it serves.
        caps: how long a connection may take to say what it wants.
        drain_s: seconds that requests have to end in when the server stops.
        on_stop: called when it stops, before open requests are waited for.
    """
    config = uvicorn.Config(
        app,
        http=_patient(caps.head_s),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=drain_s,
        backlog=_CONNECTIONS,
    )
    return _Server(config, on_stop or (lambda: None))


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        UsageError: the address is in use, or none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_CONNECTIONS)
    except (OSError, OverflowError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"cannot listen on {host}, port {port}: {why}; --host and --port choose another address"
        ) from error
    return listener


def raise_file_limit() -> None:
    """Let this process hold as many connections as the system lets it."""
    try:
        import resource  # noqa: PLC0415 - not on every system
    except ImportError:
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def settle() -> None:
    """Spare the garbage collector what stays: it looked at all of it for every few requests.

    Measured, a third of the time of a request went there: what the program consists of is many
    objects, and a vote makes hundreds that are gone with it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)


class _Server(uvicorn.Server):
    """Tells when it begins to stop; signals are for whoever runs it."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """None: uvicorn would raise them again before what was drawn is on disk."""
        return contextlib.nullcontext()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, and wait for what is open."""
        self._on_stop()
        await super().shutdown(sockets)


class _Patient:
    """Drops a connection that does not get to the end of a request's head in time."""

    head_s: float
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    cycle: Any
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self._timer = self.loop.call_later(self.head_s, self._give_up)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)  # type: ignore[misc]
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._timer is None:  # the beginning of a further request
            self._timer = self.loop.call_later(self.head_s, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)  # type: ignore[misc]

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP request gets its error in the shape of all others."""
        body = json.dumps(Failure(status=400, message=msg).to_json()).encode()
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()


def _patient(head_s: float) -> type[asyncio.Protocol]:
    """The HTTP protocol of uvicorn, with patience for so many seconds."""
    if has("httptools"):
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol  # noqa: PLC0415

        base: type[Any] = HttpToolsProtocol
    else:
        from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: PLC0415

        base = H11Protocol
    return type("Patient", (_Patient, base), {"head_s": head_s})
