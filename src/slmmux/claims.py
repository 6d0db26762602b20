"""Claims on samples that are about to be drawn, so that collectors of one bank share the work.

A claim is a lease: it ends with the sample, when its owner gives it back, when it runs out, or, on
the same machine, when its owner is found dead.
"""

import asyncio
import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from slmmux.bank import Bank
from slmmux.bank.rows import SampleKey
from slmmux.engines.base import Prompt
from slmmux.types import Model, Question


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Consecutive samples of one stream, drawn together."""

    question: Question
    model: Model
    prompt: Prompt
    keys: tuple[SampleKey, ...]


class Claimed:
    """A queue of requests, claimed block by block; what others hold is left out.

    Args:
        queue: of one endpoint.
        claim: gets keys, gives those that are now ours.
        block: requests claimed at once.
    """

    def __init__(
        self,
        queue: deque[Request],
        claim: Callable[[Sequence[SampleKey]], Awaitable[frozenset[SampleKey]]],
        block: int,
    ) -> None:
        self._queue = queue
        self._claim = claim
        self._block = block
        self._ready: deque[Request] = deque()
        self._lock = asyncio.Lock()

    def __aiter__(self) -> "Claimed":
        return self

    async def __anext__(self) -> Request:
        async with self._lock:
            while not self._ready:
                if not self._queue:
                    raise StopAsyncIteration
                await self._fill()
            return self._ready.popleft()

    def split(self, request: Request) -> None:
        """Take a request back as single samples, to be had next."""
        self._ready.extendleft(replace(request, keys=(key,)) for key in reversed(request.keys))

    async def _fill(self) -> None:
        block = [self._queue.popleft() for _ in range(min(self._block, len(self._queue)))]
        granted = await self._claim([key for request in block for key in request.keys])
        for request in block:
            ours = {key.index: key for key in request.keys if key in granted}
            self._ready += [
                replace(request, keys=tuple(ours[i] for i in run))
                for run in consecutive(sorted(ours))
            ]


def consecutive(indices: Sequence[int]) -> Iterator[range]:
    """Ascending numbers as ranges without gaps."""
    start = 0
    for place in range(1, len(indices) + 1):
        if place == len(indices) or indices[place] != indices[place - 1] + 1:
            yield range(indices[start], indices[place - 1] + 1)
            start = place


def new_owner() -> str:
    """A name for a collector, which says where it runs."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def release_the_dead(bank: Bank) -> None:
    """End the claims of collectors of this machine that were killed; leases end the others'."""
    here = socket.gethostname()
    with bank.transaction() as connection:
        rows = connection.execute("SELECT DISTINCT owner FROM claims").fetchall()
        for (owner,) in rows:
            host, _, process = str(owner).rpartition(":")[0].rpartition(":")
            if host == here and process.isdigit() and not _lives(int(process)):
                connection.execute("DELETE FROM claims WHERE owner = ?", (owner,))
        connection.execute("DELETE FROM claims WHERE expires <= ?", (time.time(),))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
