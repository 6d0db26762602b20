"""Reading a bank: its tasks, questions, models and votes."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from slmmux.bank.connection import explained
from slmmux.bank.reading import reading_kinds
from slmmux.bank.rows import BankModel, BankQuestion, SampleKey, Vote
from slmmux.types import Kind

# ruff: noqa: S608 - every statement is made of our own names

Parameter: TypeAlias = str | int | float | None


class BankView:
    """What can be read of an open bank; a context manager, safe to share between threads."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock, explained(self.path):
            self._connection.close()

    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, sorted."""
        rows = self.query("SELECT DISTINCT task FROM questions ORDER BY task")
        return tuple(task for (task,) in rows)

    def run_seeds(self, tasks: Sequence[str] = ()) -> tuple[int, ...]:
        """Run seeds that have samples of these tasks; of all tasks when none is named."""
        inside, names = _of_tasks(tasks)
        rows = self.query(f"SELECT DISTINCT run_seed FROM samples WHERE {inside} ORDER BY 1", names)
        return tuple(seed for (seed,) in rows)

    def questions(self, tasks: Sequence[str] = ()) -> tuple[BankQuestion, ...]:
        """Questions of these tasks, of all when none is named; by task, then name."""
        inside, names = _one_of("task", tasks)
        rows = self.query(
            "SELECT id, task, name, text, kind, choices, reference, metadata FROM questions "
            f"WHERE {inside} ORDER BY task, name, content",
            names,
        )
        return tuple(
            BankQuestion(
                id=number,
                task=task,
                name=name,
                text=text,
                kind=kind,
                choices=tuple(json.loads(choices)),
                reference=reference,
                metadata=json.loads(metadata),
            )
            for number, task, name, text, kind, choices, reference, metadata in rows
        )

    def kinds(self, tasks: Sequence[str] = ()) -> dict[int, Kind]:
        """Question id → how its answers are read; guessed where nobody says (`guessed_kinds`)."""
        with self._lock, explained(self.path):
            return reading_kinds(self._connection, tasks)

    def models(self, tasks: Sequence[str] = ()) -> tuple[BankModel, ...]:
        """Models with samples of these tasks in pool order; all models when no task is named."""
        inside, names = _of_tasks(tasks)
        some = f"WHERE id IN (SELECT model FROM samples WHERE {inside})" if tasks else ""
        rows = self.query(
            f"SELECT id, name, fingerprint, settings FROM models {some} ORDER BY id", names
        )
        return tuple(
            BankModel(id=number, name=name, fingerprint=mark, settings=json.loads(settings))
            for number, name, mark, settings in rows
        )

    def votes(self, tasks: Sequence[str], run_seed: int, models: Sequence[int]) -> list[Vote]:
        """What every sample votes for, by question, model and index; all tasks when none is named.

        Args:
            tasks: names.
            run_seed: of the samples.
            models: the bank's numbers.

        Returns:
            question, model, index, key, answer, failed (0 or 1), prompt tokens, completion
            tokens, cost.
        """
        in_tasks, names = _of_tasks(tasks)
        # `+`: not by the key's later parts, so that one walk along the key gives the order.
        in_models, numbers = _one_of("+model", models)
        if not models:
            return []
        return self.query(
            "SELECT question, model, idx, key, answer, error IS NOT NULL, prompt_tokens, "
            f"completion_tokens, cost FROM samples WHERE {in_tasks} AND {in_models} "
            "AND +run_seed = ? ORDER BY question, model, run_seed, idx",
            (*names, *numbers, run_seed),
        )

    def texts(
        self, tasks: Sequence[str], run_seed: int, models: Sequence[int], k: int
    ) -> list[tuple[int, int, int, str | None, str | None]]:
        """What samples 0..k-1 say, where the bank knows it: question, model, index, text, error."""
        if not models:
            return []
        in_tasks, names = _of_tasks(tasks)
        in_models, numbers = _one_of("+model", models)
        return self.query(
            f"SELECT question, model, idx, text, error FROM samples WHERE {in_tasks} "
            f"AND {in_models} AND +run_seed = ? AND idx < ? "
            "AND (text IS NOT NULL OR error IS NOT NULL) ORDER BY question, model, idx",
            (*names, *numbers, run_seed, k),
        )

    def missing(
        self, questions: Sequence[int], models: Sequence[int], run_seed: int, k: int
    ) -> tuple[SampleKey, ...]:
        """The keys 0..k-1 that have no sample yet, claimed or not; question by question."""
        rows = self.query(
            "SELECT question, model, idx FROM samples WHERE run_seed = ? AND idx < ?", (run_seed, k)
        )
        there = set(rows)
        return tuple(
            SampleKey(question, model, run_seed, index)
            for question in questions
            for model in models
            for index in range(k)
            if (question, model, index) not in there
        )

    def query(self, sql: str, parameters: Sequence[Parameter] = ()) -> list[tuple[Any, ...]]:
        """All rows of a SELECT."""
        with self._lock, explained(self.path):
            return self._connection.execute(sql, parameters).fetchall()

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """The connection in autocommit mode."""
        with self._lock, explained(self.path):
            yield self._connection


def _of_tasks(tasks: Sequence[str]) -> tuple[str, tuple[Parameter, ...]]:
    """A condition on `samples`, and its parameters."""
    if not tasks:
        return "1", ()
    inside, names = _one_of("task", tasks)
    return f"question IN (SELECT id FROM questions WHERE {inside})", names


def _one_of(column: str, values: Sequence[Parameter]) -> tuple[str, tuple[Parameter, ...]]:
    if not values:
        return "1", ()
    return f"{column} IN ({', '.join('?' * len(values))})", tuple(values)
