"""A bounded queue: so many requests are answered at once, so many wait, the others come again."""

import asyncio
import math
import time
from http import HTTPStatus

from slmmux.gateway.failures import Failure, RequestError
from slmmux.gateway.operations.record import Record

_LONGEST_S = 60.0  # that anybody is asked to wait: OpenAI's clients ignore more
_WEIGHT = 0.1  # of the newest request in the mean


class BusyError(RequestError):
    """There is no place, and none to wait for one."""

    def __init__(self, message: str, code: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.failure = Failure(
            status=HTTPStatus.TOO_MANY_REQUESTS,
            message=message,
            type="rate_limit_error",
            code=code,
            retry_after_s=max(1.0, min(retry_after_s, _LONGEST_S)),
        )


class Places:
    """Places of one gateway.

    Args:
        places: requests that are answered at once.
        waiting: requests that may wait for one.
        wait_s: seconds that a request may wait.

    Attributes:
        taken: places in use.
        queued: requests that wait.
    """

    def __init__(self, places: int, waiting: int, wait_s: float) -> None:
        self._places = places
        self._waiting = waiting
        self._wait_s = wait_s
        self._free = asyncio.Semaphore(places)
        self._mean_s = 1.0
        self.taken = 0
        self.queued = 0

    async def enter(self, record: Record) -> None:
        """Take a place, or wait for one.

        Raises:
            BusyError: too many wait already, or it took too long.
        """
        if self._free.locked():
            await self._queue(record)
        else:
            await self._free.acquire()
        record.place = True
        self.taken += 1

    def leave(self, record: Record) -> None:
        """Give the place back; nothing happens where the request has none."""
        if not record.place:
            return
        record.place = False
        self.taken -= 1
        self._mean_s += _WEIGHT * (record.elapsed_s() - self._mean_s)
        self._free.release()

    async def _queue(self, record: Record) -> None:
        if self.queued >= self._waiting:
            record.refused = "queue_full"
            raise BusyError(
                f"{self.queued} requests wait already for one of {self._places} places; try again "
                "later",
                "queue_full",
                self._estimate_s(),
            )
        began = time.perf_counter()
        self.queued += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await self._free.acquire()
        except TimeoutError:
            record.refused = "queue_timeout"
            raise BusyError(
                f"no place became free within {self._wait_s:g} s; try again later",
                "queue_timeout",
                self._estimate_s(),
            ) from None
        finally:
            self.queued -= 1
            record.queued_s = time.perf_counter() - began

    def _estimate_s(self) -> float:
        """Seconds until whoever comes now would have a place, as requests go at present."""
        return math.ceil((self.queued + 1) / self._places) * self._mean_s
