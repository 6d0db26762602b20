"""Where a reply stops being one: a model that runs on into somebody else's next turn.

Base models, and chat models under another template, go on after their answer with the next example
of the pattern that they have seen: “Question: …”, “Q: …”, “### Instruction”, “<|im_start|>user”.
What stands there answers another question.
"""

import re
from collections.abc import Callable

# Control characters and marks without a width say nothing, and they split words and numbers.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f\xad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}

_TOKEN = re.compile(
    r"<\|(?:im_end|im_start|eot_id|eom_id|end|endoftext|end_of_text|end_of_turn|start_header_id|user"
    r"|assistant|return|system|EOT)\|>|</?s>|<eos>|<(?:end|start)_of_turn>|\[/?INST\]"
)
_SPEAKER = re.compile(r"\n[ \t>*_#]{0,9}(?:Q|Human|User)[ \t]?\d{0,3}[*_]{0,2}:")
_QUESTION = re.compile(
    r"\n[ \t>*_#]{0,9}(?:(?:Question|Problem|Exercise|Instruction|Example|Task|Query)"
    r"[ \t]?\#?\d{0,3}[*_]{0,2}:|(?:Question|Problem|Exercise|Instruction)[ \t]\#?\d{1,3}\b)"
    r"|\n\#{2,3}[ \t](?:Instruction|Question|Problem|User|Human|Input)\b",
    re.IGNORECASE,
)
_LONGEST_BARE = 60


def visible(text: str) -> str:
    """The text without characters that do not show, full-width ones in their usual width."""
    if text.isascii():
        if text.isprintable():
            return text
        plain = text.replace("\n", "").replace("\t", "").replace("\r", "")
        return text if plain.isprintable() else _INVISIBLE.sub("", text)
    return _INVISIBLE.sub("", text).translate(_FULL_WIDTH)


def own_turn(
    reply: str, states_answer: Callable[[str], bool], is_answer: Callable[[str], bool]
) -> str:
    """The reply up to where it runs on into another turn, if it does.

    A template's token between turns always ends the reply, and so does a new speaker (“Q:”,
    “User:”) at the beginning of a line. A line like “Problem 2:” or “### Question” may be a chat
    model's own heading; it ends the reply only where what stands before it states an answer, or
    is nothing but one: a single short line.

    Args:
        reply: without its reasoning.
        states_answer: whether a text says what its answer is, other than by its last number.
        is_answer: whether a short line may be nothing but an answer.
    """
    if "\n" not in reply and "<" not in reply and "[" not in reply:
        return reply
    for pattern, always in ((_TOKEN, True), (_SPEAKER, True), (_QUESTION, False)):
        for match in pattern.finditer(reply):
            head = reply[: match.start()].rstrip()
            if head.strip() and (
                always or (_is_bare(head) and is_answer(head)) or states_answer(head)
            ):
                reply = head
                break
    return reply


def _is_bare(head: str) -> bool:
    """Whether this is one short line that does not announce anything."""
    head = head.strip()
    return len(head) <= _LONGEST_BARE and "\n" not in head and not head.endswith((":", "!", "?"))
