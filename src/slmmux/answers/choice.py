"""Multiple choice: the letter a reply ends up with, not the first one it mentions."""

import re
from collections.abc import Sequence

from slmmux.answers.plain import plain_text

_LETTERS = "ABCDEFGHIJ"
# A choice stands at the beginning of what states it; the patterns need not see more.
_LONGEST = 400

# `C`, `(c)`, `C.`, `**C**`, `Option C`, `C) its text`: the whole of a string or its beginning.
_WHOLE = re.compile(
    r"[\s*_`\"'$(\[{]*(?:\\text(?:bf)?\{[\s(]*|\\mathbf\{|\\\()?"
    r"(?:(?:option|choice|answer)\s*:?\s*)?[*_(\[\"'`]*(?P<letter>[A-Ja-j])"
    r"(?:[\s*_`\"'$)\]}.:,;\\]*|(?:[*_]*[).:\]][*_\s]|\s[-–—:]\s|[*_]{2}[\s:]|\).*?[\]\w]).*)",
    re.DOTALL,
)
_STATED = re.compile(
    r"""\b(?:option|choice|answer|pick|choose|select|chose|selected)s?\b[\s*_:]{0,12}
        (?:(?:is|are|would\ be|should\ be|must\ be)\b[\s*_:]{0,12})?
        (?:(?:option|choice)[\s*_:]{0,12})?[(\["'`*_$]{0,8}(?P<letter>[A-J])\b(?![’'])""",
    re.VERBOSE | re.IGNORECASE,
)
_PRAISE = re.compile(r"correct|right|best|appropriate|accurate")
_NAMED = re.compile(
    r"""(?<![\w'’.\-])[(*_\[]{0,4}(?P<letter>[A-J])(?:[)\]*_.:]{1,4}(?:[\ \t][^\n]{1,80}?)??)?
        [*_]{0,3}\ (?:is|would\ be|must\ be)\ (?:(?:therefore|thus|clearly|indeed|most\ likely)\ )?
        (?:the\ )?(?:most\ )?(?:correct|right|best|appropriate|accurate)\b""",
    re.VERBOSE,
)
_LONE = re.compile(
    r"(?<![\w'’.\-])(?:\((?P<a>[A-Ja-j])\)|\*\*\(?(?P<b>[A-J])\)?[.:)]?\*\*|(?<!\d\s)(?P<c>[A-J]))"
    r"(?![\w'’\-])"
)
_AND = r"\s*(?:,\s*(?:and|or)?|and|or|&|/)\s*"
_JOINED_AFTER = re.compile(rf"[)\]*_.]{{0,3}}{_AND}[(\[*_]{{0,3}}[A-J](?![\w'’])(?!,\s\w\w)")
_JOINED_BEFORE = re.compile(rf"(?<![\w'’])[A-J][)\]*_.]{{0,3}}{_AND}[(\[*_]{{0,3}}$")
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")
_OPTION = re.compile(r"[\s*_\-(]{0,9}(?P<letter>[A-J])[)\]*_]{0,3}[.):\s]")
_FEWEST_OPTIONS = 3
_TICK = re.compile(r"\b(?:correct|right|true)\b|[✅✓✔]", re.IGNORECASE)
_REASON = re.compile(r"\s(?:because|since|as|which|for|due|based|and|or|is)\b")
_DENIED = re.compile(
    r"\b(?:no|not|wrong|incorrect|false|never|cannot)\b|n['’]t\b|❌", re.IGNORECASE
)
_NEGATED = re.compile(r"\b(?:not|cannot|never|neither|nor|except)\b|n['’]t\b", re.IGNORECASE)
_REJECTED = re.compile(
    r"^[)\]*_.:\s]*(?:[-–—=→]\s*no\b|(?:is|are|was|isn['’]t|can(?:not|['’]t)|seems|looks)?\s*(?:also\s+|clearly\s+)?"
    r"(?:not|wrong|incorrect|false|ruled\s+out|eliminated|out\b|n['’]t|be\s+(?:right|correct)))",
    re.IGNORECASE,
)
_NOT = re.compile(
    r"(?:\b(?:not|cannot|neither|nor|than|unlike|eliminate|reject|rule\s+out)|n['’]t)"
    r"(?:\s+(?:be|choose|pick|select))?[\s*_(\[\"']*(?:option|choice)?[\s*_(\[]*$",
    re.IGNORECASE,
)


def letter_of(answer: str, choices: Sequence[str] = ()) -> str | None:
    """The letter that a short answer stands for: a letter, or the text of exactly one option."""
    by_text = _by_text(answer, choices)
    if by_text is not None:
        return by_text
    answer = answer[:_LONGEST]
    match = _WHOLE.fullmatch(answer)
    if match is None:
        return None
    rest = answer[match.end("letter") :]
    if _is_word(match["letter"], rest) or _LONE.search(rest):
        return None
    return _valid(match["letter"], choices)


def stated_choice(text: str, choices: Sequence[str]) -> str | None:
    """The choice that a box or a statement names, by its letter or its text."""
    return letter_of(text, choices) or _leading(text, choices) or _mentioned(text, choices)


def last_choice(reply: str, choices: Sequence[str]) -> str | None:
    """The final choice of a reply that has neither box nor statement, as a capital letter.

    In order: a reply, last or first line that is nothing but a choice, the last “option C” or “C is
    correct” that is not rejected, the last lone letter that is not rejected, the one option whose
    text stands in the last sentence. Letters joined by “and” or “or” choose nothing.
    """
    reply = reply.strip()
    if letter := letter_of(reply, choices):
        return letter
    if letter := _ticked(reply.splitlines(), choices):
        return letter
    reply = _without_options(reply, choices)
    lines = reply.splitlines()
    for read in (_bare, _opening):
        for text in (*lines[-1:], *lines[:1]):
            if letter := read(text, choices):
                return letter
    return (
        _last_kept(_STATED, reply, choices)
        or (_PRAISE.search(reply) and _last_kept(_NAMED, reply, choices))
        or _last_kept(_LONE, reply, choices)
        or _mentioned(_SENTENCES.split(reply)[-1], choices)
    )


def _by_text(answer: str, choices: Sequence[str]) -> str | None:
    if not choices:
        return None
    wanted = plain_text(answer)
    if len(wanted) == 1 and _valid(wanted, choices):
        return None  # a letter is a letter, also where an option's text is one (blood types)
    same = [index for index, text in enumerate(choices) if plain_text(text) == wanted]
    return chr(ord("A") + same[0]) if wanted and len(same) == 1 else None


def _valid(letter: str, choices: Sequence[str]) -> str | None:
    letter = letter.upper()
    return letter if letter in _LETTERS[: len(choices) or len(_LETTERS)] else None


def _is_word(letter: str, rest: str) -> bool:
    """Whether the letter is the article “a” or the pronoun “I” of a sentence."""
    if letter not in "AaIi" or rest[:1] != " " or not rest.lstrip()[:1].isalpha():
        return False
    return letter.islower() or not _REASON.match(rest)


def _leading(text: str, choices: Sequence[str]) -> str | None:
    """The letter that a statement starts with: “(C) because …”, “C, the largest one”."""
    text = text[:_LONGEST]
    match = re.match(
        r"[\s*_`\"'$(\[]*(?:\\text(?:bf)?\{)?(?:(?:option|choice)\s+)?[(*_\"'`\[]*([A-Ja-j])\b(?!['’])",
        text,
        re.IGNORECASE,
    )
    if match is None or _is_word(match[1], text[match.end() :]):
        return None
    if _JOINED_AFTER.match(text, match.end()):
        return None
    opened = match[0].rstrip(match[1])[-1:] in tuple("([*\"'`{")
    return _valid(match[1], choices) if match[1].isupper() or opened else None


def _bare(line: str, choices: Sequence[str]) -> str | None:
    """The choice of a line that is nothing but its letter and its text."""
    match = _WHOLE.fullmatch(line[:_LONGEST])
    letter = match and _valid(match["letter"], choices)
    if match is None or letter is None:
        return _by_text(line, choices)
    rest = plain_text(line[match.end("letter") :].lstrip(")].:*_ -"))
    own = plain_text(choices[ord(letter) - ord("A")]) if choices else ""
    return letter if rest in ("", own) or set(rest) <= set("*_`.)]}") else None


def _ticked(lines: Sequence[str], choices: Sequence[str]) -> str | None:
    """The one option called correct in a list that gives every option its verdict."""
    verdicts = [(match["letter"], line) for line in lines if (match := _OPTION.match(line))]
    wrong = [letter for letter, line in verdicts if _DENIED.search(line)]
    right = {letter for letter, line in verdicts if _TICK.search(line) and letter not in wrong}
    return _valid(right.pop(), choices) if len(right) == 1 and len(wrong) > 1 else None


def _without_options(reply: str, choices: Sequence[str]) -> str:
    """The reply without the options that it repeats: three or more lines A, B, C."""
    lines = reply.splitlines()
    repeated: set[int] = set()
    run: list[int] = []
    for number, line in enumerate(lines):
        match = _OPTION.match(line)
        if match and match["letter"] == _LETTERS[len(run) : len(run) + 1]:
            run.append(number)
        elif match or line.strip():
            run = [number] if match and match["letter"] == "A" else []
        if len(run) >= _FEWEST_OPTIONS and _says_only_options(lines, run, choices):
            repeated.update(run)
    kept = [line for number, line in enumerate(lines) if number not in repeated]
    return "\n".join(kept).strip() or reply


def _says_only_options(lines: Sequence[str], run: Sequence[int], choices: Sequence[str]) -> bool:
    """Whether these lines say no more than the options do: a verdict on one is worth reading."""
    return all(_bare(lines[number], choices) for number in run)


def _opening(line: str, choices: Sequence[str]) -> str | None:
    """The choice that a line starts with, unless the line denies it."""
    return None if _DENIED.search(line) else letter_of(line, choices)


def _mentioned(text: str, choices: Sequence[str]) -> str | None:
    """The one option whose text stands in the words of a sentence, unless they negate it."""
    rest = plain_text(text[:_LONGEST])
    found = []
    texts = [plain_text(choice) for choice in choices]
    # The longest first, so that “it increases” is not found inside “it increases slowly”.
    for wanted in sorted(filter(None, set(texts)), key=lambda text: (-len(text), text)):
        rest, times = re.subn(rf"(?<![\w.]){re.escape(wanted)}(?!\w|\.\d)", " ", rest)
        if times:
            found += [chr(ord("A") + index) for index, text in enumerate(texts) if text == wanted]
    return None if len(found) != 1 or _NEGATED.search(rest) else found[0]


def _ends_so(stated: str, after: str) -> bool:
    """“Final choice: b”, “I choose option b”, and no more on its line: this is no article."""
    named = re.search(r"\b(?:option|choice)\b", stated, re.IGNORECASE)
    return bool(":" in stated or named) and not after.partition("\n")[0].strip(" .*_")


def _last_kept(pattern: re.Pattern[str], reply: str, choices: Sequence[str]) -> str | None:
    """The last match that the text around it does not reject and that is no ordinary word."""
    for match in reversed(list(pattern.finditer(reply))):
        group = match.lastgroup or "letter"
        letter, end = match[group], match.end()
        before, after = (
            reply[max(0, match.start() - 40) : match.start(group)],
            reply[end : end + 40],
        )
        bare = group == "c" or (pattern is _STATED and not re.search(r"[(\[*\"'`$]$", before))
        if _REJECTED.match(after) or _NOT.search(before):
            continue
        if _JOINED_AFTER.match(after) or _JOINED_BEFORE.search(before):
            continue
        word = pattern is not _NAMED and _is_word(letter, after)
        if bare and (word or letter == "I" or (letter.islower() and not _ends_so(match[0], after))):
            continue
        if valid := _valid(letter, choices):
            return valid
    return None
