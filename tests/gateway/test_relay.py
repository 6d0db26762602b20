"""Member models by their names: their endpoints get the requests as they are."""

import asyncio
import json
from typing import Any

import pytest

from slmmux.gateway.caps import Caps
from slmmux.testing import FaultEndpoint, Reply
from slmmux.types import Model

EVENTS = b'data: {"choices":[{"delta":{"content":"4"},"logprobs":{"content":[]}}]}\n\n' * 3
STREAM = Reply(body=EVENTS + b"data: [DONE]\n\n", headers={"Content-Type": "text/event-stream"})
BODY = {
    "model": "a",
    "messages": [{"role": "user", "content": "6 × 7?", "oddity": 1}],
    "logprobs": True,
    "top_logprobs": 3,
    "reasoning_effort": "low",
}


async def test_a_request_by_a_members_name_goes_on_as_it_is_with_the_endpoints_id(
    serve: Any,
) -> None:
    running = await serve(a := FaultEndpoint(), b := FaultEndpoint())
    status, reply = await running.post(BODY)
    assert status == 200
    assert a.requests == [{**BODY, "model": "model-a"}]
    assert b.requests == []
    assert reply["choices"][0]["message"]["content"] == "The answer is 42."
    assert "slmmux" not in reply
    await running.post({"model": "b", "prompt": "6", "echo": True}, "completions")
    assert b.requests == [{"model": "model-b", "prompt": "6", "echo": True}]


async def test_a_stream_is_passed_on_as_it_comes(serve: Any) -> None:
    running = await serve(FaultEndpoint(STREAM))
    parts = await running.stream(**BODY)
    assert "\n\n".join(parts).encode() + b"\n\n" == STREAM.body


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("rate limit", 429, "upstream_rate_limit"),
        ("server error", 502, "upstream_failed"),
        ("wrong key", 502, "upstream_refused_our_key"),
        ("unknown model", 502, "upstream_model_not_found"),
        ("context", 400, "context_length_exceeded"),
        ("close at once", 502, "upstream_dropped"),
        ("close mid-body", 502, "upstream_dropped"),
        ("huge body", 502, "upstream_unreadable"),
    ],
)
async def test_what_an_endpoint_refuses_comes_back_in_openais_shape(
    serve: Any, fault: Any, status: int, code: str
) -> None:
    running = await serve(FaultEndpoint(fault, retry_after="2"))
    async with running.session.post(f"{running.url}/v1/chat/completions", json=BODY) as reply:
        assert reply.status == status
        assert (await reply.json())["error"]["code"] == code
        waits = fault in ("rate limit", "server error")
        assert reply.headers.get("Retry-After") == ("2" if waits else None)


async def test_an_endpoint_that_is_not_there_is_a_503(serve: Any) -> None:
    running = await serve(Model(name="a", model="a", base_url="http://127.0.0.1:9/v1"))
    status, reply = await running.post(BODY)
    assert (status, reply["error"]["code"]) == (503, "upstream_unreachable")


async def test_extras_have_no_place_in_a_request_that_is_passed_on(serve: Any) -> None:
    running = await serve(a := FaultEndpoint())
    status, reply = await running.post({**BODY, "slmmux": {"k": 3}})
    assert (status, reply["error"]["param"]) == (400, "slmmux")
    assert a.requests == []


async def test_a_stream_that_breaks_off_ends_with_an_error_and_properly(serve: Any) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n"
        writer.write(head + EVENTS)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(break_off, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        running = await serve(Model(name="a", model="a", base_url=f"http://127.0.0.1:{port}/v1"))
        *_, failed, end = await running.stream(**BODY)
    assert json.loads(failed.strip().removeprefix("data: "))["error"]["code"] == "upstream_dropped"
    assert end == "data: [DONE]"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_away_ends_the_passed_on_call(
    serve: Any, until: Any, stream: bool
) -> None:
    running = await serve(a := FaultEndpoint("hang"))
    asking = asyncio.create_task(running.post({**BODY, "stream": stream}))
    await until(lambda: a.at_once == 1)
    asking.cancel()
    await until(lambda: a.at_once == 0)
    assert a.abandoned == 1


async def test_a_members_requests_take_places_in_its_endpoints_limit(serve: Any) -> None:
    async with FaultEndpoint(delay_s=0.05) as a:
        running = await serve(Model(name="a", model="a", base_url=a.base_url, max_concurrency=2))
        await asyncio.gather(*(running.post(BODY) for _ in range(6)))
        assert a.most_at_once == 2


async def test_a_member_that_takes_too_long_is_given_up_at_the_deadline(serve: Any) -> None:
    running = await serve(a := FaultEndpoint("hang"), caps=Caps(deadline_s=0.2))
    status, reply = await running.post(BODY)
    assert (status, reply["error"]["code"]) == (504, "upstream_timeout")
    assert "max_deadline" in reply["error"]["message"]
    assert a.at_once == 0


async def test_a_stream_that_takes_too_long_ends_with_an_error_and_properly(serve: Any) -> None:
    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + EVENTS)
        await reader.read()  # until nobody waits any more
        writer.close()

    async with await asyncio.start_server(dawdle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        slow = Model(name="a", model="a", base_url=f"http://127.0.0.1:{port}/v1")
        running = await serve(slow, caps=Caps(deadline_s=0.3))
        first, *_, failed, end = await running.stream(**BODY)
    assert first.encode() in EVENTS
    assert json.loads(failed.strip().removeprefix("data: "))["error"]["code"] == "upstream_timeout"
    assert end == "data: [DONE]"


UNREADABLE = [
    Reply(body=b"<html>Welcome to nginx!</html>"),
    Reply(body=b"[]"),
    Reply(body=b'{"choices": []}'),
    Reply(body=b'{"choices": [{"message": null}]}'),
    Reply(body=b'{"choices": [{"index": 0}]}'),
    Reply(body=b'{"error": {"message": "no"}}'),
    "truncated json",
]


@pytest.mark.parametrize("sent", UNREADABLE, ids=range(len(UNREADABLE)))
async def test_what_is_no_reply_is_not_passed_on_as_one(serve: Any, sent: Any) -> None:
    running = await serve(FaultEndpoint(sent))
    status, reply = await running.post(BODY)
    assert (status, reply["error"]["code"]) == (502, "upstream_unreadable")
    assert "no reply with choices" in reply["error"]["message"]


async def test_a_reply_with_choices_is_passed_on_byte_for_byte(serve: Any) -> None:
    body = b'{"choices":[{"message":{"content":null,"odd":1e2}}],\n "z": 1}'
    running = await serve(FaultEndpoint(Reply(body=body)))
    async with running.session.post(f"{running.url}/v1/chat/completions", json=BODY) as reply:
        assert await reply.read() == body


@pytest.mark.parametrize("media_type", ["application/json", "text/html; charset=utf-8"])
async def test_an_endpoint_that_does_not_stream_is_told_of(serve: Any, media_type: str) -> None:
    running = await serve(FaultEndpoint(Reply(body=EVENTS, headers={"Content-Type": media_type})))
    status, reply = await running.post({**BODY, "stream": True})
    assert (status, reply["error"]["code"]) == (502, "upstream_unreadable")
    assert "where a stream was asked for" in reply["error"]["message"]


async def test_a_stream_that_the_endpoint_alone_takes_for_one_is_passed_on_whole(
    serve: Any,
) -> None:
    running = await serve(FaultEndpoint(STREAM))
    url = f"{running.url}/v1/chat/completions"
    async with running.session.post(url, json={**BODY, "stream": "yes"}) as reply:
        assert await reply.read() == STREAM.body


async def test_a_stream_without_events_ends_with_the_reason(serve: Any) -> None:
    head = {"Content-Type": "text/event-stream"}
    running = await serve(FaultEndpoint(Reply(body=b": nothing\n\n", headers=head)))
    *_, failed, end = await running.stream(**BODY)
    code = json.loads(failed.strip().removeprefix("data: "))["error"]["code"]
    assert (code, end) == ("upstream_unreadable", "data: [DONE]")


async def test_what_an_endpoint_says_no_to_is_a_400_in_its_own_words(serve: Any) -> None:
    no = Reply(422, b'{"error": {"message": "top_logprobs is 3, at most 2", "code": "x"}}')
    running = await serve(FaultEndpoint(no))
    status, reply = await running.post(BODY)
    assert (status, reply["error"]["type"]) == (400, "invalid_request_error")
    assert "top_logprobs is 3, at most 2" in reply["error"]["message"]
