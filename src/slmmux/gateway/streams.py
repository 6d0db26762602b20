"""Server-sent events: the vote as it goes on, then the winner's text.

A stream begins at once, with the role and a comment; comments follow while samples arrive, so that
neither clients nor proxies take it for dead. What fails after that is an event with an `error`,
and the stream still ends with `[DONE]`.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from typing import TypeAlias

from pydantic_core import to_json

from slmmux.errors import SlmmuxError
from slmmux.gateway.asked import Asked
from slmmux.gateway.failures import Failure, bug, failure_of
from slmmux.gateway.progress import Progress
from slmmux.gateway.replies import (
    Head,
    behind,
    content,
    finish_reason,
    refused_reason,
    tool_calls,
    usage,
)
from slmmux.gateway.voting import Voted
from slmmux.gateway.watching import WATCH
from slmmux.results import Json
from slmmux.types import Sample
from slmmux.waves import OnSample

Ask: TypeAlias = Callable[[OnSample], Coroutine[object, object, Voted]]

_PATIENCE_S = 10.0  # between two signs of life
_WORDS = re.compile(r"\s*\S+")
_WORDS_A_CHUNK = 8
HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)

log = logging.getLogger("slmmux.gateway")


async def events(asked: Asked, head: Head, ask: Ask) -> AsyncGenerator[bytes, None]:
    """All events of a vote.

    Args:
        asked: what is asked.
        head: of the reply.
        ask: votes, and tells of every sample.
    """
    more = _more(asked)
    if head.api == "chat":
        first = _choice(0, {"role": "assistant", "content": ""})
        yield _event(head.object([first], chunk=True, **more))
    samples: asyncio.Queue[Sample | None] = asyncio.Queue()
    voting = asyncio.create_task(ask(samples.put_nowait))
    voting.add_done_callback(lambda _: samples.put_nowait(None))
    progress = Progress(asked.plan.k * len(asked.models), asked.plan.k)
    try:
        yield _comment(progress)
        async for sample in _arriving(samples):
            if sample is not None:
                progress.add(sample)
                if asked.return_samples:
                    yield _event(head.object([], chunk=True, **more, slmmux={"sample": sample}))
            yield _comment(progress)
        for event in _closing(await voting, head):
            yield event
    except SlmmuxError as error:
        yield _failed(failure_of(error))
    except Exception as error:
        log.exception("a stream ended with a bug")
        yield _failed(bug(error))
    finally:
        voting.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await voting
    yield b"data: [DONE]\n\n"


async def _arriving(samples: "asyncio.Queue[Sample | None]") -> AsyncGenerator[Sample | None, None]:
    """Samples until the vote is over; None for every while in which none came."""
    while True:
        try:
            sample = await asyncio.wait_for(samples.get(), _PATIENCE_S)
        except TimeoutError:
            yield None
            continue
        if sample is None:
            return
        yield sample


def _closing(voted: Voted, head: Head) -> Iterator[bytes]:
    """The answers, how they ended, what is behind them, and what they took."""
    more = _more(voted.asked)
    ends = [finish_reason(sample) for sample in voted.answers]
    for index, sample in enumerate(voted.answers):
        for delta in _deltas(sample, voted.asked, first=index == 0):
            yield _event(head.object([_part(head, index, delta)], chunk=True, **more))
    if voted.refusal is not None:
        ends = [refused_reason(voted)]
        for piece in pieces(voted.refusal) if head.api == "chat" else ():
            yield _event(head.object([_part(head, 0, {"refusal": piece})], chunk=True, **more))
    for index, end in enumerate(ends):
        choice = _part(head, index, {}, end)
        if index == len(ends) - 1:
            more["slmmux"] = behind(voted)
        yield _event(head.object([choice], chunk=True, **more))
    if voted.asked.include_usage:
        yield _event(head.object([], chunk=True, usage=usage(voted.result.usage)))


def _more(asked: Asked) -> dict[str, object]:
    """What every chunk has besides: those before the last say that their usage is not known yet."""
    return {"usage": None} if asked.include_usage else {}


def _deltas(sample: Sample, asked: Asked, *, first: bool) -> Iterator[dict[str, Json]]:
    if not first:
        yield {"role": "assistant", "content": ""}
    if sample.reasoning is not None:
        yield {"reasoning_content": sample.reasoning}
    for piece in pieces(content(sample, asked)):
        yield {"content": piece}
    if sample.tool_calls:
        calls: list[Json] = [
            {"index": place, **call}
            for place, call in enumerate(tool_calls(sample))
            if isinstance(call, dict)
        ]
        yield {"tool_calls": calls}


def pieces(text: str) -> Iterator[str]:
    """The text a few words at a time; together they are the text."""
    ends = [match.end() for match in _WORDS.finditer(text)][_WORDS_A_CHUNK - 1 :: _WORDS_A_CHUNK]
    begin = 0
    for end in ends:
        yield text[begin:end]
        begin = end
    if begin < len(text):
        yield text[begin:]


def _part(
    head: Head, index: int, delta: dict[str, Json], finish: str | None = None
) -> dict[str, Json]:
    if head.api == "chat":
        return _choice(index, delta, finish)
    text = delta.get("content", "")
    return {"index": index, "text": text, "finish_reason": finish, "logprobs": None}


def _choice(index: int, delta: Json, finish: str | None = None) -> dict[str, Json]:
    return {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}


def _event(value: Mapping[str, object]) -> bytes:
    return b"data: " + to_json(value) + b"\n\n"


def _failed(failure: Failure) -> bytes:
    if (watch := WATCH.get()) is not None:
        watch.fails(failure.code or failure.type)
    return _event(failure.to_json())


def _comment(progress: Progress) -> bytes:
    return f": {progress}\n\n".encode()
