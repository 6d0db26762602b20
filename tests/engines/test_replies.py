"""What a reply's bytes become; the same over a real connection is in `test_openai`."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmmux.engines.base import Completion, Message, Prompt, Request
from slmmux.engines.replies import read_reply
from slmmux.errors import EngineError, ReplyError
from slmmux.types import Model, Usage

WHERE = "http://localhost:8001/v1"


def request(n: int = 1) -> Request:
    prompt = Prompt(messages=(Message("user", "What is 6 × 7?"),))
    return Request(model=Model(name="qwen", model="qwen2.5"), prompt=prompt, seed=1, n=n)


def read(reply: object, n: int = 1) -> list[Completion]:
    return read_reply(request(n), json.dumps(reply).encode(), WHERE)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["stop", "length", "\ud83d"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of these fields, each as it should be or as anything."""
    return st.fixed_dictionaries({}, optional={k: v | anything for k, v in fields.items()})


messages = maybe(
    content=st.text(max_size=9),
    tool_calls=st.just([]),
    refusal=st.just("no"),
    reasoning_content=st.text(max_size=9),
)
choices = maybe(
    index=st.integers(0, 3), message=messages, text=st.text(), finish_reason=st.just("stop")
)
usages = maybe(prompt_tokens=st.integers(0, 99), completion_tokens=st.integers(0, 99))
replies = maybe(
    choices=st.lists(choices, max_size=4),
    usage=usages,
    error=maybe(code=st.integers(0, 700), message=st.text(max_size=9)),
    timings=maybe(predicted_n=st.integers(0, 99)),
)


@given(replies | anything, st.integers(1, 4))
@settings(max_examples=400, deadline=None)
def test_any_json_is_completions_or_an_engine_error(reply: Any, n: int) -> None:
    try:
        completions = read(reply, n)
    except EngineError as error:
        check_message(str(error))
        return
    assert 1 <= len(completions) <= n
    for completion in completions:
        for text in (completion.text, completion.reasoning, completion.finish_reason):
            assert text is None or text.encode() is not None
        assert (completion.text is None) == (completion.note is not None)
        for tokens in (completion.usage.prompt_tokens, completion.usage.completion_tokens):
            assert type(tokens) is int
            assert tokens >= 0


def check_message(message: str) -> None:
    assert message.startswith("qwen: ")
    assert message.encode()


@given(st.binary(max_size=40))
def test_any_bytes_are_an_engine_error_and_no_crash(body: bytes) -> None:
    with pytest.raises(EngineError):
        read_reply(request(), body, WHERE)


def test_a_truth_value_is_no_token_count_and_no_index() -> None:
    reply = {
        "choices": [{"index": True, "text": "b" * 8}, {"index": 0, "text": "a" * 8}],
        "usage": {"prompt_tokens": True, "completion_tokens": True},
    }
    first, second = read(reply, 2)
    assert (first.usage, second.usage) == (Usage(4, 2, True), Usage(0, 2, True))


def test_content_that_is_a_list_of_something_else_is_not_called_null() -> None:
    (completion,) = read({"choices": [{"message": {"content": ["x", 1]}}]})
    assert completion.text is None
    assert "no text (content is a list without text parts)" in (completion.note or "")


def test_an_error_beside_choices_is_not_one() -> None:
    (completion,) = read({"error": {"code": 429}, "choices": [{"text": "42"}]})
    assert completion.text == "42"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ({"choices": []}, "sent an empty list of choices"),
        ({"object": "list"}, 'sent a reply without choices: {"object": "list"}'),
        ({"error": {"code": 200}}, "sent a reply without choices"),
        ({"error": {"code": 999}}, "sent a reply without choices"),
    ],
)
def test_a_reply_without_a_choice_says_what_came_instead(reply: Any, words: str) -> None:
    with pytest.raises(ReplyError) as raised:
        read(reply)
    assert words in str(raised.value)
    assert WHERE in str(raised.value)


def test_a_long_page_of_html_is_quoted_in_part() -> None:
    with pytest.raises(ReplyError) as raised:
        read_reply(request(), b"<html>\n\t<body>" + b"x" * 10_000, WHERE)
    assert "<html> <body>xxx" in str(raised.value)
    assert len(str(raised.value)) < 400
