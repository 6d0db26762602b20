"""Finds the mathematical expression or the number that a piece of a reply stands for."""

import itertools
import re
from dataclasses import dataclass

from slmmux.answers.latex import normalise
from slmmux.answers.numbers import DECIMAL, TOKEN, exact
from slmmux.answers.quantities import last_compound, leading_compound
from slmmux.answers.ranges import range_key
from slmmux.answers.remarks import without_remark
from slmmux.answers.remembered import remembered
from slmmux.answers.units import split_unit
from slmmux.answers.words import words_in

_OPENING = re.compile(r"\$\$|\\\[|\\\(|(?<![\\$])\$(?!\s)(?P<inline>[^$\n]+)(?<![\s\\])\$(?!\d)")
_CLOSING = {"$$": "$$", "\\[": "\\]", "\\(": "\\)"}
_JOINED = re.compile(r"\s*,?\s*(?:and|or)\s+|\s*,\s*")
_CONNECTIVE = re.compile(r"[\s,.]*(?:(?:and|or)[\s,]*)?")
_LEADING = re.compile(
    r"[\s*_:]*(?:(?:approximately|about|roughly|exactly|simply|just|now|then|equal(?:s)?(?:\s+to)?"
    r"|the\s+(?:set|interval|ordered\s+pair|point|value|number|fraction|expression|vector|ratio)"
    r"(?:\s+of)?)\b[\s:]*|≈\s*)+",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r",?\s+(?:because|since|which|where|as|so|when|if|for|based)\b.*", re.IGNORECASE | re.DOTALL
)
_FORMATTED = re.compile(r"\\(?:text|mbox|mathrm|textbf|textrm|begin|end)\{[^{}]*\}|\\[a-zA-Z]+")
_FUNCTION = re.compile(
    r"(?:arc)?(?:sin|cos|tan|cot|sec|csc)|log|ln|exp|sqrt|pi|inf|infinity|mod|gcd|lcm",
    re.IGNORECASE,
)
_PROSE = re.compile(
    r"[^\W\d_]{4,}|\ba\s+[a-z]{2}|\b(?:is|the|so|we|to|of|in|it|he|she|her|his|has|per|was|are|you|get|let|see"
    r"|for)\b",
    re.IGNORECASE,
)
_SENTENCES = re.compile(r"(?<=[^\s\d][.!?])\s+(?=\S)|(?<=\d[.!?])\s+(?=[A-Z])")
_GOES_ON = re.compile(r"\s*(?:\\(?:sqrt|pi)(?![a-zA-Z])|[\^_!])")
# `18 18 18`: a number said again, and not a product.
_SIDE_BY_SIDE = re.compile(r"-?\d+(?:\.\d+)?(?:\s+-?\d+(?:\.\d+)?)+$")
_BOLD = re.compile(rf"\*\*\s*((?:[-−]\s?)?[$€£]?{DECIMAL}%?)(?![.):]\s)[^*\n]{{0,40}}\*\*")
_SUBORDINATE = re.compile(r",?\s(?:when|if|because|since|given|assuming|where)\s")
# Before a number that the reply denies: “is not 5”, “cannot be 5”, “6, not 5”.
_DENIAL = re.compile(
    r"(?:\b(?:not|cannot|never|neither|nor|anything\s+but)|n['’]t)(?:\s+be|\s+equal(?:\s+to)?)?\s*[*_\"'“($]{0,4}$",
    re.IGNORECASE,
)
# “I don't think the answer is 5”
_DOUBT = re.compile(
    r"\bI\s+(?:doubt|(?:don['’]t|do\s+not)\s+(?:think|believe))\s[^.,;!?\n\d]{0,40}$", re.IGNORECASE
)
_NO_SOLUTION = re.compile(
    r"(?:there\s+(?:is|are|exists?)\s+)?no\s+(?:real\s+)?solutions?(?:\s+exists?)?[.!]?",
    re.IGNORECASE,
)
_WORDS_ALONE = re.compile(r"[a-zA-Z'’\s.,!]+\?|h+m+[\s.,!]*", re.IGNORECASE)
_MAX_WORDS = 6
# What states an answer is shorter; some patterns are slow on what is not.
_LONGEST = 2000
_WINDOW = 200


@remembered
def math_in(fragment: str) -> str | None:
    """The expression in a statement's text, with its unit; a few words count as a text answer."""
    fragment = without_remark(fragment[:_LONGEST].strip()).strip("*_`").strip()
    fragment = _LEADING.sub("", fragment, count=1)
    if quantity := leading_compound(fragment) or _ranged(_TAIL.sub("", fragment)):
        return quantity
    segments = _segments(fragment)
    if segments:
        return _from_segments(fragment, segments)
    if not is_prose(fragment):
        return fragment or None
    *_, fragment = _SENTENCES.split(fragment)
    fragment = fragment if "=" in fragment else _TAIL.sub("", fragment)
    if not is_prose(fragment):
        return fragment
    stated = fragment[fragment.rfind("=") + 1 :]
    if token := TOKEN.search(stated):
        return _with_unit(token[0].strip(), stated[token.end() :])
    return fragment if len(fragment.split()) <= _MAX_WORDS else None


@remembered
def number_in(fragment: str) -> str | None:
    r"""The number in a statement's text: after the last “=”, the first one; None without a number.

    An expression that is no plain number (`2\sqrt{3}`) comes back whole, never as its first digit.
    """
    expression = math_in(fragment)
    if expression is None:
        return None
    text = normalise(expression)
    if exact(text) is not None or leading_compound(text) or _ranged(text):
        return expression
    digits = any(map(str.isdigit, text))
    if not is_prose(text) and not _SIDE_BY_SIDE.match(text):
        return expression if "\\" in text or digits else words_in(text)
    if not digits:
        return words_in(text)
    stated = text[text.rfind("=") + 1 :]
    token = TOKEN.search(stated)
    if token is None or _GOES_ON.match(stated, token.end()):
        return expression if token else None
    return token[0].strip()


def last_expression(reply: str) -> str | None:
    """The last thing in a reply that is mathematics: its last line, formula or number."""
    reply = _without_remark(reply)
    line = _last_line(reply)
    if whole := _ranged(line) or last_compound(line) or _nothing(line):
        return whole
    if not is_prose(line) and line.strip("*$`|-_=. ") and not _says_nothing(line):
        return line
    reply = reply[: _clause_end(reply)]
    segments = _segments(reply)
    number = last_number(reply, segments[-1].end if segments else 0)
    if not segments or number is not None or _is_denied(reply, segments[-1].start):
        return number
    start = len(segments) - 1
    while start and _JOINED.fullmatch(reply, segments[start - 1].end, segments[start].start):
        start -= 1
    return _from_segments(reply[: segments[-1].end + 40], segments[start:])


def last_number(reply: str, start: int = 0) -> str | None:
    """The last number of a text, as written: the one in bold, if the last line has one.

    What a last sentence adds after its number with “when”, “because”, … is not looked at.
    """
    reply = _without_remark(reply)
    line = _last_line(reply)
    if whole := _ranged(line) or last_compound(line):
        return whole
    if "**" in line and not start and (bold := _BOLD.findall(line)):
        return str(bold[-1]).strip()
    if len(line) == len(reply.strip()) <= _WINDOW and not any(map(str.isdigit, reply)):
        return words_in(line) if len(line.split()) <= _MAX_WORDS else None
    end = _clause_end(reply, start)
    last_digit = max(reply.rfind(digit, 0, end) for digit in "0123456789")
    if last_digit - start > _WINDOW:  # the pattern is slow on prose, and the number is at the end
        start = max(start, reply.find(" ", last_digit - _WINDOW, last_digit))
    return _last_kept(reply, list(TOKEN.finditer(reply, start, end)))


def _last_kept(reply: str, tokens: list[re.Match[str]]) -> str | None:
    """The last number, or in its sentence the last one that is not denied: “6, not 5” is 6."""
    begin = 0
    while tokens and _is_denied(reply, tokens[-1].start()):
        begin = begin or _sentence_start(reply, tokens[-1].start())
        tokens.pop()
    return tokens[-1][0].strip() if tokens and tokens[-1].start() >= begin else None


def _is_denied(reply: str, place: int) -> bool:
    if _DENIAL.search(reply, max(0, place - 30), place):
        return True
    return bool(_DOUBT.search(reply, max(0, place - 60), place))


def _ranged(text: str) -> str | None:
    """The text, if it is a bound, a range or several people's numbers, as a whole."""
    text = text.strip().strip("*_`").rstrip(".").strip()
    return text if len(text) <= _WINDOW and range_key(text) else None


def _nothing(line: str) -> str | None:
    return line if _NO_SOLUTION.fullmatch(line) else None


def _says_nothing(line: str) -> bool:
    """“Hmm.”, “Who can say?”: a question in words is no mathematics."""
    return bool(_WORDS_ALONE.fullmatch(line))


def _without_remark(reply: str) -> str:
    """The reply without a remark at the end of a last line that has a number before it."""
    before, newline, line = reply.rstrip().rpartition("\n")
    value = without_remark(line)
    return f"{before}{newline}{value}" if any(map(str.isdigit, value)) else reply


def _sentence_start(reply: str, place: int) -> int:
    begin = max(reply.rfind("\n", 0, place), place - _WINDOW, 0)
    return max([begin, *(match.end() for match in _SENTENCES.finditer(reply, begin, place))])


def _last_line(reply: str) -> str:
    return reply.rstrip().rpartition("\n")[2].strip()


def _clause_end(reply: str, start: int = 0) -> int:
    """Where the last sentence's main clause ends, if there is a number in it."""
    begin = max(start, len(reply) - _WINDOW, reply.rstrip().rfind("\n") + 1)
    for match in _SENTENCES.finditer(reply, begin):
        begin = match.end()
    for clause in _SUBORDINATE.finditer(reply, begin):
        if any(map(str.isdigit, reply[begin : clause.start()])):
            return clause.start()
    return len(reply)


def is_prose(text: str) -> bool:
    """Whether the text has words that are neither mathematics nor a unit."""
    plain = _FORMATTED.sub(" ", text) if "\\" in text else text
    return any(
        not _FUNCTION.fullmatch(word[0]) and not split_unit(f"1 {word[0]}")[1]
        for word in _PROSE.finditer(plain)
    )


@dataclass(frozen=True, slots=True)
class _Segment:
    """A formula between delimiters, which `start` and `end` include."""

    start: int
    end: int
    content: str


def _segments(text: str) -> list[_Segment]:
    found: list[_Segment] = []
    unclosed: set[str] = set()
    position = 0
    while opening := _OPENING.search(text, position):
        position = opening.end()
        if opening["inline"]:
            found.append(_Segment(opening.start(), position, opening["inline"].strip()))
            continue
        closing = _CLOSING[opening[0]]
        end = -1 if closing in unclosed else text.find(closing, position + 1)
        if end < 0:
            unclosed.add(closing)  # and will not be closed further on either
            continue
        found.append(_Segment(opening.start(), end + 2, text[position:end].strip()))
        position = end + 2
    return found


def _from_segments(fragment: str, segments: list[_Segment]) -> str:
    contents = [segment.content for segment in segments]
    if len(contents) == 1:
        return _with_unit(contents[0], fragment[segments[0].end :])
    between = [fragment[a.end : b.start] for a, b in itertools.pairwise(segments)]
    return ", ".join(contents) if all(map(_CONNECTIVE.fullmatch, between)) else contents[0]


def _with_unit(value: str, rest: str) -> str:
    """The value with the unit or percent sign that follows it in the sentence."""
    if match := re.match(r"\s?\\?(?:%|percent\b)", rest):
        return (
            value if value.endswith("%") else f"{value}{match[0].replace('percent', '%').strip()}"
        )
    for words in (3, 2, 1):
        match = re.match(rf"[\s-]?((?:[a-zA-Z°]+\s+){{{words - 1}}}[a-zA-Z°]+)(?![a-zA-Z])", rest)
        if match and split_unit(f"1 {match[1].replace('°', 'degrees')}")[1]:
            return f"{value} {match[1]}"
    return value
