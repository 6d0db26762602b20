"""An engine with a breaker before it, whose calls are measured and traced."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self, TypeAlias

from slmmux.engines.base import Completion, Engine, Pool, Relay, Relayed, Request, duration
from slmmux.errors import (
    ContextLengthError,
    EngineError,
    LeftAloneError,
    ModelNotFoundError,
    RateLimitError,
    ReplyError,
    RequestRejectedError,
)
from slmmux.gateway.operations.breaker import Breaker, Outcome, State
from slmmux.gateway.operations.traces import Traces
from slmmux.types import Model

OnCall: TypeAlias = Callable[[str, float, str | None], None]  # model, seconds, error

# The endpoint works: it said no to this request.
_ALIVE = (ContextLengthError, ModelNotFoundError, RequestRejectedError)

_ALL_BUT = 0.95


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
        breaker, slow_s, on_call: as given.
    """

    def __init__(
        self, engine: Engine, breaker: Breaker, slow_s: float, on_call: OnCall, traces: Traces
    ) -> None:
        self.engine = engine
        self.breaker = breaker
        self.slow_s = slow_s
        self.on_call = on_call
        self._traces = traces

    @property
    def endpoint(self) -> str:
        """As the engine has it."""
        return self.engine.endpoint

    @property
    def state(self) -> State:
        """Of the breaker."""
        return self.breaker.state(time.monotonic())

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
        with (
            _Call(self, model, request.timeout_s) as call,
            self._traces.call(model, self.endpoint) as span,
        ):
            if span.headers is not None:
                request = replace(request, headers=span.headers)
            completions = await self.engine.draw(request)
            call.answered(unreadable=any(c.unreadable for c in completions))
            span.answered(completions)
            return completions

    async def close(self) -> None:
        """Close the engine."""
        await self.engine.close()

    def left_alone(self, model: Model) -> LeftAloneError:
        """The error of a call that is not made."""
        wait_s = self.breaker.wait_s(time.monotonic())
        when = (
            f"it is tried again in {duration(round(wait_s, 1))}" if wait_s else "it is being tried"
        )
        return LeftAloneError(
            f"{model.name}: {self.endpoint} kept failing and is left alone; {when}",
            retry_after_s=max(wait_s, 1.0),
        )


class _Call:
    """One call, through the breaker; a context manager, and no generator since it is made often."""

    __slots__ = ("_began", "_error", "_guarded", "_model", "_outcome", "_slow_s", "_ticket")

    def __init__(self, guarded: Guarded, model: Model, timeout_s: float | None = None) -> None:
        self._guarded = guarded
        # Whoever asks holds the watch, which began a moment before.
        self._slow_s = min(guarded.slow_s, _ALL_BUT * (timeout_s or guarded.slow_s))
        self._model = model
        self._outcome: Outcome = "unknown"
        self._error: str | None = None

    def __enter__(self) -> Self:
        guarded = self._guarded
        self._began = time.monotonic()
        self._ticket = guarded.breaker.begin(self._began)
        if self._ticket is None:
            guarded.on_call(self._model.name, 0.0, LeftAloneError.__name__)
            raise guarded.left_alone(self._model)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        now = time.monotonic()
        if isinstance(exc, EngineError):
            self._failed(exc)
        elif exc is not None and self._outcome == "unknown" and self._was_slow(now):
            self._outcome, self._error = "failure", "slow"
        self._guarded.breaker.end(self._ticket, self._outcome, now)
        self._guarded.on_call(self._model.name, now - self._began, self._error)

    def answered(self, *, unreadable: bool = False) -> None:
        """The endpoint has begun to answer.

        Args:
            unreadable: with something that is no reply: it is neither down nor well.
        """
        self._outcome = "unknown" if unreadable else "success"
        self._error = ReplyError.__name__ if unreadable else None

    def _was_slow(self, now: float) -> bool:
        # Most calls that are given up were not needed any more; a slow one was waited for.
        return now - self._began >= self._slow_s

    def _failed(self, error: EngineError) -> None:
        self._error = type(error).__name__
        if isinstance(error, _ALIVE):
            self._outcome = "success"
        else:  # who limits the rate is neither down nor well
            self._outcome = "unknown" if isinstance(error, RateLimitError) else "failure"


class GuardedRelay(Guarded):
    """A guarded engine that passes requests on, too."""

    @asynccontextmanager
    async def relay(
        self,
        model: Model,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Relayed]:
        """As the engine does.

        Raises:
            LeftAloneError: it kept failing; nothing was sent.
            EngineError: as the engine.
        """
        assert isinstance(self.engine, Relay)  # noqa: S101 - `guard` saw to it
        with _Call(self, model) as call, self._traces.call(model, self.endpoint) as span:
            async with self.engine.relay(model, path, body, span.headers or headers) as reply:
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
