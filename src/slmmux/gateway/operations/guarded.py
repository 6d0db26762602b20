"""An engine with a breaker before it, whose calls are measured and traced."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from slmmux.engines.base import Completion, Engine, Pool, Relay, Relayed, Request, duration
from slmmux.errors import (
    ContextLengthError,
    EngineError,
    LeftAloneError,
    ModelNotFoundError,
    RateLimitError,
    RequestRejectedError,
)
from slmmux.gateway.operations.breaker import Breaker, Outcome, State
from slmmux.gateway.operations.traces import Traces
from slmmux.types import Model

OnCall: TypeAlias = Callable[[str, float, str | None], None]  # model, seconds, error

# The endpoint works: it said no to this request.
_ALIVE = (ContextLengthError, ModelNotFoundError, RequestRejectedError)


@dataclass(slots=True)
class _Call:
    """What came of a call so far."""

    outcome: Outcome = "unknown"
    error: str | None = None

    def answered(self) -> None:
        """The endpoint has begun to answer."""
        self.outcome = "success"

    def failed(self, error: EngineError) -> None:
        """It ended with this."""
        self.error = type(error).__name__
        if isinstance(error, _ALIVE):
            self.outcome = "success"
        else:  # who limits the rate is neither down nor well
            self.outcome = "unknown" if isinstance(error, RateLimitError) else "failure"

    def cancelled(self, *, slow: bool) -> None:
        """Nobody waits for it any more: most often it was not needed, a slow one was given up."""
        if slow and self.outcome == "unknown":
            self.outcome, self.error = "failure", "slow"


class Guarded:
    """An engine that is left alone while it keeps failing. One object stands for one engine.

    Args:
        engine: that draws.
        breaker: of its endpoint.
        slow_s: a call that was cancelled after so many seconds counts as failed.
        on_call: told of every call.
        traces: spans of calls.

    Attributes:
        engine: the one inside.
    """

    def __init__(
        self, engine: Engine, breaker: Breaker, slow_s: float, on_call: OnCall, traces: Traces
    ) -> None:
        self.engine = engine
        self._breaker = breaker
        self._slow_s = slow_s
        self._on_call = on_call
        self._traces = traces

    @property
    def endpoint(self) -> str:
        """As the engine has it."""
        return self.engine.endpoint

    @property
    def state(self) -> State:
        """Of the breaker."""
        return self._breaker.state(time.monotonic())

    def choices_per_request(self, model: Model, *, ordered: bool) -> int:
        """As the engine has it."""
        return self.engine.choices_per_request(model, ordered=ordered)

    async def draw(self, request: Request) -> Sequence[Completion]:
        """As the engine does.

        Raises:
            LeftAloneError: it kept failing; nothing was sent.
            EngineError: as the engine.
        """
        model = request.model
        with self._call(model) as call, self._traces.call(model, self.endpoint) as answered:
            completions = await self.engine.draw(request)
            call.answered()
            answered(completions)
            return completions

    async def close(self) -> None:
        """Close the engine."""
        await self.engine.close()

    @contextmanager
    def _call(self, model: Model) -> Iterator[_Call]:
        """One call, through the breaker."""
        began = time.monotonic()
        ticket = self._breaker.begin(began)
        if ticket is None:
            self._on_call(model.name, 0.0, LeftAloneError.__name__)
            raise self._left_alone(model)
        call = _Call()
        try:
            yield call
        except EngineError as error:
            call.failed(error)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            call.cancelled(slow=time.monotonic() - began >= self._slow_s)
            raise
        finally:
            now = time.monotonic()
            self._breaker.end(ticket, call.outcome, now)
            self._on_call(model.name, now - began, call.error)

    def _left_alone(self, model: Model) -> LeftAloneError:
        wait_s = self._breaker.wait_s(time.monotonic())
        when = (
            f"it is tried again in {duration(round(wait_s, 1))}" if wait_s else "it is being tried"
        )
        return LeftAloneError(
            f"{model.name}: {self.endpoint} kept failing and is left alone; {when}",
            retry_after_s=max(wait_s, 1.0),
        )


class GuardedRelay(Guarded):
    """A guarded engine that passes requests on, too."""

    @asynccontextmanager
    async def relay(
        self, model: Model, path: str, body: Mapping[str, Any]
    ) -> AsyncIterator[Relayed]:
        """As the engine does.

        Raises:
            LeftAloneError: it kept failing; nothing was sent.
            EngineError: as the engine.
        """
        assert isinstance(self.engine, Relay)  # noqa: S101 - `guard` saw to it
        with self._call(model) as call, self._traces.call(model, self.endpoint):
            async with self.engine.relay(model, path, body) as reply:
                call.answered()
                yield reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """How engines are guarded.

    Attributes:
        failures: in a row, after which an endpoint is left alone.
        wait_s: until it is tried again, at first.
        slow_s: see `Guarded`.
    """

    failures: int
    wait_s: float
    slow_s: float
    on_call: OnCall
    traces: Traces

    def __call__(self, pool: Pool) -> Pool:
        """The pool with every engine guarded."""
        guarded = {engine: self._guarded(engine) for engine in dict.fromkeys(pool.engines.values())}
        return Pool(pool.models, {name: guarded[e] for name, e in pool.engines.items()})

    def _guarded(self, engine: Engine) -> Guarded:
        kind = GuardedRelay if isinstance(engine, Relay) else Guarded
        breaker = Breaker(self.failures, self.wait_s)
        return kind(engine, breaker, self.slow_s, self.on_call, self.traces)


def unguarded(engine: Engine) -> Engine:
    """The engine behind a guard, or the engine itself."""
    return engine.engine if isinstance(engine, Guarded) else engine
