r"""Where a reply says what its answer is: `\boxed{…}`, “the answer is …”, `#### …`."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from slmmux.answers.corrections import corrections

# More statements than this are a model in a loop; the last ones decide.
_MAX_STATEMENTS = 20
_DEEPEST = 8  # boxes in boxes; more are a model in a loop, and no answer

_BOX = re.compile(r"\\(?:boxed|fbox)\b\s*(?P<open>\{)?|\\.|(?P<left>\{)|(?P<right>\})", re.DOTALL)
_BARE = re.compile(r"\\(?:boxed|fbox)\s*([-+]?\d[\d,]*(?:\.\d+)?|\\?[A-Za-z]+)")
_STATEMENT = re.compile(
    r"""(?:\banswer\b(?:\s+(?:to|for|of|here)\b[^.:\n]{0,80}?|\s*\([^()\n]{1,40}\))?
          (?:,?\s+(?:therefore|thus|then|hence)\b,?)?
         |\bans\b\.?
         |^[#*_\ \t]{0,9}final\ (?:result|solution|value)\b)[\s*_"'`]{0,20}
        (?:\b(?:is|are|would\ be|should\ be|must\ be|will\ be|was|equals|comes\ (?:out\ )?to)\b
          (?!n['’]t)|:|=)
        [\s*_:="'`]*+(?:(?:therefore|thus|simply|just)\b[,:\s]*+)?+(?!(?:not|neither|anything\sbut|based|found|obtained|calculated|determined|derived)\b)
      | (?:\bfinal\ answer|^[#*_\ \t]{0,9}answer)[*_\#:\ \t]*+\n[\s*_]*+
      | ^[\ \t]*+\#{4}\s*+
      | (?P<tag><answer>)\s*+""",
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)
_DISPLAY = re.compile(r"(?P<open>\$\$|\\\[|\\begin\{(?P<environment>\w+\*?)\})")
_CLOSES = {"$$": "$$", "\\[": "\\]"}
_FORMULA_END = re.compile(r"\$|\\[)\]]|\n")
_JOINED = re.compile(
    r"[\s$]*(?:,|,?\s*(?:\\text\{\s*)?\b(?:and|or)\b\s*\}?)[\s$]*(?:[a-zA-Z]\s?=\s?)?"
)
_HINTS = ("answer", "####", "ans:", "ans.", "ans =", "ans is", "final ")
_STARTS = ("ans", "final")
_MARKS = 9  # that a line may begin with before one of these
_QUOTE = re.compile(r'(?<!\\)"')
_DOUBTED = re.compile(
    r"\bI\s+(?:doubt|(?:don['’]t|do\s+not)\s+(?:think|believe))\s+(?:that\s+)?(?:the|my)\s+(?:\w+\s+)?$",
    re.IGNORECASE,
)
_TURN = re.compile(r"[,;–—-]\s|\.\.\.\s")
_DOTS = re.compile(r"\.\d{2,50}\.\.$")
_SENTENCE_END = re.compile(r"\n|[.!?](?=[*_\"'”’`)]*(?:\s|$))")


@dataclass(frozen=True, slots=True)
class Statement:
    """What follows “the answer is”, to the end of its sentence or line.

    Attributes:
        start, end: where it stands in the reply.
        complete: something comes after it, so a reply cut off by length has not cut it short.
    """

    text: str
    start: int
    end: int
    complete: bool


def boxed(text: str, *, joined: bool = False) -> str | None:
    r"""The content of the last complete `\boxed{…}` or `\fbox{…}`, also of `\boxed 5`.

    A box whose brace is missing ends where its formula does. With `joined`, boxes with nothing but
    “and”, “or” or a comma between them are one list.
    """
    if "\\boxed" not in text and "\\fbox" not in text:
        return None
    found, left_open = _boxes(text)
    if not found:
        if left_open >= 0 and (end := _FORMULA_END.search(text, left_open)):
            return text[left_open : end.start()].strip() or None
        bare = _BARE.findall(text)
        return str(bare[-1]) if bare else None
    first = len(found) - 1
    while (
        joined
        and first
        and found[first - 1].end < found[first].command
        and _JOINED.fullmatch(text, found[first - 1].end + 1, found[first].command)
    ):
        first -= 1
    return ", ".join(_content(text[box.start : box.end].strip()) for box in found[first:]) or None


def after_boxes(text: str) -> int:
    """Where the last complete box ends; -1 without one."""
    found = _boxes(text)[0] if "\\boxed" in text or "\\fbox" in text else []
    return found[-1].end + 1 if found else -1


def corrected(text: str, start: int, read: Callable[[str], str | None]) -> str | None:
    """The last correction after `start` that `read` can read."""
    places = corrections(text, start) if start >= 0 else ()
    return next(
        (answer for begin, end in places if (answer := read(text[begin:end].strip()))), None
    )


def ends_in_box(text: str) -> bool:
    """Whether the text ends inside the only box that it opens."""
    if "\\boxed{" not in text and "\\fbox{" not in text:
        return False
    found, left_open = _boxes(text)
    return not found and left_open >= 0 and not _FORMULA_END.search(text, left_open)


@dataclass(frozen=True, slots=True)
class _Box:
    command: int
    start: int
    end: int


def _boxes(text: str) -> tuple[list[_Box], int]:
    """The complete boxes that are not empty, by their ends; and where an open one starts."""
    found: list[_Box] = []
    opened: list[tuple[int, int]] = []  # where a box and its content start; -1 for any other brace
    for token in _BOX.finditer(text):
        if token["open"]:
            opened.append((token.start(), token.end()))
        elif token["left"]:
            opened.append((-1, -1))
        elif token["right"] and opened:
            command, start = opened.pop()
            if start >= 0 and text[start : token.start()].strip():
                found.append(_Box(command, start, token.start()))
    return found, max((start for _, start in opened), default=-1)


def _content(text: str) -> str:
    """What is in the box inside the box, if there is one."""
    for _ in range(_DEEPEST):
        found = _boxes(text)[0] if "\\boxed" in text else []
        if not found:
            return text
        text = text[found[-1].start : found[-1].end].strip()
    return ""


def stated(text: str, read: Callable[[str], str | None], *, cut_off: bool) -> str | None:
    """The last stated answer that `read` can read.

    In a reply that was cut off, a statement that runs to the end counts only if its last word,
    which may be half a word, makes no difference: “12 because it i” is 12, “12” may be half of 123.
    """
    for statement in statements(text):
        answer = read(statement.text)
        if answer and not cut_off:
            turn = _TURN.search(text, statement.start, statement.end)
            answer = corrected(text, turn.start() if turn else statement.end, read) or answer
        if answer and cut_off and not statement.complete:
            whole, _, _ = statement.text.rpartition(" ")
            answer = answer if whole and read(whole) == answer else None
        if answer:
            return answer
    return None


def statements(text: str) -> Iterator[Statement]:
    """What the reply states as its answer, last statement first."""
    lowered = text.lower()
    hints = [at for hint in _HINTS if (at := lowered.find(hint)) >= 0]
    if not hints:
        return
    begin = _first_place(lowered, min(hints)) if len(lowered) == len(text) else 0
    for match in list(_STATEMENT.finditer(text, begin))[: -_MAX_STATEMENTS - 1 : -1]:
        if _DOUBTED.search(text, max(0, match.start() - 60), match.start()):
            continue
        start = match.end()
        end = _closed(text, start, tagged=match["tag"] is not None)
        if end >= 0:
            yield Statement(text[start:end].strip(), start, end, complete=True)
            continue
        stop = (_QUOTE if text[start - 1] == '"' else _SENTENCE_END).search(text, start)
        end = stop.start() if stop else len(text)
        if stop and _DOTS.search(text, max(start, end - 60), end):
            end += 1  # the dots of 0.333... belong to the number
        if text[start:end].strip():
            yield Statement(text[start:end].strip(), start, end, complete=stop is not None)


def _first_place(lowered: str, hint: int) -> int:
    """Where the first statement may begin; the pattern is slow on prose.

    Nothing that it finds begins before the line of the first hint. There it begins with one of the
    words that every alternative has, a tag's bracket before it, or with marks at the line's start.
    """
    line = lowered.rfind("\n", 0, hint) + 1
    words = [at for word in _STARTS if (at := lowered.find(word, line)) >= 0]
    rule = lowered.find("####", line)
    if rule >= 0:  # with any number of blanks before it
        words.append(lowered.rfind("\n", 0, rule) + 1)
    first = min(words, default=line)
    return line if first <= line + _MARKS else first - 1


def _closed(text: str, start: int, *, tagged: bool) -> int:
    """Where a statement that opens a tag, a display or an environment closes it; -1 without."""
    if tagged:
        return text.find("</answer>", start)
    opening = _DISPLAY.match(text, start)
    if opening is None:
        return -1
    closing = _CLOSES.get(opening["open"]) or f"\\end{{{opening['environment']}}}"
    end = text.find(closing, opening.end())
    return end + len(closing) if end >= 0 else -1
