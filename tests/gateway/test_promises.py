"""Who asks for JSON or for a tool call never gets anything else as if it were that."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from slmmux.testing import FaultEndpoint, Reply

ASK: list[Any] = [{"role": "user", "content": "How old is Bob?"}]
PROSE = "Bob is 42, I think."
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
FORM = {"type": "json_schema", "json_schema": {"name": "p", "schema": SCHEMA, "strict": True}}
LOOSE = {"type": "json_schema", "json_schema": {"name": "p", "schema": SCHEMA}}
OBJECT = {"type": "json_object"}
TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": SCHEMA, "strict": True},
}
NAMED = {"type": "function", "function": {"name": "look"}}
MISFIT = '{"age": "forty-two"}'


class Person(BaseModel):
    age: int


def call(arguments: str, text: str | None = None) -> Reply:
    function = {"name": "look", "arguments": arguments}
    calls = [{"id": "c", "type": "function", "function": function}]
    choice = {"message": {"content": text, "tool_calls": calls}, "finish_reason": "tool_calls"}
    return Reply(body=json.dumps({"choices": [choice]}).encode())


def cut(text: str) -> Reply:
    choice = {"message": {"content": text}, "finish_reason": "length"}
    return Reply(body=json.dumps({"choices": [choice]}).encode())


@pytest.mark.parametrize(
    ("said", "more", "why"),
    [
        (PROSE, {"response_format": FORM}, "holds JSON that fits the schema"),
        (MISFIT, {"response_format": FORM}, "holds JSON that fits the schema"),
        (MISFIT, {"response_format": LOOSE}, "holds JSON that fits the schema"),
        (PROSE, {"response_format": OBJECT}, "holds a JSON object"),
        ("[1, 2]", {"response_format": OBJECT}, "holds a JSON object"),
        (PROSE, {"slmmux": {"kind": "json"}}, "holds JSON"),
        (PROSE, {"tools": [TOOL], "tool_choice": "required"}, "calls a tool"),
        (PROSE, {"tools": [TOOL], "tool_choice": NAMED}, "calls a tool"),
        (PROSE, {"tools": [TOOL], "response_format": FORM}, "or holds JSON that fits"),
    ],
)
async def test_what_is_not_what_was_asked_for_is_no_content(
    serve: Any, said: str, more: dict[str, Any], why: str
) -> None:
    running = await serve(FaultEndpoint(text=said), FaultEndpoint(text=said), k=2)
    reply = await running.ask(**more)
    (choice,) = reply["choices"]
    refusal = choice["message"].pop("refusal")
    assert choice["message"] == {"role": "assistant", "content": None}
    assert choice["finish_reason"] == "stop"
    assert refusal.startswith("No answer: of 4 samples none ")
    assert why in refusal
    assert reply["slmmux"]["refusal"] == refusal
    assert reply["slmmux"]["abstained"]
    assert reply["usage"]["total_tokens"] > 0


@pytest.mark.parametrize("arguments", ['{"age": "x"}', "{", "[]"])
@pytest.mark.parametrize("choice", ["auto", "required", NAMED])
async def test_a_call_that_cannot_be_made_is_not_given(
    serve: Any, arguments: str, choice: Any
) -> None:
    running = await serve(FaultEndpoint(call(arguments)))
    reply = await running.ask(tools=[TOOL], tool_choice=choice)
    message = reply["choices"][0]["message"]
    assert "tool_calls" not in message
    assert message["content"] is None
    assert "calls a tool" in message["refusal"]


async def test_a_text_is_given_rather_than_a_call_that_cannot_be_made(serve: Any) -> None:
    running = await serve(FaultEndpoint(call("{"), "ok", text=PROSE), stopping="off", k=2)
    reply = await running.ask("How many?", tools=[TOOL], slmmux={"kind": "date"})
    assert reply["slmmux"]["abstained"]
    assert reply["choices"][0]["message"]["content"] == PROSE


async def test_an_object_that_fits_is_given_though_no_answer_is_read_from_it(serve: Any) -> None:
    texts = iter([PROSE, '{"age": 42}', PROSE])
    running = await serve(FaultEndpoint(text=lambda *_: next(texts)), stopping="off")
    reply = await running.ask(response_format=FORM, slmmux={"kind": "date"})
    assert reply["slmmux"]["abstained"]
    assert reply["choices"][0]["message"] == {
        "role": "assistant",
        "content": '{"age": 42}',
        "refusal": None,
    }


async def test_one_sample_that_fits_is_the_answer(serve: Any) -> None:
    texts = iter([PROSE, MISFIT, '{"age": 42}'])
    running = await serve(FaultEndpoint(text=lambda *_: next(texts)))
    reply = await running.ask(response_format=FORM)
    assert reply["choices"][0]["message"]["content"] == '{"age": 42}'
    assert "refusal" not in reply["slmmux"]


async def test_replies_that_were_all_cut_off_say_so_as_clients_know_it(serve: Any) -> None:
    running = await serve(FaultEndpoint(cut('{"age": 4')))
    choice = (await running.ask(response_format=FORM))["choices"][0]
    assert choice["finish_reason"] == "length"
    assert "raise max_tokens" in choice["message"]["refusal"]


async def test_a_question_that_only_sounds_like_json_keeps_its_text(serve: Any) -> None:
    running = await serve(FaultEndpoint(text=PROSE))
    reply = await running.ask("Reply as JSON: how old is Bob?")
    assert (reply["slmmux"]["kind"], reply["slmmux"]["kind_from"]) == ("json", "auto")
    assert reply["choices"][0]["message"]["content"] == PROSE


async def test_a_completion_without_its_json_is_empty_with_the_reason_beside(serve: Any) -> None:
    running = await serve(FaultEndpoint(text=PROSE))
    body = {"model": "pool", "prompt": "Bob?", "slmmux": {"kind": "json"}}
    _, reply = await running.post(body, "completions")
    assert reply["choices"][0]["text"] == ""
    assert "holds JSON" in reply["slmmux"]["refusal"]


@pytest.fixture(name="client")
async def sdk(serve: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    running = await serve(FaultEndpoint(text=MISFIT), FaultEndpoint(text=PROSE))
    url = f"{running.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield client


async def test_the_sdk_parses_a_refusal_as_one(client: openai.AsyncOpenAI) -> None:
    reply = await client.chat.completions.parse(model="pool", messages=ASK, response_format=Person)
    message = reply.choices[0].message
    assert (message.parsed, message.content) == (None, None)
    assert "fits the schema" in (message.refusal or "")


async def test_the_sdk_streams_a_refusal_as_one(client: openai.AsyncOpenAI) -> None:
    refused = ""
    async with client.chat.completions.stream(
        model="pool", messages=ASK, response_format=Person
    ) as stream:
        async for event in stream:
            assert event.type != "content.done"
            if event.type == "content.delta":
                assert not event.delta
            if event.type == "refusal.done":
                refused = event.refusal
        reply = await stream.get_final_completion()
    message = reply.choices[0].message
    assert message.parsed is None
    assert not message.content
    assert message.refusal == refused
    assert "fits the schema" in refused


async def test_a_streamed_completion_without_its_json_ends_with_the_reason(serve: Any) -> None:
    running = await serve(FaultEndpoint(text=PROSE))
    parts = await running.stream("completions", prompt="Bob?", slmmux={"kind": "json"})
    *_, last, end = [part.removeprefix("data: ") for part in parts if part.startswith("data: ")]
    assert end == "[DONE]"
    assert PROSE not in "".join(parts)
    assert "holds JSON" in json.loads(last)["slmmux"]["refusal"]
