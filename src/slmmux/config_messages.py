"""What is wrong with a table of a TOML file, in words for the person who wrote it."""

import difflib
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from slmmux.config_schema import CONFIG, TAGS, Form

Key: TypeAlias = tuple[str | int, ...]  # ("models", 2, "temperature"): models[2].temperature

# What other tools call it, where no spelling distance would find ours.
_SYNONYMS = {
    "url": "base_url",
    "endpoint": "base_url",
    "api_base": "base_url",
    "id": "model",
    "model_id": "model",
    "max_new_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "system_prompt": "system",
    "timeout": "request_timeout",
    "retries": "max_attempts",
    "samples": "k",
    "accuracy": "validation_accuracy",
    "few_shot": "few_shot_file",
}

_SECRETS = ("api_key", "key", "token", "api_token", "secret", "authorization", "headers")


@functools.cache
def _adapter(table: type) -> TypeAdapter[dict[str, Any]]:
    return TypeAdapter(table)


def check(
    table: type, data: Mapping[str, Any], at: Key = (), form: Form = CONFIG
) -> tuple[dict[str, Any], list[tuple[Key, str]]]:
    """The keys of a table that are as they should be, and what is wrong with the others."""
    try:
        return _adapter(table).validate_python(data), []
    except ValidationError as error:
        # The input of an error may be a secret: messages show it only where that is useful.
        found = error.errors(include_url=False)
        bad = {detail["loc"][0] for detail in found}
        good = {key: value for key, value in data.items() if key not in bad}
        return good, [_problem(detail, at, form) for detail in found]


def dotted(key: Key) -> str:
    """`models[2].prompt.stop[0]`."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def told(path: Path, problems: Sequence[tuple[Key, str]], file: str) -> str:
    """One message for all problems of a file: a line each."""
    lines = [f"{path}: {dotted(key)}: {what}" for key, what in problems]
    if len(lines) > 1:
        lines = [f"{len(lines)} problems in the {file}", *(f"  {line}" for line in lines)]
    return "\n".join(lines)


def quoted(values: Sequence[object]) -> str:
    """`"a", "b" or "c"`."""
    words = [f'"{value}"' for value in values]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _problem(detail: ErrorDetails, at: Key, form: Form) -> tuple[Key, str]:
    key = (*at, *(part for part in detail["loc"] if part not in TAGS))
    if detail["type"] == "extra_forbidden":
        return key, _unknown(key, detail["input"], form)
    return key, _wrong(detail, key, form)


def _unknown(key: Key, value: object, form: Form) -> str:
    """An unknown key, and the one that was probably meant; never its value."""
    table = ".".join(part for part in key[:-1] if isinstance(part, str))
    name = str(key[-1])
    plain = name.lower().replace("-", "_")
    here = list(form.tables[table].__annotations__)
    if "api_key_env" in here and plain in _SECRETS and isinstance(value, str | dict):
        return (
            "keys do not belong in this file; put the key into an environment variable and its "
            'name here: api_key_env = "MY_API_KEY" (or use api_key_file)'
        )
    if _SYNONYMS.get(plain) in here:
        return f"unknown key; did you mean {_SYNONYMS[plain]}?"
    if near := difflib.get_close_matches(plain, here, n=1):
        return f"unknown key; did you mean {near[0]}?"
    if elsewhere := list(_elsewhere(_SYNONYMS.get(plain, plain), form)):
        return f"unknown key; {_SYNONYMS.get(plain, plain)} belongs in {elsewhere[0]}"
    return f"unknown key; known are {', '.join(here)}"


def _elsewhere(name: str, form: Form) -> Iterator[str]:
    for table, header in form.headers.items():
        if name in form.tables[table].__annotations__:
            yield header


_KINDS = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "list_type": "a list in square brackets",
    "dict_type": "a table",
    "bool_type": "true or false",
}

_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
    "too_short": ("min_length", "at least"),
    "too_long": ("max_length", "at most"),
}


def _wrong(detail: ErrorDetails, key: Key, form: Form) -> str:
    kind, value = detail["type"], detail["input"]
    if kind == "missing":
        return "is missing"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        bound = detail["ctx"][name]
        if "actual_length" in detail["ctx"]:
            return f"must have {words} {bound} in it, not {detail['ctx']['actual_length']}"
        return f"must be {words} {bound if isinstance(bound, int) else f'{bound:g}'}, not {value}"
    if kind == "literal_error":
        return _not_among(key, value, form)
    return _not_a(kind, value, key) if kind in _KINDS else detail["msg"]


def _not_a(kind: str, value: object, key: Key) -> str:
    if key == ("models",):
        return "must be a list of tables: write [[models]] before each model"
    return f"must be {_KINDS[kind]}, not {_described(value)}{_quotes_hint(kind, value, key)}"


def _not_among(key: Key, value: object, form: Form) -> str:
    if key[-1] == "stopping":
        return f'must be "exact", "off" or {{risk = 0.05}}, not {_described(value)}'
    values = form.words[str(key[-1])]
    near = difflib.get_close_matches(str(value).lower(), values, n=1)
    guess = f'; did you mean "{near[0]}"?' if near else ""
    return f"must be {quoted(values)}, not {_described(value)}{guess}"


def _described(value: object) -> str:
    """The value as it would stand in the file, unless it is long."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"' if len(value) <= _SHOWN else "text"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return str(value)


_SHOWN = 24  # characters; a value that is longer may be a key in the wrong place


def _quotes_hint(kind: str, value: object, key: Key) -> str:
    if isinstance(value, str) and kind in {"int_type", "float_type"}:
        try:
            float(value)
        except ValueError:
            return ""
        return f"; write {key[-1]} = {value}"
    return ""
