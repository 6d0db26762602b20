"""Requests that are being answered: waited for, and in the end cut short in good order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Inflight:
    """Requests of one gateway.

    Attributes:
        cutting: whether the time for open requests is over.
    """

    def __init__(self) -> None:
        self._scopes: dict[asyncio.Timeout, asyncio.Future[None]] = {}
        self.cutting = False

    def __len__(self) -> int:
        return len(self._scopes)

    @asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """The time of one request.

        Raises:
            TimeoutError: it was cut short.
        """
        loop = asyncio.get_running_loop()
        scope = asyncio.timeout(0 if self.cutting else None)
        done = self._scopes[scope] = loop.create_future()
        try:
            async with scope:
                yield
        finally:
            del self._scopes[scope]
            done.set_result(None)

    async def settled(self) -> None:
        """Wait for all requests that have begun by now, and for no others."""
        if self._scopes:
            await asyncio.wait(list(self._scopes.values()))

    def cut(self) -> None:
        """End what is open, now."""
        self.cutting = True
        now = asyncio.get_running_loop().time()
        for scope in self._scopes:
            scope.reschedule(now)
