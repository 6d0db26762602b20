"""The outermost layer: every request has a record, an id, and a clean end.

A request that is still open when the drain time is over ends as an error that says so: a stream
with an event and `[DONE]`, anything else with status 503.
"""

import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TypeAlias

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slmmux.gateway.failures import CLIENT_GONE, Failure
from slmmux.gateway.operations.endings import end_early
from slmmux.gateway.operations.inflight import Inflight
from slmmux.gateway.operations.places import Places
from slmmux.gateway.operations.record import Record
from slmmux.gateway.operations.traces import Traces
from slmmux.gateway.watching import WATCH
from slmmux.types import Sample

OnEnd: TypeAlias = Callable[[Record], None]

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_STOPPING = Failure(
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    message="the gateway is stopping; send the request again in a moment",
    type="server_error",
    code="stopping",
    retry_after_s=2.0,
)


class Requests:
    """ASGI middleware.

    Args:
        app: what answers.
        inflight: all requests.
        places: of requests that ask models.
        on_sample: told of every sample.
        on_end: told of every request when it is over, in order.
        traces: spans of requests.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        inflight: Inflight,
        places: Places,
        on_sample: Callable[[Record, Sample], None] | None,
        on_end: Sequence[OnEnd],
        traces: Traces,
    ) -> None:
        self._app = app
        self._inflight = inflight
        self._places = places
        self._on_sample = on_sample
        self._on_end = on_end
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        record = Record(
            id=given if _ID.fullmatch(given) else "",
            method=scope["method"],
            path=scope["path"],
            enter=self._places.enter,
            on_sample=self._on_sample,
        )
        watching = WATCH.set(record)
        try:
            with self._traces.request(record, headers):
                await self._answer(record, scope, receive, _recorded(record, send))
        finally:
            WATCH.reset(watching)
            self._places.leave(record)
            for tell in self._on_end:
                tell(record)

    async def _answer(self, record: Record, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._inflight.request():
                await self._app(scope, receive, send)
        except TimeoutError:
            if not self._inflight.cutting or record.complete:
                raise
            record.refused, record.cut = "stopping", "shutdown"
            await end_early(record, _STOPPING, scope, receive, send)
        if not record.complete and record.cut is None:
            # A stream that nobody reads any more just ends; other replies have this status then.
            record.status = CLIENT_GONE


def _recorded(record: Record, send: Send) -> Send:
    """Sends on, with the request's id, and notes what was sent."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            record.status = message["status"]
            headers = list(message.get("headers", ()))
            record.streams = any(
                name == b"content-type" and value.startswith(b"text/event-stream")
                for name, value in headers
            )
            headers.append((b"x-request-id", record.id.encode("ascii")))
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            record.complete = not message.get("more_body", False)
        await send(message)

    return sending
