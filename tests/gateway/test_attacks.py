"""Clients that mean harm, or are only broken."""

import asyncio
import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmmux.gateway.bodies import parse
from slmmux.gateway.caps import Caps
from slmmux.gateway.failures import RequestError
from slmmux.gateway.schemas import check_of
from slmmux.gateway.structured import Found, json_in
from slmmux.testing import FaultEndpoint

ASK = {"model": "pool", "messages": [{"role": "user", "content": "6 × 7?"}]}
PATIENT = Caps(head_s=0.3, body_s=0.3, body_bytes=100_000)


async def raw(running: Any, *sent: bytes, pause_s: float = 0.0) -> bytes:
    """What comes back when these bytes are sent, until the server closes."""
    host, port = running.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for piece in sent:
            writer.write(piece)
            await asyncio.sleep(pause_s)
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def head(length: int, *more: str) -> bytes:
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: x", "Content-Type: application/json"]
    return "\r\n".join(
        [*lines, f"Content-Length: {length}", "Connection: close", *more, "", ""]
    ).encode()


async def test_a_body_that_is_too_large_is_refused_whatever_it_claims(serve: Any) -> None:
    running = await serve(FaultEndpoint(), caps=PATIENT)
    async with running.session.post(
        f"{running.url}/v1/chat/completions",
        data=b" " * 200_000,
        headers={"Content-Type": "application/json"},
    ) as reply:
        assert reply.status == 413
    reply = await raw(running, head(10**12), b"{")
    assert b"413" in reply.splitlines()[0]

    async def flood() -> Any:
        for _ in range(200):
            yield b" " * 1000

    async with running.session.post(
        f"{running.url}/v1/chat/completions",
        data=flood(),
        headers={"Content-Type": "application/json"},
    ) as chunked:
        assert chunked.status == 413


async def test_a_body_that_does_not_come_is_not_waited_for(serve: Any) -> None:
    running = await serve(FaultEndpoint(), caps=PATIENT)
    reply = await raw(running, head(100), b'{"model":')
    assert b"408" in reply.splitlines()[0]
    assert b"did not arrive within 0.3 s" in reply


async def test_a_head_that_does_not_come_is_not_waited_for(serve: Any) -> None:
    running = await serve(FaultEndpoint(), caps=PATIENT)
    began = time.perf_counter()
    assert await raw(running, b"POST /v1/chat/com") == b""
    drop = [b"GET /healthz HTTP/1.1\r\n", *[b"X-A: b\r\n"] * 20]
    assert await raw(running, *drop, pause_s=0.05) == b""
    first = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert (await raw(running, first, b"GET /hea", pause_s=0.1)).count(b"HTTP/1.1 200") == 1
    assert time.perf_counter() - began < 3


async def test_a_thousand_idle_connections_keep_nobody_from_being_served(serve: Any) -> None:
    running = await serve(FaultEndpoint())
    host, port = running.url.removeprefix("http://").split(":")
    idle = await asyncio.gather(*(asyncio.open_connection(host, int(port)) for _ in range(1000)))
    assert (await running.ask())["slmmux"]["answer"] == "42"
    for _, writer in idle:
        writer.close()


async def test_what_is_no_http_gets_an_error_of_the_usual_shape(serve: Any) -> None:
    running = await serve(FaultEndpoint())
    reply = await raw(running, b"\x16\x03\x01 hello\r\n\r\n")
    assert json.loads(reply.partition(b"\r\n\r\n")[2])["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{" * 10_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"model": "\\ud800"}',
        b'{"model": NaN}',
        b'{"model": ' + b"9" * 10_000 + b"}",
    ],
    ids=range(10),
)
async def test_what_is_no_json_object_is_refused(serve: Any, body: bytes) -> None:
    running = await serve(FaultEndpoint())
    async with running.session.post(
        f"{running.url}/v1/chat/completions",
        data=body,
        headers={"Content-Type": "application/json"},
    ) as reply:
        assert reply.status == 400
        assert (await reply.json())["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_only_plain_json_is_taken_so_no_other_page_can_post(
    serve: Any, headers: dict[str, str]
) -> None:
    running = await serve(a := FaultEndpoint())
    async with running.session.post(
        f"{running.url}/v1/chat/completions", data=json.dumps(ASK).encode(), headers=headers
    ) as reply:
        assert reply.status == 415
    assert a.requests == []


async def test_null_bytes_and_markup_are_only_text(serve: Any) -> None:
    evil = "<script>alert(1)</script>\x00\r\n\r\nHTTP/1.1 200 OK\r\ndata: [DONE]\n\n It is 42."
    running = await serve(a := FaultEndpoint(text=evil))
    reply = await running.ask("6 × 7?\x00<b>", slmmux={"k": 1})
    assert reply["choices"][0]["message"]["content"] == evil
    assert a.requests[0]["messages"][0]["content"].startswith("6 × 7?\x00<b>")
    parts = await running.stream(slmmux={"k": 1})
    data = [json.loads(p.removeprefix("data: ")) for p in parts[:-1] if p.startswith("data: ")]
    said = "".join(c["choices"][0]["delta"].get("content", "") for c in data)
    assert said == evil
    assert parts[-1] == "data: [DONE]"


@pytest.mark.parametrize("name", ["pool\r\nX-Evil: 1", "pool\x00", "../../etc/passwd", "a" * 257])
async def test_nothing_that_a_client_says_gets_into_a_header(serve: Any, name: str) -> None:
    running = await serve(FaultEndpoint())
    async with running.session.post(
        f"{running.url}/v1/chat/completions", json={**ASK, "model": name}
    ) as reply:
        assert reply.status == 404
        assert "X-Evil" not in reply.headers


async def test_infinite_numbers_go_nowhere(serve: Any) -> None:
    running = await serve(a := FaultEndpoint())
    for model in ("pool", "a"):
        body = json.dumps({**ASK, "model": model, "tools": "X"}).replace(
            '"X"', '[{"type":"function","function":{"name":"f","parameters":{"x":1e999}}}]'
        )
        async with running.session.post(
            f"{running.url}/v1/chat/completions",
            data=body.encode(),
            headers={"Content-Type": "application/json"},
        ) as reply:
            assert reply.status == 400
    assert a.requests == []


def test_a_schema_that_would_take_for_ever_is_refused() -> None:
    doubling: dict[str, Any] = {
        f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}, {"$ref": f"#/$defs/d{i + 1}"}]}
        for i in range(40)
    }
    schema = {"$defs": {**doubling, "d40": {"type": "object"}}, "$ref": "#/$defs/d0"}
    with pytest.raises(RequestError, match="unfolds to more parts"):
        check_of(schema, "schema")
    with pytest.raises(RequestError, match="not followed"):
        check_of({"$ref": "file:///etc/passwd"}, "schema")


def test_patterns_that_run_away_do_not() -> None:
    began = time.perf_counter()
    check = check_of({"pattern": "^(?=(a+)+$)(a|aa)+\\1c$"}, "schema")
    assert not check(Found("", "a" * 5000 + "b"))
    assert time.perf_counter() - began < 1


def test_a_schema_that_leads_to_itself_is_fine() -> None:
    tree = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["v"]}
    check = check_of(tree, "schema")
    assert check(Found("", {"v": 1, "next": {"v": 2}}))
    assert not check(Found("", {"v": 1, "next": {}}))


@settings(max_examples=300)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_an_object_or_refused(body: bytes) -> None:
    with contextlib.suppress(RequestError):
        assert isinstance(parse(body), dict)


@settings(max_examples=300)
@given(st.text(alphabet='{}[]",:1 \\na"', max_size=40), st.sampled_from(["stop", "length", None]))
def test_json_that_is_found_in_a_reply_is_json(reply: str, finish: str | None) -> None:
    found = json_in(reply, finish)
    assert found is None or json.loads(found.text) == found.value
