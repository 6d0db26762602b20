"""Answers that are more than one number: bounds, ranges, numbers of several people, bases.

“3 or more” and “at least 3” are the interval from 3 on, “3 to 5” and “10-12” are a range, “Alice 3,
Bob 5” is what each has, “3 apples and 4 oranges” are two counts: none of them is the answer 3.
"""

import re

from slmmux.answers.numbers import DECIMAL, exact, number_key
from slmmux.answers.units import unit_name

_N = rf"[-−]?\s?\$?\s?(?:{DECIMAL})%?"
_WORDS = r"(?:\s+(?!(?:and|or|to|in)\b)[a-zA-Z°]+){0,3}"
_BOUND = re.compile(
    rf"""(?:(?P<least>at\ least|no\ (?:less|fewer)\ than|(?:a\ )?minimum\ of)
          |(?P<most>at\ most|no\ more\ than|up\ to|(?:a\ )?maximum\ of)
          |(?P<more>over|above|more\ than|greater\ than|larger\ than)
          |(?P<less>under|below|less\ than|fewer\ than|smaller\ than))\s+(?P<of>{_N}){_WORDS}
      |(?P<from>{_N})(?:(?P<plus>\+)|{_WORDS}\s+(?:or|and)\s+(?:(?P<up>more|greater|above|higher|over|up|larger)
          |(?P<down>less|fewer|below|lower|under|smaller)){_WORDS})""",
    re.IGNORECASE | re.VERBOSE,
)  # fmt: skip
_RANGE = re.compile(
    rf"(?:(?:between\s+(?P<a>{_N}){_WORDS}\s+and\s+(?P<b>{_N})"
    rf"|(?:from\s+)?(?P<c>{_N}){_WORDS}\s+to\s+(?P<d>{_N})"
    rf"|(?P<e>\$?{DECIMAL})[-–](?P<f>\$?{DECIMAL}%?)){_WORDS})",
    re.IGNORECASE,
)
_OWNED = rf"[A-Z][a-z]+\s*(?:[:=]\s*|\s(?:has|gets|had|got)\s+)?{_N}(?:\s+[a-z]+){{0,2}}"
_OWNERS = re.compile(rf"{_OWNED}(?:\s*(?:,|;|\band\b)\s*(?:and\s+)?{_OWNED})+")
_OWNER = re.compile(
    rf"(?P<name>[A-Z][a-z]+)\s*(?:[:=]\s*|\s(?:has|gets|had|got)\s+)?(?P<number>{_N})"
)
_COUNT = re.compile(rf"(?P<number>{DECIMAL})\s+(?P<noun>[a-z]{{3,}})")
_ONE_COUNT = rf"{DECIMAL}\s+[a-z]{{3,}}"
_COUNTS = re.compile(rf"{_ONE_COUNT}(?:(?:\s*,\s*(?:and\s+)?|\s+and\s+){_ONE_COUNT})+")
_BASED = re.compile(
    r"(?P<digits>[0-9A-F]+)\s*\(?(?:in\s+)?base[\s-]?(?P<base>\d+)\)?", re.IGNORECASE
)
_CLOSING = {"least": "[{};oo)", "up": "[{};oo)", "plus": "[{};oo)",
            "more": "({};oo)",
            "most": "(-oo;{}]", "down": "(-oo;{}]", "less": "(-oo;{})"}  # fmt: skip


def range_key(text: str) -> str | None:
    """The key of a bound, a range, several people's numbers, or digits in a base; else None."""
    if based := _BASED.fullmatch(text):
        return f"{based['digits'].upper().lstrip('0') or '0'} base {based['base']}"
    if bound := _BOUND.fullmatch(text):
        sort = next(name for name in _CLOSING if bound[name])
        return _CLOSING[sort].format(_number(bound["of"] or bound["from"]))
    if ends := _RANGE.fullmatch(text):
        low, high = (part for part in ends.groups() if part is not None)
        low += "%" if high.endswith("%") and not low.endswith("%") else ""
        dashed = ends["e"] is not None
        if dashed and not (exact(low.strip("$")) or 0) < (exact(high.strip("$")) or 0):
            return None
        return f"{_number(low)}..{_number(high)}"
    return _owners(text) or _counted(text)


def _counted(text: str) -> str | None:
    """“3 apples and 4 oranges”, sorted; units are for `quantities`."""
    if not _COUNTS.fullmatch(text):
        return None
    counts = {count["noun"]: _number(count["number"]) for count in _COUNT.finditer(text)}
    if len(counts) == 1 or any(map(unit_name, counts)):
        return None
    return f"{{{';'.join(f'{noun}={number}' for noun, number in sorted(counts.items()))}}}"


def _owners(text: str) -> str | None:
    if not _OWNERS.fullmatch(text):
        return None
    owned = {owner["name"].lower(): _number(owner["number"]) for owner in _OWNER.finditer(text)}
    pairs = (f"{name}={number}" for name, number in sorted(owned.items()))
    return f"{{{';'.join(pairs)}}}" if len(owned) > 1 else None


def _number(text: str) -> str:
    value = exact(text.replace("$", "").replace(" ", "").replace("−", "-"))
    return text if value is None else number_key(value)
