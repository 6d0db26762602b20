"""A body → its fields, or the first thing that is wrong with it, in a sentence."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from slmmux.gateway.failures import RequestError
from slmmux.gateway.fields import REASONS
from slmmux.gateway.wording import is_about_type, path_end, sentence

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
        param, problems = _foremost(error.errors(include_url=False), body)
        reason = reasons.get(param.partition(".")[0])
        said = sentence(param, problems) if reason is None else _refused(param, reason)
        raise RequestError(said, param=param) from None


def _refused(param: str, reason: str) -> str:
    return f"{param} cannot be honoured: {reason}"


def _foremost(
    problems: Sequence[ErrorDetails], body: dict[str, Any]
) -> tuple[str, list[ErrorDetails]]:
    """The first field with a problem, and what is wrong with it.

    A field with alternatives has a problem for each: what went furthest was probably meant.
    """
    field = problems[0]["loc"][:1]
    found = [(_param(p, body), p) for p in problems if p["loc"][:1] == field]
    param = max((where for where, _ in found), key=lambda where: where.count("."))
    with_it = [problem for where, problem in found if where == param]
    further = [problem for problem in with_it if not is_about_type(problem)]
    return param, further or with_it


def _param(problem: ErrorDetails, body: Any) -> str:
    """The path of a field as a client knows it: without the names of alternatives."""
    path: list[str] = []
    node, where = body, problem["loc"]
    for place, part in enumerate(where):
        missing = problem["type"] == "missing" and place == len(where) - 1
        if isinstance(node, dict) and (part in node or missing):
            node = node.get(part)
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        else:
            continue
        path.append(str(part)[:80])
    return ".".join((*path, *path_end(problem)))
