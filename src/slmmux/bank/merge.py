"""One bank into another, in one transaction: everything, or nothing when the two disagree."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from slmmux.bank.bank import Bank
from slmmux.bank.connection import explained, reading_uri, transaction
from slmmux.bank.reading import apply, changes, guessed_kinds
from slmmux.bank.rows import SAMPLE_COLUMNS, canonical_json
from slmmux.errors import BankConflictError, BankError
from slmmux.types import Kind

_LISTED = 20
_SCHEMA = "other"
_COLUMNS = ", ".join(SAMPLE_COLUMNS)
_REST = ", ".join(f"s.{name}" for name in SAMPLE_COLUMNS[2:])
# ruff: noqa: S608 - every statement is made of our own names

_THERE = """
    FROM other.samples s JOIN temp.question_of q ON q.theirs = s.question
    JOIN temp.model_of m ON m.theirs = s.model JOIN main.samples b
    ON b.question = q.ours AND b.model = m.ours AND b.run_seed = s.run_seed AND b.idx = s.idx
    WHERE CASE WHEN s.text IS NULL AND b.text IS NULL
      THEN s.answer IS NOT b.answer OR (s.error IS NULL) <> (b.error IS NULL)
      ELSE s.text IS NOT b.text END"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Absorbed:
    """What one bank has given another.

    Attributes:
        samples: in the other bank.
        new_samples, new_questions, new_models: that were not there before.
        reread: task → kind, where new references changed how answers are read.
    """

    samples: int
    new_samples: int
    new_questions: int
    new_models: int
    reread: Mapping[str, Kind] = field(default_factory=dict)


def merge(bank: Bank, path: Path) -> Absorbed:
    """Put everything that the bank at `path` holds into `bank`.

    Raises:
        BankConflictError: they have different texts under one key, or differ about a question.
        BankError: one of the two cannot be used. `bank` is as it was.
    """
    if path.exists() and path.samefile(bank.path):
        raise BankError(f"{path}: is the bank to merge into; name other banks")
    Bank.open(path).close()  # upgrades an older one, refuses what is no bank
    return absorb(bank, path, name=str(path))


def absorb(bank: Bank, path: Path, *, name: str, lines: bool = False) -> Absorbed:
    """`merge` of a file whose schema is known to be the present one.

    Args:
        bank: open for writing.
        path: of the other file.
        name: of where it comes from, for messages.
        lines: the samples of the other file have a column `line`, for messages.
    """
    with (
        _attached(bank, path),
        bank.connection() as connection,
        explained(f"{name} into {bank.path}"),  # nobody knows which of the two it was
        transaction(connection),
    ):
        before, theirs = guessed_kinds(connection), guessed_kinds(connection, _SCHEMA)
        new = _join_questions(connection, name), _join_models(connection)
        _refuse_other_texts(connection, name, lines=lines)
        samples, added = _join_samples(connection)
        reread = _read_again(connection, (before, theirs))
    return Absorbed(
        samples=samples, new_samples=added, new_questions=new[0], new_models=new[1], reread=reread
    )


@contextmanager
def _attached(bank: Bank, path: Path) -> Iterator[None]:
    with bank.connection() as connection, explained(path):
        connection.execute(f"ATTACH ? AS {_SCHEMA}", (reading_uri(path),))
        connection.execute("CREATE TEMP TABLE question_of (theirs INTEGER PRIMARY KEY, ours)")
        connection.execute("CREATE TEMP TABLE model_of (theirs INTEGER PRIMARY KEY, ours)")
    try:
        yield
    finally:
        with bank.connection() as connection:
            connection.execute("DROP TABLE temp.question_of")
            connection.execute("DROP TABLE temp.model_of")
            connection.execute(f"DETACH {_SCHEMA}")


def _join_questions(connection: sqlite3.Connection, name: str) -> int:
    columns = "task, name, content, text, kind, choices, reference, metadata"
    new = connection.execute(
        f"INSERT INTO main.questions ({columns}) SELECT {columns} FROM other.questions "
        "WHERE true ORDER BY task, name, content ON CONFLICT DO NOTHING"
    ).rowcount
    connection.execute(
        "INSERT INTO temp.question_of SELECT t.id, o.id FROM other.questions t "
        "JOIN main.questions o USING (task, name, content)"
    )
    _join_references(connection, name)
    _join_metadata(connection, name)
    return new


def _join_references(connection: sqlite3.Connection, name: str) -> None:
    pairs = connection.execute(
        "SELECT t.task, t.name, o.id, t.reference, o.reference FROM temp.question_of "
        "JOIN other.questions t ON t.id = theirs JOIN main.questions o ON o.id = ours "
        "WHERE t.reference IS NOT NULL AND t.reference IS NOT o.reference ORDER BY o.id"
    ).fetchall()
    _refuse(
        name,
        [
            f"{task} {question} has the reference {theirs!r}, and {ours!r} in the bank"
            for task, question, _, theirs, ours in pairs
            if ours is not None
        ],
    )
    connection.executemany(
        "UPDATE main.questions SET reference = ? WHERE id = ?", [(p[3], p[2]) for p in pairs]
    )


def _join_metadata(connection: sqlite3.Connection, name: str) -> None:
    pairs = connection.execute(
        "SELECT t.task, t.name, o.id, t.metadata, o.metadata FROM temp.question_of "
        "JOIN other.questions t ON t.id = theirs JOIN main.questions o ON o.id = ours "
        "WHERE t.metadata <> o.metadata AND t.metadata <> '{}' ORDER BY o.id"
    ).fetchall()
    problems, updates = [], []
    for task, question, number, theirs, ours in pairs:
        more, known = json.loads(theirs), json.loads(ours)
        unlike = [word for word in more if known.get(word, more[word]) != more[word]]
        problems += [f"{task} {question} has other metadata: {', '.join(unlike)}"] * bool(unlike)
        updates.append((canonical_json(known | more), number))
    _refuse(name, problems)
    connection.executemany("UPDATE main.questions SET metadata = ? WHERE id = ?", updates)


def _join_models(connection: sqlite3.Connection) -> int:
    new = connection.execute(
        "INSERT INTO main.models (name, fingerprint, settings) SELECT name, fingerprint, settings "
        "FROM other.models WHERE true ORDER BY id ON CONFLICT DO NOTHING"
    ).rowcount
    connection.execute(
        "INSERT INTO temp.model_of SELECT t.id, o.id FROM other.models t "
        "JOIN main.models o USING (name, fingerprint)"
    )
    return new


def _refuse_other_texts(connection: sqlite3.Connection, name: str, *, lines: bool) -> None:
    line = "s.line" if lines else "NULL"
    found = connection.execute(
        f"SELECT {line}, b.question, b.model, b.run_seed, b.idx {_THERE} ORDER BY 1, 2, 3, 4, 5 "
        f"LIMIT {_LISTED + 1}"
    ).fetchall()
    _refuse(name, [_named(connection, number, place) for number, *place in found])


def _named(connection: sqlite3.Connection, line: int | None, place: Sequence[int]) -> str:
    (task, question), (model,) = (
        connection.execute(f"SELECT {what} WHERE id = ?", (number,)).fetchone()
        for what, number in (
            ("task, name FROM main.questions", place[0]),
            ("name FROM main.models", place[1]),
        )
    )
    where = f"line {line}: " if line is not None else ""
    return (
        f"{where}sample {place[3]} of {model} on {task} {question} (run seed {place[2]}) is in the "
        "bank with another text"
    )


def _join_samples(connection: sqlite3.Connection) -> tuple[int, int]:
    (samples,) = connection.execute("SELECT count(*) FROM other.samples").fetchone()
    added = connection.execute(
        f"INSERT INTO main.samples ({_COLUMNS}) SELECT q.ours, m.ours, {_REST} "
        "FROM other.samples s JOIN temp.question_of q ON q.theirs = s.question "
        "JOIN temp.model_of m ON m.theirs = s.model WHERE true "
        "ORDER BY q.ours, m.ours, s.run_seed, s.idx ON CONFLICT DO NOTHING"
    ).rowcount
    connection.execute(
        "DELETE FROM main.claims WHERE EXISTS (SELECT 1 FROM main.samples s WHERE "
        "s.question = claims.question AND s.model = claims.model "
        "AND s.run_seed = claims.run_seed AND s.idx = claims.idx)"
    )
    return samples, added


def _read_again(
    connection: sqlite3.Connection, earlier: Sequence[Mapping[str, Kind]]
) -> dict[str, Kind]:
    """Read the answers anew of tasks whose kind was another one in either bank."""
    changed = {
        task: kind
        for task, kind in guessed_kinds(connection).items()
        if any(kinds.get(task, kind) != kind for kinds in earlier)
    }
    if changed:
        apply(connection, list(changes(connection, tuple(changed))))
    return changed


def _refuse(name: str, problems: Sequence[str]) -> None:
    if problems:
        more = [f"… and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else []
        shown = "\n  ".join([*problems[:_LISTED], *more])
        raise BankConflictError(
            f"{name}: nothing was taken over, since\n  {shown}\n"
            "Nothing in a bank is overwritten: samples of another run need another run seed "
            "(`slmmux collect --seed`), and what differs otherwise a bank of its own"
        )
