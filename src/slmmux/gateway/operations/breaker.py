"""A circuit breaker: an endpoint that keeps failing is left alone for a while, then tried once.

Our own, since the ones for asyncio that there are (purgatory, aiobreaker) let every waiting call
through when the wait is over instead of one, and take a cancelled call for a failed one. Exact
stopping cancels calls all the time, and says nothing about their endpoint with that.
"""

from typing import Literal, TypeAlias

State: TypeAlias = Literal["closed", "open", "half-open"]
Outcome: TypeAlias = Literal["success", "failure", "unknown"]

STATES: tuple[State, ...] = ("closed", "half-open", "open")
_LONGEST_S = 300.0


class Breaker:
    """The state of one endpoint. Times are seconds of one clock that never goes back.

    Args:
        failures: in a row, after which it opens.
        wait_s: until it is tried again; doubles with every try that fails, up to five minutes.
    """

    def __init__(self, failures: int, wait_s: float) -> None:
        self._most = failures
        self._first_wait_s = wait_s
        self._wait_s = wait_s
        self._failed = 0
        self._opened: float | None = None
        self._probe: object | None = None

    def state(self, now: float) -> State:
        """`half-open` is one that lets the next call through, or waits for what comes of it."""
        if self._opened is None:
            return "closed"
        return "open" if self.wait_s(now) > 0 else "half-open"

    def wait_s(self, now: float) -> float:
        """Seconds until the next try; 0 where calls are let through."""
        return 0.0 if self._opened is None else max(0.0, self._opened + self._wait_s - now)

    def begin(self, now: float) -> object | None:
        """A ticket for a call, to be given to `end`; None where it must not be made."""
        if self._opened is None:
            return object()
        if self._probe is not None or self.wait_s(now) > 0:
            return None
        self._probe = object()
        return self._probe

    def end(self, ticket: object, outcome: Outcome, now: float) -> None:
        """Learn from a call; each ticket is given back once."""
        probing = ticket is self._probe
        if probing:
            self._probe = None
        if self._opened is not None and not probing:
            return  # it began before the breaker opened: old news
        if outcome == "success":
            self._failed, self._opened, self._wait_s = 0, None, self._first_wait_s
        elif outcome == "failure":
            self._failed += 1
            if probing:
                self._wait_s = min(2 * self._wait_s, max(_LONGEST_S, self._first_wait_s))
                self._opened = now
            elif self._failed >= self._most:
                self._opened = now
