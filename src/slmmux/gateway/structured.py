"""Replies with a form → answers: whole JSON objects, and tool calls.

Two samples vote for the same answer when their canonical JSON is the same: member order, spacing
and spelling of numbers do not matter. What does not fit the client's schema is unreadable.
"""

import hashlib
import json
from collections.abc import Mapping
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


def object_reader(check: Check | None, kind: Kind, choices: tuple[str, ...]) -> Read:
    """Reads replies that are to be JSON.

    Args:
        check: of the client's schema; None takes any object.
        kind: `json` votes on the whole value; another kind on the answer in it.
        choices: of kind `choice`.
    """

    async def read(completion: Completion) -> Answer | None:
        found = json_in(completion.text or "", completion.finish_reason)
        if found is None or not (isinstance(found.value, dict) if check is None else check(found)):
            return None
        if kind != "json":
            return await read_async(found.text, kind, choices, completion.finish_reason)
        return Answer(found.text, canonical_key(found.text, "json"))

    return read


def tool_reader(tools: Mapping[str, Check | None], texts: Read | None) -> Read:
    """Reads tool calls, and replies without one.

    Args:
        tools: those that may be called, and the check of each one's arguments.
        texts: reads replies that call nothing; None where a call is required.
    """

    async def read(completion: Completion) -> Answer | None:
        if not completion.tool_calls:
            return None if texts is None else await texts(completion)
        calls = [_canonical(call, tools) for call in completion.tool_calls]
        # Calls of one reply run side by side: their order says nothing.
        written = sorted(call for call in calls if call is not None)
        if len(written) < len(calls):
            return None
        text = "; ".join(written)
        digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()
        return Answer(text, f"call:#{digest}")

    return read


def _canonical(call: ToolCall, tools: Mapping[str, Check | None]) -> str | None:
    """`name({"canonical":"arguments"})`; None for a call that cannot be made."""
    arguments = call.arguments.strip() or "{}"
    found = _decoded(arguments, 0)
    if call.name not in tools or found is None or found.text != arguments:
        return None
    check = tools[call.name]
    if not isinstance(found.value, dict) or not (check is None or check(found)):
        return None
    return f"{call.name}({canonical_json(json_value(arguments))})"
