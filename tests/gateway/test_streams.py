"""Streams: the vote as it goes on, the winner's words, and clients that leave."""

import asyncio
import json
from typing import Any

import pytest

from slmmux.gateway import streams
from slmmux.gateway.streams import pieces
from slmmux.testing import FaultEndpoint, Reply

SAYS = "Six times seven is forty-two, as everybody knows who ever counted: the answer is 42."


def events(parts: list[str]) -> list[Any]:
    """The JSON events of a stream, which ends as all do."""
    data = [part.removeprefix("data: ") for part in parts if part.startswith("data: ")]
    assert data[-1] == "[DONE]"
    return [json.loads(text) for text in data[:-1]]


def text_of(chunks: list[Any], index: int = 0) -> str:
    return "".join(
        choice["delta"].get("content") or ""
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["index"] == index
    )


async def test_a_stream_begins_with_the_role_goes_on_with_the_vote_and_ends_with_the_text(
    serve: Any,
) -> None:
    running = await serve(FaultEndpoint(text=SAYS), FaultEndpoint(text=SAYS))
    parts = await running.stream(stream_options={"include_usage": True}, slmmux={"stopping": "off"})
    chunks = events(parts)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    comments = [part for part in parts if part.startswith(": ")]
    assert comments[0] == ": 0 of 6 samples"
    assert comments[-1] == ": 6 of 6 samples, a leads 3/3"
    assert parts.index(comments[-1]) < len(parts) - len(chunks) + 1
    assert text_of(chunks) == SAYS
    last, used = chunks[-2:]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["slmmux"]["answer"] == "42"
    assert used["choices"] == []
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert used["usage"]["prompt_tokens"] == 60
    assert {chunk["id"] for chunk in chunks} == {chunks[0]["id"]}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len(chunks) > 4


async def test_without_being_asked_for_usage_a_stream_has_none(serve: Any) -> None:
    running = await serve(FaultEndpoint())
    assert all("usage" not in chunk for chunk in events(await running.stream()))


async def test_samples_come_as_they_arrive_when_asked_for(serve: Any) -> None:
    running = await serve(FaultEndpoint())
    chunks = events(await running.stream(slmmux={"return_samples": True, "stopping": "off"}))
    samples = [c["slmmux"]["sample"] for c in chunks if "sample" in c.get("slmmux", {})]
    assert sorted(s["index"] for s in samples) == [0, 1, 2]
    assert samples[0]["answer"] == {"text": "42", "key": "42"}


async def test_several_answers_are_streamed_one_after_the_other(serve: Any) -> None:
    texts = iter(["It is 1.", "It is 2.", "It is 1."])
    running = await serve(FaultEndpoint(text=lambda *_: next(texts)))
    chunks = events(await running.stream(n=2))
    assert (text_of(chunks, 0), text_of(chunks, 1)) == ("It is 1.", "It is 2.")


async def test_tool_calls_come_in_one_piece(serve: Any) -> None:
    function = {"name": "add", "arguments": '{"a":1}'}
    calls = [{"id": "c1", "type": "function", "function": function}]
    choice = {"message": {"content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}
    running = await serve(FaultEndpoint(Reply(body=json.dumps({"choices": [choice]}).encode())))
    tool = {"type": "function", "function": {"name": "add"}}
    chunks = events(await running.stream(tools=[tool]))
    deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"]]
    assert {"tool_calls": [{"index": 0, **calls[0]}]} in deltas
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_completion_streams_in_its_own_shape(serve: Any) -> None:
    running = await serve(FaultEndpoint(text=SAYS))
    chunks = events(await running.stream("completions", prompt="What is 6 × 7?"))
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert "".join(c["choices"][0]["text"] for c in chunks) == SAYS


async def test_what_fails_before_a_stream_begins_is_a_status(serve: Any) -> None:
    running = await serve(FaultEndpoint())
    status, _ = await running.refusal(stream=True, temperature=9)
    assert status == 400


async def test_what_fails_after_a_stream_began_is_an_event_and_a_proper_end(serve: Any) -> None:
    running = await serve(FaultEndpoint("server error"))
    *_, failed = events(await running.stream())
    assert failed["error"]["code"] == "quorum_not_met"
    assert "CUDA out of memory" in failed["error"]["upstreams"]["a"]


async def test_a_stream_shows_that_it_lives_while_nothing_arrives(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_PATIENCE_S", 0.05)
    running = await serve(FaultEndpoint("hang"))
    parts = await running.stream(slmmux={"deadline_s": 0.5})
    assert parts.count(": 0 of 3 samples") > 3


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_away_ends_the_upstream_calls(
    serve: Any, until: Any, stream: bool
) -> None:
    running = await serve(a := FaultEndpoint("hang"), b := FaultEndpoint("hang"))
    asking = asyncio.create_task(
        running.session.post(
            f"{running.url}/v1/chat/completions",
            json={
                "model": "pool",
                "messages": [{"role": "user", "content": "6 × 7?"}],
                "stream": stream,
                "slmmux": {"stopping": "off"},
            },
        )
    )
    await until(lambda: a.at_once + b.at_once == 2)
    if stream:
        (await asking).close()
    else:
        asking.cancel()
    await until(lambda: a.at_once + b.at_once == 0)
    assert a.abandoned == b.abandoned == 1
    await until(lambda: not running.server.server_state.tasks)


def test_pieces_put_together_are_the_text() -> None:
    for text in ("", " ", "one", SAYS, "  two\n\nlines \n", "x " * 100, "\n"):
        assert "".join(pieces(text)) == text
