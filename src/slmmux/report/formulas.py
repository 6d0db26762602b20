"""LaTeX in texts → MathML trees that the page builds node by node, or the source as it stands.

Nothing of a text ever becomes markup: `latex2mathml` makes a tree, of which only known elements
and attributes are kept, and the page creates each node itself. What cannot be read stays LaTeX.
"""

import html
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias
from xml.etree.ElementTree import Element

from latex2mathml import exceptions as latex
from latex2mathml.converter import convert_to_element

Tree: TypeAlias = list[object]  # [element, {attribute: value}, child or text, …]
Piece: TypeAlias = str | int  # text, or the number of a formula

_ELEMENTS = frozenset(
    re.findall(
        r"\w+",
        """math mrow mi mn mo mtext mspace mfrac msqrt mroot msub msup msubsup munder mover
        munderover mmultiscripts mprescripts mtable mtr mtd mlabeledtr mstyle mpadded mphantom
        menclose""",
    )
)
_ATTRIBUTES = frozenset(
    re.findall(
        r"\w+",
        """display mathvariant stretchy fence separator form accent accentunder movablelimits
        largeop symmetric lspace rspace width height depth linethickness displaystyle scriptlevel
        columnalign rowspacing columnspacing columnlines rowlines notation minsize maxsize""",
    )
)
_LONGEST = 1_000  # characters of a formula; longer ones are rarely formulas
_DEEPEST = 40  # braces within braces
# $$…$$, \[…\], \(…\), and $…$ where it cannot be money: no space inside the dollars, and no digit
# right after the closing one.
_MATH = re.compile(
    r"\$\$(?P<a>.+?)\$\$|\\\[(?P<b>.+?)\\\]|\\\((?P<c>.+?)\\\)"
    r"|(?<![\\$\w])\$(?P<d>[^\s$](?:[^$\n]*[^\s$\\])?)\$(?![\d$])",
    flags=re.DOTALL,
)
_COMMAND = re.compile(r"\\[a-zA-Z]{2,}|[_^]\{")
_UNREADABLE = (
    latex.DenominatorNotFoundError,
    latex.DoubleSubscriptsError,
    latex.DoubleSuperscriptsError,
    latex.ExtraLeftOrMissingRightError,
    latex.InvalidAlignmentError,
    latex.InvalidStyleForGenfracError,
    latex.InvalidWidthError,
    latex.LimitsMustFollowMathOperatorError,
    latex.MissingEndError,
    latex.MissingSuperScriptOrSubscriptError,
    latex.NoAvailableTokensError,
    latex.NumeratorNotFoundError,
    # What it stumbles on in what is not LaTeX at all; a test feeds it noise.
    AttributeError,
    IndexError,
    KeyError,
    RecursionError,
    StopIteration,
    TypeError,
    ValueError,
)


class Formulas:
    """Numbers formulas as they occur, each once.

    Args:
        most: how many are rendered; later ones stay as they are written.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._numbers: dict[tuple[str, bool], int | None] = {}
        self.trees: list[tuple[str, Tree]] = []
        self.left = 0

    def pieces(self, text: str, *, bare: bool = False) -> Sequence[Piece] | str:
        """The text cut at its formulas; the text itself where it has none.

        Args:
            text: any.
            bare: it may be one formula without dollars around, as answers are.
        """
        if bare and _COMMAND.search(text) and "$" not in text:
            number = self._number(text, block=False)
            return text if number is None else [number]
        if "$" not in text and "\\" not in text:
            return text
        found: list[Piece] = []
        end = 0
        for match in _MATH.finditer(text):
            source = next(group for group in match.groups() if group is not None)
            number = self._number(source, block=match["a"] is not None or match["b"] is not None)
            if number is not None:
                found += [text[end : match.start()], number]
                end = match.end()
        return [*found, text[end:]] if found else text

    def _number(self, source: str, *, block: bool) -> int | None:
        key = source, block
        if key not in self._numbers:
            if len(self.trees) >= self._most:
                self.left += 1
                return None
            tree = tree_of(source, block=block)
            self._numbers[key] = None if tree is None else len(self.trees)
            if tree is not None:
                self.trees.append((source, tree))
        return self._numbers[key]


def tree_of(source: str, *, block: bool = False) -> Tree | None:
    """The formula's MathML, known elements and attributes only; None where it cannot be read.

    Args:
        source: LaTeX without dollars.
        block: on a line of its own.
    """
    if len(source) > _LONGEST or not _balanced(source):
        return None
    try:
        root = convert_to_element(source, display="block" if block else "inline")
    except _UNREADABLE:
        return None
    return _tree(root)


def _balanced(source: str) -> bool:
    depth = 0
    for brace in re.findall(r"\\.|[{}]", source, flags=re.DOTALL):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        if not 0 <= depth <= _DEEPEST:
            return False
    return depth == 0


def _tree(element: Element) -> Tree:
    name = element.tag if element.tag in _ELEMENTS else "mrow"
    kept: Mapping[str, str] = {
        key: value for key, value in element.attrib.items() if key in _ATTRIBUTES
    }
    children: list[object] = [_tree(child) for child in element]
    if not children and element.text:
        children = [html.unescape(element.text)]
    return [name, kept, *children]
