"""Fields that mean something only beside another one, or contradict it."""

import re

from slmmux.gateway.failures import RequestError
from slmmux.gateway.fields import AnyRequest, ChatRequest, Extras, NamedTool
from slmmux.gateway.messages import has_more_than_text
from slmmux.types import Conversation

# Options that stand in the question: both letters as they are, or with something behind them.
_LETTERED = tuple(
    re.compile(rf"(?<![\w'’]){letter}(?![\w'’])|(?<!\w){letter.lower()}\s?[).:\]]")
    for letter in "AB"
)


def check_together(request: AnyRequest) -> None:
    """See that no field is there in vain.

    Raises:
        RequestError: one would be ignored, with its name.
    """
    if request.stream_options is not None and not request.stream:
        raise _vain("stream_options", "stream: true")
    if not isinstance(request, ChatRequest):
        return
    if not request.tools:
        for field in ("tool_choice", "parallel_tool_calls"):
            if getattr(request, field) is not None:
                raise _vain(field, "tools")
    names = [tool.function.name for tool in request.tools or ()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RequestError(f"two tools are called {twice}; rename one of them", param="tools")
    longest, older = request.max_completion_tokens, request.max_tokens
    if None not in (longest, older) and longest != older:
        raise RequestError(
            f"max_completion_tokens is {longest} and max_tokens, its older name, is {older}; "
            "say one of them",
            param="max_completion_tokens",
        )
    if request.slmmux is not None and must_call(request):
        _check_call(request.slmmux)


def must_call(request: AnyRequest) -> bool:
    """Whether a tool call is the only answer."""
    if not isinstance(request, ChatRequest):
        return False
    return request.tool_choice == "required" or isinstance(request.tool_choice, NamedTool)


def check_choices(question: Conversation) -> None:
    """See that a multiple-choice question has options, and no other question does.

    Args:
        question: with the kind that was said, or guessed of its text.

    Raises:
        RequestError: options that cannot be used, or none.
    """
    kind, choices = question.kind, [choice.strip() for choice in question.choices]
    if choices and kind != "choice":
        raise _no_choices(
            f"options go with kind choice, and this question is of kind {kind}; say "
            'slmmux.kind: "choice", or leave them out'
        )
    if not all(choices):
        raise _no_choices("an option is empty; each needs a text")
    if len(set(choices)) < len(choices):
        raise _no_choices("two options are the same; each needs its own text")
    if kind == "choice" and not choices and not _has_options(question):
        raise _no_choices(
            "a question of kind choice needs options: send them here, or with the question as "
            "A) … B) …"
        )


def _has_options(question: Conversation) -> bool:
    if any(map(has_more_than_text, question.messages)):  # they may be in a picture
        return True
    said = "\n".join(message.content for message in question.messages)
    return all(letter.search(said) for letter in _LETTERED)


def _check_call(extras: Extras) -> None:
    for field in ("kind", "choices"):
        if getattr(extras, field) not in (None, "auto"):
            raise RequestError(
                f"slmmux.{field} says how texts are read, and this tool_choice takes nothing but "
                "calls; leave one of them out",
                param=f"slmmux.{field}",
            )


def _no_choices(why: str) -> RequestError:
    return RequestError(f"slmmux.choices: {why}", param="slmmux.choices")


def _vain(field: str, other: str) -> RequestError:
    return RequestError(
        f"{field} means nothing without {other}; leave it out or add that", param=field
    )
