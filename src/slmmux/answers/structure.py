r"""The typed form of a mathematical answer: what kind of thing it is, and its parts.

============================  ==========================================================
number                        `1/2`: a number, a fraction, a mixed number, a percent (50% is 1/2)
quantity                      `5 cm^2`: the value and its unit, not converted
set                           `{1;2}`: braces, a list without brackets, `1 or 2`, `a \pm b`
tuple, interval               `(1;2)`, `[0;1)`: in order, brackets as written
union                         `(0;9)|(9;36)`: sorted
matrix                        `matrix[1,0;0,1]`
base                          `4210 base 5`
statement about one letter    its value or interval: `x = 5` is 5, `2 < x \le 3` is `(2;3]`
equation, inequality          `eq:…`, `gt:…`, `ge:…`, `ne:…`, up to a factor
text                          `text:even`
expression                    `expr:…`, simplified by the symbolic worker
anything else                 `raw:…`, the normalised string
============================  ==========================================================
"""

import re
from collections.abc import Callable
from fractions import Fraction

from slmmux.answers.latex import closes_at_end, normalise, split_top
from slmmux.answers.numbers import exact, number_key
from slmmux.answers.plain import plain_text
from slmmux.answers.quantities import compound
from slmmux.answers.ranges import range_key
from slmmux.answers.remarks import has_words, without_remark
from slmmux.answers.units import split_unit
from slmmux.answers.words import word_value

# What turns an expression, or the two sides of a relation, into a key: (operation, arguments).
Symbolic = Callable[[str, tuple[str, ...]], str]

# Longer answers are texts with mathematics in them, and nested ones exhaust the stack.
_MAX_LENGTH = 2000
_MAX_DEPTH = 30

_COMMA = re.compile(r",\s*(?:and|or)\s+|[,;]|\s(?:and|or)\s|\s*\\text\{\s*(?:and|or)\s*\}\s*")
_UNION = re.compile(r"\\cup(?![a-zA-Z])|\s[Uu]\s(?=[(\[])")
_RELATION = re.compile(r"\\(?:le|ge|ne)(?![a-zA-Z])|[=<>]")
_MATRIX = re.compile(
    r"\\begin\{(?P<env>[pbvBV]?matrix|array)\}(?:\{[lcr|]*\})?(?P<body>.*)\\end\{(?P=env)\}",
    re.DOTALL,
)
_IN = re.compile(r"[a-zA-Z]\s*\\in(?![a-z])\s*")
_GREEK = "theta|alpha|beta|lambda|phi|mu"
_LETTER = rf"(?:[a-zA-Z]|\\(?:{_GREEK}))"
# What an answer may be called.
_NAME = re.compile(
    "|".join(
        (
            rf"{_LETTER}(?:_\{{?\w+\}}?)?'?",  # x, S_{10}
            r"(?:\\(?:angle|triangle|m|overline|vec|hat|bar)\s*|m)*\{?[A-Z]{1,4}\}?",  # AB
            r"[fghpqFGHPQE](?:\^\{-1\}|')?\s*\(\s*-?[\w.]{1,12}\s*\)",  # f(2), P(A)
            r"\\(?:overline|vec|hat|bar)\s*\{?[a-z]\}?",  # a vector
            rf"\\(?:sin|cos|tan|cot|sec|csc|log|ln)\s*[({{]?\s*{_LETTER}\s*[)}}]?",
            r"\\text\{[^{}]*[a-zA-Z][^{}]*\}",
            r"[A-Z][a-z]{2,}(?:\s[a-zA-Z]+){0,5}|[a-z]+(?:\s[a-z]{2,}){1,5}",  # Total cost
        )
    )
)
_ASSIGNMENT = re.compile(rf"(?P<name>{_LETTER}(?:_\{{?\w+\}}?)?)\s*=\s*(?=[^=\s])")
_LABELLED = re.compile(
    r"(?:\\text\{[^{}]*(?:\b(?:is|are|equals|about|approximately|Rs\.?)|[:=≈])\s*\}"
    r"|\\approx(?![a-zA-Z]))\s*:?(?P<rest>.+)"
)
# `\text{(B) } 12`: the letter of an option before its value.
_LETTERED = re.compile(r"\\text\{\s*\(?[A-J]\)\s*\}\s*(?P<rest>.+)")
# Words beside mathematics, which the parser would take for products of letters.
_WORDED = re.compile(
    r"\\text\{[^{}]*[a-zA-Z]{3}[^{}]*\}|(?<![\\a-zA-Z{])[a-z]{4,}(?:\s+[a-z]{2,}){2,}"
)
_CLOCK = re.compile(
    r"(\d{1,2})(?::(\d{2}))?(?:\s*(?:\\text\{)?\s*([ap])\.?\s?m\b\.?\s*\}?)?", re.IGNORECASE
)
_ORDINAL = re.compile(r"(\d+)\s*(?:\^\{)?(?:\\text\{)?(?:st|nd|rd|th)\}{0,2}", re.IGNORECASE)
_MODULO = re.compile(
    r"(?:[a-zA-Z]\s*(?:\\equiv(?![a-zA-Z])|≡)\s*)?(?P<value>[^()]+?)\s*"
    r"(?:\(\s*\\?mod(?:ulo)?\s(?P<inner>[^()]+)\)"
    r"|\\?[pb]?mod\s*\{?(?P<modulus>(?<=\{)[^{}]+(?=\})|\d+)\}?)"
)
_NOTHING = re.compile(
    r"(?:\\text\{\s*)?(?:there\s+(?:is|are|exists?)\s+)?(?:(?:no|zero)\s+solutions?(?:\s+exists?)?"
    r"|(?:the\s+)?empty\s+set)\.?\s*\}?",
    re.IGNORECASE,
)
_NEGATIVE = re.compile(r"^(?:negative|minus)\s+(?=[\d.\\(])", re.IGNORECASE)
_THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")
_REALS = re.compile(r"\\(?:mathbb|Bbb)?\s?\{?R\}?|(?:\\text\{)?all real (?:numbers|x)\}?")
_BUILDER = re.compile(
    r"[a-zA-Z](?:\s*\\in\s*\\(?:mathbb)?\{?R\}?)?\s*(?::|\||\\mid)\s*(?P<rest>.+)"
)
_INEQUALITY = re.compile(r"[<>]|\\[lg]e(?![a-zA-Z])")
_COLON = re.compile(r":")
_SPACED_NUMBERS = re.compile(r"-?\d+(?:\.\d+)?(?:\s+-?\d+(?:\.\d+)?)+")
_FUNCTION = re.compile(
    rf"[a-zA-Z](?:\^\{{-1\}}|')?\s*\(\s*{_LETTER}(?:\s*,\s*{_LETTER})*\s*\)|\(\s*{_LETTER}(?:\s*,\s*{_LETTER})+\s*\)"
)
_TERM = re.compile(r"[a-zA-Z]_\{?[kmn]\}?")  # of a sequence
_BASED = re.compile(r"(?P<digits>[0-9A-F]+)_\{?(?P<base>\d+)\}?")
_QUOTED = re.compile(r"\\text\{\(?([^{}]*?)\)?\}|\(\\text\{([^{}]*)\}\)|\(?([A-Z])\)?")
_INFINITY = re.compile(r"([-+]?)\s*\\infty")
_ANGLE = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
_DEGREES = re.compile(r"(\d+)\s*\\degree")
_WORDS = re.compile(
    r"[^\W\d_]{4,}|[A-Z][a-z]{2}|[^\W\d_]{2,}(?:[\s-]+[^\W\d_]+)+"
    r"|yes|no|odd|one|two|six|ten|all|none|DNE"
)
_CONSTANTS = re.compile(rf"\\(?!{_GREEK})[a-zA-Z]+|(?<![a-zA-Z])[ei](?![a-zA-Z])")
_LESS = {"<": ("(", ")"), "\\le": ("[", "]")}
_FLIPPED = {">": "<", "\\ge": "\\le", "<": ">", "\\le": "\\ge"}
_KINDS = {"=": "eq", "\\ne": "ne", ">": "gt", "\\ge": "ge"}


def math_key(answer: str, symbolic: Symbolic, *, units: bool = True) -> str:
    """The key of a mathematical answer.

    Args:
        answer: as the model wrote it.
        symbolic: called only for what exact arithmetic and structure do not settle.
        units: whether the unit is part of the class (kind `math`) or dropped (kind `number`).
    """
    value = exact(answer)
    if value is not None:
        return number_key(value)
    if len(answer) > _MAX_LENGTH:
        return f"raw:{answer}"
    text = _NEGATIVE.sub("-", normalise(without_remark(answer)))
    if "," in text and text[0] not in "([" and not text.startswith("\\{"):
        text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text)
    return _Reader(symbolic, units=units).key(text)


class _Reader:
    def __init__(self, symbolic: Symbolic, *, units: bool) -> None:
        self._symbolic = symbolic
        self._units = units
        self._readings = (
            self._nothing,
            self._ordinal,
            self._modulo,
            self._compound,
            self._ranged,
            self._text,
            self._labelled,
            self._base,
            self._matrix,
            self._assigned,
            self._union,
            self._list,
            self._bracketed,
            self._ratio,
            self._relation,
            self._quantity,
            self._both,
            self._primed,
            self._worded,
        )

    def key(self, text: str, depth: int = 0) -> str:
        value = exact(text)
        if value is not None:
            return number_key(value)
        if infinite := _INFINITY.fullmatch(text):
            return "-oo" if infinite[1] == "-" else "oo"
        if _REALS.fullmatch(text):
            return "(-oo;oo)"
        if depth > _MAX_DEPTH or not text:
            return f"raw:{text}"
        if _ANGLE.search(text):
            text = _DEGREES.sub(r"\\frac{\1\\pi}{180}", text)
        for reading in self._readings:
            found = reading(text, depth + 1)
            if found is not None:
                return found
        return self._symbolic("expression", (text,))

    def _nothing(self, text: str, _depth: int) -> str | None:
        """“No solution” is the empty set."""
        return "{}" if _NOTHING.fullmatch(text) else None

    def _ordinal(self, text: str, _depth: int) -> str | None:
        """“5th” is no product, and not the number 5 either unless only the number is asked for."""
        match = _ORDINAL.fullmatch(text)
        if match is None:
            return None
        return f"text:{match[0].lower()}" if self._units else number_key(Fraction(match[1]))

    def _modulo(self, text: str, depth: int) -> str | None:
        r"""`3 \\pmod{7}`, `x \\equiv 3 (mod 7)`: a residue and its modulus."""
        match = _MODULO.fullmatch(text)
        if match is None:
            return None
        modulus = (match["inner"] or match["modulus"]).strip()
        return f"{self.key(match['value'], depth)} mod {self.key(modulus, depth)}"

    def _ranged(self, text: str, _depth: int) -> str | None:
        return range_key(text)

    def _compound(self, text: str, _depth: int) -> str | None:
        found = compound(text)
        if found is None:
            return None
        value, unit = found
        return f"{number_key(value)} {unit}" if unit and self._units else number_key(value)

    def _text(self, text: str, depth: int) -> str | None:
        match = _QUOTED.fullmatch(text)
        if match:
            words = (match[1] or match[2] or match[3] or "").strip()
            if words.lstrip("+-.")[:1].isdigit():
                return self.key(words, depth)
            if (value := word_value(words)) is not None:
                return number_key(value)
            return f"text:{words}" if len(words) == 1 else f"text:{plain_text(words)}"
        if not _WORDS.fullmatch(text):
            return None
        value = word_value(text)
        return f"text:{plain_text(text)}" if value is None else number_key(value)

    def _labelled(self, text: str, depth: int) -> str | None:
        r"""`\text{The area is } 5` is 5."""
        match = _LABELLED.fullmatch(text) or _LETTERED.fullmatch(text)
        return self.key(match["rest"].strip(), depth) if match else None

    def _ratio(self, text: str, depth: int) -> str | None:
        """`3:2` in order and as written, `12:30 pm`, and numbers that no sign joins."""
        if (clock := _CLOCK.fullmatch(text)) and (clock[2] or clock[3]):
            time = f"{clock[1]}:{clock[2] or '00'}"
            return f"{time} {clock[3].lower()}m" if clock[3] else time
        if _SPACED_NUMBERS.fullmatch(text):
            return f"raw:{text}"
        parts, _ = split_top(text, _COLON)
        if len(parts) < 2 or not all(parts):  # noqa: PLR2004  # a ratio has two parts
            return None
        return ":".join(self.key(part, depth) for part in parts)

    def _base(self, text: str, _depth: int) -> str | None:
        match = _BASED.fullmatch(text)
        return f"{match['digits'].lstrip('0') or '0'} base {match['base']}" if match else None

    def _matrix(self, text: str, depth: int) -> str | None:
        match = _MATRIX.fullmatch(text)
        if match is None:
            return None
        rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?|\\cr", match["body"]) if row.strip()]
        cells = (",".join(self.key(cell.strip(), depth) for cell in row.split("&")) for row in rows)
        name = "det" if match["env"][:1] in "vV" else "matrix"
        return f"{name}[{';'.join(cells)}]"

    def _assigned(self, text: str, depth: int) -> str | None:
        r"""`x \\in S` is S, `f(x) = …` and `(x,y) = …` are what they define."""
        member = _IN.match(text)
        if member:
            return self.key(text[member.end() :].strip(), depth)
        name, equals, rest = text.partition("=")
        named = _FUNCTION.fullmatch(name.strip()) or _TERM.fullmatch(name.strip())
        named = named or (_NAME.fullmatch(name.strip()) and _MATRIX.fullmatch(rest.strip()))
        if equals and named and "=" not in rest:
            return self.key(rest.strip(), depth)
        return None

    def _union(self, text: str, depth: int) -> str | None:
        parts, _ = split_top(text, _UNION)
        return (
            "|".join(sorted({self.key(part, depth) for part in parts})) if len(parts) > 1 else None
        )

    def _list(self, text: str, depth: int) -> str | None:
        parts, signs = split_top(text, _COMMA)
        parts = [part for part in parts if part]
        if len(parts) < 2:  # noqa: PLR2004  # a list has two members
            return None
        names = [_ASSIGNMENT.match(part) for part in parts]
        if all(names) and len({name["name"] for name in names if name}) > 1:
            keys = sorted(
                f"{name['name']}={self.key(part[name.end() :], depth)}"
                for name, part in zip(names, parts, strict=True)
                if name
            )
            return f"{{{';'.join(keys)}}}"
        members = {self.key(part, depth) for part in parts}
        if any("or" in sign for sign in signs) and all(map(_INEQUALITY.search, parts)):
            return "|".join(sorted(members))
        # “1/2, or 0.5” says one thing twice.
        return members.pop() if len(members) == 1 else self._set(parts, depth)

    def _set(self, parts: list[str], depth: int) -> str:
        members: set[str] = set()
        for part in parts:
            key = self.key(part, depth)
            inner = key[1:-1].split(";") if "\\pm" in part and key[:1] == "{" else [key]
            members.update(inner)
        return f"{{{';'.join(sorted(members))}}}"

    def _bracketed(self, text: str, depth: int) -> str | None:
        if text == "\\emptyset":
            return "{}"
        if text.startswith("\\{") and text.endswith("\\}"):
            inner = text[2:-2].strip()
            if builder := _BUILDER.fullmatch(inner):
                return self.key(builder["rest"].strip(), depth)
            return self._set([part for part in split_top(inner, _COMMA)[0] if part], depth)
        if text[0] not in "([" or text[-1] not in ")]" or not closes_at_end(text, 0):
            return None
        parts, _ = split_top(text[1:-1], _COMMA)
        if len(parts) == 1 and text[0] == "(":
            return self.key(parts[0], depth)
        return text[0] + ";".join(self.key(part, depth) for part in parts) + text[-1]

    def _relation(self, text: str, depth: int) -> str | None:
        sides, signs = split_top(text, _RELATION)
        if not signs or not all(sides[1:]):
            return None
        constant = [not re.search(r"[a-zA-Z]", _CONSTANTS.sub("", side)) for side in sides]
        result = self._result(sides, signs, constant, depth)
        if result is None and all(sides):
            result = self._interval(sides, signs, constant, depth)
        if result is not None or len(signs) > 1 or not sides[0]:
            return result or f"raw:{text}"
        left, right, sign = (*sides, signs[0])
        if sign in _LESS:
            left, right, sign = right, left, _FLIPPED[sign]
        return self._symbolic(_KINDS[sign], (left, right))

    def _result(
        self, sides: list[str], signs: list[str], constant: list[bool], depth: int
    ) -> str | None:
        """What a calculation comes to: `x = 5`, `5 = x`, `= 5`, `2 + 3 = 5`, `2 km * 3 = 6 km`."""
        if set(signs) != {"="}:
            return None
        named = not sides[0] or bool(_NAME.fullmatch(sides[0])) or all(constant) or len(signs) > 1
        if (named and constant[-1]) or split_unit(sides[-1])[1]:
            return self.key(sides[-1], depth)
        if constant[0] and sides[0] and len(signs) == 1 and _NAME.fullmatch(sides[1]):
            return self.key(sides[0], depth)
        return None

    def _interval(
        self, sides: list[str], signs: list[str], constant: list[bool], depth: int
    ) -> str | None:
        r"""`x > 5` as `(5;oo)`, `1 \le x < 2` as `[1;2)`."""
        if set(signs) <= {">", "\\ge"}:
            sides, constant = sides[::-1], constant[::-1]
            signs = [_FLIPPED[sign] for sign in reversed(signs)]
        if not set(signs) <= set(_LESS):
            return None
        opening, closing = _LESS[signs[0]][0], _LESS[signs[-1]][1]
        match constant:
            case [False, True] if _NAME.fullmatch(sides[0]):
                return f"(-oo;{self.key(sides[1], depth)}{closing}"
            case [True, False] if _NAME.fullmatch(sides[1]):
                return f"{opening}{self.key(sides[0], depth)};oo)"
            case [True, False, True] if _NAME.fullmatch(sides[1]):
                return f"{opening}{self.key(sides[0], depth)};{self.key(sides[2], depth)}{closing}"
        return None

    def _quantity(self, text: str, depth: int) -> str | None:
        number, unit = split_unit(text)
        if number == text:
            return None
        key = self.key(number, depth)
        return f"{key} {unit}" if unit and self._units else key

    def _primed(self, text: str, _depth: int) -> str | None:
        """`x'` is not `x`, but the parser drops primes."""
        return f"raw:{text}" if "'" in text or "\\prime" in text else None

    def _worded(self, text: str, _depth: int) -> str | None:
        if not _WORDED.search(text) and not has_words(text):
            return None
        return f"text:{plain_text(text)}"

    def _both(self, text: str, depth: int) -> str | None:
        r"""`a \pm b` as the set of both."""
        if "\\pm" not in text:
            return None
        signs = (re.sub(r"\\pm\s*", sign, text) for sign in ("+", "-"))
        return self._set([sign.removeprefix("+") for sign in signs], depth)
