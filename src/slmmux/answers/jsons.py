"""Answers inside JSON objects, as language models write them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from slmmux.answers.numbers import exact, number_key

# A text with more failed openings than this is not JSON, and each of them costs a scan.
_MAX_ATTEMPTS = 500

# Longer numbers keep their exponent.
_MAX_PLAIN_DIGITS = 50

_BROKEN_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt]|u[0-9a-fA-F]{4})|)', re.DOTALL)
# LaTeX commands whose first letter JSON takes for a control character: \frac, \boxed, \times, …
_EATEN = re.compile(
    r"\x0c(?=[a-z])|\x08(?=[a-z])|\t(?=(?:imes|ext|heta|an|frac|riangle|au|o)\b)"
    r"|\n(?=(?:eq|u|e|abla|i|ot)\b)|\r(?=(?:ight|ho|angle|ceil|floor)\b)"
)
_MEMBER = re.compile(
    r"(?:(?P<quote>[\"'])(?:final[_ ]?)?answer(?P=quote)"
    r"|\{(?:[^{}\n]{0,200},)?\s{0,9}(?:final_?)?answer)\s*+:\s*+"
    r"(?:\"(?P<string>(?:[^\"\\]|\\.)*+)\"|'(?P<single>[^'\n]*+)'"
    r"|(?P<bare>[^\s\"'{\[\]}][^\"'\n{}]{0,400}?)\s*(?:[}\n]|,\s*[\"'}]))",
    re.IGNORECASE | re.DOTALL,
)
# Looked at only where nothing decodes: inside a string such a comma would be lost.
_TRAILING = re.compile(r",(?=\s{0,99}[}\]])")
_NAMED = re.compile(r"answer[\"':]|answer\s:")
_OPENED = re.compile(r"\{\s*+[\"']\w[^\"'\n]{0,40}[\"']\s*+:")
_NAMES = ("answer", "final_answer", "finalanswer", "final answer")

Json = Mapping[str, "Json"] | list["Json"] | str | bool | Decimal | None


@dataclass(frozen=True, slots=True)
class AnswerField:
    """The `answer` field of a reply's last object that has one.

    Attributes:
        text: a string as it is, anything else as canonical JSON; None for null and empty strings.
        end: where the object, or the member, ends in the reply.
    """

    text: str | None
    end: int


def extract_json(reply: str) -> str | None:
    """The `answer` field of the last complete JSON object, or the whole object without one.

    Strings come back as they are, everything else as canonical JSON. A null or empty answer is
    none. When no object can be decoded, a complete `"answer": …` member is taken on its own.
    """
    last = None
    for last in _objects(reply):  # noqa: B007  # the last one
        pass
    if last is None:
        member = _last_member(reply)
        return None if member is None else member.text
    name = _answer_name(last.value)
    return _written(last.value if name is None else last.value[name])


def answer_field(reply: str) -> AnswerField | None:
    """The last `answer` field, of a complete object or, failing that, a complete member."""
    lowered = reply.lower()
    if "{" not in reply or not _NAMED.search(lowered):
        return None
    found = None
    for decoded in _objects(reply):
        name = _answer_name(decoded.value)
        if name is not None:
            found = AnswerField(_written(_only(decoded.value[name])), decoded.end)
    return found or _last_member(reply)


def is_unfinished(reply: str) -> bool:
    """Whether the reply opens an object, `{"name": …`, and does not get to close any."""
    if "{" not in reply or not _OPENED.search(reply):
        return False
    return next(_objects(reply), None) is None and not reply.rstrip("` \n").endswith("}")


def canonical_json(value: Json) -> str:
    """One spelling for one value: sorted names, exact numbers, no spaces."""
    if isinstance(value, Mapping):
        members = (f"{json.dumps(name)}:{canonical_json(value[name])}" for name in sorted(value))
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical_json, value)) + "]"
    if isinstance(value, Decimal):
        number = exact(str(value))
        return str(value) if number is None else number_key(number)
    return json.dumps(_restored(value) if isinstance(value, str) else value)


def json_value(text: str) -> Json:
    """The value of a string that is one JSON object or list; None for anything else."""
    if text[:1] not in ("{", "["):
        return None
    try:
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return value if end == len(text) else None


@dataclass(frozen=True, slots=True)
class _Decoded:
    value: Mapping[str, Json]
    end: int


def _objects(reply: str) -> Iterator[_Decoded]:
    """The complete objects of a reply that are not empty, and where they end in it."""
    added: list[int] = []
    text = reply
    if "\\" in reply:
        added = [match.start() for match in _BROKEN_ESCAPE.finditer(reply) if not match[1]]
        text = _repair_escapes(reply)
    found = False
    for tried in dict.fromkeys((text, _TRAILING.sub(" ", text))):
        for decoded in [] if found else _decoded(tried):
            found = True
            # Each repair before the end has put one character in.
            yield _Decoded(
                decoded.value, decoded.end - sum(at + i < decoded.end for i, at in enumerate(added))
            )


def _decoded(text: str) -> Iterator[_Decoded]:
    position, attempts = text.find("{"), 0
    while position >= 0 and attempts < _MAX_ATTEMPTS:
        try:
            value, end = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            attempts += 1
            end = position + 1
        else:
            if isinstance(value, dict) and value:
                yield _Decoded(value, end)
        position = text.find("{", end)


def _answer_name(value: Mapping[str, Json]) -> str | None:
    lowered = {name.lower(): name for name in value}
    return next((lowered[name] for name in _NAMES if name in lowered), None)


def _only(value: Json) -> Json:
    """The member of a list of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _written(value: Json) -> str | None:
    if value is None:
        return None
    if isinstance(value, Decimal) and abs(value.adjusted()) < _MAX_PLAIN_DIGITS:
        return f"{value:f}"
    return (_restored(value).strip() if isinstance(value, str) else canonical_json(value)) or None


def _last_member(reply: str) -> AnswerField | None:
    match = None
    for match in _MEMBER.finditer(reply):  # noqa: B007  # the last one
        pass
    if match is None:
        return None
    quoted = match["string"] if match["string"] is not None else match["single"]
    text = match["bare"] if quoted is None else _repaired(quoted)
    return AnswerField(None if text == "null" else text.strip() or None, match.end())


def _repair_escapes(text: str) -> str:
    return _BROKEN_ESCAPE.sub(lambda match: match[0] if match[1] else "\\\\", text)


def _repaired(literal: str) -> str:
    try:
        value = json.loads(f'"{_repair_escapes(literal)}"', strict=False)
    except ValueError:
        return literal
    return _restored(str(value))


def _restored(text: str) -> str:
    if text.isprintable():
        return text
    letters = {"\x0c": "\\f", "\x08": "\\b", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
    return _EATEN.sub(lambda match: letters[match[0]], text)


def _number(literal: str) -> Decimal:
    return Decimal(literal)


def _constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    strict=False, parse_float=_number, parse_int=_number, parse_constant=_constant
)
