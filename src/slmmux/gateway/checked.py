"""A body → its fields, or the first thing that is wrong with it, in a sentence."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from slmmux.gateway.failures import RequestError
from slmmux.gateway.fields import REASONS

T = TypeVar("T", bound=BaseModel)


def checked(form: type[T], body: dict[str, Any], reasons: Mapping[str, str] = REASONS) -> T:
    """The body's fields.

    Args:
        form: what they must be.
        body: of the request.
        reasons: field → why it is refused.

    Raises:
        RequestError: one is unknown, missing or not what it must be.
    """
    try:
        return form.model_validate(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        param, problem = _foremost(problems, body)
        raise RequestError(_sentence(problem, param, reasons), param=param) from None


def _foremost(problems: Sequence[ErrorDetails], body: dict[str, Any]) -> tuple[str, ErrorDetails]:
    """The problem to tell of the first field with one.

    A field with alternatives has a problem for each: what went furthest was probably meant.
    """
    field = problems[0]["loc"][:1]
    found = [(_param(p["loc"], body, p["type"]), p) for p in problems if p["loc"][:1] == field]
    return max(found, key=lambda one: (one[0].count("."), not one[1]["type"].endswith("_type")))


def _sentence(problem: ErrorDetails, param: str, reasons: Mapping[str, str]) -> str:
    reason = reasons.get(param.partition(".")[0])
    if reason is not None:
        return f"{param} cannot be honoured: {reason}"
    if problem["type"] == "extra_forbidden":
        return f"{param} is not known here, and nothing is silently ignored; leave it out"
    return f"{param or 'the body'}: {problem['msg']}"


def _param(where: Sequence[str | int], body: Any, problem: str) -> str:
    """The path of a field as a client knows it: without the names of alternatives."""
    path: list[str] = []
    node = body
    for place, part in enumerate(where):
        missing = problem == "missing" and place == len(where) - 1
        if isinstance(node, dict) and (part in node or missing):
            node = node.get(part)
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        else:
            continue
        path.append(str(part)[:80])
    return ".".join(path)
