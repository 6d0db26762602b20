"""One time limit for many calls at once, with one timer for all of them.

`asyncio.timeout` sets a timer for every call and takes it away again; of a draw over HTTP that is a
twentieth of the time. Calls that have the same limit end in the order in which they began, so the
oldest one's timer is enough.
"""

import asyncio
from types import TracebackType


class TimeLimit:
    """Gives the calls of one event loop this much time each.

    Args:
        seconds: that a call may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.loop = asyncio.get_running_loop()
        self._under_way: dict[TimedCall, None] = {}  # the oldest first
        self._timer: asyncio.TimerHandle | None = None

    def call(self) -> "TimedCall":
        """A context for one call of the running task: `TimeoutError` when its time is up."""
        return TimedCall(self)

    def begin(self, call: "TimedCall") -> None:
        """The call's time begins."""
        call.until = self.loop.time() + self._seconds
        self._under_way[call] = None
        if self._timer is None:
            self._timer = self.loop.call_at(call.until, self._look)

    def end(self, call: "TimedCall") -> None:
        """The call is over."""
        self._under_way.pop(call, None)

    def _look(self) -> None:
        """End what has used up its time, and come back for what will have next."""
        self._timer = None
        now = self.loop.time()
        while self._under_way:
            call = next(iter(self._under_way))
            if call.until > now:
                self._timer = self.loop.call_at(call.until, self._look)
                return
            del self._under_way[call]
            call.expire()


class TimedCall:
    """One call under a limit; use it once, in one task."""

    __slots__ = ("_cancelling", "_expired", "_limit", "_task", "until")

    until: float  # by the loop's clock

    def __init__(self, limit: TimeLimit) -> None:
        self._limit = limit
        self._expired = False
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0

    def __enter__(self) -> None:
        task = self._task = asyncio.current_task(self._limit.loop)
        if task is None:
            raise RuntimeError("a time limit needs a task")
        self._cancelling = task.cancelling()
        self._limit.begin(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._limit.end(self)
        task = self._task
        # Somebody else's cancellation goes on as it came, as with `asyncio.timeout`.
        if (
            self._expired
            and task is not None
            and task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error

    def expire(self) -> None:
        """The time is up: end what the task waits for."""
        self._expired = True
        if self._task is not None:
            self._task.cancel()
