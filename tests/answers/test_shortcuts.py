"""Where reading begins: a shortcut may skip what says nothing, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from slmmux.answers.corrections import corrections
from slmmux.answers.stated import _STATEMENT, _first_place

_PIECES = st.sampled_from(
    (
        *("answer", "Answer:", "the answer is 5.", "ans", "ans. is 3", "final answer\n"),
        *("Final value: 2", "#### 7", "<answer>", "</answer>", "Finally, ", "\n", " ", "\t", "**"),
        *("_", "#", "x = 4, ", "Wait, it is 6", "no: it's 6", "actually 3", "(5)"),
        "A long sentence about nothing much. ",
    )
)


@given(st.lists(_PIECES, max_size=12).map("".join))
def test_no_statement_begins_before_the_place_where_the_search_does(text: str) -> None:
    lowered = text.lower()
    hints = ("answer", "####", "ans:", "ans.", "ans =", "ans is", "final ")
    found = [at for hint in hints if (at := lowered.find(hint)) >= 0]
    if not found:
        return
    line = text.rfind("\n", 0, min(found)) + 1
    everywhere = [match.span() for match in _STATEMENT.finditer(text, line)]
    begin = _first_place(lowered, min(found))
    assert [match.span() for match in _STATEMENT.finditer(text, begin)] == everywhere


@given(st.text("nowait:!.,it's=x6 AB\n", max_size=4))
def test_nothing_as_short_as_four_characters_corrects_anything(tail: str) -> None:
    said = "The answer is 5." + tail
    padded = said + " " * 5  # long enough to be looked at
    assert not list(corrections(padded, len(said) - len(tail)))
