"""Clients' JSON Schemas → checks, with an end to what a check may cost.

jsonschema-rs is native code whose patterns cannot run away; it never fetches a reference.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

from pydantic_core import from_json, to_json

from slmmux.gateway.failures import RequestError

_LARGEST = 100_000  # subschemas, each counted as often as references lead to it
_SHOWN = 160  # characters of what is wrong
_TYPES = '"string", "integer" or "object"'
_BACKTRACKS = 100_000
_FOLLOWED = frozenset(("$ref", "$dynamicRef", "$recursiveRef"))


class HasValue(Protocol):
    """Something with a JSON value."""

    @property
    def value(self) -> Any:
        """The value."""


Check: TypeAlias = Callable[[HasValue], bool]


def check_of(schema: dict[str, Any], param: str) -> Check:
    """Whether a value fits the schema.

    Args:
        schema: the client's.
        param: where it stands in the request, for messages.

    Raises:
        RequestError: it is no JSON Schema, refers to other documents, or takes too long to check.
    """
    try:
        return _compiled(to_json(schema))
    except ValueError as error:
        raise RequestError(f"{param} cannot be used: {_told(error)}", param=param) from error


def _told(error: ValueError) -> str:
    """What is wrong with a schema, and where in it."""
    said = str(error).partition("\n")[0].partition(". ")[0]
    place = [str(part) for part in getattr(error, "instance_path", ())]
    if not place:
        return said[:_SHOWN]
    if place[-1] == "type" and "'anyOf'" in said:
        said = f"{said.partition(' is not valid')[0]} is no type of JSON Schema, such as {_TYPES}"
    return f"{'.'.join(place)[:_SHOWN]}: {said[:_SHOWN]}"


@lru_cache(maxsize=128)
def _compiled(text: bytes) -> Check:
    import jsonschema_rs  # noqa: PLC0415 - only requests with a schema need it

    schema = from_json(text)
    if _size(schema) > _LARGEST:
        raise ValueError("it unfolds to more parts than can be checked")
    validator = jsonschema_rs.validator_for(
        schema,
        retriever=_refuse,
        pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACKS),
    )

    def check(found: HasValue) -> bool:
        try:
            return validator.is_valid(found.value)
        except ValueError:  # nested deeper than it looks
            return False

    return check


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is another document, and none is fetched")


def _size(schema: Any) -> int:
    """Parts of the schema with every reference unfolded; a cycle ends where it closes."""
    sizes: dict[str, int] = {}

    def size(node: Any) -> int:
        if isinstance(node, list):
            return 1 + sum(map(size, node))
        if not isinstance(node, dict):
            return 1
        total = 1 + sum(size(v) for k, v in node.items() if k not in ("$defs", "definitions"))
        for key in _FOLLOWED & node.keys():
            if isinstance(reference := node[key], str):
                total += referred(reference)
        return total

    def referred(reference: str) -> int:
        if reference != "#" and not reference.startswith("#/"):
            raise ValueError(f"{reference[:80]} is not followed, only references such as #/$defs/x")
        if reference not in sizes:
            sizes[reference] = 0  # while it is being counted, and for good where it leads to itself
            sizes[reference] = min(size(_at(schema, reference)), 2 * _LARGEST)
        return sizes[reference]

    return size(schema)


def _at(schema: Any, reference: str) -> Any:
    """What a reference within the document leads to; None where it leads nowhere that we know."""
    node = schema
    for part in reference.removeprefix("#").split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict):
            node = node.get(key)
        elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        else:
            return None
    return node
