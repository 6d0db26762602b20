"""What is asked for → how the answer is got out of a completion, and what may be given back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from slmmux.answers import read_async
from slmmux.engines.base import Completion
from slmmux.gateway.failures import RequestError
from slmmux.gateway.fields import ChatRequest, NamedTool, ObjectForm, SchemaForm, Tool
from slmmux.gateway.promises import Promise
from slmmux.gateway.schemas import Check, check_of
from slmmux.gateway.structured import Tools, called, fitting, object_reader, tool_reader
from slmmux.gateway.together import must_call
from slmmux.sampling import Read
from slmmux.types import Answer, Conversation, Sample

Form: TypeAlias = ObjectForm | SchemaForm

_CALLS = "calls a tool as tools and tool_choice ask for"


@dataclass(frozen=True, slots=True)
class Reading:
    """How replies are read.

    Attributes:
        read: gets the answer out of a completion.
        promise: what the reply must be, answer or not; None where any text will do.
    """

    read: Read
    promise: Promise | None = None


def reading_of(
    question: Conversation, form: Form | None, chat: ChatRequest | None, *, as_json: bool
) -> Reading:
    """Reads by the question's kind, in the form that was asked for, tool calls included.

    Args:
        question: its kind resolved.
        form: of texts.
        chat: the request, where it is one.
        as_json: whether somebody said that answers are JSON.

    Raises:
        RequestError: a schema or a tool that cannot be used.
    """
    texts = _texts(question, form, as_json=as_json)
    if chat is None or not chat.tools:
        return texts
    checks = {} if chat.tool_choice == "none" else _checks(chat.tools, _callable(chat))
    tools = Tools(checks, parallel=chat.parallel_tool_calls is not False)
    if must_call(chat):
        promise = Promise(lambda s: bool(s.tool_calls) and _can_be_made(s, tools), _CALLS)
        return Reading(tool_reader(tools, None), promise)
    text_promise = texts.promise

    def kept(sample: Sample) -> bool:
        if sample.tool_calls:
            return _can_be_made(sample, tools)
        return text_promise is None or text_promise.kept(sample)

    holds = _CALLS if text_promise is None else f"{_CALLS}, or {text_promise.holds}"
    return Reading(tool_reader(tools, texts.read), Promise(kept, holds))


def _texts(question: Conversation, form: Form | None, *, as_json: bool) -> Reading:
    kind, choices = question.kind, question.choices

    async def by_kind(completion: Completion) -> Answer | None:
        return await read_async(completion.text or "", kind, choices, completion.finish_reason)

    if form is None:
        said = Promise(lambda sample: sample.answer is not None, "holds JSON")
        return Reading(by_kind, said if as_json else None)
    check, holds = None, "holds a JSON object, as response_format asks for"
    if isinstance(form, SchemaForm):
        check = check_of(form.json_schema.schema_, "response_format.json_schema.schema")
        holds = "holds JSON that fits the schema of response_format"

    def kept(sample: Sample) -> bool:
        return fitting(sample.text or "", sample.finish_reason, check) is not None

    return Reading(object_reader(check, kind, choices), Promise(kept, holds))


def _callable(chat: ChatRequest) -> Sequence[Tool]:
    """The tools that may be called.

    Raises:
        RequestError: the one that must be is not there.
    """
    tools = chat.tools or []
    if not isinstance(chat.tool_choice, NamedTool):
        return tools
    named = chat.tool_choice.function.name
    chosen = [tool for tool in tools if tool.function.name == named]
    if not chosen:
        there = ", ".join(tool.function.name for tool in tools[:5])
        raise RequestError(
            f"tool_choice names {named[:80]}, and there is no tool of that name in tools, only "
            f"{there[:200]}",
            param="tool_choice",
        )
    return chosen


def _can_be_made(sample: Sample, tools: Tools) -> bool:
    return called(sample.tool_calls, tools) is not None


def _checks(tools: Sequence[Tool], wanted: Sequence[Tool]) -> dict[str, Check | None]:
    """Wanted tool → the check of its arguments, where it insists on them."""
    checks: dict[str, Check | None] = {}
    for place, tool in enumerate(tools):
        if tool not in wanted:
            continue
        schema = tool.function.parameters if tool.function.strict else None
        where = f"tools.{place}.function.parameters"
        checks[tool.function.name] = None if schema is None else check_of(schema, where)
    return checks
