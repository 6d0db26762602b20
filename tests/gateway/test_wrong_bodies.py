"""Every wrong body is answered in words that a stranger understands, with the field at fault."""

from typing import Any

import pytest

from slmmux.testing import FaultEndpoint
from slmmux.types import Model

PLEASE = "6 × 7?"
USER = {"role": "user", "content": PLEASE}
TOOL = {"type": "function", "function": {"name": "add"}}
EMBEDDED = Model(name="b", model="smollm2-135m", base_url="embedded")
JARGON = (
    *("Input should", "Input tag", "instance of", "discriminator", "List should", "String should"),
    *("Dictionary should", "Field required", "Extra inputs", "Unable to", "after validation"),
    *("Value error", "Assertion", "pydantic", "NoneType", "MiB", "Traceback", "None", "valid "),
)


def user(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model": ["x"]}, "model"),
    ({"messages": "hi"}, "messages"),
    ({"messages": None}, "messages"),
    ({"messages": ["hi"]}, "messages.0"),
    ({"messages": [{}]}, "messages.0.role"),
    ({"messages": [{"role": None, "content": "x"}]}, "messages.0.role"),
    ({"messages": [{"role": ["user"], "content": "x"}]}, "messages.0.role"),
    ({"messages": [USER, {"role": "function", "content": "x"}]}, "messages.1.role"),
    ({"messages": user(5)}, "messages.0.content"),
    ({"messages": user(None)}, "messages.0.content"),
    ({"messages": user([])}, "messages.0.content"),
    ({"messages": user(["x"])}, "messages.0.content.0"),
    ({"messages": user([{"text": "x"}])}, "messages.0.content.0.type"),
    ({"messages": user([{"type": "video"}])}, "messages.0.content.0.type"),
    ({"messages": user([{"type": "text"}])}, "messages.0.content.0.text"),
    ({"messages": user([{"type": "text", "text": 1}])}, "messages.0.content.0.text"),
    ({"messages": [{**USER, "name": 5}]}, "messages.0.name"),
    ({"messages": [{"role": "assistant", "audio": {}}]}, "messages.0.audio"),
    ({"messages": [{"role": "assistant", "annotations": [1]}]}, "messages.0.annotations"),
    ({"messages": [{"role": "assistant", "tool_calls": []}]}, "messages.0.tool_calls"),
    ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages.0.tool_calls.0.id"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": -1}, "temperature"),
    ({"temperature": 2.5}, "temperature"),
    ({"temperature": [1]}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"top_p": 1.5}, "top_p"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"max_tokens": 10**9}, "max_tokens"),
    ({"max_completion_tokens": "5"}, "max_completion_tokens"),
    ({"stop": 5}, "stop"),
    ({"stop": ""}, "stop"),
    ({"stop": ["a"] * 5}, "stop"),
    ({"stop": ["a", 5]}, "stop.1"),
    ({"stop": ["a", ""]}, "stop.1"),
    ({"seed": "x"}, "seed"),
    ({"seed": 2**70}, "seed"),
    ({"n": 0}, "n"),
    ({"n": True}, "n"),
    ({"n": 33}, "n"),
    ({"stream": "yes"}, "stream"),
    ({"stream": True, "stream_options": []}, "stream_options"),
    ({"stream": True, "stream_options": {"usage": True}}, "stream_options.usage"),
    (
        {"stream": True, "stream_options": {"include_usage": 1}},
        "stream_options.include_usage",
    ),
    ({"frequency_penalty": 3}, "frequency_penalty"),
    ({"presence_penalty": "x"}, "presence_penalty"),
    ({"user": 5}, "user"),
    ({"response_format": "json"}, "response_format"),
    ({"response_format": {}}, "response_format.type"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
        "response_format.json_schema.name",
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        "response_format.json_schema.schema",
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": 5}}},
        "response_format.json_schema.schema",
    ),
    ({"tools": {}}, "tools"),
    ({"tools": []}, "tools"),
    ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
    ({"tools": [{"type": "function"}]}, "tools.0.function"),
    ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools.0.function.name"),
    ({"tools": [TOOL], "tool_choice": "any"}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice.function"),
    ({"tools": [TOOL], "parallel_tool_calls": "no"}, "parallel_tool_calls"),
    ({"logprobs": True}, "logprobs"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"logit_bias": {"1": 1}}, "logit_bias"),
    ({"metadata": {"a": "b"}}, "metadata"),
    ({"store": True}, "store"),
    ({"service_tier": "flex"}, "service_tier"),
    ({"reasoning_effort": "low"}, "reasoning_effort"),
    ({"modalities": ["audio"]}, "modalities.0"),
    ({"prompt": "x"}, "prompt"),
    ({"slmmux": 5}, "slmmux"),
    ({"slmmux": []}, "slmmux"),
    ({"slmmux": {"k": "3"}}, "slmmux.k"),
    ({"slmmux": {"k": 0}}, "slmmux.k"),
    ({"slmmux": {"k": 10**6}}, "slmmux.k"),
    ({"slmmux": {"stopping": "never"}}, "slmmux.stopping"),
    ({"slmmux": {"stopping": {"risk": 2}}}, "slmmux.stopping.risk"),
    ({"slmmux": {"stopping": {"risc": 0.1}}}, "slmmux.stopping.risk"),
    ({"slmmux": {"kind": "guess"}}, "slmmux.kind"),
    ({"slmmux": {"deadline_s": 0}}, "slmmux.deadline_s"),
    ({"slmmux": {"quorum": 0}}, "slmmux.quorum"),
    ({"slmmux": {"quorum": 9}}, "slmmux.quorum"),
    ({"slmmux": {"return_samples": "yes"}}, "slmmux.return_samples"),
    ({"slmmux": {"instruction": "on"}}, "slmmux.instruction"),
    ({"slmmux": {"choices": "a|b"}}, "slmmux.choices"),
    ({"slmmux": {"choices": ["a", 5]}}, "slmmux.choices.1"),
    ({"slmmux": {"choices": [str(i) for i in range(11)]}}, "slmmux.choices"),
    ({"model": "b", "temperature": "hot"}, "temperature"),
    ({"model": "b", "logprobs": 1}, "logprobs"),
    ({"model": "b", "top_logprobs": "x"}, "top_logprobs"),
    ({"model": "b", "slmmux": {}}, "slmmux"),
]


@pytest.mark.parametrize(
    ("more", "param"), WRONG, ids=[f"{p}-{i}" for i, (_, p) in enumerate(WRONG)]
)
async def test_a_wrong_body_is_answered_in_plain_words(
    serve: Any, more: dict[str, Any], param: str
) -> None:
    running = await serve(endpoint := FaultEndpoint(), EMBEDDED)
    status, error = await running.refusal(**more)
    message = error["message"]
    assert (status, error["param"], error["type"]) == (400, param, "invalid_request_error")
    assert message.startswith(param.partition(".")[0])
    assert not [phrase for phrase in JARGON if phrase in message]
    assert "\n" not in message
    assert len(message) < 250
    assert endpoint.requests == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"stop": list("abcde")},
            "stop is a list of 5; it must be a list of at most 4",
        ),
        (
            {"response_format": {"type": "xml"}},
            'response_format.type is "xml"; it must be "text", "json_object" or "json_schema"',
        ),
        ({"stop": 5}, "stop is 5; it must be a string, or a list"),
        (
            {"slmmux": {"stopping": "never"}},
            'slmmux.stopping is "never"; it must be "exact" or "off", or an object with risk',
        ),
        ({"user": 1}, "user is 1; it must be a string"),
        ({"seed": 10**50}, "seed is a huge number; it must be less than 9223372036854775808"),
        ({"user": {"a": 1}}, "user is an object; it must be a string"),
        (
            {"slmmux": {"instruction": "x" * 99}},
            f'slmmux.instruction is "{"x" * 40}…"; it must be "off"',
        ),
    ],
)
async def test_a_refusal_says_what_was_given_where_and_what_is_allowed(
    serve: Any, more: dict[str, Any], message: str
) -> None:
    running = await serve(FaultEndpoint())
    _, error = await running.refusal(**more)
    assert error["message"] == message
