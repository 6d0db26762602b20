"""The bootstrap over questions: how sure the winner of a ranking is."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

from slmmux.search import evaluated
from slmmux.search_sets import SearchSets, pack
from slmmux.search_stability import Stability, Values, objective_values, stability
from slmmux.types import Interval


def judged(*numbers: npt.ArrayLike, unit: int = 1, resamples: int = 1_000) -> Stability:
    values = Values(np.array(numbers, np.float64), unit)
    return stability({2: values}, np.random.default_rng(0), resamples=resamples)[2]


def test_a_subset_that_is_better_on_every_question_wins_every_resample() -> None:
    found = judged([1] * 50, [0] * 50)
    assert (found.wins, found.within_noise) == (1, 0)
    assert (found.rivals[0].difference, found.rivals[0].ci95) == (1, Interval(1, 1))


def test_two_subsets_that_are_better_on_half_of_the_questions_each_are_within_noise() -> None:
    found = judged([1, 0] * 50, [0, 1] * 50)
    assert 0.4 < found.wins < 0.6  # ties are shared
    assert found.wins + found.rivals[0].wins == pytest.approx(1)
    interval = found.rivals[0].ci95
    assert interval.low == pytest.approx(-0.196, abs=0.03)  # ±1.96 / √100
    assert interval.high == pytest.approx(0.196, abs=0.03)
    assert found.within_noise == 1


def test_subsets_that_are_alike_are_within_noise_and_share_the_wins() -> None:
    found = judged([1, 0, 1], [1, 0, 1], [1, 0, 1])
    assert [found.wins, *(rival.wins for rival in found.rivals)] == pytest.approx([1 / 3] * 3)
    assert (found.within_noise, found.told) == (2, "33%")


def test_nearly_all_resamples_are_not_told_as_all() -> None:
    found = judged([1] * 50, [0] * 50)
    assert found.told == "100%"
    assert replace(found, wins=0.9996).told == ">99%"


def test_what_is_far_behind_has_the_normal_interval() -> None:
    rng = np.random.default_rng(4)
    best, far = np.ones(400), (rng.random(400) < 0.5).astype(float)
    assert (1 - far.mean()) / (far.std() / 20) > 6
    (rival,) = judged(best, far).rivals
    middle, half = 1 - far.mean(), 1.96 * far.std() / 20
    assert rival.ci95.low == pytest.approx(middle - half)
    assert rival.ci95.high == pytest.approx(middle + half)
    assert rival.wins == 0


def test_the_same_seed_gives_the_same_and_rankings_share_their_resamples() -> None:
    rng = np.random.default_rng(1)
    numbers = rng.integers(0, 2, (3, 80)).astype(np.float64)
    numbers = numbers[np.argsort(-numbers.sum(axis=1))]
    one = judged(*numbers)
    assert one == judged(*numbers)
    values = Values(numbers, 1)
    both = stability({2: values, 3: values}, np.random.default_rng(0))
    assert both[2] == both[3] == one


def test_the_values_of_questions_add_up_to_the_objective() -> None:
    rng = np.random.default_rng(3)
    said = rng.integers(0, 3, (5, 3, 40))
    sets = SearchSets(
        models=tuple("abcde"), questions=40, k=2, groups=3, missing=0, spare={},
        correct=pack((said == 0).reshape(5, 120)), wrong=pack((said == 1).reshape(5, 120)),
    )  # fmt: skip
    weight = Fraction(1, 3)
    values = objective_values(sets, [(0, 2), (1, 3, 4)], weight)
    for row, members in zip(values.numbers, [(0, 2), (1, 3, 4)], strict=True):
        total = Fraction(int(row.sum()), 40 * values.unit)
        assert total == evaluated(sets, members, weight).objective
    one = said[[0, 2], :, 7]  # question 7, three groups
    right, wrong = (one == 0).any(axis=0), (one == 1).any(axis=0)
    assert values.numbers[0, 7] == 3 * right.sum() - (right & wrong).sum()


def test_a_bootstrap_that_runs_out_of_time_says_how_many_resamples_it_made() -> None:
    values = {2: Values(np.array([[1.0, 0.0] * 9, [0.0, 1.0] * 9]), 1)}
    left = iter([False, False])
    cut = stability(values, np.random.default_rng(0), over=lambda: next(left, True))
    assert cut[2].resamples == 200
    assert stability(values, np.random.default_rng(0), over=lambda: True) == {}
