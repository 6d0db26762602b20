"""LaTeX in texts: formulas become trees of known elements, everything else stays as it is."""

from hypothesis import example, given
from hypothesis import strategies as st

from slmmux.report.formulas import Formulas, Tree, tree_of

ALLOWED = {"math", "mrow", "mi", "mn", "mo", "mtext", "mfrac", "msup", "msub", "msqrt", "mspace"}


def elements(tree: Tree) -> set[object]:
    name, _, *children = tree
    return {name}.union(*(elements(child) for child in children if isinstance(child, list)))


def attributes(tree: Tree) -> set[object]:
    _, own, *children = tree
    assert isinstance(own, dict)
    return set(own).union(*(attributes(child) for child in children if isinstance(child, list)))


def leaves(tree: Tree) -> list[str]:
    _, _, *children = tree
    found: list[str] = []
    for child in children:
        found += leaves(child) if isinstance(child, list) else [str(child)]
    return found


def pieces(text: str, *, bare: bool = False) -> object:
    return Formulas(9).pieces(text, bare=bare)


def test_a_fraction_is_a_fraction() -> None:
    assert tree_of(r"\frac12") == [
        "math",
        {"display": "inline"},
        ["mrow", {}, ["mfrac", {}, ["mn", {}, "1"], ["mn", {}, "2"]]],
    ]


def test_a_text_is_cut_at_its_formulas() -> None:
    found = Formulas(9)
    assert found.pieces(r"so $x^2$ and \(y\) and $x^2$.") == [
        *("so ", 0, " and ", 1, " and ", 0, ".")
    ]
    assert [source for source, _ in found.trees] == ["x^2", "y"]


def test_money_is_no_formula() -> None:
    for text in ("It costs $5 and then $6.", "between $10-$20", r"\$3 or \$4", "a $ b $ c"):
        assert pieces(text) == text


def test_an_answer_needs_no_dollars() -> None:
    assert pieces(r"\frac{1}{2}", bare=True) == [0]
    assert pieces("no_formula at all", bare=True) == "no_formula at all"
    assert pieces(r"\frac{1}{2}") == r"\frac{1}{2}"


def test_what_cannot_be_read_stays_as_it_is_written() -> None:
    for text in (r"$\frac{$", "$x^$", "${$", "$" + "{" * 900 + "}" * 900 + "$"):
        assert pieces(text) == text


def test_links_styles_and_markup_do_not_get_through() -> None:
    tree = tree_of(r"\href{javascript:alert(1)}{x} \style{color:red}{y} \text{<script>} \foo < 3")
    assert tree is not None
    assert attributes(tree) <= {"display", "mathvariant", "stretchy"}
    assert elements(tree) <= ALLOWED
    assert "<script>" in leaves(tree)  # as text: the page makes a text node of it


def test_more_formulas_than_the_limit_stay_latex_and_are_counted() -> None:
    found = Formulas(1)
    assert found.pieces("$a_1$ $a_2$ $a_1$") == ["", 0, " $a_2$ ", 0, ""]
    assert found.left == 1


tokens = st.sampled_from(
    [
        *("\\frac", "\\left", "\\right", "\\begin{align}", "\\end{align}", "{", "}", "^", "_", "&"),
        *("\\\\", "\\sqrt", "[", "]", "\\over", "\\limits", "x", "1", " ", "'", "\\text", "%"),
        *("\\color", "\\hspace", "\\genfrac", "\\substack", "\\operatorname", "\\not", "\\"),
    ]
)


@given(st.one_of(st.text(max_size=40), st.lists(tokens, max_size=12).map("".join)))
@example("\\genfrac{}{}{9}{}{}{}")
def test_no_text_at_all_makes_it_fail(source: str) -> None:
    tree = tree_of(source)
    assert tree is None or tree[0] == "math"
