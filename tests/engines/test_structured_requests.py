"""Tools, reply forms, whole messages and relayed requests: what a gateway's client asks for."""

import json
from typing import Any

import pytest

from slmmux import Model, Mux, connect
from slmmux.engines.base import Completion, Message, Prompt, Relay, Request
from slmmux.engines.embedded import EmbeddedEngine
from slmmux.engines.openai import OpenAIEngine
from slmmux.errors import RateLimitError, RequestRejectedError, UnreachableError
from slmmux.testing import FaultEndpoint, Reply
from slmmux.types import Answer, Conversation, Options, ToolCall

MODEL = Model(name="qwen", model="qwen2.5-7b")
TOOLS = json.dumps({"tools": [{"type": "function", "function": {"name": "calculate"}}]})
FORM = json.dumps({"response_format": {"type": "json_object"}, "user": "ann"})


def ask(*, fields: str | None = None, messages: tuple[Message, ...] = ()) -> Request:
    said = messages or (Message("user", "6 × 7?"),)
    return Request(model=MODEL, prompt=Prompt(messages=said, fields=fields), seed=7)


async def draw(endpoint: FaultEndpoint, request: Request) -> Completion:
    async with endpoint:
        engine = OpenAIEngine(endpoint.base_url)
        try:
            (completion,) = await engine.draw(request)
        finally:
            await engine.close()
    return completion


def calling(arguments: object, **more: Any) -> FaultEndpoint:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    message = {"content": None, "tool_calls": [call, {"id": "c2"}, "nonsense"], **more}
    body = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    return FaultEndpoint(Reply(body=json.dumps(body).encode()))


async def test_further_fields_and_whole_messages_are_sent_as_they_are() -> None:
    raw = {"role": "user", "content": [{"type": "text", "text": "6 × 7?"}], "name": "Ann"}
    endpoint = FaultEndpoint()
    await draw(endpoint, ask(fields=FORM, messages=(Message("user", "6 × 7?", json.dumps(raw)),)))
    (sent,) = endpoint.requests
    assert sent["messages"] == [raw]
    assert sent["response_format"] == {"type": "json_object"}
    assert sent["user"] == "ann"


async def test_a_tool_call_is_kept_where_tools_were_offered_and_no_reply_elsewhere() -> None:
    called = await draw(calling('{"a": 1}'), ask(fields=TOOLS))
    assert called.tool_calls == (ToolCall("c1", "f", '{"a": 1}'),)
    assert called.text == ""
    unasked = await draw(calling('{"a": 1}'), ask())
    assert (unasked.text, unasked.tool_calls) == (None, ())


async def test_what_is_said_beside_a_tool_call_and_arguments_sent_as_an_object_are_kept() -> None:
    called = await draw(calling({"a": 1}, content="I look it up."), ask(fields=TOOLS))
    assert called.tool_calls == (ToolCall("c1", "f", '{"a": 1}'),)
    assert called.text == "I look it up."


async def test_an_endpoint_that_rejects_a_form_of_replies_is_asked_without_it_from_then_on() -> (
    None
):
    no = Reply(400, b'{"error": {"message": "response_format is not supported"}}')
    async with FaultEndpoint(no, "ok") as endpoint:
        engine = OpenAIEngine(endpoint.base_url)
        for _ in range(2):
            (completion,) = await engine.draw(ask(fields=FORM))
            assert completion.text == "The answer is 42."
        await engine.close()
    assert ["response_format" in sent for sent in endpoint.requests] == [True, False, False]
    assert all(sent["user"] == "ann" for sent in endpoint.requests)


async def test_another_form_is_tried_where_one_was_rejected() -> None:
    no = Reply(400, b'{"error": {"message": "json_schema: bad regex"}}')
    other = json.dumps({"response_format": {"type": "text"}})
    async with FaultEndpoint(no, "ok") as endpoint:
        engine = OpenAIEngine(endpoint.base_url)
        await engine.draw(ask(fields=FORM))
        await engine.draw(ask(fields=other))
        await engine.close()
    assert "response_format" in endpoint.requests[-1]


async def test_any_other_rejection_stays_one() -> None:
    with pytest.raises(RequestRejectedError, match="no such thing"):
        await draw(FaultEndpoint(Reply(400, b'{"error": "no such thing"}')), ask(fields=FORM))


async def test_a_request_is_relayed_as_it_is_with_the_models_own_id() -> None:
    async with FaultEndpoint() as endpoint:
        engine = OpenAIEngine(endpoint.base_url)
        assert isinstance(engine, Relay)
        body = {"model": "qwen", "messages": [], "logprobs": True, "odd": [1.5, None]}
        async with engine.relay(MODEL, "chat/completions", body) as reply:
            text = b"".join([chunk async for chunk in reply.chunks])
        await engine.close()
    assert endpoint.requests == [{**body, "model": "qwen2.5-7b"}]
    assert reply.content_type == "application/json"
    assert json.loads(text)["choices"][0]["message"]["content"] == "The answer is 42."


async def test_a_relayed_request_fails_in_our_words_without_the_key() -> None:
    limited = Reply(
        429, b'{"error": "sk-a-secret-of-ours is over its limit"}', {"Retry-After": "3"}
    )
    async with FaultEndpoint(limited) as endpoint:
        engine = OpenAIEngine(endpoint.base_url, api_key="sk-a-secret-of-ours")
        with pytest.raises(RateLimitError) as caught:
            async with engine.relay(MODEL, "completions", {}):
                pytest.fail("there is no reply")
        await engine.close()
    assert caught.value.retry_after_s == 3
    assert "secret" not in str(caught.value)
    with pytest.raises(UnreachableError):
        async with OpenAIEngine("http://127.0.0.1:9/v1").relay(MODEL, "completions", {}):
            pytest.fail("there is no reply")


async def test_a_reader_of_the_askers_own_gets_votes_out_of_tool_calls() -> None:
    async def read(completion: Completion) -> Answer | None:
        return Answer("f", "f") if completion.tool_calls else None

    asked = Conversation(
        text="6 × 7?",
        id="q",
        kind="text",
        messages=(Message("user", "6 × 7?"),),
        options=Options(temperature=0.0, fields=TOOLS),
    )
    async with calling("{}") as endpoint:
        model = Model(name="qwen", model="qwen", base_url=endpoint.base_url)
        async with connect([model]) as pool:
            result = await Mux(pool).ask(asked, read=read)
    assert result.selection.key == "f"
    assert result.samples[0].tool_calls == (ToolCall("c1", "f", "{}"),)
    assert all(sent["temperature"] == 0 and "tools" in sent for sent in endpoint.requests)


@pytest.mark.embedded
async def test_the_embedded_engine_holds_a_base_prompt_to_a_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"age": {"type": "integer"}},
        "required": ["age"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "p", "schema": schema}}
    fields = json.dumps({"response_format": form})
    model = Model(name="s", model="smollm2-135m", api="completions", max_tokens=40, temperature=0)
    engine = EmbeddedEngine("smollm2-135m")
    try:
        prompt = Prompt(text="Bob is 42 years old. JSON: ", fields=fields)
        (completion,) = await engine.draw(Request(model=model, prompt=prompt, seed=1))
        assert isinstance(json.loads(completion.text or "")["age"], int)
        async with engine.relay(model, "completions", {"prompt": "a", "max_tokens": 1}) as reply:
            assert b"choices" in b"".join([chunk async for chunk in reply.chunks])
    finally:
        await engine.close()
