"""Where a reply takes its answer back: “Wait, I misread: it should be 6”, “Correction: 6”.

Two things together are a correction: a word at the beginning of a sentence that takes something
back, and after it what the answer is instead. That is either a clause that says so (“it is 6”, “the
total should be 6”), or a word or two that stand there alone (“Actually, 6.”). A later mention of
another number, or a doubt that ends without a new answer, corrects nothing.
"""

import re
from collections.abc import Iterator

_MARKER = re.compile(
    r"""(?:^|(?<=[.!?;\n)}$*—])[\s*_"'”’)$]{0,9}|(?<=[\w,–—-]\s)(?=wait\b))
        (?:(?:oh|no|hmm+|but)\b[\s,.…]*)?
        (?:(?P<weak>no)
          |wait|hold\ on|oops|whoops|actually|correction|scratch\ that|sorry|apologies|my\ mistake
          |on\ (?:second|closer|further)\ (?:thought|inspection|look|reflection)s?
          |let\ me\ correct\ (?:that|this|myself|it)
          |i\ (?:misread|miscounted|miscalculated|made\ an?\ (?:\w+\ )?(?:mistake|error)))
        \b(?P<mark>[*_]{0,3}[:,.!…—–-]{0,3}[*_]{0,3}\s{0,9})""",
    re.IGNORECASE | re.VERBOSE,
)
# From the word to the clause: a reason without numbers, which supposes nothing.
_REASON = (
    r"(?:(?!\b(?:if|unless|suppose|assuming|might|maybe|perhaps|could|would)\b)[^\d\\?]){0,100}?"
)
_CLAUSE = re.compile(
    rf"""(?:{_REASON}(?:[.,:;!—–-]\s+|\n\s*|\bso\s|\bthat\s))??(?:actually,?\s)?
        (?:(?:it|that|this|x|(?:the|my)\ (?:(?:correct|right|actual|real|final|true)\ )?
            (?:answer|result|total|value|sum|number|choice|option|one))
          (?:\s(?:is|should\ be|must\ be|has\ to\ be|is\ actually)|['’]s|\s?=)
            (?:\s(?:actually|really|in\ fact))?
         |should\ (?:be|have\ been))
        \s*+:?+\s*+(?!(?:an?|the|not|wrong|incorrect|right|correct|fine|okay
           |also|only|still|because|important)\b)
        (?=(?P<said>[^\n]+))""",
    re.IGNORECASE | re.VERBOSE,
)  # fmt: skip
_END = re.compile(r"\n|[.!?;](?=[*_\"'”’`)]*(?:\s|$))")
_VALUE = re.compile(r"[\s*_\"'(\[{$\\£€+−-]*(?:\d|(?:option\s+)?[(*]*[A-J]\b(?!['’]))|\\")
_FEW_WORDS = 3
_ALONE = 2
# A model in a loop says more; a correction's value is near the end of its reply, and short.
_MOST = 8
_LONGEST = 200
_TAIL = 8000
_SHORTEST = 4  # no word that takes something back, a mark and a value are as short


def corrections(text: str, start: int) -> Iterator[tuple[int, int]]:
    """The places of what corrections from `start` on put instead, the last one first."""
    start = max(start, len(text) - _TAIL)
    if len(text) - start <= _SHORTEST:
        return
    for marker in list(_MARKER.finditer(text, start))[: -_MOST - 1 : -1]:
        place = _instead(text, marker)
        if place is not None:
            yield place


def _instead(text: str, marker: re.Match[str]) -> tuple[int, int] | None:
    clause = _CLAUSE.match(text, marker.end())
    if clause is not None:
        begin, end = _sentence(text, clause.start("said"))
        few = len(text[begin:end].partition(",")[0].split()) <= _FEW_WORDS
        return (begin, end) if few or _VALUE.match(text, begin) else None
    begin, end = _sentence(text, marker.end())
    alone = marker["mark"].strip() and 0 < len(text[begin:end].split()) <= _ALONE
    return (begin, end) if alone and not marker["weak"] and text[end : end + 1] != "?" else None


def _sentence(text: str, begin: int) -> tuple[int, int]:
    end = _END.search(text, begin, begin + _LONGEST)
    return begin, end.start() if end else min(len(text), begin + _LONGEST)
