"""Words beside mathematics: remarks after a value, and words that are no products of letters."""

import re

_RUN = re.compile(r"(?<![\\a-zA-Z_^{])[a-zA-Z]{2,}")
_TEXT = re.compile(r"\\(?:text|textrm|mbox|mathrm)\s*\{")
_SHORT_WORDS = frozenset(("is", "of", "or", "to", "as", "no", "so", "if", "by", "we", "it", "he"))
_NAMES = frozenset((
    "arcsin", "arccos", "arctan", "sin", "cos", "tan", "cot", "sec", "csc", "log", "exp", "sqrt",
    "mod", "modulo", "gcd", "lcm", "max", "min", "det", "arg", "lim", "dim", "ker", "base", "inf",
    "infinity", "theta", "alpha", "beta", "gamma", "delta", "lambda", "omega", "sigma",
))  # fmt: skip
_SHORT_WORD = re.compile(r"[b-df-hj-np-tv-z][aeiou][b-df-hj-np-tv-z]", re.IGNORECASE)
_VOWEL = re.compile(r"[aeiouy]", re.IGNORECASE)
_LONG = 4
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_BRACKETED = re.compile(
    r"(?<=[\w%}\])°$!*.])\s+[*_]*(?:\((?P<a>[^()]*)\)|\[(?P<b>[^\[\]]*)\])[*_.\s]*$"
)
_CONTRAST = re.compile(
    r"(?<=[\w%}\])°$!*]),?\s+(?:(?:and|but)\s+)?(?:(?:not|rather\s+than|instead\s+of)\s.*|or\s+so\b\W*)$",
    re.IGNORECASE | re.DOTALL,
)
_BEFORE_NOT = re.compile(r"\b(?:is|are|was|does|do|did|can|has|have|or|if)$", re.IGNORECASE)


def has_words(text: str) -> bool:
    """Whether letters in the text are a word, and not a product of variables or a function."""
    return any(_is_word(run[0]) for run in _RUN.finditer(_TEXT.sub(" ", text)))


def _is_word(run: str) -> bool:
    lowered = run.lower()
    if lowered in _SHORT_WORDS:
        return True
    if lowered in _NAMES or lowered in _ALPHABET:
        return False
    if len(run) < _LONG:
        return bool(_SHORT_WORD.fullmatch(run))
    return bool(_VOWEL.search(run))


def without_remark(text: str) -> str:
    """A value without what is said about it: “6 (not 5)”, “5 cm (about 2 inches)”, “6, not 5”."""
    bracketed = _BRACKETED.search(text)
    if bracketed and has_words(bracketed["a"] or bracketed["b"] or ""):
        text = text[: bracketed.start()]
    contrast = _CONTRAST.search(text)
    if contrast and not _BEFORE_NOT.search(text[: contrast.start()]):
        text = text[: contrast.start()]
    return text
