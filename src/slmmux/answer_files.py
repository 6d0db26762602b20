"""The output of `slmmux run`: one JSON result a line, appended as questions are answered.

A question whose models all failed gets a line of schema `slmmux.failure/1` with the reasons. When
a run goes on, answered questions are skipped, failures are asked again, and a line that a crash
cut short is dropped. One run at a time writes to a file: it holds a lock on the file itself.
"""

import errno
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from slmmux.answers import resolve_kind
from slmmux.errors import QuorumError, UsageError
from slmmux.results import SCHEMA, Json, to_json
from slmmux.types import Question, Result

FAILURE = "slmmux.failure/1"

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class _Answered:
    """A result in the file, and what the question was."""

    number: int
    line: str
    question: Mapping[str, Json]


class AnswerFile:
    """A file of answers, to read what is there and append what is missing; a context manager.

    Args:
        path: created when it is not there.
        settings: what shaped the answers (`k`, `seed`, …), and under `models` a fingerprint a
            name: a file made with others is refused, since a mixture would be neither.

    Raises:
        UsageError: the path is `-`; on entering: the file holds something else, or answers of
            other settings, or another run is writing to it.
    """

    def __init__(self, path: Path, settings: Mapping[str, Json]) -> None:
        if str(path) == "-":
            raise UsageError("--out names a file; for a terminal use /dev/stdout")
        self._path = path
        self._settings = dict(settings)
        self._kept: dict[str, _Answered] = {}
        self._file: IO[str] | None = None
        self._is_new = False

    def __enter__(self) -> Self:
        """Keep other runs out, drop failures and a cut line, and open for appending."""
        self._is_new = not self._path.exists()
        self._file = self._locked()
        try:
            with self._named():
                self._keep_results()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is None:
            return
        if self._is_new and self._path.is_file() and self._path.stat().st_size == 0:
            self._path.resolve().unlink()  # nothing was answered: leave things as they were
        with self._named():  # what could not be written before is tried once more
            self._file.close()

    def missing(self, questions: Sequence[Question]) -> list[Question]:
        """The questions that have no result yet, in order; the file must be entered.

        Raises:
            UsageError: a question was another one when it was answered.
        """
        for question in questions:
            known = self._kept.get(question.id)
            if known is not None and (field := _changed(question, known.question)):
                raise UsageError(
                    f"{self._path}:{known.number}: question {question.id!r} had another {field} "
                    "when it was answered; give the new one another id, or name another file "
                    "with --out"
                )
        return [question for question in questions if question.id not in self._kept]

    def write(self, result: Result) -> None:
        """Append a result; it is with the system when this returns."""
        self._append({**to_json(result), "settings": self._settings})

    def write_failure(self, question: Question, error: QuorumError) -> None:
        """Append the reasons why a question has no result."""
        self._append(
            {
                "schema": FAILURE,
                "question": {"id": question.id, "text": question.text},
                "error": str(error),
                "reasons": dict(error.reasons),
                "settings": self._settings,
            }
        )

    def _append(self, row: Mapping[str, Json]) -> None:
        if self._file is None:
            raise UsageError(f"{self._path}: enter the answer file before writing to it")
        with self._named():
            self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
            self._file.flush()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of writing know the file, and a full disk what to do about it."""
        try:
            yield
        except OSError as error:
            what = error.strerror or str(error)
            if error.errno in _FULL:
                what += "; make room, or name another file with --out; what is answered is kept"
            if error.errno == errno.ENOENT:
                what += "; make its folder first, or name another file with --out"
            raise OSError(error.errno, what, str(self._path)) from error

    def _locked(self) -> IO[str]:
        """The file, locked until it is closed; never one that another run has replaced since."""
        while True:
            file = self._path.open("a", encoding="utf-8")
            try:
                if not self._path.is_file():  # a pipe or device: nobody's answers to lose
                    return file
                self._lock(file)
                if self._is_at_path(file):
                    return file
            except BaseException:
                file.close()
                raise
            file.close()

    def _lock(self, file: IO[str]) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"{self._path}: another slmmux run is writing to it; wait for it, or name another "
                "file with --out"
            ) from error

    def _is_at_path(self, file: IO[str]) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False

    def _keep_results(self) -> None:
        """Read the file, and put one with its results alone into its place if it holds more."""
        self._kept = self._read()
        text = "".join(answered.line for answered in self._kept.values())
        if not self._path.is_file() or self._path.read_bytes() == text.encode():
            return
        place = self._path.resolve()  # a link stays a link
        scratch = place.with_name(f".{place.name}.tmp")
        try:
            scratch.touch(mode=0o600)
            shutil.copymode(place, scratch)
            with ExitStack() as stack:
                file = stack.enter_context(scratch.open("w", encoding="utf-8"))
                self._lock(file)  # before it takes the place: what stands there is always locked
                file.write(text)
                file.flush()
                scratch.replace(place)
                stack.pop_all()
        finally:
            scratch.unlink(missing_ok=True)
        if self._file is not None:
            self._file.close()
        self._file = file

    def _read(self) -> dict[str, _Answered]:
        """Question id → its result, for every result in the file."""
        if not self._path.is_file():  # not there yet, or a pipe or device: nothing to go on from
            return {}
        kept: dict[str, _Answered] = {}
        text = self._path.read_bytes().decode("utf-8", errors="replace")
        lines = re.findall(r"[^\n]*\n|[^\n]+", text)  # a text may hold U+2028, which ends no line
        for number, line in enumerate(lines, 1):
            row = self._row(line, number, last=number == len(lines))
            if row is not None and row["schema"] == SCHEMA:
                question = row.get("question")
                question = question if isinstance(question, dict) else {}
                kept[str(question.get("id"))] = _Answered(number, line, question)
        return kept

    def _row(self, line: str, number: int, *, last: bool) -> dict[str, Json] | None:
        try:
            row: dict[str, Json] = json.loads(line)
        except ValueError:
            row = {}
        if last and not line.endswith("\n"):
            return None
        if not isinstance(row, dict) or row.get("schema") not in (SCHEMA, FAILURE):
            raise UsageError(
                f"{self._path}:{number}: not a line of `slmmux run`; name another file with --out"
            )
        if row.get("settings") != self._settings:
            raise UsageError(
                f"{self._path}:{number}: written with other settings "
                f"({_difference(row.get('settings'), self._settings)}); use the same ones, or "
                "name another file with --out"
            )
        return row


def _changed(question: Question, then: Mapping[str, Json]) -> str | None:
    """What is not as it was when the question was answered; its kind was resolved then."""
    now = {"text": question.text, "kind": resolve_kind(question), "choices": list(question.choices)}
    return next((field for field, value in now.items() if then.get(field) != value), None)


def _difference(theirs: Json, ours: Mapping[str, Json]) -> str:
    there = theirs if isinstance(theirs, dict) else {}
    changed = [key for key in {**ours, **there} if there.get(key) != ours.get(key)]
    parts = [
        part
        for key in changed
        for part in (
            _model_differences(there.get(key), ours.get(key))
            if key == "models"
            else [f"{key} {_shown(there, key)}, now {_shown(ours, key)}"]
        )
    ]
    return ", ".join(parts) or "unknown"


def _model_differences(theirs: Json, ours: Json) -> Iterator[str]:
    there = theirs if isinstance(theirs, dict) else {}
    here = ours if isinstance(ours, dict) else {}
    for name in {**here, **there}:
        if name not in there:
            yield f"model {name} is new"
        elif name not in here:
            yield f"model {name} is gone"
        elif there[name] != here[name]:
            yield f"model {name} has another id, prompt or sampling"


def _shown(settings: Mapping[str, Json], key: str) -> str:
    value = settings.get(key, "unknown")
    if isinstance(value, list):
        return " before ".join(map(str, value))
    return "none" if value is None else str(value)
