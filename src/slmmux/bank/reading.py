"""How a bank's answers are read: each question's kind, and reading everything again.

A question's answers are read as the kind that it says. Where it says none: a question with choices
is `choice`; the others of its task share the kind that fits the references of all of them
(`reference_kinds.guess_kind`). A key in the bank is always that of this kind, so when new
references change a task's kind, its answers are read again.

A question may say that its answers were read by something that the bank does not hold (`READ_BY` in
its metadata: a request's JSON Schema, or its tools). They stay as they were recorded.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from slmmux.answers import canonical_key, read
from slmmux.bank.reference_kinds import guess_kind
from slmmux.types import Kind

# ruff: noqa: S608 - every statement is made of our own names

Report: TypeAlias = Callable[[int], None]
Change: TypeAlias = tuple[str | None, str | None, int, int, int, int]

READ_BY = "answers_read_by"  # metadata of a question whose answers cannot be read again

_REMEMBERED = 1 << 18


Read: TypeAlias = tuple[str | None, str | None]  # answer and its key, or two None


class Reader:
    """Reads answers; each different one costs something once only."""

    def __init__(self) -> None:
        self._given: dict[tuple[Kind, tuple[str, ...]], dict[str | None, Read]] = {}

    def given(self, answer: str | None, kind: Kind, choices: tuple[str, ...]) -> Read:
        """An answer that was extracted before, and its key; a blank one is none."""
        known = self._given.get((kind, choices))
        if known is None:
            known = self._given[kind, choices] = {None: (None, None)}
        found = known.get(answer)
        if found is None:
            found = (None, None)
            if answer is not None and not answer.isspace() and answer:
                found = (answer, canonical_key(answer, kind, choices))
            if len(known) < _REMEMBERED:
                known[answer] = found
        return found

    def read(
        self, text: str | None, kind: Kind, choices: tuple[str, ...], finish_reason: str | None
    ) -> Read:
        """The answer in a reply, and its key."""
        found = None if text is None else read(text, kind, choices, finish_reason)
        return (None, None) if found is None else (found.text, found.key)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as far as reading its answers goes.

    Attributes:
        settled: its answers stay as they were recorded.
    """

    id: int
    task: str
    name: str
    kind: Kind
    choices: tuple[str, ...]
    settled: bool


def guessed_kinds(connection: sqlite3.Connection, schema: str = "main") -> dict[str, Kind]:
    """Task → kind, for every task with a question that says neither its kind nor choices.

    Args:
        connection: to the bank.
        schema: SQLite's name of the file.
    """
    references: dict[str, list[str]] = {}
    for task, reference in connection.execute(
        f"SELECT task, reference FROM {schema}.questions "
        "WHERE kind IS NULL AND choices = '[]' ORDER BY task, name, content"
    ):
        references.setdefault(task, []).extend([reference] if reference is not None else [])
    return {task: guess_kind(texts) for task, texts in references.items()}


def reading_kinds(
    connection: sqlite3.Connection, tasks: Sequence[str] = (), schema: str = "main"
) -> dict[int, Kind]:
    """Question id → the kind that its answers are read as."""
    return {question.id: question.kind for question in asked(connection, tasks, schema)}


def changes(
    connection: sqlite3.Connection,
    tasks: Sequence[str] = (),
    *,
    schema: str = "main",
    kind: Kind | None = None,
    report: Report | None = None,
) -> Iterator[Change]:
    """Samples that would be read differently now: new answer, new key, and the sample's place.

    Args:
        connection: to the bank.
        tasks: all when none is named.
        schema: SQLite's name of the file.
        kind: read as this instead of the questions' own kinds.
        report: told how many samples were read.
    """
    reader = Reader()
    for question in asked(connection, tasks, schema):
        if question.settled:
            continue
        how = (kind or question.kind, question.choices)
        rows = connection.execute(
            "SELECT model, run_seed, idx, text, finish_reason, answer, key "
            f"FROM {schema}.samples WHERE question = ?",
            (question.id,),
        ).fetchall()
        for model, run_seed, idx, text, finish_reason, answer, key in rows:
            if text is None:
                now = reader.given(answer, *how)
            else:
                now = reader.read(text, *how, finish_reason)
            if now != (answer, key):
                yield (*now, question.id, model, run_seed, idx)
        if report is not None:
            report(len(rows))


def apply(connection: sqlite3.Connection, changed: Sequence[Change], schema: str = "main") -> None:
    """Write what `changes` found."""
    connection.executemany(
        f"UPDATE {schema}.samples SET answer = ?, key = ? "
        "WHERE question = ? AND model = ? AND run_seed = ? AND idx = ?",
        changed,
    )


def asked(
    connection: sqlite3.Connection, tasks: Sequence[str] = (), schema: str = "main"
) -> Iterator[Asked]:
    """How the answers to each question of these tasks are read; all tasks when none is named."""
    guessed = guessed_kinds(connection, schema)
    rows = connection.execute(
        f"SELECT id, task, name, kind, choices, metadata FROM {schema}.questions ORDER BY id"
    ).fetchall()
    for number, task, name, kind, choices, metadata in rows:
        if not tasks or task in tasks:
            options = tuple(json.loads(choices))
            how = kind or ("choice" if options else guessed[task])
            settled = READ_BY in metadata and READ_BY in json.loads(metadata)
            yield Asked(number, task, name, how, options, settled)
