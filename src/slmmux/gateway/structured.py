"""Replies with a form → answers: whole JSON objects, and tool calls.

Two samples vote for the same answer when their canonical JSON is the same: member order, spacing
and spelling of numbers do not matter. What does not fit the client's schema is unreadable.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slmmux.answers import canonical_key, read_async, strip_reasoning
from slmmux.answers.jsons import canonical_json, json_value
from slmmux.engines.base import Completion
from slmmux.gateway.schemas import Check
from slmmux.sampling import Read
from slmmux.types import Answer, Kind, ToolCall

_TRIES = 50  # openings of an object in a reply that are looked at


@dataclass(frozen=True, slots=True)
class Tools:
    """What may be called.

    Attributes:
        checks: name → the check of the arguments, where there is one.
        parallel: whether one reply may call several times.
    """

    checks: Mapping[str, Check | None]
    parallel: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """JSON in a reply.

    Attributes:
        text: as it stands there.
        value: what it says.
    """

    text: str
    value: Any


def json_in(reply: str, finish_reason: str | None = None) -> Found | None:
    """The reply's JSON value: the reply itself, or the last object that stands in it."""
    said = strip_reasoning(reply, finish_reason)
    if said is None:
        return None
    whole = _decoded(said.strip(), 0)
    if whole is not None and len(whole.text) == len(said.strip()):
        return whole
    found, position = None, said.find("{")
    for _ in range(_TRIES):
        if position < 0:
            break
        here = _decoded(said, position)
        found = here or found
        position = said.find("{", position + (len(here.text) if here else 1))
    return found


def _decoded(text: str, position: int) -> Found | None:
    try:
        value, end = _DECODER.raw_decode(text, position)
    except (ValueError, RecursionError):
        return None
    return Found(text[position:end], value)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def fitting(reply: str, finish_reason: str | None, check: Check | None) -> Found | None:
    """The reply's JSON, where it is what was asked for: an object, or what fits the schema."""
    found = json_in(reply, finish_reason)
    if found is None:
        return None
    fits = isinstance(found.value, dict) if check is None else check(found)
    return found if fits else None


def object_reader(check: Check | None, kind: Kind, choices: tuple[str, ...]) -> Read:
    """Reads replies that are to be JSON.

    Args:
        check: of the client's schema; None takes any object.
        kind: `json` votes on the whole value; another kind on the answer in it.
        choices: of kind `choice`.
    """

    async def read(completion: Completion) -> Answer | None:
        found = fitting(completion.text or "", completion.finish_reason, check)
        if found is None:
            return None
        if kind != "json":
            return await read_async(found.text, kind, choices, completion.finish_reason)
        return Answer(found.text, canonical_key(found.text, "json"))

    return read


def tool_reader(tools: Tools, texts: Read | None) -> Read:
    """Reads tool calls, and replies without one.

    Args:
        tools: those that may be called.
        texts: reads replies that call nothing; None where a call is required.
    """

    async def read(completion: Completion) -> Answer | None:
        if not completion.tool_calls:
            return None if texts is None else await texts(completion)
        text = called(completion.tool_calls, tools)
        if text is None:
            return None
        digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()
        return Answer(text, f"call:#{digest}")

    return read


def called(calls: Sequence[ToolCall], tools: Tools) -> str | None:
    """The calls in canonical words; None where one of them cannot be made."""
    if len(calls) > 1 and not tools.parallel:
        return None
    canonical = [_canonical(call, tools) for call in calls]
    # Calls of one reply run side by side: their order says nothing.
    written = sorted(call for call in canonical if call is not None)
    return "; ".join(written) if len(written) == len(calls) else None


def _canonical(call: ToolCall, tools: Tools) -> str | None:
    """`name({"canonical":"arguments"})`; None for a call that cannot be made."""
    arguments = call.arguments.strip() or "{}"
    found = _decoded(arguments, 0)
    if call.name not in tools.checks or found is None or found.text != arguments:
        return None
    check = tools.checks[call.name]
    if not isinstance(found.value, dict) or not (check is None or check(found)):
        return None
    return f"{call.name}({canonical_json(json_value(arguments))})"
