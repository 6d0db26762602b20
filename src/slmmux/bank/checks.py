"""Whether a bank is sound, and reading its answers again."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from slmmux.bank.bank import Bank
from slmmux.bank.files import Report
from slmmux.bank.reading import Reader, apply, asked, changes
from slmmux.bank.rows import content_of, fingerprint_of
from slmmux.errors import BankConflictError, BankError, UsageError
from slmmux.types import Kind

# ruff: noqa: S608 - every statement is made of our own names

_REPORT_EVERY = 200
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The bank's answers beside what is read from their texts now.

    Attributes:
        texts: that were read.
        without_text: answers that have none, and cannot be compared.
        settled: answers that were read by what the bank does not hold (a request's JSON Schema, its
            tools), and stay.
        unlike: answers that are not what their texts say: slmmux reads better since, or somebody
            has changed one of the two.
        shown: the first of these, one sentence each.
    """

    texts: int
    without_text: int
    settled: int
    unlike: int
    shown: tuple[str, ...]


def verify(bank: Bank, *, report: Report | None = None) -> tuple[str, ...]:
    """What is wrong with a bank, one sentence a problem; nothing when it is sound.

    Pages and indexes, references between tables, hashes of questions and models, and the class of
    every answer. Whether answers are those of their texts is for `compare`.

    Args:
        bank: open.
        report: told what share has been checked.

    Raises:
        BankError: it is too damaged to be checked.
    """
    with bank.connection() as connection:
        damage = [text for (text,) in connection.execute("PRAGMA integrity_check(20)")]
        if damage != ["ok"]:  # what stands in such a file means nothing
            return tuple(damage)
        return (
            *(
                f"{child}: row {row} refers to nothing in {parent}"
                for child, row, parent, _ in connection.execute("PRAGMA foreign_key_check")
            ),
            *_wrong_hashes(connection),
            *_wrong_keys(connection, report),
        )


def refuse_damage(bank: Bank) -> None:
    """See that every page of the file is sound, also those that an analysis does not touch.

    About a tenth of what loading takes.

    Raises:
        BankError: one is not.
    """
    with bank.connection() as connection:
        (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise BankError(f"{bank.path}: damaged ({said}); restore it from a copy")


def compare(bank: Bank, *, report: Report | None = None) -> Comparison:
    """Read all texts again, and count the answers that are others than these; nothing is changed.

    Args:
        bank: open, and sound as `verify` says.
        report: told what share has been read.
    """
    with bank.connection() as connection:
        kept = ",".join(str(question.id) for question in asked(connection) if question.settled)
        texts, without_text, settled = connection.execute(
            f"SELECT ifnull(sum(text IS NOT NULL AND question NOT IN ({kept})), 0), "
            f"ifnull(sum(text IS NULL AND answer IS NOT NULL AND question NOT IN ({kept})), 0), "
            f"ifnull(sum(answer IS NOT NULL AND question IN ({kept})), 0) FROM samples"
        ).fetchone()
        found = list(changes(connection, report=_share(_count(connection, ()), report)))
        shown = tuple(_unlike(connection, *change) for change in found[:_SHOWN])
    return Comparison(
        texts=texts,
        without_text=without_text,
        settled=settled,
        unlike=len(found),
        shown=shown,
    )


def _unlike(connection: sqlite3.Connection, now: str | None, _: str | None, *place: int) -> str:
    task, question, model, before = connection.execute(
        "SELECT q.task, q.name, m.name, s.answer FROM samples s "
        "JOIN questions q ON q.id = s.question JOIN models m ON m.id = s.model "
        "WHERE s.question = ? AND s.model = ? AND s.run_seed = ? AND s.idx = ?",
        place,
    ).fetchone()
    return (
        f"{task} {question}: sample {place[3]} of {model} (run seed {place[2]}) has "
        f"{_quoted(before)}; its text says {_quoted(now)}"
    )


def _quoted(answer: str | None) -> str:
    return "no answer" if answer is None else repr(answer)


def reextract(
    bank: Bank,
    tasks: Sequence[str] = (),
    *,
    kind: Kind | None = None,
    report: Report | None = None,
) -> int:
    """Read all answers again from the texts; how many are another answer or class now.

    Those of questions that say what read them (`reading.READ_BY`) stay.

    Args:
        bank: open for writing.
        tasks: all when none is named.
        kind: from now on the kind of these tasks' questions.
        report: told what share has been read.

    Raises:
        UsageError: a task that the bank does not have.
        BankError: the bank cannot be written; it is as it was.
    """
    known = bank.tasks()
    unknown = [task for task in tasks if task not in known]
    if unknown:
        raise UsageError(f"{bank.path} has no task {unknown[0]!r}; it has {', '.join(known)}")
    with bank.connection() as connection:
        tell = _share(_count(connection, tasks), report)
        version = _version(connection)
        # Reading takes long, and locks nobody out.
        changed = list(changes(connection, tasks, kind=kind, report=tell))
    with bank.transaction() as connection:
        if _version(connection) != version:  # somebody else has written since
            changed = list(changes(connection, tasks, kind=kind))
        if kind is not None:
            _set_kind(connection, bank, tasks or known, kind)
        apply(connection, changed)
    return len(changed)


def _version(connection: sqlite3.Connection) -> int:
    """Changes when another connection has written."""
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)


def _count(connection: sqlite3.Connection, tasks: Sequence[str]) -> int:
    some = f"WHERE task IN ({', '.join('?' * len(tasks))})" if tasks else ""
    (count,) = connection.execute(
        f"SELECT count(*) FROM samples WHERE question IN (SELECT id FROM questions {some})",
        tuple(tasks),
    ).fetchone()
    return int(count)


def _share(total: int, report: Report | None) -> Callable[[int], None] | None:
    """Counts what is done, and reports its share now and then."""
    if report is None:
        return None
    done = calls = 0

    def tell(more: int) -> None:
        nonlocal done, calls
        done += more
        calls += 1
        if not calls % _REPORT_EVERY:
            report(done / max(total, 1))

    return tell


def _set_kind(connection: sqlite3.Connection, bank: Bank, tasks: Sequence[str], kind: Kind) -> None:
    for task in tasks:
        for number, name, text, choices in connection.execute(
            "SELECT id, name, text, choices FROM questions WHERE task = ? ORDER BY id", (task,)
        ).fetchall():
            content = content_of(name, text, kind, json.loads(choices))
            changed = connection.execute(
                "UPDATE OR IGNORE questions SET kind = ?, content = ? WHERE id = ?",
                (kind, content, number),
            )
            if changed.rowcount == 0:
                raise BankConflictError(
                    f"{bank.path}: {task} {name} is there as {kind} too, with samples of its own; "
                    "export and import them into a new bank with one kind"
                )


def _wrong_keys(connection: sqlite3.Connection, report: Report | None) -> Iterator[str]:
    tell = _share(_count(connection, ()), report)
    reader = Reader()
    for question in asked(connection):
        if question.settled:
            continue
        rows = connection.execute(
            "SELECT model, run_seed, idx, answer, key FROM samples WHERE question = ?",
            (question.id,),
        ).fetchall()
        for model, run_seed, idx, answer, key in rows:
            if reader.given(answer, question.kind, question.choices) != (answer, key):
                yield (
                    f"{question.task} {question.name}: sample {idx} of model {model} (run seed "
                    f"{run_seed}) is in class {key!r}, which its answer {answer!r} is not of; "
                    "`slmmux bank reextract` reads it again"
                )
        if tell is not None:
            tell(len(rows))


def _wrong_hashes(connection: sqlite3.Connection) -> Iterator[str]:
    for task, name, content, text, kind, choices in connection.execute(
        "SELECT task, name, content, text, kind, choices FROM questions ORDER BY task, name"
    ):
        if content_of(name, text, kind, json.loads(choices)) != content:
            yield f"{task} {name}: its content hash is not that of its content"
    for name, mark, settings in connection.execute(
        "SELECT name, fingerprint, settings FROM models ORDER BY id"
    ):
        if fingerprint_of(json.loads(settings)) != mark:
            yield f"{name}: its fingerprint is not that of its settings"
