"""Samples of one question mostly say the same few things: short texts are read once."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

T = TypeVar("T")

_SHORT = 64  # characters of what is worth remembering
_MOST = 4096


def remembered(read: Callable[[str], T]) -> Callable[[str], T]:
    """The same function of a text, which remembers what it made of short ones."""
    known = lru_cache(maxsize=_MOST)(read)

    @wraps(read)
    def again(text: str) -> T:
        return read(text) if len(text) > _SHORT else known(text)

    return again
