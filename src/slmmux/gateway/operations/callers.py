"""Requests that are being answered, by the API key that they came with.

Once a second what they have used so far is written down, so that `kill -9` forgets little, and
those whose key was revoked meanwhile are cut short.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from slmmux.errors import KeysError
from slmmux.gateway.operations.ledger import Key, Ledger, Used
from slmmux.gateway.operations.record import Record

_TICK_S = 1.0

log = logging.getLogger("slmmux.gateway")


@dataclass(slots=True, eq=False)
class Call:
    """One request.

    Attributes:
        reserved: the most that it can use; nothing where nobody needs to know.
        revoked: whether its key is no more.
    """

    key: Key
    record: Record
    reserved: Used = field(default_factory=Used)
    revoked: bool = False
    scope: asyncio.Timeout = field(default_factory=lambda: asyncio.timeout(None))


class Callers:
    """Requests of one gateway.

    Args:
        ledger: of the keys.
        clock: Unix time in seconds.
    """

    def __init__(self, ledger: Ledger, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._calls: dict[str, set[Call]] = {}
        self._ticking: asyncio.Task[None] | None = None

    def running(self, key: Key) -> int:
        """Requests of this key."""
        return len(self._calls.get(key.id, ()))

    def reserved(self, key: Key) -> Used:
        """The most that its requests can still use."""
        calls = self._calls.get(key.id, ())
        return sum((call.reserved for call in calls), Used())

    @asynccontextmanager
    async def request(self, call: Call) -> AsyncIterator[None]:
        """The time of one request.

        Raises:
            TimeoutError: its key was revoked.
        """
        self._calls.setdefault(call.key.id, set()).add(call)
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().create_task(self._tick())
        try:
            async with call.scope:
                yield
        finally:
            calls = self._calls[call.key.id]
            calls.discard(call)
            if not calls:
                del self._calls[call.key.id]
            self.settle(call)

    def settle(self, call: Call) -> None:
        """Write down what it has used; it is over."""
        call.reserved = Used()
        self._spend({call.key: call.record.unsettled()})

    async def _tick(self) -> None:
        try:
            while self._calls:
                await asyncio.sleep(_TICK_S)
                self._settle_all()
                self._cut_revoked()
        finally:
            self._ticking = None

    def _settle_all(self) -> None:
        calls = [call for calls in self._calls.values() for call in calls]
        used = {call.key: Used() for call in calls}
        for call in calls:
            new = call.record.unsettled()
            call.reserved = call.reserved.without(new)
            used[call.key] += new
        self._spend(used)

    def _spend(self, used: Mapping[Key, Used]) -> None:
        some = {key: spent for key, spent in used.items() if spent != Used()}
        if not some:
            return
        try:
            self._ledger.spend(some, self._clock())
        except KeysError as error:  # the reply is there: its client gets it
            names = ", ".join(key.name for key in some)
            log.error("not counted for %s: %s", names, error)  # noqa: TRY400 - no bug

    def _cut_revoked(self) -> None:
        try:
            there = self._ledger.ids()
        except KeysError:
            return  # nobody new is let in, and the log says why
        now = asyncio.get_running_loop().time()
        for identity in self._calls.keys() - there:
            for call in self._calls[identity]:
                if not call.revoked:  # it may take a moment to end
                    call.revoked = True
                    call.scope.reschedule(now)
