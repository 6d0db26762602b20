"""The files behind a configuration: the TOML itself and few-shot examples."""

import json
import tomllib
from pathlib import Path
from typing import Any

from slmmux.errors import ConfigError
from slmmux.types import Example

_MOST_PROBLEMS = 5  # of one few-shot file; the rest are counted


def read_toml(path: Path) -> dict[str, Any]:
    """The document.

    Raises:
        ConfigError: unreadable, not UTF-8, or not TOML; with line and column.
    """
    return parse_toml(path, read_text(path))


def parse_toml(path: Path, text: str) -> dict[str, Any]:
    """The document in this text, which is that of the file.

    Raises:
        ConfigError: not TOML; with line and column.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # The line itself is not shown: it may hold a key that lost its quotes.
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def read_examples(path: Path) -> tuple[Example, ...]:
    """Few-shot examples: JSON Lines with `question` and `answer`; other fields are not used.

    Raises:
        ConfigError: unreadable, or rows that are not examples, by line number.
    """
    examples: list[Example] = []
    problems: list[str] = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            examples.append(_example(line))
        except ValueError as error:
            problems.append(f"line {number} {error}")
    if not examples and not problems:
        problems.append('is empty; it takes lines like {"question": "…", "answer": "…"}')
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        tail = [f"{more} more lines like that"] if more > 0 else []
        raise ConfigError(f"{path}: {'; '.join([*problems[:_MOST_PROBLEMS], *tail])}")
    return tuple(examples)


def _example(line: str) -> Example:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON ({error.msg} at column {error.colno})") from error
    if not isinstance(row, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004 - the file is wrong, not the caller
    for key in ("question", "answer"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise ValueError(f'needs "{key}" with text')
    return Example(question=row["question"], answer=row["answer"])


def read_text(path: Path) -> str:
    """The file's text.

    Raises:
        ConfigError: unreadable or not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")  # some editors write a byte-order mark
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}: not UTF-8 (byte 0x{data[error.start]:02x} in line {line}); save it as UTF-8"
        ) from error
