r"""Expressions that no computer should work out: `9^{9^{9}}`, `99999!`, `(x+1)^{5000}`.

What their class is does not depend on it: the symbolic worker would end at its limit, or with a
number too long to print. It is only told from the text, at once and on every machine alike, so
that a model which writes such things costs nobody's time.
"""

import re
from math import comb, log10

_MOST_DIGITS = 20_000
_MOST_TERMS = 3000  # of a sum raised to a power, multiplied out
_MOST_FACTORIAL = 7000  # 23,878 digits
_POWER = re.compile(r"\^\s*")
_NUMBER_BEFORE = re.compile(r"[\d.,]+$")
_FACTORIAL = re.compile(r"(\d{4,})\s*\}?\)?\s*!")
_JOINING = re.compile(r"\\(?:cdot|times|left|right)(?![a-zA-Z])|[\s,{}()\[\]+-]")
_SIGN = re.compile(r"(?<=[^\s({^])\s*[+-]")
_LETTER = re.compile(r"[a-zA-Z]")
_OPENING = {"}": "{", ")": "(", "]": "["}
_BOUND = 12.0  # digits of an exponent from which on it is simply huge


def is_excessive(latex: str) -> bool:
    """Whether some power or factorial in it is too large to be worked out."""
    if any(int(number) > _MOST_FACTORIAL for number in _FACTORIAL.findall(latex)):
        return True
    return any(
        _is_excessive_power(_before(latex, sign.start()), _after(latex, sign.end()))
        for sign in _POWER.finditer(latex)
    )


def _is_excessive_power(base: str, exponent: str) -> bool:
    size = _log10(exponent)
    if size is None:
        return False
    own = _log10(base)
    if own is not None:
        return own * 10**size > _MOST_DIGITS
    if base[-1:] != ")":
        return False
    summands = 1 + len(_SIGN.findall(base))
    power = min(_MOST_TERMS, round(10**size))
    return comb(power + summands - 1, min(power, summands - 1)) > _MOST_TERMS


def _log10(text: str) -> float | None:
    """How many digits the value of a number has at most; None when letters stand in it."""
    plain = _JOINING.sub("", text)
    if not plain or _LETTER.search(plain):
        return None
    base, power, exponent = plain.partition("^")
    if power:
        base_size, exponent_size = _log10(base), _log10(exponent)
        if base_size is None or exponent_size is None:
            return None
        return min(_BOUND, max(base_size, log10(2)) * 10**exponent_size)
    if plain.isdecimal() and len(plain) < _BOUND:
        return log10(int(plain)) if int(plain) else 0.0
    return min(_BOUND, float(len(plain)))


def _before(latex: str, end: int) -> str:
    """What a `^` at this place raises: a number, a group in brackets, a letter."""
    text = latex[:end].rstrip()
    if number := _NUMBER_BEFORE.search(text):
        return number[0]
    opening = _OPENING.get(text[-1:])
    if opening is None:
        return text[-1:]
    return text[_matching(text, opening, text[-1]) :]


def _matching(text: str, opening: str, closing: str) -> int:
    depth = 0
    for place in range(len(text) - 1, -1, -1):
        depth += (text[place] == closing) - (text[place] == opening)
        if not depth:
            return place
    return 0


def _after(latex: str, start: int) -> str:
    """The exponent that begins here: a group in braces, or one character."""
    if latex[start : start + 1] != "{":
        return latex[start : start + 1]
    depth = 0
    for place in range(start, len(latex)):
        depth += (latex[place] == "{") - (latex[place] == "}")
        if not depth:
            return latex[start + 1 : place]
    return latex[start + 1 :]
