"""How many models: the fewest that are within one standard error of the best number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmmux.errors import UsageError
from slmmux.metrics import Scores, lead
from slmmux.profile_size import choose_size, why


def scores(*values: float) -> Scores:
    return np.array(values)


def test_more_models_are_taken_when_they_answer_better_beyond_noise() -> None:
    found = choose_size({1: scores(0, 0, 0, 1), 2: scores(1, 1, 1, 1)})
    assert (found.size, found.leader) == (2, 2)


def test_fewer_models_are_taken_when_the_difference_is_within_one_standard_error() -> None:
    # Two questions won and one lost of six: 16.7 points with a standard error of 28.
    few, many = scores(1, 0, 0, 0, 1, 0), scores(0, 1, 1, 0, 1, 0)
    found = choose_size({1: few, 2: many})
    assert (found.size, found.leader) == (1, 2)
    assert found.behind == pytest.approx(1 / 6)
    differences = [*(many - few), 1, -1]  # one more question won, one more lost
    assert found.stderr == pytest.approx(np.std(differences, ddof=1) * 8**0.5 / 6)


@pytest.mark.parametrize("questions", [2, 3, 20, 1000])
def test_one_or_two_questions_do_not_make_more_models_better(questions: int) -> None:
    few = np.zeros(questions)
    for won in (1, 2):
        many = np.array([1.0] * won + [0.0] * (questions - won))
        found = choose_size({1: few, 2: many})
        assert (found.size, found.leader) == (1, 2)
    if questions > 2:
        assert choose_size({1: few, 2: np.array([1.0] * 3 + [0.0] * (questions - 3))}).size == 2


def test_equal_scores_go_to_fewer_models() -> None:
    same = scores(1, 0, 1)
    assert choose_size({4: same, 2: same, 3: same}).size == 2


def test_a_size_that_is_given_is_taken_and_what_it_costs_is_said() -> None:
    found = choose_size({1: scores(1, 1, 1, 0), 2: scores(0, 0, 1, 0)}, given=2)
    assert (found.size, found.leader, found.behind) == (2, 1, 0.5)
    assert why(found) == ("2 models, as asked for (50.0 points below 1 model, standard error 50.0)")


def test_a_size_that_was_not_searched_is_refused() -> None:
    with pytest.raises(UsageError, match="--size 5 is none of the sizes that were searched: 1, 2"):
        choose_size({1: scores(1), 2: scores(1)}, given=5)


@given(
    st.integers(1, 30).flatmap(
        lambda questions: st.dictionaries(
            st.integers(1, 6),
            st.lists(
                st.sampled_from([0.0, 1 / 3, 0.5, 1.0]), min_size=questions, max_size=questions
            ),
            min_size=1,
        )
    )
)
def test_nothing_smaller_would_have_done_and_nothing_is_better_by_more(
    lists: dict[int, list[float]],
) -> None:
    table = {size: np.array(values) for size, values in lists.items()}
    found = choose_size(table)
    best = table[found.leader]
    assert best.mean() >= max(values.mean() for values in table.values()) - 1e-9

    def behind(size: int) -> float:
        return float((best - table[size]).mean())

    def stderr(size: int) -> float:
        return lead(best, table[size]).stderr

    assert found.size == found.leader or behind(found.size) <= stderr(found.size) + 1e-9
    assert all(behind(size) > stderr(size) - 1e-9 for size in table if size < found.size)
    assert why(found)
