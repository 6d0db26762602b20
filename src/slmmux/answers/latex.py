# ruff: noqa: RUF001 -- the table below lists look-alikes on purpose
r"""One notation for mathematics: `½`, `1/2`, `\frac12`, `\dfrac{1}{2}` become easy to compare.

Only the notation changes here; what it means is for `structure` and the symbolic worker.
"""

import re
import unicodedata

from slmmux.answers.words import SCALES

_UNICODE = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "×": "\\times ", "⋅": "\\cdot ",
    "·": "\\cdot ", "∙": "\\cdot ", "÷": "/", "∕": "/", "⁄": "/", "π": "\\pi ",
    "∞": "\\infty ", "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "∪": "\\cup ",
    "∩": "\\cap ", "∈": "\\in ", "±": "\\pm ", "°": "\\degree ", "√": "\\sqrt ",
    "θ": "\\theta ", "α": "\\alpha ", "β": "\\beta ", "∅": "\\emptyset ",
    "’": "'", "“": '"', "”": '"',
}  # fmt: skip
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_FROM_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_TO_ASCII = str.maketrans(_UNICODE)

_THOUSANDS = re.compile(r"(?<=\d)(?:,\s*\\!|\\!,|\{,\}|\\[,;:! ])\s*(?=\d{3}(?!\d))")
_SPACING = re.compile(
    r"(?P<kept>\\\\)|\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits|quad|qquad|thinspace)(?![a-zA-Z])\.?"
    r"|\\[,;:!]|\\ |~|&nbsp;"
)
_REPEATING = re.compile(
    r"(?P<whole>\d{0,50})\.(?P<fixed>\d{0,50})\\(?:overline|bar|dot)\s?\{?(?P<period>\d{1,50})\}?"
)
# `0.333…`: one digit three times, or several of them twice, and dots.
_DOTTED = re.compile(
    r"(?<![\d.])(?P<whole>\d{0,50})\.(?P<fixed>\d{0,50}?)"
    r"(?:(?P<digit>\d)(?P=digit){2,50}|(?P<period>\d{2,20}?)(?P=period){1,20})\s?\.\.\.(?!\d)"
)
_CROSS = re.compile(r"(?<=\d) x (?=\d)")
_FINAL_SPACE = re.compile(r"(?:\\[,;:!])+$")
_FUNCTIONS = "arcsin|arccos|arctan|sin|cos|tan|cot|sec|csc|ln|log|exp"
_RENAMED = (
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (
        re.compile(
            r"\\(?:textbf|textit|textrm|textsf|mbox|hbox|operatorname\*?"
            r"|mathrm|mathbf|mathit|boldsymbol|bm)\s*\{"
        ),
        r"\\text{",
    ),
    (re.compile(r"\\(?:leq|leqslant)(?![a-zA-Z])|<="), r"\\le "),
    (re.compile(r"\\(?:geq|geqslant)(?![a-zA-Z])|>="), r"\\ge "),
    (re.compile(r"\\neq(?![a-zA-Z])|!="), r"\\ne "),
    (re.compile(r"\\lt(?![a-zA-Z])"), "<"),
    (re.compile(r"\\gt(?![a-zA-Z])"), ">"),
    (re.compile(r"\\(?:lbrace|\{)"), r"\\{"),
    (re.compile(r"\\(?:rbrace|\})"), r"\\}"),
    (re.compile(r"\\l(?:angle|brack)(?![a-zA-Z])"), "("),
    (re.compile(r"\\r(?:angle|brack)(?![a-zA-Z])"), ")"),
    (re.compile(r"\\div(?![a-zA-Z])"), "/"),
    (
        re.compile(r"\^\s*\{?\s*\\circ(?![a-zA-Z])\s*\}?|\\(?:degree|textdegree)(?![a-zA-Z])"),
        r"\\degree ",
    ),
    (re.compile(r"\\%|\s*(?:\\text\{\s*per\s?cent\s*\}|\bper\s?cent\b)"), "%"),
    (re.compile(rf"\\text\{{\s*({'|'.join(SCALES)})\s*\}}"), r" \1"),
    (
        re.compile(
            r"\\(?:begin|end)\{(?:align|aligned|equation|gather|gathered|split)\*?\}|&(?==)"
        ),
        "",
    ),
    (re.compile(r"\\(?:varnothing|O)(?![a-zA-Z])"), r"\\emptyset "),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"\\text\{([a-zA-Z])\}(?=\s*[-+^_=])"), r"\1"),
    (re.compile(r"\\frac\s*(\d)\s*(\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*(\d)\s*\{"), r"\\frac{\1}{"),
    (re.compile(r"\\frac\s*(\{[^{}]*\})\s*(\d)"), r"\\frac\1{\2}"),
    (re.compile(r"\\frac\s*(\{[^{}]*\})\s*\{"), r"\\frac\1{"),
    (re.compile(r"\\sqrt\s*(\d+|[a-zA-Z]|\\[a-zA-Z]+)"), r"\\sqrt{\1}"),
    (re.compile(r"(?<![\\a-zA-Z])sqrt\s*\(([^()]*)\)|\\sqrt\s*\(([^()]*)\)"), r"\\sqrt{\1\2}"),
    (re.compile(r"(?<![\\a-zA-Z])pi(?![a-zA-Z])"), r"\\pi "),
    (re.compile(rf"(?<![\\a-zA-Z])({_FUNCTIONS})(?=\s*[({{^_]|\s+[\w\\])"), r"\\\1 "),
    (re.compile(r"\\(?:[lc]?dots|dots[bcimo])(?![a-zA-Z])"), "..."),
    (re.compile(r"(?<![\\a-zA-Z])(?:inf|infinity|oo)(?![a-zA-Z])"), r"\\infty "),
    (re.compile(r"\^\s*(-?\d+(?:\.\d+)?)"), r"^{\1}"),
    (re.compile(r"\^\s*\(([^()]*)\)"), r"^{\1}"),
    (re.compile(r"\^\s*([a-zA-Z]|\\[a-zA-Z]+(?:\{[^{}]*\})?)"), r"^{\1}"),
)
_PAIRS = (
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("**", "**"),
    ("`", "`"),
    ('"', '"'),
)
_ASCII_WORDS = ("pi", "inf", "sqrt", "oo", "cent", *_FUNCTIONS.split("|"))
_DRESSED = set("\\$*`\"{}~^'_<>!&")


def normalise(answer: str) -> str:
    r"""The answer in one notation, without delimiters, spacing commands and closing punctuation.

    A leading dollar sign is dropped: in TeX it opens mathematics, and no reader can tell `$18`
    from the start of `$18$`.
    """
    text = answer if answer.isascii() else _ascii(answer)
    text = _CROSS.sub(r"\\times ", unwrapped(text.strip()))
    if _DRESSED.isdisjoint(text) and not any(word in text for word in _ASCII_WORDS):
        return _undotted(" ".join(text.split()))
    text = _SPACING.sub(_spacing, _THOUSANDS.sub("", text))
    text = _REPEATING.sub(_repeating, text.replace("\\$", "").replace("$", ""))
    for pattern, replacement in _RENAMED:
        text = pattern.sub(replacement, text)
    return unwrapped(_undotted(" ".join(text.split())))


def _undotted(text: str) -> str:
    return _DOTTED.sub(_repeating, text) if "..." in text else text


def _repeating(match: re.Match[str]) -> str:
    r"""`0.1\overline{6}` as the fraction that it is."""
    groups = match.groupdict()
    whole, fixed, period = match["whole"], match["fixed"], groups.get("digit") or match["period"]
    top = int(f"{whole}{fixed}{period}") - int(f"{whole}{fixed}" or "0")
    return f"\\frac{{{top}}}{{{'9' * len(period)}{'0' * len(fixed)}}}"


def _spacing(match: re.Match[str]) -> str:
    """A matrix's line break stays, a space is a space, and a thin one is none."""
    return match["kept"] or (" " if match[0] in ("\\ ", "~", "&nbsp;") else "")


def _ascii(text: str) -> str:
    text = "".join(_vulgar(character) for character in text)
    text = _SUPERSCRIPT.sub(lambda run: f"^{{{run[0].translate(_FROM_SUPERSCRIPT)}}}", text)
    return unicodedata.normalize("NFKC", text.translate(_TO_ASCII)).translate(_TO_ASCII)


def _vulgar(character: str) -> str:
    r"""`½` as ` 1/2`; with the space, `1½` is a mixed number and not 11/2."""
    if character.isascii() or unicodedata.decomposition(character)[:10] != "<fraction>":
        return character
    return " " + unicodedata.normalize("NFKC", character).replace("⁄", "/")


def unwrapped(text: str) -> str:
    """Without whatever encloses the whole: `$…$`, `**…**`, quotes, braces, final punctuation."""
    while True:
        before = text
        text = _FINAL_SPACE.sub("", text.strip())
        text = text.rstrip(".,;:").rstrip() if not text.endswith("...") else text
        for left, right in _PAIRS:
            if text.startswith(left) and text.endswith(right) and len(text) > len(left + right):
                inner = text[len(left) : -len(right)]
                if left not in inner and right not in inner:
                    text = inner
        for opening in ("\\boxed{", "\\fbox{", "{"):
            if text.startswith(opening) and closes_at_end(text, len(opening) - 1):
                text = text[len(opening) : -1]
        text = text.removeprefix("$") if "$" not in text[1:] else text
        if text == before:
            return text


def closes_at_end(text: str, opening: int) -> bool:
    """Whether the bracket at `opening` closes with the last character, and not earlier."""
    depth = 0
    for index in range(opening, len(text)):
        if text[index] in "([{" and text[index - 1 : index] != "\\":
            depth += 1
        elif text[index] in ")]}" and text[index - 1 : index] != "\\":
            depth -= 1
            if depth <= 0:
                return index == len(text) - 1
    return False


def split_top(text: str, separators: re.Pattern[str]) -> tuple[list[str], list[str]]:
    """The parts between separators that stand outside all brackets, and those separators."""
    parts: list[str] = []
    found: list[str] = []
    depth = start = position = 0
    while position < len(text):
        if depth == 0 and (match := separators.match(text, position)) and match.end() > position:
            parts.append(text[start:position].strip())
            found.append(match[0].strip())
            start = position = match.end()
            continue
        if text[position] in "([{":
            depth += 1
        elif text[position] in ")]}":
            depth = max(0, depth - 1)
        position += 1
    parts.append(text[start:].strip())
    return parts, found
