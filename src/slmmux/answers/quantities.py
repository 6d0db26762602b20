"""Quantities in several units, as one: `2 hours 30 minutes` is 2.5 hours, `5 ft 3 in` 5.25 feet.

Only units of one dimension add up, the larger one first, and only where a whole number of the
smaller makes the larger. The sum is in the first unit; a single unit is never converted.
"""

import itertools
import re
from fractions import Fraction

from slmmux.answers.numbers import DECIMAL, exact
from slmmux.answers.units import unit_name

_DOLLARS = frozenset(("dollar", "dollars", "usd"))
_DIMENSIONS: tuple[dict[str, int], ...] = (
    {"s": 1, "min": 60, "h": 3600, "day": 86400, "week": 604800},
    {"month": 1, "year": 12},
    {"in": 1, "ft": 12, "yd": 36, "mi": 63360},
    {"mm": 1, "cm": 10, "m": 1000, "km": 10**6},
    {"oz": 1, "lb": 16},
    {"mg": 1, "g": 1000, "kg": 10**6},
    {"ml": 1, "l": 1000},
    {"pt": 1, "qt": 2, "gal": 8},
    {"cent": 1, "dollar": 100},
    {"cent": 1, "eur": 100},
)
_TERM = rf"\$?(?:{DECIMAL})[\s-]*[a-zA-Z]+\.?"
_JOINT = r"\s*(?:,\s*)?(?:\band\s+)?"
_COMPOUND = re.compile(rf"(?<![\w.]){_TERM}(?:{_JOINT}{_TERM})+(?![a-zA-Z])")
_PART = re.compile(rf"\$?({DECIMAL})[\s-]*([a-zA-Z]+)")
_TEXT = re.compile(r"\\(?:text|mbox|mathrm)\s*\{([^{}]*)\}")


def compound(text: str) -> tuple[Fraction, str] | None:
    """The value of a text that is a quantity in several units, and its first unit.

    The unit of dollars is empty, as everywhere.
    """
    text = _TEXT.sub(r" \1 ", text) if "\\" in text else text
    if not _COMPOUND.fullmatch(text.strip().rstrip(".")):
        return None
    parts = _PART.findall(text)
    units = [_unit(name) for _, name in parts]
    for dimension in _DIMENSIONS:
        own = [_in_time(unit) if "min" in dimension else unit for unit in units]
        scales = [dimension.get(unit, 0) for unit in own]
        if all(scales) and all(a > b for a, b in itertools.pairwise(scales)):
            values = (exact(value) or Fraction(0) for value, _ in parts)
            total = sum((v * s for v, s in zip(values, scales, strict=True)), Fraction(0))
            return total / scales[0], "" if own[0] == "dollar" else own[0]
    return None


def last_compound(line: str) -> str | None:
    """The quantity in several units that is the last thing with a number in a line."""
    for match in reversed(list(_COMPOUND.finditer(line))):
        if not any(map(str.isdigit, line[match.end() :])) and compound(match[0]):
            return match[0]
    return None


def leading_compound(fragment: str) -> str | None:
    """The quantity in several units that a fragment begins with."""
    match = _COMPOUND.match(fragment)
    return match[0] if match and compound(match[0]) else None


def _unit(name: str) -> str:
    return "dollar" if name.lower() in _DOLLARS else unit_name(name) or ""


def _in_time(unit: str) -> str:
    """`2h 30m`: beside hours and seconds, m is minutes."""
    return "min" if unit == "m" else unit
