"""The seam to whatever draws samples."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from slmmux.errors import RequestTimeoutError
from slmmux.types import Message, Model, ToolCall, Usage

__all__ = [
    "Completion",
    "Engine",
    "Message",
    "Pool",
    "Prompt",
    "Relay",
    "Relayed",
    "Request",
    "duration",
    "no_reply",
]

_HOUR_S = 3_600.0
_DAY_S = 24 * _HOUR_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Chat messages, or the text of a completion prompt; exactly one of the two is set.

    Attributes:
        fields: a JSON object of further request fields, sent as they are.
    """

    messages: tuple[Message, ...] = ()
    text: str | None = None
    stop: tuple[str, ...] = ()
    fields: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`n` samples of one model for one prompt; sample j asks for seed + j.

    Attributes:
        timeout_s: seconds after which whoever asks gives up; an engine with no less patience
            needs no watch of its own.
        headers: sent along, where the engine speaks HTTP: how a trace goes on there.
    """

    model: Model
    prompt: Prompt
    seed: int
    n: int = 1
    timeout_s: float | None = None
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One choice of a reply.

    Attributes:
        text: None where the reply holds none.
        note: why there is no text, for a person: "called a tool instead of answering".
        unreadable: whether the endpoint is at fault for that: what it sent is no reply.
        tool_calls: what it calls, where tools were offered; the text may then be empty.
    """

    text: str | None
    reasoning: str | None = None
    finish_reason: str | None = None
    usage: Usage = Usage()
    seed_honoured: bool | None = None
    note: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    unreadable: bool = False


def no_reply(model: Model, endpoint: str, timeout_s: float) -> RequestTimeoutError:
    """The error of a request that took too long, whoever held the watch."""
    return RequestTimeoutError(
        f"{model.name}: no complete reply from {endpoint} within {timeout_s:g} s; raise "
        "request_timeout, or see what keeps the server"
    )


def duration(seconds: float) -> str:
    """A time as a person reads it: seconds, and hours or days where there are many."""
    for unit, size in (("days", _DAY_S), ("hours", _HOUR_S)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:g} s"


@dataclass(frozen=True, slots=True)
class Relayed:
    """A reply that is passed on as it comes.

    Attributes:
        content_type: of the body, as the endpoint named it.
        chunks: the body in the pieces that arrive.
    """

    content_type: str
    chunks: AsyncIterator[bytes]


@runtime_checkable
class Relay(Protocol):
    """An engine that passes requests on as they are, besides drawing samples."""

    def relay(
        self,
        model: Model,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[Relayed]:
        """Send this body, with the model's own id; leaving the context drops what is left.

        Args:
            model: that is asked.
            path: behind the base URL: `chat/completions` or `completions`.
            body: the request.
            headers: sent along.

        Raises:
            EngineError: the endpoint did not answer, or not with status 200.
        """


class Engine(Protocol):
    """Draws samples from an endpoint. Safe to call from many tasks at once."""

    @property
    def endpoint(self) -> str:
        """Names the endpoint in messages; models of one endpoint share its concurrency limit."""

    def choices_per_request(self, model: Model, *, ordered: bool) -> int:
        """How many samples one request may ask for.

        Args:
            model: the model that would be asked.
            ordered: choice j must be the sample of seed + j, as exact stopping needs.
        """

    async def draw(self, request: Request) -> Sequence[Completion]:
        """From 1 to `request.n` completions, in seed order; the caller asks again for the rest.

        Raises:
            EngineError: the request failed; a `RetryableError` may succeed when sent again.
        """

    async def close(self) -> None:
        """Let go of connections and processes; safe to call twice."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Models in pool order (the last tie-break of rule 4) and the engine that serves each.

    Use it as an async context manager, or call `close`.

    Attributes:
        models: unique names, pool order.
        engines: model name → engine; models of one endpoint share an engine.
    """

    models: tuple[Model, ...]
    engines: Mapping[str, Engine]

    async def close(self) -> None:
        """Close every engine once."""
        for engine in dict.fromkeys(self.engines.values()):
            await engine.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
