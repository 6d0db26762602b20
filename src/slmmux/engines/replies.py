"""A reply with status 200 → completions, or the error that says what is wrong with it."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, TypeGuard

from pydantic_core import from_json

from slmmux.engines.base import Completion, Request
from slmmux.engines.refusals import excerpt, refusal
from slmmux.errors import ReplyError
from slmmux.types import ToolCall, Usage

_CHARACTERS_PER_TOKEN = 4
_MOST_CHARACTERS_PER_TOKEN = 5.5  # of any language model's tokens, over a whole reply
_NO_TEXT = "the reply holds no text"
_MOST_TOKENS = 2**31  # what says more counts something else


def read_reply(request: Request, body: bytes, where: str) -> list[Completion]:
    """The completions of a reply, in choice order, at most `request.n`.

    Bytes that are not UTF-8 become replacement characters: one broken character is no reason to
    lose a sample.

    Raises:
        ReplyError: not JSON, or not a reply with choices.
        EngineError: an error reported with status 200, as some gateways do.
    """
    reply = _parse(request, body, where)
    choices = _choices(request, reply, body, where)
    tools = _offers_tools(request)
    said = [_said(choice, tools=tools) for choice in _ordered(choices)[: request.n]]
    usages = _usages(request, reply, said, len(choices))
    return [_completion(request, one, usage) for one, usage in zip(said, usages, strict=True)]


class _Said(NamedTuple):
    """What a choice says, or why it says nothing."""

    text: str | None
    note: str
    reasoning: str | None
    calls: tuple[ToolCall, ...]
    finish_reason: str | None

    def size(self) -> int:
        """Characters of text and reasoning."""
        return len(self.text or "") + len(self.reasoning or "")


def _said(choice: Mapping[str, Any], *, tools: bool) -> _Said:
    calls = _tool_calls(choice) if tools else ()
    text, note = _text_of(choice)
    if calls:  # often nothing is said beside them
        text, note = text or "", ""
    return _Said(text, note, _reasoning(choice), calls, _string(choice.get("finish_reason")))


def _completion(request: Request, said: _Said, usage: Usage) -> Completion:
    return Completion(
        text=said.text,
        reasoning=said.reasoning,
        finish_reason=said.finish_reason,
        usage=usage,
        note=None if said.text is not None else f"{request.model.name}: {said.note}",
        tool_calls=said.calls,
        unreadable=said.text is None and said.note.startswith(_NO_TEXT),
    )


def is_reply(body: bytes | bytearray) -> bool:
    """Whether a whole reply is one that clients can read: choices, each with a message or text."""
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        return False
    choices = reply.get("choices") if isinstance(reply, dict) else None
    return isinstance(choices, list) and bool(choices) and all(map(_says_something, choices))


def _says_something(choice: object) -> bool:
    if not isinstance(choice, dict):
        return False
    message = choice.get("message")
    if isinstance(message, dict):
        return isinstance(message.get("content"), str | list | None)
    return isinstance(choice.get("text"), str)


def _parse(request: Request, body: bytes, where: str) -> dict[str, Any]:
    try:
        reply = _parsed(body)
    except (ValueError, RecursionError) as error:
        text = body.decode("utf-8", errors="replace")
        raise ReplyError(
            f"{request.model.name}: {where} sent something that is not JSON: {excerpt(text)}; "
            "check that base_url is an OpenAI-compatible API (it usually ends in /v1)"
        ) from error
    return reply if isinstance(reply, dict) else {}


def _parsed(body: bytes | bytearray) -> Any:
    """What the JSON says, also with control characters in strings, broken UTF-8, huge numbers."""
    try:
        return from_json(body)  # strict, and three times as fast
    except ValueError:
        return _DECODER.decode(body.decode("utf-8", errors="replace"))


def _integer(digits: str) -> int | None:
    """None where Python refuses so many digits: nothing that we read is as large as that."""
    try:
        return int(digits)
    except ValueError:
        return None


_DECODER = json.JSONDecoder(strict=False, parse_int=_integer)


def _choices(
    request: Request, reply: Mapping[str, Any], body: bytes, where: str
) -> list[dict[str, Any]]:
    choices = reply.get("choices")
    name = request.model.name
    if isinstance(choices, list) and choices and all(type(c) is dict for c in choices):
        return choices
    match reply.get("error"):
        case {"code": int(code)} if HTTPStatus.BAD_REQUEST <= code < 600:  # noqa: PLR2004
            raise refusal(request.model, code, {}, body, where)
        case _:
            pass
    if choices == []:
        raise ReplyError(f"{name}: {where} sent an empty list of choices")
    said = excerpt(body.decode("utf-8", errors="replace"))
    raise ReplyError(f"{name}: {where} sent a reply without choices: {said}")


def _ordered(choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(choices) == 1:
        return choices
    order = sorted(enumerate(choices), key=lambda item: (_index(item[1], item[0]), item[0]))
    return [choice for _, choice in order]


def _usages(
    request: Request, reply: Mapping[str, Any], said: Sequence[_Said], choices: int
) -> list[Usage]:
    """Usage of each choice; the sum is the endpoint's figure where it gave a true one.

    The prompt is counted once a request, with its first choice: that is what the endpoint read.

    Args:
        request: what was asked.
        reply: the whole of it.
        said: by each choice kept.
        choices: in the reply, the ones not asked for included.
    """
    usage = reply.get("usage")
    reported = usage if isinstance(usage, dict) else {}
    prompt = _count(reported, "prompt_tokens")
    completion = _count(reported, "completion_tokens")
    if prompt is not None and completion and choices == 1:
        return [Usage(prompt, completion)]
    sizes = [one.size() for one in said]
    if completion == 0 and any(sizes):
        completion = None  # a field that nobody filled in
    if completion is not None and choices == 1:
        tokens, guessed = [completion], False
    else:
        tokens, guessed = _estimates(reply, completion, sizes), True
    first = Usage(
        _tokens(_prompt_size(request)) if prompt is None else prompt,
        tokens[0],
        guessed or prompt is None,
    )
    return [first, *(Usage(0, count, guessed) for count in tokens[1:])]


def _estimates(reply: Mapping[str, Any], completion: int | None, sizes: Sequence[int]) -> list[int]:
    """Completion tokens of each choice, by length; they add up to the endpoint's figure.

    llama.cpp's server counts the first choice only. It shows in its `timings`, or when the figure
    is too small for all the text; then the first choice's characters per token count the others.
    """
    if completion is None:
        return [_tokens(size) for size in sizes]
    timings = reply.get("timings")
    first_only = isinstance(timings, dict) and timings.get("predicted_n") == completion
    if first_only or completion * _MOST_CHARACTERS_PER_TOKEN < sum(sizes):
        rate = completion / sizes[0] if sizes[0] else 1 / _CHARACTERS_PER_TOKEN
        rate = max(rate, 1 / _MOST_CHARACTERS_PER_TOKEN)
        return [completion, *(max(1, round(size * rate)) for size in sizes[1:])]
    whole = sum(sizes) or len(sizes)
    weights = sizes if sum(sizes) else [1] * len(sizes)
    shares = [completion * done // whole for done in accumulate(weights, initial=0)]
    return [high - low for low, high in pairwise(shares)]


def _tokens(characters: int) -> int:
    return max(1, round(characters / _CHARACTERS_PER_TOKEN))


def _prompt_size(request: Request) -> int:
    prompt = request.prompt
    return len(prompt.text or "") + sum(len(message.content) for message in prompt.messages)


def _count(usage: Mapping[str, Any], key: str) -> int | None:
    value = usage.get(key)
    return value if _is_integer(value) and 0 <= value <= _MOST_TOKENS else None


def _offers_tools(request: Request) -> bool:
    fields = request.prompt.fields
    return fields is not None and "tools" in json.loads(fields)


def _tool_calls(choice: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    """The functions that a choice calls; a call without a name is none."""
    message = choice.get("message")
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    found = []
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        name = _string(function.get("name")) if isinstance(function, dict) else None
        if function is not None and name:
            arguments = function.get("arguments", "")
            if not isinstance(arguments, str):  # some servers send the object itself
                arguments = json.dumps(arguments)
            found.append(ToolCall(_string(call.get("id")) or "", name, _string(arguments) or ""))
    return tuple(found)


def _text_of(choice: Mapping[str, Any]) -> tuple[str | None, str]:
    """The text of a choice, or None and why there is none."""
    if isinstance(choice.get("text"), str):
        return _string(choice["text"]), ""
    message = choice.get("message")
    if not isinstance(message, dict):
        return None, _NO_TEXT
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(part for part in parts if isinstance(part, str)) or None
    called = message.get("tool_calls") or message.get("function_call")
    if isinstance(content, str) and (content or not called):
        return _string(content), ""
    return None, _why_no_text(choice, message)


_JSON_NAMES: dict[type, str] = {list: "a list", dict: "an object", bool: "true or false"}


def _why_no_text(choice: Mapping[str, Any], message: Mapping[str, Any]) -> str:
    if message.get("tool_calls") or message.get("function_call"):
        return "called a tool instead of answering"
    if isinstance(message.get("refusal"), str):
        return f"refused to answer: {excerpt(message['refusal'])}"
    if choice.get("finish_reason") == "length":
        return "reached max_tokens before its answer; raise max_tokens"
    content = message.get("content")
    if content is None:
        return f"{_NO_TEXT} (content is null)"
    what = _JSON_NAMES.get(type(content), "a number")
    return f"{_NO_TEXT} (content is {what} without text parts)"


def _reasoning(choice: Mapping[str, Any]) -> str | None:
    message = choice.get("message")
    if not isinstance(message, dict):
        return None
    return _string(message.get("reasoning_content")) or _string(message.get("reasoning"))


def _string(value: object) -> str | None:
    """The text; half a surrogate pair (an emoji cut at max_tokens) could not be written out."""
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "replace").decode() if _has_surrogate(value) else value


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)


def _index(choice: Mapping[str, Any], default: int) -> int:
    index = choice.get("index")
    return index if _is_integer(index) else default


def _is_integer(value: object) -> TypeGuard[int]:
    """JSON's true is none, although Python's is."""
    return isinstance(value, int) and not isinstance(value, bool)
