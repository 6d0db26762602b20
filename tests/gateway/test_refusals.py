"""What a client may send and a pool cannot honour: a sentence and the field, never silence."""

import io
from typing import Any

import pytest

from slmmux.gateway.caps import Caps
from slmmux.testing import FaultEndpoint
from slmmux.types import Model

USER = {"role": "user", "content": "6 × 7?"}
TOOL = {"type": "function", "function": {"name": "add"}}
NAMED = {"type": "function", "function": {"name": "add"}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
SCHEMA = "response_format.json_schema.schema"
EMBEDDED = Model(name="a", model="smollm2-135m", base_url="embedded")


def schema(of: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": of}}


@pytest.mark.parametrize(
    ("field", "value", "param", "words"),
    [
        ("logprobs", True, "logprobs", "ask a member model"),
        ("top_logprobs", 3, "top_logprobs", "ask a member model"),
        ("logit_bias", {"50256": -100}, "logit_bias", "token ids"),
        ("functions", [], "functions", "use tools"),
        ("store", True, "store", "nothing is stored"),
        ("modalities", ["audio"], "modalities.0", "in text"),
        ("reasoning_effort", "low", "reasoning_effort", "ask one by its name"),
        ("colour", "red", "colour", "is not known"),
        ("temperature", 3, "temperature", "is 3; it must be at most 2"),
        ("temperature", "hot", "temperature", 'is "hot"; it must be a number'),
        ("max_tokens", 0, "max_tokens", "1 or more"),
        ("stop", ["a"] * 5, "stop", "at most 4"),
        ("seed", 1.5, "seed", "a whole number"),
        ("n", 0, "n", "1 or more"),
        ("n", 99, "n", "1 to 32"),
        ("stream", "yes", "stream", "true or false"),
        ("messages", [], "messages", "not empty"),
        ("messages", "LEFT OUT", "messages", "required"),
        (
            "messages",
            [{"role": "king", "content": "x"}],
            "messages.0.role",
            '"king"; it must be "system"',
        ),
        ("messages", [{"role": "user"}], "messages.0.content", "required"),
        ("messages", [{"role": "user", "content": " "}], "messages", "nothing is said"),
        (
            "messages",
            [{"role": "user", "content": [{"type": "text", "text": " "}]}],
            "messages",
            "nothing is said",
        ),
        ("messages", [{**USER, "mood": "good"}], "messages.0.mood", "is not known"),
        ("messages", [{"role": "tool", "content": "x"}], "messages.0.tool_call_id", "required"),
        ("model", "pol", "model", "did you mean pool"),
        ("model", "pool:oracle", "model", "there is no model"),
        ("model", "", "model", "say which"),
        ("model", 7, "model", "must be a name"),
        ("response_format", {"type": "xml"}, "response_format.type", "json_schema"),
        ("response_format", schema({"type": "no"}), SCHEMA, 'type: "no" is no type'),
        (
            "response_format",
            schema({"properties": {"a": {"minLength": -1}}}),
            SCHEMA,
            "properties.a.minLength: -1 is less",
        ),
        ("response_format", schema({"$ref": "http://127.0.0.1/x"}), SCHEMA, "not followed"),
        ("response_format", schema({"$ref": "#/$defs/x"}), SCHEMA, "cannot be used"),
        ("tools", [], "tools", "not empty"),
        ("tools", [TOOL, TOOL], "tools", "two tools are called add"),
        (
            "tool_choice",
            {"type": "function", "function": {"name": "sub"}},
            "tool_choice",
            "no tool",
        ),
        ("tool_choice", "auto", "tool_choice", "without tools"),
        ("parallel_tool_calls", False, "parallel_tool_calls", "without tools"),
        ("stream_options", {"include_usage": True}, "stream_options", "without stream"),
        ("slmmux", {"k": 0}, "slmmux.k", "1 or more"),
        ("slmmux", {"k": 501}, "slmmux.k", "500"),
        ("slmmux", {"samples": 3}, "slmmux.samples", "is not known"),
        ("slmmux", {"quorum": 2}, "slmmux.quorum", "asks 1 model"),
        ("slmmux", {"deadline_s": 601}, "slmmux.deadline_s", "at most 600"),
        ("slmmux", {"stopping": "never"}, "slmmux.stopping", "exact"),
        ("slmmux", {"stopping": {"risk": 2}}, "slmmux.stopping.risk", "less than 1"),
        ("slmmux", {"choices": ["one"]}, "slmmux.choices", "at least 2"),
        ("slmmux", {"choices": ["a", " "]}, "slmmux.choices", "empty"),
        ("slmmux", {"choices": ["a", "a "]}, "slmmux.choices", "the same"),
        ("slmmux", {"choices": ["a", "b"], "kind": "number"}, "slmmux.choices", "kind number"),
        ("slmmux", {"kind": "choice"}, "slmmux.choices", "needs options"),
        ("slmmux", {"kind": "guess"}, "slmmux.kind", "math"),
    ],
)
async def test_what_cannot_be_honoured_is_refused_with_its_field(
    serve: Any, field: str, value: Any, param: str, words: str
) -> None:
    running = await serve(endpoint := FaultEndpoint())
    more = {field: value}
    if field == "tool_choice" and value != "auto":
        more["tools"] = [TOOL]
    status, error = await running.refusal(**more)
    assert status == (404 if field == "model" and value in ("pol", "pool:oracle") else 400)
    assert error["type"] == "invalid_request_error"
    assert words in error["message"]
    assert error["param"] == param
    assert endpoint.requests == []


@pytest.mark.parametrize(
    "fields",
    [
        {"logprobs": False, "top_logprobs": None, "store": False, "metadata": {}},
        {"n": 1, "service_tier": "auto", "modalities": ["text"], "functions": None},
        {"response_format": {"type": "text"}, "stream": False, "stream_options": None},
        {"tools": [TOOL], "tool_choice": "none", "parallel_tool_calls": True},
        {"stop": "END", "temperature": 1, "slmmux": None, "logit_bias": {}},
    ],
)
async def test_what_asks_for_nothing_special_is_taken(serve: Any, fields: dict[str, Any]) -> None:
    running = await serve(FaultEndpoint())
    assert (await running.ask(**fields))["slmmux"]["answer"] == "42"


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("echo", True, "echo"),
        ("logprobs", 1, "logprobs"),
        ("suffix", "x", "suffix"),
        ("best_of", 3, "best_of"),
        ("prompt", ["a", "b"], "prompt"),
        ("prompt", [1], "prompt.0"),
    ],
)
async def test_completions_refuse_what_only_a_member_model_can_do(
    serve: Any, field: str, value: Any, param: str
) -> None:
    running = await serve(FaultEndpoint())
    body = {"model": "pool", "prompt": "6 × 7?", field: value}
    status, reply = await running.post(body, "completions")
    assert (status, reply["error"]["param"]) == (400, param)


async def test_a_method_that_takes_one_sample_takes_no_other_k(serve: Any) -> None:
    running = await serve(FaultEndpoint())
    status, error = await running.refusal(model="pool:single", slmmux={"k": 3})
    assert (status, error["param"]) == (400, "slmmux.k")


async def test_pictures_go_to_models_that_take_more_than_text(serve: Any) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    content = [{"type": "text", "text": "What is it?"}, picture]
    running = await serve(a := FaultEndpoint())
    await running.ask(messages=[{"role": "user", "content": content}], slmmux={"k": 1})
    assert a.requests[0]["messages"][0]["content"] == content


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/chat/completions"), ("GET", "/nope")])
async def test_paths_and_methods_that_are_not_there_fail_in_the_same_shape(
    serve: Any, method: str, path: str
) -> None:
    running = await serve(FaultEndpoint())
    async with running.session.request(method, running.url + path) as reply:
        assert reply.status == (404 if path == "/nope" else 405)
        assert (await reply.json())["error"]["type"] == "invalid_request_error"


async def test_a_fan_out_beyond_the_cap_is_refused(serve: Any) -> None:
    running = await serve(FaultEndpoint(), FaultEndpoint(), caps=Caps(draws=5))
    status, error = await running.refusal()
    assert (status, error["param"]) == (400, "slmmux.k")
    assert "6 draws" in error["message"]


async def test_two_names_of_one_limit_must_agree(serve: Any) -> None:
    running = await serve(FaultEndpoint())
    status, error = await running.refusal(max_tokens=8, max_completion_tokens=9)
    assert (status, error["param"]) == (400, "max_completion_tokens")
    await running.ask(max_tokens=8, max_completion_tokens=8)


@pytest.mark.parametrize("model", ["a", "pool"])
async def test_embedded_models_are_given_no_pictures(serve: Any, model: str) -> None:
    running = await serve(EMBEDDED)
    status, error = await running.refusal(
        model=model, messages=[{"role": "user", "content": [PICTURE]}]
    )
    assert (status, error["param"]) == (400, "messages")
    assert "text only" in error["message"]


@pytest.mark.parametrize(
    ("more", "param", "words"),
    [
        ({"bogus": 1}, "bogus", "is not known"),
        ({"tools": [TOOL], "tool_choice": "required"}, "tools", "cannot call tools"),
        ({"reasoning_effort": "low"}, "reasoning_effort", "does not have it"),
        ({"audio": {}}, "audio", "does not have it"),
        ({"tool_choice": "auto"}, "tool_choice", "without tools"),
        ({"logprobs": "yes"}, "logprobs", "true or false"),
        ({"logit_bias": {"5": "y"}}, "logit_bias.5", "a number"),
        ({"logit_bias": {"5": -101}}, "logit_bias.5", "-100 or more"),
    ],
)
async def test_an_embedded_member_refuses_what_it_would_ignore(
    serve: Any, more: dict[str, Any], param: str, words: str
) -> None:
    running = await serve(EMBEDDED)
    status, error = await running.refusal(model="a", **more)
    assert (status, error["param"]) == (400, param)
    assert words in error["message"]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"n": 2, "slmmux": {"stopping": "exact"}}, "slmmux.stopping"),
        ({"n": 2, "slmmux": {"stopping": {"risk": 0.1}}}, "slmmux.stopping"),
        ({"tools": [TOOL], "tool_choice": "required", "slmmux": {"kind": "math"}}, "slmmux.kind"),
        ({"tools": [TOOL], "tool_choice": NAMED, "slmmux": {"kind": "json"}}, "slmmux.kind"),
        (
            {"tools": [TOOL], "tool_choice": NAMED, "slmmux": {"choices": ["a", "b"]}},
            "slmmux.choices",
        ),
        ({"model": "pool:single_greedy", "temperature": 0.7}, "temperature"),
        ({"model": "pool:single", "slmmux": {"quorum": 2}}, "slmmux.quorum"),
    ],
)
async def test_what_contradicts_another_field_is_refused_before_anything_is_drawn(
    serve: Any, more: dict[str, Any], param: str
) -> None:
    running = await serve(a := FaultEndpoint(), b := FaultEndpoint())
    status, error = await running.refusal(**more)
    assert (status, error["param"]) == (400, param)
    assert a.requests == b.requests == []


@pytest.mark.parametrize(
    "more",
    [
        {"n": 2, "slmmux": {"stopping": "off"}},
        {"tools": [TOOL], "slmmux": {"kind": "math"}},
        {"tools": [TOOL], "tool_choice": "none", "slmmux": {"kind": "math"}},
        {"model": "pool:single_greedy", "temperature": 0},
    ],
)
async def test_what_agrees_with_another_field_is_taken(serve: Any, more: dict[str, Any]) -> None:
    running = await serve(FaultEndpoint())
    assert (await running.ask(**more))["slmmux"]["answer"] == "42"


@pytest.mark.parametrize(
    "question", ["Which?\nA) 41\nB) 42", "Is it (a) 41 or (b) 42?", "A. 41\nB. 42", "A or B?"]
)
async def test_the_options_of_a_choice_may_stand_in_the_question(serve: Any, question: str) -> None:
    running = await serve(FaultEndpoint(text="The answer is (B)."))
    assert (await running.ask(question, slmmux={"kind": "choice"}))["slmmux"]["answer"] == "B"


async def test_a_profile_of_choices_refuses_a_question_without_any(serve: Any) -> None:
    running = await serve(a := FaultEndpoint(), kind="choice")
    status, error = await running.refusal()
    assert (status, error["param"], a.requests) == (400, "slmmux.choices", [])


async def test_an_empty_prompt_is_refused_by_its_name(serve: Any) -> None:
    running = await serve(FaultEndpoint())
    status, reply = await running.post({"model": "pool", "prompt": " "}, "completions")
    assert (status, reply["error"]["param"]) == (400, "prompt")


async def test_a_method_that_is_not_there_says_why(serve: Any) -> None:
    running = await serve(FaultEndpoint())
    status, error = await running.refusal(model="pool:calibrated")
    assert (status, error["code"]) == (404, "model_not_found")
    assert "pool has no calibration" in error["message"]
    assert "did you mean" not in error["message"]


async def test_the_list_of_models_has_one_address_with_a_slash_or_without(serve: Any) -> None:
    running = await serve(FaultEndpoint())
    async with running.session.get(f"{running.url}/v1/models/") as reply:
        assert reply.status == 200
        assert (await reply.json())["object"] == "list"


async def test_a_size_is_refused_in_the_figure_that_is_documented(serve: Any) -> None:
    running = await serve(FaultEndpoint())
    async with running.session.post(
        f"{running.url}/v1/chat/completions",
        data=io.BytesIO(b" " * 8_000_001),
        headers={"Content-Type": "application/json"},
    ) as reply:
        assert reply.status == 413
        assert "larger than 8 MB" in (await reply.json())["error"]["message"]
