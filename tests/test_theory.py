"""The paper's A(N, p) and its approximations, against the definition."""

from math import ceil, comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmmux.bank.rows import BankQuestion
from slmmux.holdout import split
from slmmux.scaling import Plan, scaling
from slmmux.table import MISSING, Recorded, Table
from slmmux.theory import QuestionTypes, chances, majority, question_types, theory


def plain(n: int, p: float) -> float:
    return sum(comb(n, x) * p**x * (1 - p) ** (n - x) for x in range(ceil(n / 2), n + 1))


@given(st.integers(1, 30), st.floats(0, 1))
def test_a_of_n_and_p_is_the_chance_of_at_least_half(n: int, p: float) -> None:
    assert majority(n, p) == pytest.approx(plain(n, p), abs=1e-9)


def test_more_samples_help_above_one_half_and_hurt_below() -> None:
    odd = [1, 3, 5, 7, 9, 11]
    assert [float(majority(n, 1.0)) for n in odd] == [1.0] * 6
    assert (np.diff([float(majority(n, 0.6)) for n in odd]) > 0).all()
    assert (np.diff([float(majority(n, 0.4)) for n in odd]) < 0).all()
    assert [float(majority(n, 0.5)) for n in odd] == pytest.approx([0.5] * 6)


def test_every_question_is_of_one_type() -> None:
    p = np.array([1.0, 0.9, 0.51, 0.5, 0.49, 0.1, 0.0, 0.0])
    assert question_types(p) == QuestionTypes(certain=1, likely=2, even=1, unlikely=2, never=2)


def table_of(samples: list[list[list[int]]]) -> Table:
    """[questions × models × samples]; class 0 is right."""
    classes = np.array(samples, np.int32)
    return Table(
        questions=tuple(
            BankQuestion(id=place, task="t", name=str(place)) for place in range(len(classes))
        ),
        kinds=tuple("number" for _ in samples),
        guessed={},
        models=("a", "b"),
        run_seed=0,
        samples=recorded(classes),
        greedy=recorded(np.full((len(classes), 2, 1), MISSING, np.int32)),
        right=np.eye(1, 5, dtype=np.bool_).repeat(len(classes), axis=0),
    )


def recorded(classes: "np.typing.NDArray[np.int32]") -> Recorded:
    flags = np.zeros(classes.shape, np.bool_)
    amounts = np.zeros(classes.shape)
    return Recorded(classes=classes, errored=flags, tokens=amounts, cost=amounts)


def test_chances_are_shares_of_right_samples() -> None:
    table = table_of([[[0, 0, 1, 1], [0, 0, 0, 2]], [[-1, 0, MISSING, MISSING], [1, 1, 1, 1]]])
    assert chances(table).tolist() == [[0.5, 0.75], [0.5, 0.0]]


def test_approximations_take_the_best_model_for_mux_and_the_mean_for_pooled_vote() -> None:
    table = table_of([[[0, 0, 1, 1], [0, 0, 0, 2]], [[0, 1, 1, 1], [1, 1, 1, 2]]])
    points = scaling(split(table), [[0, 1]], Plan(k_max=3, replays=0)).points
    found = theory(table, points)
    assert found.types["a"] == QuestionTypes(0, 0, 1, 1, 0)
    third = found.comparisons[2]
    assert third.mux.approximation == pytest.approx((plain(3, 0.75) + plain(3, 0.25)) / 2)
    assert third.mux.expected == points[2].mux.accuracy
    assert third.mux.error == third.mux.approximation - third.mux.expected
    assert third.pooled is not None
    assert third.pooled.approximation == pytest.approx((plain(6, 0.625) + plain(6, 0.125)) / 2)
    p = {"a": (0.5, 0.25), "b": (0.75, 0.0)}[points[2].consistent]
    own = (plain(3, p[0]) + plain(3, p[1])) / 2
    assert third.self_consistency.approximation == pytest.approx(own)


def test_a_certain_question_is_right_in_theory_and_in_fact() -> None:
    table = table_of([[[0, 0, 0], [0, 0, 0]]])
    points = scaling(split(table), [[0, 1]], Plan(k_max=3, replays=0)).points
    assert [each.mux.error for each in theory(table, points).comparisons] == [0.0, 0.0, 0.0]
