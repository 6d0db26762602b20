r"""Text → answer: what a reply says its answer is, as it wrote it.

First the reply proper is found: without reasoning, and without what a model goes on with after its
own turn (`dialogue`). Then every kind reads in the same order, and the first that is there wins:

1. the `answer` field of a JSON object (the last one that has such a field). The field speaks for
   the whole reply: where it holds nothing that the kind can read (“Cannot be determined”), the
   reply is unreadable, whatever numbers its reasoning contains. Only a box or a statement after the
   object, where the model corrects itself, comes before it;
2. the last complete `\boxed{…}`;
3. the last “the answer is …”, “Answer: …”, `#### …`, `<answer>…</answer>` that the kind can read;
4. the kind's own last resort: the last number or formula, the last lone letter, the last date, …

A reply cut off by length, or one that ends inside the JSON object that it began, is believed only
in 1 to 3, and in 3 only when something follows the answer: the last number of such a reply may be
half a number. What cannot be read is None, and votes for nothing. Kind `json` reads 1 only.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

from slmmux.answers.choice import last_choice, stated_choice
from slmmux.answers.dates import dates_in
from slmmux.answers.dialogue import own_turn, visible
from slmmux.answers.jsons import answer_field, extract_json, is_unfinished
from slmmux.answers.mathematics import last_expression, last_number, math_in, number_in
from slmmux.answers.reasoning import strip_reasoning
from slmmux.answers.stated import after_boxes, boxed, corrected, ends_in_box, stated
from slmmux.errors import QuestionError
from slmmux.types import Kind

_YES_NO = re.compile(
    r"\b((?:not|isn['’]t|n['’]t\ be)\s(?:true|false|correct)|yes|no|true|false|nope|yeah"
    r"|(?:(?<=\bis\s)|(?<=['’]s\s))(?:in)?correct)\b",
    re.IGNORECASE,
)
# `**Paris**, the capital`: the answer is what is emphasised.
_EMPHASISED = re.compile(
    r"(?:\*\*|\*|__|_|`)?(?P<inner>[^*_`\s](?:[^*_`\n]{0,80}[^*_`\s])?)(?:\*\*|\*|`|__?(?!\w))[.]?"
    r"(?:\s*$|\s*[,;(—–]|\s+-\s|\s+(?:because|since|as|which)\b)"
)
_REASONED = re.compile(r"(?P<head>\S+(?:\s+\S+){0,4}?),?\s+(?:because|since)\s", re.IGNORECASE)
# “I can't say yes or no” says neither.
_EITHER = re.compile(
    r"\b(?:yes|no|true|false)\s*(?:,?\s*(?:and|or|nor)\s+|/\s*)(?:yes|no|true|false)\b",
    re.IGNORECASE,
)
# No answer depends on how long a run of blanks is, and patterns take long over thousands of them.
_BLANKS = re.compile(r"(?:(?!\n)\s){9,}")
# A short answer that is explained afterwards.
_EXPLANATION = re.compile(
    r"\n[ \t*_#]{0,9}(?:explanation|justification|rationale)[ \t*_]{0,9}:", re.IGNORECASE
)
_FIRST_WORD = re.compile(
    r"[\s*_`\"'(]*(yes|no|true|false|nope|yeah"
    r"|(?:correct|incorrect|absolutely|certainly|definitely)(?=[\s*_`]*[.!,]|$)"
    r"|(?:absolutely|certainly|definitely|of\scourse)\snot"
    r"|(?:that|it|this)(?:\sis|['’]s)\s(?:not\s)?the\scase)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Readers:
    """How a kind reads the pieces of a reply.

    Attributes:
        stated: the answer in what a box or a statement holds.
        last: the last resort, for a whole reply that states nothing.
        whole_box: a box is the answer as it stands, and boxes joined by “and” are one.
    """

    stated: Callable[[str], str | None]
    last: Callable[[str], str | None]
    whole_box: bool = False


@lru_cache(maxsize=16384)
def extract(
    text: str, kind: Kind, choices: tuple[str, ...] = (), finish_reason: str | None = None
) -> str | None:
    """The answer in a reply, as written; None when there is no readable answer.

    Args:
        text: the reply, reasoning blocks included or not.
        kind: how to read it; `auto` must be resolved by `resolve_kind` first.
        choices: option texts in order, for kind `choice`; without them letters A to J are valid.
        finish_reason: the endpoint's word; `length` marks a reply that was cut off.

    Raises:
        QuestionError: the kind is `auto`.
    """
    if kind == "auto":
        raise QuestionError("kind `auto` must be resolved first: answers.resolve_kind(question)")
    readers = _choice_readers(choices) if kind == "choice" else _READERS[kind]
    reply = strip_reasoning(_unspaced(visible(text)), finish_reason)
    if reply is None or not reply.strip():
        return None
    reply = own_turn(
        reply,
        lambda head: (_explicit(head, readers) or answer_field(head)) is not None,
        lambda head: readers.stated(head) is not None,
    )
    if kind == "json":
        return extract_json(reply)
    field = answer_field(reply)
    if field is not None:
        return _explicit(reply[field.end :], readers) or _from_field(field.text, readers)
    cut_off = finish_reason == "length" or is_unfinished(reply)
    answer = _explicit(reply, readers, cut_off=cut_off)
    if answer or cut_off or ends_in_box(reply):
        return answer
    explained = _EXPLANATION.search(reply)
    return (explained and readers.last(reply[: explained.start()])) or readers.last(reply)


def _unspaced(text: str) -> str:
    """The text without long runs of blanks."""
    if text.isascii() and "  " not in text and "\t" not in text and "\r" not in text:
        return text
    return _BLANKS.sub(" " * 8, text)


def _explicit(reply: str, readers: Readers, *, cut_off: bool = False) -> str | None:
    """What a box or a statement says, or a correction after it."""
    content = boxed(reply, joined=readers.whole_box)
    if content is not None and (
        answer := content if readers.whole_box else readers.stated(content)
    ):
        after = -1 if cut_off else after_boxes(reply)
        return corrected(reply, after, readers.stated) or answer
    return stated(reply, readers.stated, cut_off=cut_off or ends_in_box(reply))


def _from_field(text: str | None, readers: Readers) -> str | None:
    if text is None:
        return None
    return _explicit(text, readers) or readers.stated(text) or readers.last(text)


def _date(text: str) -> str | None:
    found = dates_in(text)
    return found[-1][0] if found else None


def _stated_date(text: str) -> str | None:
    found = dates_in(text)
    return found[0][0] if found else None


def _yes_no(text: str) -> str | None:
    first = _FIRST_WORD.match(_EITHER.sub(" - ", text))
    return first[1] if first else None


def _any_yes_no(text: str) -> str | None:
    text = _EITHER.sub(" - ", text)
    if first := _FIRST_WORD.match(text):
        return corrected(text, first.end(1), _yes_no) or first[1]
    found = _YES_NO.findall(text)
    return found[-1] if found else None


def _text(text: str) -> str | None:
    """The text, without markdown around it and without the reason for it."""
    text = text.strip()
    if emphasised := _EMPHASISED.match(text):
        return emphasised["inner"].strip()
    if reasoned := _REASONED.match(text):
        text = reasoned["head"]
    return text.strip().strip("*_`").strip() or None


_READERS: dict[str, Readers] = {
    "math": Readers(math_in, last_expression, whole_box=True),
    "number": Readers(number_in, last_number),
    "date": Readers(_stated_date, _date),
    "yes_no": Readers(_yes_no, _any_yes_no),
    "text": Readers(_text, _text),
    "json": Readers(_text, _text),
}


@lru_cache(maxsize=1024)
def _choice_readers(choices: tuple[str, ...]) -> Readers:
    return Readers(partial(stated_choice, choices=choices), partial(last_choice, choices=choices))
