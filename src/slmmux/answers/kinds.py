"""Which kind of answer a question asks for, from the question alone."""

import re

from slmmux.types import Kind, Question

# JSON as what the answer is to be, and not as what the question is about.
_JSON = re.compile(
    r"\b(?:reply|respond|return|output|answer|give|write|produce|print|format|provide|generate|convert)\b"
    r"[^.?!\n]{0,60}\bjson\b|\b(?:in|as|using)\s+(?:an?\s+)?(?:valid\s+)?json\b|\bjson\b[^.?!\n]{0,40}[:{]"
    r"|^\s*json\b|\bjson\s+(?:only|with|format)\b",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"\b(?:what|which)(?:\s+(?:is|was|will\s+be|would\s+be))?\s+(?:the\s+)?(?:exact\s+)?date\b"
    r"|\bMM[/-]DD[/-]YYYY\b|\bYYYY-MM-DD\b|\bDD[/-]MM[/-]YYYY\b"
    r"|\bwhat['’]s\s+(?:the|today['’]s)\s+date\b"
    r"|\bwhat\s+(?:is|was)\s+(?:today|tomorrow|yesterday)['’]?s?\s+date\b",
    re.IGNORECASE,
)
_YES_NO = re.compile(
    r"\b(?:yes\s+or\s+no|yes/no|(?:true\s+or\s+false|true/false)(?!\s+questions?))\b", re.IGNORECASE
)
_POLITE = re.compile(
    r"(?:please\s+|(?:can|could|would|will)\s+you\s+(?:please\s+)?)", re.IGNORECASE
)
_AUXILIARY = re.compile(
    r"(?:is|are|am|was|were|do|does|did|can|could|will|would|shall|should|has|have|had|may|might|must"
    r"|isn['’]t|aren['’]t|doesn['’]t|don['’]t|didn['’]t)\s",
    re.IGNORECASE,
)
_ALTERNATIVE = re.compile(r"\bor\b(?!\s+not\b)", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_MATH = re.compile(
    r"\bhow\s+(?:many|much|long|far|old|tall|fast)\b|\bwhat\s+is\s+\(*-?[\d$]"
    r"|\b(?:calculate|compute|solve|evaluate|simplify|factori[sz]e|count|integrate|differentiate)\b"
    r"|\b(?:gcd|lcm|greatest\s+common|least\s+common|sum|product|quotient|remainder|difference\s+between\s+-?\d"
    r"|square\s+root|percentage|what\s+percent|average|median|probability|perimeter|area\s+of|volume\s+of|arithmetic)\b"
    r"|\b(?:derivative|antiderivative|integral)\s+of\b|[a-z)]\s?\^\s?[\d({a-z]"
    r"|\bfind\s+(?:the\s+(?:value|number|smallest|largest|least|greatest|sum|product)|\$|[a-z]\b)"
    r"|\\(?:frac|sqrt|sum|int|cdot|times)\b|\$[^$\n]*[\\^_=+<>][^$\n]*\$"
    r"|\d\)*\s*[+*×÷^]\s*\(*-?\d|\d\)*\s+[-−/]\s+\(*-?\d|\d\)*\s*=\s*(?:\?|$)|(?<![\d/])\d+/\d+(?![\d/])\s*[-+*/]"
    r"|\d\s*\*\s*[a-z]\b|\b[a-z]\s*[-+*/]\s*\d+\s*="
    r"|(?:-?\d+(?:\.\d+)?\s*,\s*){2,}(?:-?\d+\s*,\s*)*(?:\?|_+|\.\.\.)",
    re.IGNORECASE | re.MULTILINE,
)


_QUANTITY = re.compile(r"\bhow\s+(?:many|much)\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w/.-])\$?(?!(?:1[5-9]|20)\d\d\b)\d[\d,.]*%?(?![\w/])")
_ASKED = re.compile(r"\b(?:what|which|how|find|determine|express)\b", re.IGNORECASE)


def resolve_kind(question: Question) -> Kind:
    """The question's own kind, or what `auto` stands for.

    It looks at nothing but the question, so all samples of a question are read alike. The first
    rule that fits decides:

    1. it has choices: `choice`;
    2. it asks for JSON (“reply as JSON”), other than about it (“what is JSON?”): `json`;
    3. it asks for a date, or names a date format: `date`;
    4. it says “yes or no”, or its last question starts with is, are, do, can, was, … and offers no
       alternative (“is it A or B?”); “can you calculate …” is a polite request, not a yes/no
       question: `yes_no`;
    5. how many, how much, calculate, solve, gcd, sum, derivative, powers, operators between
       numbers, a number sequence, TeX, or “what …”, “which …” and the like in a text with two
       numbers that are no years: `math`;
    6. else: `text`.
    """
    if question.kind != "auto":
        return question.kind
    if question.choices:
        return "choice"
    text = question.text
    if _JSON.search(text):
        return "json"
    if _DATE.search(text):
        return "date"
    if _YES_NO.search(text) or _asks_yes_no(text):
        return "yes_no"
    return "math" if _MATH.search(text) or _is_word_problem(text) else "text"


def _is_word_problem(text: str) -> bool:
    return bool(_ASKED.search(text)) and len(_NUMBER.findall(text)) > 1


def _asks_yes_no(text: str) -> bool:
    asked = [part for part in _SENTENCE.split(text.strip()) if part.rstrip().endswith("?")]
    if not asked or _POLITE.match(asked[-1]) or _QUANTITY.search(asked[-1]):
        return False
    return bool(_AUXILIARY.match(asked[-1])) and not _ALTERNATIVE.search(asked[-1])
