"""Answer → class key (rule 2): one string for all spellings of one answer.

A key is computed from its answer alone, so equality of keys is transitive and a new sample never
merges two classes. Plain numbers, choices, dates, yes/no, JSON and text never leave this process;
only mathematics that exact arithmetic does not settle goes to the symbolic worker.

Keys are short and printable, and the same for any hash seed and machine. `raw:…` is the class of
an answer that nobody can interpret: its normalised string. An expression that asks for more than
any computer can do (`excess`), or that exceeds the worker's time or memory, becomes one too; the
time is CPU time, so the load of the machine hardly matters, but an expression near the limit may
fall on either side on faster and slower machines. Within a process the outcome is remembered.
"""

import hashlib
import re
import threading
import time
from functools import lru_cache

from slmmux.answers.choice import letter_of
from slmmux.answers.dates import dates_in
from slmmux.answers.dialogue import visible
from slmmux.answers.excess import is_excessive
from slmmux.answers.jsons import canonical_json, json_value
from slmmux.answers.latex import normalise
from slmmux.answers.mathematics import number_in
from slmmux.answers.numbers import exact, number_key
from slmmux.answers.plain import plain_text
from slmmux.answers.structure import math_key
from slmmux.answers.worker import shared_workers
from slmmux.errors import QuestionError
from slmmux.types import Kind

_LONGEST = 100
_MAX_REMEMBERED = 65536
# The worker's time limits that all parts of one answer may use together, by the clock.
_ANSWER_LIMITS = 3
_YES = frozenset(
    ("yes", "true", "y", "yeah", "correct", "absolutely", "certainly", "definitely", "not false")
)
_NO = frozenset(("no", "false", "n", "nope", "incorrect", "not true", "not correct", "isn't true",
                 "absolutely not", "certainly not", "definitely not", "of course not",
                 "isn't correct"))  # fmt: skip
_CASE = re.compile(r"(?:it|that|this)(?: is|'s) (not )?the case")
_SIGNS = {"eq": "=", "ne": "≠", "gt": ">", "ge": "≥"}


class _WorkerNeededError(Exception):
    """The fast path has met an expression that only the worker can simplify."""


class _ExceededError(Exception):
    """The parts of an answer have together used up its time."""


class _Memory:
    """Outcomes of the worker, so that an expression is simplified, or times out, once."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, tuple[str, ...]], str] = {}
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Start over; for tests."""
        with self._lock:
            self._keys.clear()

    def recall(self, operation: str, arguments: tuple[str, ...]) -> str:
        if any(map(is_excessive, arguments)):
            return _unread(operation, arguments)
        known = self._keys.get((operation, arguments))
        if known is None:
            raise _WorkerNeededError
        return known

    def simplify(self, operation: str, arguments: tuple[str, ...]) -> str:
        if any(map(is_excessive, arguments)):
            return _unread(operation, arguments)
        known = self._keys.get((operation, arguments))
        if known is None:
            found = shared_workers().run(operation, arguments)
            known = _unread(operation, arguments) if found is None else found
            with self._lock:
                if len(self._keys) >= _MAX_REMEMBERED:
                    self._keys.clear()
                self._keys[operation, arguments] = known
        return known


def _unread(operation: str, arguments: tuple[str, ...]) -> str:
    """The class of what the worker does not read: the text."""
    return f"raw:{_SIGNS.get(operation, '').join(arguments)}"


_memory = _Memory()


class _Metered:
    """The worker for one answer: a list of slow parts must not cost its limit for each part."""

    def __init__(self) -> None:
        self._until = time.monotonic() + _ANSWER_LIMITS * shared_workers().limits.time_s

    def simplify(self, operation: str, arguments: tuple[str, ...]) -> str:
        if time.monotonic() > self._until:
            raise _ExceededError
        return _memory.simplify(operation, arguments)


@lru_cache(maxsize=65536)
def canonical_key(answer: str, kind: Kind, choices: tuple[str, ...] = ()) -> str:
    """The key of an answer's class.

    Kind `number` is the value alone: units, currencies and words around it are dropped. Kind `math`
    keeps the unit. `50%` is the value 1/2 in both.

    Raises:
        QuestionError: the kind is `auto`.
    """
    fast = fast_key(answer, kind, choices)
    return _math(visible(answer), kind, fast=False) if fast is None else fast


@lru_cache(maxsize=65536)
def _plain_key(answer: str, kind: Kind, choices: tuple[str, ...]) -> str:
    match kind:
        case "choice":
            return letter_of(answer, choices) or _short(f"text:{plain_text(answer)}")
        case "date":
            found = dates_in(answer)
            return found[0][1] if found else _short(f"text:{plain_text(answer)}")
        case "yes_no":
            text = _CASE.sub(lambda case: f"{case[1] or ''}true", plain_text(answer))
            return "yes" if text in _YES else "no" if text in _NO else _short(f"text:{text}")
        case "json":
            value = json_value(answer)
            return _text(answer) if value is None else _short(f"json:{canonical_json(value)}")
        case "text":
            return _text(answer)
        case _:
            raise QuestionError(
                f"kind `{kind}` must be resolved first: answers.resolve_kind(question)"
            )


def fast_key(answer: str, kind: Kind, choices: tuple[str, ...] = ()) -> str | None:
    """The key when it needs no worker, or none any more; else None."""
    answer = visible(answer)
    if kind in ("math", "number"):
        try:
            return _math(answer, kind, fast=True)
        except _WorkerNeededError:
            return None
    return _plain_key(answer, kind, choices)


def _math(answer: str, kind: Kind, *, fast: bool) -> str:
    value = exact(answer)
    if value is not None:
        return _short(number_key(value))
    if kind == "number":
        answer = number_in(answer) or answer
    symbolic = _memory.recall if fast else _Metered().simplify
    try:
        return _short(math_key(answer, symbolic, units=kind == "math"))
    except _ExceededError:
        return _short(f"raw:{normalise(answer)}")


def _text(answer: str) -> str:
    """A decimal by its value, unless leading zeros say that it is a code; else plain text."""
    text = plain_text(answer)
    digits = text.lstrip("+-$")
    code = digits[:1] == "0" and digits[1:2].isdigit()
    value = None if code or not set(digits) <= set("0123456789.,") else exact(text.replace("$", ""))
    return _short(f"text:{text}" if value is None else number_key(value))


def _short(key: str) -> str:
    """The key itself, or its hash when it is long or does not print."""
    if len(key) <= _LONGEST and key.isprintable():
        return key
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    kind, colon, _ = key[:8].partition(":")
    return f"{kind if colon and kind.isalpha() else 'long'}:#{digest}"
