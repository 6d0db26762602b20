"""Files of questions: JSON Lines or CSV → `Question`s; every bad row is named.

A JSON Lines row is an object with `question`, and optionally `id`, `kind` and `choices` (a list).
A CSV file has the same columns, choices separated by `|`, and may have others. Without an id a
question is named after its content, and a repeated one after its place as well, so that every row
has its own answer. Both may be compressed: a name that ends in `.gz`. Tasks read their files with
the same functions.
"""

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, get_args

from slmmux.bank.interchange import each_once
from slmmux.errors import QuestionError
from slmmux.prompts import question_of, validate
from slmmux.types import Kind, Question

Cells: TypeAlias = Mapping[str, object]

_LISTED = 20


def read_questions(path: str, kind: Kind = "auto") -> tuple[Question, ...]:
    """The questions of a file, in order; `-` is stdin (JSON Lines).

    Args:
        path: ending in `.csv`, or JSON Lines.
        kind: for rows that do not say.

    Raises:
        QuestionError: the file cannot be read, or rows cannot be asked; each with its line.
    """
    questions: dict[str, Question] = {}
    problems: list[str] = []
    for line, row in read_rows(path):
        try:
            question = row_question(row, kind)
            question = _named(question, row, questions)
        except QuestionError as error:
            problems.append(f"line {line}: {error}")
        else:
            questions[question.id] = question
    refuse(path, problems)
    if not questions:
        raise QuestionError(f"{path}: there are no questions in it")
    return tuple(questions.values())


def refuse(path: str, problems: Sequence[str]) -> None:
    """Nothing is asked of a file with bad rows.

    Raises:
        QuestionError: there are any; it lists them.
    """
    if problems:
        more = len(problems) - _LISTED
        shown = [f"  {problem}" for problem in problems[:_LISTED]]
        shown += [f"  … and {more} more"] if more > 0 else []
        raise QuestionError("\n".join([f"{path}: nothing was asked, since", *shown]))


def read_rows(path: str, column: str = "question") -> Iterator[tuple[int, Cells | str]]:
    """(line number, row or what is wrong with it), in order.

    Args:
        path: as for `read_questions`.
        column: what the header of a CSV file must have.

    Raises:
        QuestionError: the file cannot be read.
    """
    text = read_text(path)
    is_csv = path.lower().removesuffix(".gz").endswith(".csv")
    return _csv_rows(text, column) if is_csv else _json_rows(text)


def read_text(path: str) -> str:
    """A file's text, uncompressed; `-` is stdin.

    Raises:
        QuestionError: the file cannot be read.
    """
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        if path.lower().endswith(".gz"):
            data = gzip.decompress(data)
        return data.decode("utf-8-sig")
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise QuestionError(f"{path}: damaged gzip data ({error}); copy it again") from error
    except OSError as error:
        raise QuestionError(f"{path}: {error.strerror}; name a JSON Lines or CSV file") from error
    except UnicodeDecodeError as error:
        raise QuestionError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from error


def _json_rows(text: str) -> Iterator[tuple[int, Cells | str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line, object_pairs_hook=each_once)
            except json.JSONDecodeError as error:
                yield number, f"not JSON ({error})"
            except ValueError as error:
                yield number, str(error)
            except RecursionError:
                yield number, "nested too deeply to be read"
            else:
                yield number, row if isinstance(row, dict) else "not a JSON object"


def _csv_rows(text: str, column: str) -> Iterator[tuple[int, Cells | str]]:
    if not text.strip():
        return  # no questions, as in an empty file of JSON Lines; not a wrong header
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        yield line, "a NUL byte; save the file as CSV in UTF-8"
        return
    csv.field_size_limit(sys.maxsize)  # of the process; a cell of a question may be a whole text
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    end = 0
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        if wrong := _wrong_header(names, column):
            yield 1, wrong
            return
        reader.fieldnames = names
        end = reader.line_num
        for row in reader:
            first, end = end + 1, reader.line_num  # a cell in quotes may have several lines
            yield first, _cells(row)
    except csv.Error as error:
        yield end + 1, f"the quotes do not match ({error}); nothing after this could be read"


def _wrong_header(names: Sequence[str], column: str) -> str | None:
    if column not in names:
        return f"the header has no column `{column}`"
    twice = sorted({name for name in names if name and names.count(name) > 1})
    return f"the header has `{twice[0]}` twice" if twice else None


def _cells(row: Mapping[str | Any, str | Any]) -> Cells | str:
    if None in row:
        return "more cells than columns; put texts with commas in quotes"
    cells: dict[str, object] = {name: cell for name, cell in row.items() if cell}
    if isinstance(choices := cells.get("choices"), str):
        cells["choices"] = [part.strip() for part in choices.split("|")]
    return cells


def row_question(row: Cells | str, kind: Kind) -> Question:
    """The question of a row, named after its content; its `id` is not looked at.

    Raises:
        QuestionError: what is wrong with the row.
    """
    if isinstance(row, str):
        raise QuestionError(row)
    text, choices = row.get("question"), row.get("choices") or []
    if not isinstance(text, str):
        raise QuestionError("no text under `question`")
    if not isinstance(choices, list) or not all(isinstance(c, str) for c in choices):
        raise QuestionError("`choices` must be a list of texts")
    question = question_of(text, _kind(row.get("kind", kind)), choices)
    validate(question)
    return question


def row_id(row: Cells | str) -> str | None:
    """The id that a row gives its question; None when it gives none.

    Raises:
        QuestionError: it cannot be one.
    """
    given = None if isinstance(row, str) else row.get("id")
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise QuestionError(f"id {given!r} is neither a text nor a whole number")
    name = str(given)
    if not name.strip():
        raise QuestionError("the id is empty; leave it out, or give the question one")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise QuestionError(f"id {given!r} has broken characters; write it in UTF-8")
    return name


def _kind(word: object) -> Kind:
    kinds: tuple[Kind, ...] = get_args(Kind)
    for kind in kinds:
        if word == kind:
            return kind
    raise QuestionError(f"kind {word!r} is not one of {', '.join(kinds)}")


def _named(question: Question, row: Cells | str, known: Mapping[str, Question]) -> Question:
    """The question under its own id, or under its content's and a number when it is repeated."""
    given = row_id(row)
    if given is not None:
        if given in known:
            raise QuestionError(f"id {given!r} is used twice")
        return replace(question, id=given)
    repeats = 1
    name = question.id
    while name in known:
        repeats += 1
        name = f"{question.id}-{repeats}"
    return replace(question, id=name)
