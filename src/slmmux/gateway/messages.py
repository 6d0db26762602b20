"""The messages of a body → a conversation, named after its content."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from slmmux.gateway.fields import AnyRequest, CompletionRequest
from slmmux.types import Conversation, Message


def messages_of(request: AnyRequest, body: dict[str, Any]) -> tuple[Message, ...]:
    """The messages as they came; a completion's prompt is one of the user's."""
    if isinstance(request, CompletionRequest):
        prompt = request.prompt if isinstance(request.prompt, str) else request.prompt[0]
        return (Message("user", prompt),)
    return tuple(map(_message, body["messages"]))


def _message(said: dict[str, Any]) -> Message:
    role = "system" if said["role"] == "developer" else said["role"]
    content = said.get("content")
    if isinstance(content, str) and len(said) == 2:  # noqa: PLR2004 - role and content
        return Message(role, content)
    parts = content if isinstance(content, list) else []
    text = "\n".join(p["text"] for p in parts if p["type"] == "text") if parts else content or ""
    return Message(role, text, json.dumps({**said, "role": role}))


def conversation_of(messages: Sequence[Message], choices: tuple[str, ...]) -> Conversation:
    """The last user message as a question, named after the whole conversation."""
    last = next((m.content for m in reversed(messages) if m.role == "user"), "")
    whole = json.dumps([[m.role, m.raw or m.content] for m in messages])
    identity = hashlib.blake2b((whole + "\n".join(choices)).encode(), digest_size=8).hexdigest()
    return Conversation(text=last, id=identity, choices=choices, messages=tuple(messages))


def more_than_text(message: Message) -> bool:
    """Whether a message is one that a base model cannot be given."""
    if message.raw is None:
        return False
    called = bool(json.loads(message.raw).get("tool_calls"))
    return message.role == "tool" or called or has_more_than_text(message)


def has_more_than_text(message: Message) -> bool:
    """Whether a message has pictures, sounds or files."""
    if message.raw is None:
        return False
    content = json.loads(message.raw).get("content")
    parts = content if isinstance(content, list) else ()
    return any(part["type"] != "text" for part in parts)
