"""Conversation × model → prompt.

A conversation goes to a chat model turn by turn, as it is. Options and the answer-format
instruction are added below what the user said last, the model's own system message only where the
conversation brings none, and the model's examples only before a first question. A base model gets
the turns as questions and answers behind its examples::

    SYSTEM

    Question: WHAT THE USER SAID
    Answer: WHAT THE ASSISTANT SAID

    Question: WHAT THE USER SAID LAST
    Answer:
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from slmmux.engines.base import Prompt
from slmmux.prompts import below, example_turns, render, solved, stops
from slmmux.types import Conversation, Message, Model, PromptStyle, Question

SYSTEM = ("system", "developer")  # roles of messages that instruct


def put(question: Question, model: Model) -> Prompt:
    """The prompt that puts this question or conversation, its kind resolved, to this model."""
    if not isinstance(question, Conversation):
        return render(question, model)
    style, options = _style(question, model), question.options
    if model.api == "completions":
        stop = style.stop or stops(style)
        text = _transcript(question, style)
        return Prompt(text=text, stop=(*stop, *options.stop), fields=options.fields)
    turns = _turns(question, style)
    return Prompt(messages=turns, stop=(*style.stop, *options.stop), fields=options.fields)


def as_asked(model: Model, question: Question) -> Model:
    """The model with the settings that this question asks for."""
    if not isinstance(question, Conversation):
        return model
    wanted = question.options
    if wanted.temperature is None and wanted.top_p is None and wanted.max_tokens is None:
        return model
    return replace(
        model,
        temperature=model.temperature if wanted.temperature is None else wanted.temperature,
        top_p=model.top_p if wanted.top_p is None else wanted.top_p,
        max_tokens=model.max_tokens if wanted.max_tokens is None else wanted.max_tokens,
    )


def _style(question: Conversation, model: Model) -> PromptStyle:
    """The model's prompt style as far as it fits this conversation."""
    style = model.prompt
    begun = any(m.role not in (*SYSTEM, "user") for m in question.messages)
    if begun and model.api == "chat":
        style = replace(style, examples=())  # they would be read as a part of it
    if question.options.instruction is not None:
        style = replace(style, instruction=question.options.instruction)
    return style


def _turns(question: Conversation, style: PromptStyle) -> tuple[Message, ...]:
    turns = list(question.messages)
    lines, asked = below(question, style), _last_said(turns)
    if lines and asked is not None:
        turns[asked] = _longer(turns[asked], lines)
    head = next((i for i, m in enumerate(turns) if m.role not in SYSTEM), len(turns))
    own = [Message("system", style.system)] if style.system and not head else []
    return (*own, *turns[:head], *example_turns(style), *turns[head:])


def _transcript(question: Conversation, style: PromptStyle) -> str:
    spoken = [m for m in question.messages if m.role not in SYSTEM]
    system = [m.content for m in question.messages if m.role in SYSTEM] or [style.system or ""]
    parts = [*(text for text in system if text), *solved(style)]
    asked, answered = _last_said(spoken), True
    for place, turn in enumerate(spoken):
        if turn.role == "user":
            lines = below(question, style) if place == asked else []
            parts.append("\n\n".join([f"Question: {turn.content.strip()}", *lines]) + "\nAnswer:")
        elif answered:
            parts.append(f"Answer: {turn.content}")
        else:
            parts[-1] += f" {turn.content}"
        answered = turn.role != "user"
    return "\n\n".join(parts)


def _last_said(turns: Sequence[Message]) -> int | None:
    """Where the user spoke last."""
    return max((i for i, m in enumerate(turns) if m.role == "user"), default=None)


def _longer(message: Message, lines: Sequence[str]) -> Message:
    """The message with these lines below its text."""
    content = "\n\n".join([message.content, *lines])
    if message.raw is None:
        return replace(message, content=content)
    whole = json.loads(message.raw)
    if isinstance(whole["content"], list):
        whole["content"].append({"type": "text", "text": "\n\n".join(lines)})
    else:
        whole["content"] = content
    return replace(message, content=content, raw=json.dumps(whole))
