"""Which models are correct and which consistently wrong (rule 9), against plain Python."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmmux.bank.rows import BankQuestion
from slmmux.errors import UsageError
from slmmux.search_cells import count
from slmmux.search_sets import SearchSets, correctness, pack, search_sets, unpacked
from slmmux.table import MISSING, NO_VOTE, Recorded, Table

RIGHT, WRONG, OTHER = 0, 1, 2
Cells = Sequence[Sequence[Sequence[int]]]


def table_of(samples: Cells) -> Table:
    """Questions × models × samples; class 0 is right; rows may be of different lengths."""
    width = max(len(said) for question in samples for said in question)
    classes = np.full((len(samples), len(samples[0]), width), MISSING, np.int32)
    for q, question in enumerate(samples):
        for m, said in enumerate(question):
            classes[q, m, : len(said)] = said
    right = np.zeros((len(samples), 6), np.bool_)
    right[:, RIGHT] = True
    recorded = Recorded(
        classes=classes,
        errored=np.zeros(classes.shape, np.bool_),
        tokens=np.ones(classes.shape),
        cost=np.ones(classes.shape),
    )
    return Table(
        questions=tuple(
            BankQuestion(
                id=q, task="t", name=str(q), text=None, kind="number", choices=(), reference="0",
                metadata={},
            )
            for q in range(len(samples))
        ),
        kinds=tuple(itertools.repeat("number", len(samples))),
        guessed={},
        models=tuple("abcdefgh"[: len(samples[0])]),
        run_seed=0,
        samples=recorded,
        greedy=recorded,
        right=right,
    )  # fmt: skip


def sets_of(samples: Cells, k: int, rule: str = "mode", **more: Any) -> SearchSets:
    return search_sets(table_of(samples), k, correctness(rule), **more)


def flags(sets: SearchSets) -> tuple[list[Any], list[Any]]:
    """Correct and consistently wrong, models × groups × questions."""
    return unpacked(sets.correct, sets).tolist(), unpacked(sets.wrong, sets).tolist()


@pytest.mark.parametrize(
    ("said", "rule", "correct", "wrong"),
    [
        ([RIGHT, RIGHT, WRONG], "mode", True, False),
        ([RIGHT, WRONG, WRONG], "mode", False, False),
        ([RIGHT, WRONG, WRONG], "any", True, False),
        ([RIGHT, RIGHT, WRONG], "at-least:2", True, False),
        ([RIGHT, WRONG, OTHER], "at-least:2", False, False),
        ([RIGHT, WRONG, OTHER], "mode", True, False),  # rule 3: the class seen first
        ([WRONG, RIGHT, OTHER], "mode", False, False),
        ([WRONG, WRONG, WRONG], "mode", False, True),
        ([WRONG, WRONG, OTHER], "mode", False, False),  # wrong each time, but not in one class
        ([WRONG, WRONG, NO_VOTE], "mode", False, False),  # a sample without a vote
        ([NO_VOTE, NO_VOTE, NO_VOTE], "any", False, False),
        ([NO_VOTE, RIGHT, NO_VOTE], "mode", True, False),
    ],
)
def test_correct_is_what_the_option_says_and_wrong_takes_all_samples_in_one_wrong_class(
    said: list[int], rule: str, correct: bool, wrong: bool
) -> None:
    assert flags(sets_of([[said]], 3, rule)) == ([[[correct]]], [[[wrong]]])


def test_more_samples_are_taken_in_disjoint_groups_in_index_order() -> None:
    said = [RIGHT, RIGHT, WRONG, WRONG, WRONG, WRONG, RIGHT]
    sets = sets_of([[said]], 3)
    assert (sets.groups, sets.cells, sets.spare) == (2, 2, {"a": 1})
    assert flags(sets) == ([[[True], [False]]], [[[False], [True]]])


def test_the_model_with_the_fewest_samples_says_how_many_groups_there_are() -> None:
    sets = sets_of([[[RIGHT] * 6, [WRONG] * 4], [[RIGHT] * 6, [WRONG] * 4]], 2)
    assert (sets.groups, sets.missing, sets.spare) == (2, 0, {"a": 2})


def test_samples_that_are_missing_on_a_question_vote_for_nothing_and_are_counted() -> None:
    sets = sets_of([[[RIGHT] * 2, [WRONG] * 2], [[WRONG], [WRONG] * 2]], 2)
    assert sets.missing == 1
    assert flags(sets) == (
        [[[True, False]], [[False, False]]],
        [[[False, False]], [[True, True]]],
    )


def test_one_sample_is_consistent_only_when_told_so_and_no_answer_never() -> None:
    samples = [[[RIGHT], [WRONG]], [[NO_VOTE], [WRONG]]]
    sets = sets_of(samples, 1, count_single_samples=True)
    assert flags(sets) == (
        [[[True, False]], [[False, False]]],
        [[[False, False]], [[True, True]]],
    )
    with pytest.raises(UsageError, match=r"collect -k 3` draws more, .* --count-single-samples"):
        sets_of(samples, 1)
    with pytest.raises(UsageError, match="Take -k 2 or more"):
        sets_of([[[RIGHT, WRONG]]], 1)


def test_what_cannot_be_grouped_is_refused_with_the_model_that_has_too_few() -> None:
    with pytest.raises(UsageError, match="k is 3, and b has 2 samples a question at most"):
        sets_of([[[RIGHT] * 3, [RIGHT] * 2]], 3)
    with pytest.raises(UsageError, match="no model has that many of k = 2 samples right"):
        sets_of([[[RIGHT] * 2]], 2, "at-least:3")
    for rule in ("most", "at-least:0", "at-least:", "mode "):
        with pytest.raises(UsageError, match="make it mode"):
            correctness(rule)


@given(
    st.data(),
    st.integers(1, 3),
    st.integers(2, 3),
    st.integers(1, 70),
    st.sampled_from(["mode", "any", "at-least:2"]),
)
def test_the_sets_are_those_of_the_definition(
    data: st.DataObject, models: int, k: int, questions: int, rule: str
) -> None:
    lengths = data.draw(st.lists(st.integers(k, 8), min_size=models, max_size=models))
    seed = data.draw(st.integers(0, 1 << 30))
    rng = np.random.default_rng(seed)
    samples = [[rng.integers(-1, 3, n).tolist() for n in lengths] for _ in range(questions)]
    sets = sets_of(samples, k, rule)
    correct, wrong = flags(sets)
    assert sets.groups == min(lengths) // k
    for m in range(models):
        for g in range(sets.groups):
            for q in range(questions):
                group = samples[q][m][g * k : (g + 1) * k]
                assert correct[m][g][q] == defined_correct(group, rule)
                assert wrong[m][g][q] == (group in ([1] * k, [2] * k))


def defined_correct(group: list[int], rule: str) -> bool:
    if rule != "mode":
        return group.count(RIGHT) >= (1 if rule == "any" else 2)
    voted = [said for said in group if said != NO_VOTE]
    return bool(voted) and max(voted, key=voted.count) == RIGHT  # max keeps the first of equals


@given(st.integers(1, 200), st.integers(0, 1 << 30))
def test_packed_cells_come_back(cells: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cellular = rng.integers(0, 2, (2, cells)).astype(np.bool_)
    words = pack(cellular)
    assert words.shape[1] % 8 == 0
    assert count(words).tolist() == cellular.sum(axis=1).tolist()


def test_bits_of_many_words_are_counted_without_overflow() -> None:
    cells = 64 * 8 * 1100
    words = pack(np.ones((2, 3, cells), np.bool_))
    assert (count(words) == cells).all()
