"""Exact numbers: no float ever decides whether two answers are equal."""

import re
from fractions import Fraction

from slmmux.answers.remembered import remembered
from slmmux.answers.words import SCALES

_GROUPING = re.compile(r"[, \u00a0\u2009\u202f]")
# Python refuses to print integers beyond 4,300 digits; longer numbers are no answers.
_MAX_DIGITS = 4000

DECIMAL = r"(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)"
_SCALES = {"hundred": 100, **SCALES}
_SCALE = "|".join(_SCALES)
_PLAIN = re.compile(
    rf"(?P<sign>[-+]?)\s*"
    rf"(?P<digits>{DECIMAL}|\d{{1,3}}(?:[ \u00a0\u2009\u202f]\d{{3}})+(?:\.\d+)?)\.?"
    r"(?:(?:[eE]|\s*(?:\\times|\\cdot|\*|x)\s*10\^)\{?(?P<exponent>[-+]?\d{1,5})\}?"
    rf"|\s(?P<scale>{_SCALE}))?\s*(?P<percent>%?)"
)
_RATIO = re.compile(
    rf"(?P<sign>[-+]?)\s*(?:(?P<whole>\d+)(?:\s+|\s*(?=\\))(?:and\s+)?)?"
    rf"(?:\\frac\{{\s*(?P<minus>-?)\s*(?P<top>{DECIMAL})\s*\}}\{{\s*(?P<bottom>{DECIMAL})\s*\}}"
    rf"|(?P<up>{DECIMAL})\s*/\s*(?P<down>{DECIMAL}))\s*(?P<percent>%?)"
)
# A number inside prose: the sign counts only where it cannot be an operator or a hyphen.
TOKEN = re.compile(
    rf"(?:(?<![\w.)\]}}])(?:[-−+]\s?|negative\s))?[$€£¥₹]?\s?(?<![\d.])[-−]?(?:\\frac\{{-?\d+\}}\{{\d+\}}|"
    rf"\d+\s\d+/\d+(?![/\d])|\d{{0,50}}\.\d{{2,50}}(?:\.\.\.|…)|{DECIMAL}(?:/{DECIMAL}(?!/?\d))?"
    r"(?:[eE][-+]?\d{1,5}\b|\s?(?:\\times|×|\*)\s?10\^\{?[-+]?\d{1,5}\}?"
    rf"|\s(?:{_SCALE})\b)?)(?:\s?\\?%)?"
)


@remembered
def exact(text: str) -> Fraction | None:
    r"""The value of a string that is one number and nothing else, else None.

    Reads signs, thousands separators, decimals, exponents, `a/b`, `\frac{a}{b}`, mixed numbers and
    percents (50% is 1/2).
    """
    if len(text) > _MAX_DIGITS:
        return None
    if plain := _PLAIN.fullmatch(text):
        return _plain(plain)
    ratio = _RATIO.fullmatch(text)
    return _ratio(ratio) if ratio else None


def _plain(match: re.Match[str]) -> Fraction | None:
    digits = _GROUPING.sub("", match["digits"])
    exponent = int(match["exponent"] or 0)
    if abs(exponent) + len(digits) > _MAX_DIGITS:
        return None
    value = Fraction(digits) * Fraction(10) ** exponent if exponent else Fraction(digits)
    if match["scale"]:
        value *= _SCALES[match["scale"]]
    return _signed(value, match["sign"], match["percent"])


def _ratio(match: re.Match[str]) -> Fraction | None:
    bottom = Fraction((match["bottom"] or match["down"]).replace(",", ""))
    if not bottom:
        return None
    value = Fraction((match["top"] or match["up"]).replace(",", "")) / bottom
    if match["whole"]:
        if match["minus"]:
            return None
        value += int(match["whole"])
    return _signed(-value if match["minus"] else value, match["sign"], match["percent"])


def _signed(value: Fraction, sign: str, percent: str) -> Fraction:
    value = -value if sign == "-" else value
    return value / 100 if percent else value


def number_key(value: Fraction) -> str:
    """`42`, `-1/2`: lowest terms, so one value has one key."""
    if value.denominator == 1:
        return str(value.numerator)
    return f"{value.numerator}/{value.denominator}"
