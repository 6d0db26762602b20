"""The most that a request can use, before it is sent: what limits of the day are held against.

A token is at least a byte of what is sent, so the bytes of a prompt bound its tokens from above,
with a little for what a chat template puts around each turn.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from slmmux.conversations import as_asked, put
from slmmux.engines.base import Prompt
from slmmux.gateway.operations.ledger import Used
from slmmux.results import cost
from slmmux.types import Model, Question, Sample, Usage

_AROUND_A_TURN = 16  # tokens of a chat template
_AROUND_A_CHAT = 64


def most_of_vote(question: Question, draws: Iterable[tuple[Model, int]]) -> Used:
    """What a vote uses at most.

    Args:
        question: its kind resolved.
        draws: models that may be asked, and how many samples of each.
    """
    most = Used()
    for model, samples in draws:
        once = Usage(_size(put(question, model)), as_asked(model, question).max_tokens)
        most += _used(model, once, samples)
    return most


def most_of_relay(model: Model, body: Mapping[str, Any]) -> Used:
    """What a request that is passed on uses at most; the model's own length where it names none."""
    longest = body.get("max_completion_tokens") or body.get("max_tokens") or model.max_tokens
    choices = max(_count(body.get("n"), 1), _count(body.get("best_of"), 1))
    size = len(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")) + _AROUND_A_CHAT
    return _used(model, Usage(size, _count(longest, model.max_tokens)), choices)


def _used(model: Model, once: Usage, samples: int) -> Used:
    sample = Sample(model=model.name, question_id="", index=0, usage=once)
    money = cost((sample,), (model,)) or 0.0
    return Used(0, samples * (once.prompt_tokens + once.completion_tokens), samples * money)


def _size(prompt: Prompt) -> int:
    texts = [prompt.text or "", prompt.fields or ""]
    texts += [message.raw or message.content for message in prompt.messages]
    around = _AROUND_A_CHAT + _AROUND_A_TURN * len(prompt.messages)
    return around + sum(len(text.encode("utf-8", "replace")) for text in texts)


def _count(value: object, otherwise: int) -> int:
    """A client's number; its endpoint refuses what is none."""
    return value if isinstance(value, int) and value > 0 else otherwise
