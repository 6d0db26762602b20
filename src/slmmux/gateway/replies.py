"""Votes → replies in OpenAI's shape, with everything behind the vote under one key."""

import secrets
import time
from dataclasses import dataclass, field
from typing import Literal

from slmmux.gateway.asked import Asked
from slmmux.gateway.promises import cut_off
from slmmux.gateway.structured import json_in
from slmmux.gateway.voting import Voted
from slmmux.results import Json
from slmmux.types import Sample, Usage

Api = Literal["chat", "completions"]
_OBJECTS = {"chat": "chat.completion", "completions": "text_completion"}
_CHUNKS = {"chat": "chat.completion.chunk", "completions": "text_completion"}

_FALLBACK = (
    "nothing says how to read the answers (slmmux.kind would), and the question looks like no "
    "mathematics, choice, date, yes/no question or JSON: replies count as one answer where their "
    "normalised text is the same"
)
_TOLD = (
    "answer",
    "kind",
    "abstained",
    "exact",
    "stopping",
    "tallies",
    "k",
    "seed",
    "draws",
    "budget",
    "draws_saved",
    "waves",
    "cost",
    "degraded",
    "elapsed_s",
)
_SELECTED = ("rule", "decided_by", "confidence", "probability", "tie_break", "reason")


@dataclass(frozen=True, slots=True)
class Head:
    """What all parts of one reply have in common."""

    api: Api
    model: str
    created: int = field(default_factory=lambda: int(time.time()))
    token: str = field(default_factory=lambda: secrets.token_hex(12))

    def object(
        self, choices: list[Json], *, chunk: bool = False, **more: object
    ) -> dict[str, object]:
        """A reply, or a chunk of one."""
        return {
            "id": f"{'chatcmpl' if self.api == 'chat' else 'cmpl'}-{self.token}",
            "object": (_CHUNKS if chunk else _OBJECTS)[self.api],
            "created": self.created,
            "model": self.model,
            "choices": choices,
            **more,
        }


def reply(voted: Voted, head: Head) -> dict[str, object]:
    """The whole reply."""
    choices: list[Json] = [
        _choice(index, _said(sample, voted.asked, head.api), finish_reason(sample))
        for index, sample in enumerate(voted.answers)
    ]
    if voted.refusal is not None:
        choices = [_choice(0, _refused(voted.refusal, head.api), refused_reason(voted))]
    return head.object(choices, usage=usage(voted.result.usage), slmmux=behind(voted))


def usage(used: Usage) -> dict[str, Json]:
    """Tokens of all upstream calls."""
    return {
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "total_tokens": used.prompt_tokens + used.completion_tokens,
    }


def behind(voted: Voted) -> dict[str, object]:
    """The vote behind the reply: fields as in docs/results.md, for `to_json` of pydantic."""
    result, asked = voted.result, voted.asked
    found: dict[str, object] = {key: getattr(result, key) for key in _TOLD}
    found |= {key: getattr(result.selection, key) for key in _SELECTED}
    if result.escalated is not None:
        found["escalated"] = result.escalated
    found["kind_from"] = asked.kind_from
    if asked.kind_from == "fallback":
        found["kind_note"] = _FALLBACK
    found["usage_estimated"] = result.usage.estimated
    if voted.refusal is not None:
        found["refusal"] = voted.refusal
    if asked.return_samples:
        found["samples"] = result.samples
    return found


def content(sample: Sample, asked: Asked) -> str:
    """The text that the client gets: what the model said, or the JSON in it."""
    text = sample.text or ""
    if asked.json and not sample.tool_calls:
        found = json_in(text, sample.finish_reason)
        return text if found is None else found.text
    return text


def finish_reason(sample: Sample) -> str:
    """One that OpenAI's clients know."""
    if sample.tool_calls:
        return "tool_calls"
    return "length" if sample.finish_reason == "length" else "stop"


def refused_reason(voted: Voted) -> str:
    """How a reply without an answer ended: clients know what to do about `length`."""
    return "length" if cut_off(voted.result.samples) else "stop"


def tool_calls(sample: Sample) -> list[Json]:
    """The calls of a message."""
    return [
        {
            "id": call.id or f"call_{secrets.token_hex(12)}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in sample.tool_calls
    ]


def _choice(index: int, said: dict[str, Json], finish: str) -> dict[str, Json]:
    return {"index": index, **said, "finish_reason": finish, "logprobs": None}


def _refused(why: str, api: Api) -> dict[str, Json]:
    if api == "completions":  # its shape has no place for a reason: `slmmux` has it
        return {"text": ""}
    return {"message": {"role": "assistant", "content": None, "refusal": why}}


def _said(sample: Sample, asked: Asked, api: Api) -> dict[str, Json]:
    text = content(sample, asked)
    if api == "completions":
        return {"text": text}
    message: dict[str, Json] = {"role": "assistant", "content": text, "refusal": None}
    if sample.reasoning is not None:
        message["reasoning_content"] = sample.reasoning
    if sample.tool_calls:
        message["content"] = text or None
        message["tool_calls"] = tool_calls(sample)
    return {"message": message}
