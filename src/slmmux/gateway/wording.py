"""What is wrong with a field → a sentence: what was given, where, and what is allowed."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from slmmux.gateway import fields

_SHOWN = 40  # characters of what was given
_BITS = 128  # of whole numbers that are worth being repeated

_TAGS = {
    "role": 'who speaks: "system", "developer", "user", "assistant" or "tool"',
    "type": 'what this is, such as "text"',
}
_Context: TypeAlias = Mapping[str, Any]


def counted(count: int, word: str) -> str:
    """`1 model`, `3 models`."""
    return f"{count:,} {word}{'s' * (count != 1)}"


def sentence(param: str, problems: Sequence[ErrorDetails]) -> str:
    """What is wrong with a field.

    Args:
        param: its path, as clients know it.
        problems: with it, one for each alternative that it could have been.
    """
    problem = problems[0]
    match problem["type"]:
        case "extra_forbidden":
            return f"{param} is not known here, and nothing is silently ignored; leave it out"
        case "missing":
            return f"{param} is missing; it is required"
        case "union_tag_not_found":
            return f"{param} is missing; it says {_TAGS[_tag(problem)]}"
        case "none_required":
            return f"{param} cannot be honoured; leave it out"
        case "union_tag_invalid":
            given = _shown(problem["input"].get(_tag(problem)))
        case _:
            given = _shown(problem["input"])
    allowed = list(dict.fromkeys(_allowed(p) for p in problems))
    return f"{param} is {given}; it must be {', or '.join(allowed)}"


def path_end(problem: ErrorDetails) -> tuple[str, ...]:
    """What the path of a problem lacks: the field that tells its alternatives apart."""
    return (_tag(problem),) if problem["type"].startswith("union_tag") else ()


def is_about_type(problem: ErrorDetails) -> bool:
    """Whether the value is of the wrong sort, rather than out of range."""
    return problem["type"].endswith("_type") or problem["type"] == "literal_error"


def _allowed(problem: ErrorDetails) -> str:
    return _ALLOWED[problem["type"]](problem.get("ctx", {}))


def _tag(problem: ErrorDetails) -> str:
    return str(problem.get("ctx", {})["discriminator"]).strip("'")


def _quoted(said: str) -> str:
    """Python's spelling of values → JSON's."""
    return said.replace("'", '"').replace("False", "false").replace("True", "true")


def _tags(context: _Context) -> str:
    *most, last = _quoted(str(context["expected_tags"])).split(", ")
    return f"{', '.join(most)} or {last}" if most else last


def _object(context: _Context) -> str:
    form = getattr(fields, str(context.get("class_name")), None)
    needed: list[str] = []
    if isinstance(form, type) and issubclass(form, BaseModel):
        needed = [f.alias or n for n, f in form.model_fields.items() if f.is_required()]
    return f"an object with {' and '.join(needed)}" if needed else "an object"


def _most(context: _Context) -> str:
    most = int(context["max_length"])
    return f"a list of at most {most}" if most else "empty, or left out"


def _least(context: _Context) -> str:
    least = int(context["min_length"])
    return f"a list of at least {least}" if least > 1 else "a list that is not empty"


def _number(bound: float) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


_ALLOWED: dict[str, Callable[[_Context], str]] = {
    "string_type": lambda _: "a string",
    "string_unicode": lambda _: "a string without broken characters",
    "int_type": lambda _: "a whole number",
    "int_from_float": lambda _: "a whole number",
    "float_type": lambda _: "a number",
    "finite_number": lambda _: "a finite number",
    "bool_type": lambda _: "true or false",
    "list_type": lambda _: "a list",
    "dict_type": lambda _: "an object",
    "model_type": _object,
    "model_attributes_type": lambda _: "an object",
    "literal_error": lambda context: _quoted(str(context["expected"])),
    "union_tag_invalid": _tags,
    "greater_than": lambda context: f"more than {_number(context['gt'])}",
    "greater_than_equal": lambda context: f"{_number(context['ge'])} or more",
    "less_than": lambda context: f"less than {_number(context['lt'])}",
    "less_than_equal": lambda context: f"at most {_number(context['le'])}",
    "string_too_short": lambda _: "a string that is not empty",
    "string_too_long": lambda context: f"a string of at most {context['max_length']} characters",
    "too_short": _least,
    "too_long": _most,
}


def _shown(value: object) -> str:
    """What was given, in so few words that the message stays one line."""
    if isinstance(value, str):
        if not value:
            return "an empty string"
        short = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
        return json.dumps(short, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "an object" if value else "an empty object"
    if isinstance(value, Sequence):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, int) and value.bit_length() > _BITS:
        return "a huge number"
    return json.dumps(value)
