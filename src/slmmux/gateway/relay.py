"""Requests to a member model: passed on to its endpoint as they are, replies as they come."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Receive

from slmmux.engines.base import Relay, Relayed
from slmmux.engines.replies import is_reply
from slmmux.errors import ReplyError, RequestTimeoutError, SlmmuxError
from slmmux.gateway.bodies import check_numbers
from slmmux.gateway.clients import Stream, unless_gone
from slmmux.gateway.embedded import check_embedded
from slmmux.gateway.failures import RequestError, failure_of
from slmmux.gateway.state import Serving
from slmmux.gateway.watching import WATCH
from slmmux.pool import EMBEDDED
from slmmux.types import Model, Usage

_LARGEST_MB = 32
_LOOKED_AT = 1_000_000  # bytes of a reply, at most: reading more would hold up the others
_NO_STREAM = ("application/json", "text/html")
_END = 4096  # bytes of a reply in which its usage stands
_CHARACTERS = 4  # a token, where the endpoint does not say
_TOKENS = re.compile(rb'"(prompt_tokens|completion_tokens)"\s*:\s*(\d{1,12})')


async def pass_on(
    serving: Serving,
    model: Model,
    path: str,
    body: dict[str, Any],
    receive: Receive,
    *,
    deadline_s: float,
) -> ASGIApp:
    """The reply of the model's own endpoint.

    Args:
        serving: with the model's engine.
        model: that is asked.
        path: `chat/completions` or `completions`.
        body: of the request.
        receive: tells when the client goes away.
        deadline_s: seconds for all of it, also the wait for a place.

    Raises:
        RequestError: this cannot be passed on.
        EngineError: the endpoint did not answer, or not in time.
        ClientDisconnect: the client has gone.
    """
    _check(model, body)
    if model.base_url == EMBEDDED:
        check_embedded(model, path, body)
    streams = body.get("stream") is True
    chunks = _in_time(
        _chunks(serving, model, path, body, streams=streams), model, deadline_s, streams=streams
    )
    try:
        content_type = await unless_gone(receive, anext(chunks))
        if streams:
            headers = ((b"content-type", content_type), (b"cache-control", b"no-cache"))
            return Stream(chunks, headers)
        whole = await unless_gone(receive, _joined(chunks))
    except BaseException:
        await chunks.aclose()
        raise
    return Response(whole, media_type=content_type.decode("latin-1"))


def _check(model: Model, body: dict[str, Any]) -> None:
    if "slmmux" in body:
        raise RequestError(
            f"slmmux goes with a profile; {model.name} is a member model, and its endpoint gets "
            "the request as it is",
            param="slmmux",
        )
    check_numbers(body)


async def _in_time(
    chunks: AsyncGenerator[bytes, None], model: Model, deadline_s: float, *, streams: bool
) -> AsyncGenerator[bytes, None]:
    """The same, up to the deadline; a stream that has begun ends with an error and properly."""
    ends_at = asyncio.get_running_loop().time() + deadline_s
    begun = False
    try:
        while True:
            # Not around all of it: one task takes the head, another one sends the rest.
            async with asyncio.timeout_at(ends_at):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield chunk
            begun = True
    except TimeoutError:
        late = RequestTimeoutError(
            f"{model.name}: no complete reply within {deadline_s:g} s, the most that a request "
            "may take here ([gateway] max_deadline)"
        )
        if not (begun and streams):
            raise late from None
        yield _last_events(late)
    finally:
        await chunks.aclose()


async def _chunks(
    serving: Serving, model: Model, path: str, body: dict[str, Any], *, streams: bool
) -> AsyncGenerator[bytes, None]:
    """The reply's content type, then its body: a stream as it comes, anything else in one piece."""
    engine = serving.pool.engines[model.name]
    if not isinstance(engine, Relay):
        raise RequestError(f"{model.name} cannot be asked by its name; ask a profile")
    begun = False
    end, sent, events = b"", 0, 0
    watch = WATCH.get()
    if watch is not None:
        watch.relays(model, body)
    try:
        async with serving.sampler.place(model), engine.relay(model, path, body) as reply:
            if streams and reply.content_type in _NO_STREAM:
                raise ReplyError(
                    f"{model.name}: {engine.endpoint} answers with {reply.content_type} where a "
                    "stream was asked for"
                )
            begun = True
            yield reply.content_type.encode("latin-1", "replace")
            async for chunk in reply.chunks if streams else _whole(reply, model, engine.endpoint):
                end, sent = (end + chunk)[-_END:], sent + len(chunk)
                events += chunk.count(b"data:")
                yield chunk
            if streams and not events and b"data:" not in end:
                raise ReplyError(f"{model.name}: {engine.endpoint} sent a stream without events")
    except SlmmuxError as error:
        if not (begun and streams):
            raise
        yield _last_events(error)
    finally:
        if watch is not None:
            guess = events if streams else sent // _CHARACTERS
            watch.relayed(usage_in(end, guess, body))


def _last_events(error: SlmmuxError) -> bytes:
    failure = failure_of(error)
    if (watch := WATCH.get()) is not None:
        watch.fails(failure.code or failure.type)
    return f"\n\ndata: {json.dumps(failure.to_json())}\n\ndata: [DONE]\n\n".encode()


def usage_in(end: bytes, guess: int, body: dict[str, Any]) -> Usage:
    """The tokens that a reply names near its end, or a guess.

    Args:
        end: of the reply.
        guess: how many were written; streams have an event for about each.
        body: of the request.
    """
    told = {name.decode(): int(count) for name, count in _TOKENS.findall(end)}
    if "prompt_tokens" in told:
        return Usage(told["prompt_tokens"], told.get("completion_tokens", 0))
    if not guess:
        return Usage()
    return Usage(len(json.dumps(body)) // _CHARACTERS, guess, estimated=True)


async def _whole(reply: Relayed, model: Model, where: str) -> AsyncGenerator[bytes, None]:
    """All of a reply in one piece, when it has turned out to be one."""
    body = bytearray()
    async for chunk in reply.chunks:
        body += chunk
        if len(body) > _LARGEST_MB * 1_000_000:
            raise ReplyError(f"{model.name}: {where} sent more than {_LARGEST_MB} MB")
    streamed = reply.content_type == "text/event-stream"  # for a `stream` that only it takes
    if not streamed and len(body) <= _LOOKED_AT and not is_reply(body):
        raise ReplyError(
            f"{model.name}: {where} sent something that is no reply with choices; check that "
            "base_url is an OpenAI-compatible API (it usually ends in /v1)"
        )
    yield bytes(body)


async def _joined(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])
