import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmmux.risk import chance_of_change
from slmmux.selection import is_decided
from slmmux.votes import Stream, stream


def known(*keys: str | None, k: int) -> Stream:
    return stream(dict(enumerate(keys)), k)


def test_a_decided_question_has_no_risk_and_an_untouched_one_has_all() -> None:
    assert chance_of_change([known("a", "a", "a", k=3), known(k=3)]) == pytest.approx(0.0)
    assert chance_of_change([known(k=3), known(k=3)]) == 1.0


def test_more_agreement_is_less_risk() -> None:
    risks = [chance_of_change([known(*"a" * t, k=9), known("b", k=9)]) for t in (2, 4, 6)]
    assert risks == sorted(risks, reverse=True)


def test_one_model_and_one_draw_to_go_is_the_urn_by_hand() -> None:
    """After a, b of 3: only a second b changes the winner; its chance is 1 / (2 + 0.3)."""
    assert chance_of_change([known("a", "b", k=3)]) == pytest.approx(1 / 2.3)


def test_a_large_budget_is_estimated_too() -> None:
    assert 0.0 < chance_of_change([known(*"aabac", k=64), known("b", k=64)]) < 1.0


def test_a_huge_budget_is_estimated_on_a_grid_as_it_is_without() -> None:
    """130 open draws: every second count vector; all of them give 0.907."""
    streams = [known(*"aabac", k=135), known(*"bb", k=135)]
    began = time.monotonic()
    assert chance_of_change(streams) == pytest.approx(0.907, abs=0.02)
    assert 0.0 < chance_of_change([known(*"aabac", k=1000), known("b", k=1000)]) < 1.0
    assert time.monotonic() - began < 5


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "c", None]), min_size=0, max_size=5),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=60, deadline=None)
def test_the_estimate_is_a_probability_and_zero_where_nothing_can_change(
    outcomes: list[list[str | None]],
) -> None:
    streams = [known(*keys, k=5) for keys in outcomes]
    risk = chance_of_change(streams)
    assert 0.0 <= risk <= 1.0
    if is_decided(streams):
        assert risk == pytest.approx(0.0, abs=1e-6)
