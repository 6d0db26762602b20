"""One line of the interchange: a (task, question, model, run seed) and its samples.

JSON Lines (plain, `.gz`, `.zst`) and Parquet hold the same fields; null and absent are the same.

==================  =============================================================================
task                the task's name, registered or not
question_id         the question's name in its task
gold                the reference answer
question            the question's text
kind                how answers are read; absent: `--kind`, the registered task's, or guessed
choices             option texts, a list
metadata            of the question, an object: subject, level, … (Parquet: its JSON)
model               the model's name
temperature         of the samples
settings            whatever else is known to have shaped them, an object (Parquet: its JSON)
run_seed            0 when absent
samples             the replies; null: failed, or only the answer is known
answers             instead of `samples`: the extracted answers; null or blank: none
==================  =============================================================================

and lists parallel to `samples` or `answers`:

==================  =============================================================================
indices             place of each sample in the model's stream; 0, 1, 2, … when absent
extracted           beside `samples`: what the bank has read from each; it is taken as it is, and
                    read anew from the texts when absent (or later, by `slmmux bank reextract`)
reasoning           what the model thought first
errors              why there is no text
usage               objects of `prompt_tokens`, `completion_tokens`, `estimated`
finish_reasons      the endpoint's words: stop, length, …
seeds               asked for
seeds_honoured      as measured
latencies           seconds
costs               money, at the prices of the time
drawn_at            ISO 8601, UTC
==================  =============================================================================

A model or question without samples has a row with an empty list, so nothing is lost.
"""

import difflib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Required, TypeAlias, cast

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

from slmmux.results import Json
from slmmux.types import Kind

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

Int: TypeAlias = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]  # what SQLite holds
Count: TypeAlias = Annotated[int, Field(ge=0, le=2**63 - 1)]
Amount: TypeAlias = Annotated[float, Field(ge=0)]
Name: TypeAlias = Annotated[str, Field(min_length=1)]
Texts: TypeAlias = list[str | None] | None


class UsageRow(TypedDict, total=False):
    """Tokens of one sample."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    prompt_tokens: Count | None
    completion_tokens: Count | None
    estimated: bool | None


class Row(TypedDict, total=False):
    """One line; see the module."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    task: Required[Name]
    question_id: Required[Name]
    gold: str | None
    question: str | None
    kind: Kind | None
    choices: list[str] | None
    metadata: dict[str, Any] | None
    model: Required[Name]
    temperature: Amount | None
    settings: dict[str, Any] | None
    run_seed: Int | None
    samples: Texts
    answers: Texts
    indices: list[Count] | None
    extracted: Texts
    reasoning: Texts
    errors: Texts
    usage: list[UsageRow | None] | None
    finish_reasons: Texts
    seeds: list[Int | None] | None
    seeds_honoured: list[bool | None] | None
    latencies: list[Amount | None] | None
    costs: list[Amount | None] | None
    drawn_at: Texts


FIELDS: tuple[str, ...] = tuple(Row.__annotations__)
PARALLEL = frozenset(FIELDS[FIELDS.index("indices") :])
_RELATED = PARALLEL | {"settings"}

_ROW = TypeAdapter[Row](Row)
_JSON_TYPES = ("json_invalid", "string_unicode")


def row_from_json(line: bytes) -> Row:
    """The row of a line.

    Raises:
        ValueError: what is wrong with it, for a person.
    """
    try:
        row = _ROW.validate_json(line)
    except ValidationError as error:
        raise ValueError(_words(error, line)) from None
    if line.count(b":") != _keys(row):  # else every colon belongs to a key of its own
        json.loads(line, object_pairs_hook=each_once)
    check_row(row)
    return row


def _keys(row: Row) -> int:
    """How many keys the row has, those of `metadata` and `settings` counted."""
    return len(row) + len(row.get("metadata") or ()) + len(row.get("settings") or ())


def each_once(fields: list[tuple[str, Json]]) -> dict[str, Json]:
    """The object of these fields, for `json.loads`; parsers keep either value of a doubled key.

    Raises:
        ValueError: a key stands twice.
    """
    known = dict(fields)
    if len(known) < len(fields):
        names = [name for name, _ in fields]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"`{twice}` stands twice in one object; keep one of them")
    return known


def row_from_fields(fields: Mapping[str, Json]) -> Row:
    """The row of a record with these fields.

    Raises:
        ValueError: what is wrong with it, for a person.
    """
    try:
        row = _ROW.validate_python(dict(fields))
    except ValidationError as error:
        raise ValueError(_words(error, b"")) from None
    check_row(row)
    return row


def check_row(row: Row) -> None:
    """Refuse a row whose fields do not fit together.

    Raises:
        ValueError: what is wrong with it, for a person.
    """
    samples, answers = row.get("samples"), row.get("answers")
    if samples is None and answers is None:
        raise ValueError("neither `samples` nor `answers`; it needs one of them")
    if samples is not None and answers is not None:
        raise ValueError("both `samples` and `answers`; keep one of them")
    if _RELATED.isdisjoint(row):
        return
    drawn = samples if samples is not None else answers
    for name in (field for field in FIELDS if field in PARALLEL):
        values = cast("list[Json] | None", row.get(name))
        if values is not None and len(values) != len(drawn or ()):
            what = "samples" if samples is not None else "answers"
            raise ValueError(f"{len(values)} {name} for {len(drawn or ())} {what}")
    if answers is not None and row.get("extracted") is not None:
        raise ValueError("both `answers` and `extracted`, which goes with `samples`")
    indices = row.get("indices") or ()
    if len(set(indices)) != len(indices):
        raise ValueError("an index stands twice in `indices`")
    stated = (row.get("settings") or {}).get("temperature")
    if isinstance(stated, int | float) and stated < 0:
        raise ValueError(f"settings.temperature is {stated}; it is 0 or more")
    if stated is not None and row.get("temperature") not in (None, stated):
        raise ValueError(f"temperature {row['temperature']} and settings.temperature {stated}")


def _words(error: ValidationError, line: bytes) -> str:
    details = error.errors(include_url=False, include_context=True)
    return "; ".join(dict.fromkeys(_problem(detail, line) for detail in details[:3]))


def _problem(detail: ErrorDetails, line: bytes) -> str:
    kind, path = detail["type"], detail["loc"]
    if kind in _JSON_TYPES:
        return _unreadable(detail, line)
    if not path:
        return "not a JSON object"
    name = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")
    if kind == "missing":
        return f"no `{name}`"
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(str(path[-1]), FIELDS, 1)
        hint = f"did you mean `{close[0]}`?" if close else "put what describes it into `metadata`"
        return f"unknown field `{name}`; {hint}"
    return f"`{name}`: {detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _unreadable(detail: ErrorDetails, line: bytes) -> str:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 (byte {error.start + 1} of the line)"
    return f"not JSON ({detail.get('ctx', {}).get('error', detail['msg'])})"
