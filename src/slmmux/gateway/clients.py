"""Clients that may leave before their reply is complete."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable
from typing import TypeAlias, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

T = TypeVar("T")
Header: TypeAlias = tuple[bytes, bytes]


async def unless_gone(receive: Receive, work: Coroutine[object, object, T]) -> T:
    """The outcome of the work, which ends when the client goes away.

    Args:
        receive: of a request whose body has been read.
        work: what the client waits for.

    Raises:
        ClientDisconnect: the client has gone.
    """
    here = asyncio.current_task()
    leaving = asyncio.create_task(gone(receive))
    left = False

    def stop(_: object) -> None:
        nonlocal left
        if here is not None and not leaving.cancelled():
            left = True
            here.cancel()

    leaving.add_done_callback(stop)
    try:
        return await work
    except asyncio.CancelledError:
        # Another cancellation, from a server that stops, goes on as it came.
        if left and here is not None and not here.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        leaving.remove_done_callback(stop)
        leaving.cancel()


async def gone(receive: Receive) -> None:
    """Return when the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Stream:
    """An ASGI reply that is made while it is sent; a client that goes away ends its making.

    Args:
        chunks: of the body.
        headers: of the reply.
    """

    def __init__(self, chunks: AsyncGenerator[bytes, None], headers: Iterable[Header]) -> None:
        self._chunks = chunks
        self._headers = list(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send all of it, or as much as the client stays for."""
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(gone(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(sending, leaving)
            await self._chunks.aclose()
        failure = None if sending.cancelled() else sending.exception()
        if failure is not None and not isinstance(failure, OSError):
            raise failure

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        async for chunk in self._chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _end(*tasks: "asyncio.Task[object]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
