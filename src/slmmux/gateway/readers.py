"""What is asked for → how the answer is got out of a completion."""

from collections.abc import Sequence

from slmmux.answers import read_async
from slmmux.engines.base import Completion
from slmmux.gateway.failures import RequestError
from slmmux.gateway.fields import ChatRequest, NamedTool, ObjectForm, SchemaForm, Tool
from slmmux.gateway.schemas import Check, check_of
from slmmux.gateway.structured import object_reader, tool_reader
from slmmux.sampling import Read
from slmmux.types import Answer, Conversation


def reader_of(
    question: Conversation, form: ObjectForm | SchemaForm | None, chat: ChatRequest | None
) -> Read:
    """Reads by the question's kind, in the form that was asked for, tool calls included.

    Raises:
        RequestError: a schema or a tool that cannot be used.
    """
    kind, choices = question.kind, question.choices

    async def by_kind(completion: Completion) -> Answer | None:
        return await read_async(completion.text or "", kind, choices, completion.finish_reason)

    texts: Read = by_kind
    if form is not None:
        schema = form.json_schema.schema_ if isinstance(form, SchemaForm) else None
        where = "response_format.json_schema.schema"
        check = None if schema is None else check_of(schema, where)
        texts = object_reader(check, kind, choices)
    if chat is None or not chat.tools:
        return texts
    match chat.tool_choice:
        case NamedTool(function=named):
            chosen = [tool for tool in chat.tools if tool.function.name == named.name]
            if not chosen:
                raise RequestError(f"there is no tool {named.name}", param="tool_choice")
            return tool_reader(_checks(chosen), None)
        case "required":
            return tool_reader(_checks(chat.tools), None)
        case "none":
            return tool_reader({}, texts)
        case _:
            return tool_reader(_checks(chat.tools), texts)


def _checks(tools: Sequence[Tool]) -> dict[str, Check | None]:
    """Tool → the check of its arguments, where it insists on them."""
    checks: dict[str, Check | None] = {}
    for place, tool in enumerate(tools):
        schema = tool.function.parameters if tool.function.strict else None
        where = f"tools.{place}.function.parameters"
        checks[tool.function.name] = None if schema is None else check_of(schema, where)
    return checks
