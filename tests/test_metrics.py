"""Intervals and comparisons: against scipy's own, and against what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from slmmux.metrics import difference, estimate, lead, mcnemar, told_apart

right_or_wrong = st.lists(st.booleans(), min_size=1, max_size=60)


@given(right_or_wrong)
def test_one_run_has_wilsons_interval_and_the_binomial_standard_error(answers: list[bool]) -> None:
    found = estimate(np.array(answers, np.float64))
    count, correct = len(answers), sum(answers)
    wilson = stats.binomtest(correct, count).proportion_ci(method="wilson")
    share = correct / count
    assert found.correct == correct
    assert found.accuracy == pytest.approx(share)
    assert found.stderr == pytest.approx(np.sqrt(share * (1 - share) / count))
    assert (found.ci95.low, found.ci95.high) == pytest.approx((wilson.low, wilson.high))


def test_averaged_scores_have_the_standard_error_of_a_mean_over_questions() -> None:
    scores = np.array([0.0, 0.25, 0.5, 1.0])
    assert estimate(scores).stderr == pytest.approx(scores.std() / 2)


@pytest.mark.parametrize("scores", [[0.0] * 8, [1.0] * 8])
def test_questions_that_all_come_out_alike_still_leave_doubt(scores: list[float]) -> None:
    interval = estimate(np.array(scores)).ci95
    assert interval.high - interval.low > 0.3


@pytest.mark.parametrize(("questions", "samples"), [(60, 1), (60, 5), (300, 10)])
def test_the_interval_covers_the_accuracy_over_all_questions(questions: int, samples: int) -> None:
    # Questions differ in how likely a right sample is; the population's mean is 0.6.
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        chances = rng.beta(0.6, 0.4, size=questions)
        interval = estimate(rng.binomial(samples, chances) / samples).ci95
        covered += interval.low <= 0.6 <= interval.high
    assert 0.935 <= covered / 2000 <= 0.965


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80))
def test_mcnemar_is_the_exact_binomial_test_on_discordant_questions(
    pairs: list[tuple[bool, bool]],
) -> None:
    these, others = np.array(pairs, np.bool_).T
    found = mcnemar(these, others)
    only_this = sum(a and not b for a, b in pairs)
    only_other = sum(b and not a for a, b in pairs)
    assert (found.only_this, found.only_other) == (only_this, only_other)
    discordant = only_this + only_other
    expected = stats.binomtest(only_this, discordant).pvalue if discordant else 1.0
    assert found.p_value == pytest.approx(expected)


def test_the_paired_bootstrap_resamples_questions() -> None:
    rng = np.random.default_rng(1)
    these, others = rng.integers(0, 4, (2, 200)) / 3
    found = difference(these, others, np.random.default_rng(0))
    rows = np.random.default_rng(2).integers(0, 200, (20_000, 200))
    low, high = np.quantile((these - others)[rows].mean(axis=1), (0.025, 0.975))
    assert found.difference == pytest.approx((these - others).mean())
    assert (found.ci95.low, found.ci95.high) == pytest.approx((low, high), abs=0.004)


def test_equal_scores_differ_by_nothing() -> None:
    scores = np.array([0.0, 1 / 3, 1.0])
    found = difference(scores, scores, np.random.default_rng(0))
    assert (found.difference, found.ci95.low, found.ci95.high) == (0, 0, 0)


def test_a_lead_of_one_or_two_questions_is_never_clear_and_of_three_it_is() -> None:
    for questions in (3, 10, 369, 10_326):
        for won, clear in ((0, False), (1, False), (2, False), (3, True)):
            these = np.array([1.0] * won + [0.0] * (questions - won))
            assert lead(these, np.zeros(questions)).clear is clear
    assert lead(np.ones(1), np.zeros(1)).clear is False


def test_two_shares_are_told_with_the_digits_that_tell_them_apart() -> None:
    assert told_apart(0.0301, 0.0299) == ("3.01", "2.99")
    assert told_apart(0.25, 0.125) == ("25.0", "12.5")


def test_equal_scores_of_several_runs_are_no_certainty() -> None:
    interval = estimate(np.full(20, 1 / 3)).ci95
    assert interval.low < 0.27
    assert interval.high > 0.40
    alone = estimate(np.full(1, 0.5)).ci95
    assert alone.high - alone.low > 0.5
