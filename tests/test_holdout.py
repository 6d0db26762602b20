"""Questions kept for testing: which ones, whatever the machine and the order of the bank."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmmux.bank.rows import BankQuestion
from slmmux.errors import UsageError
from slmmux.holdout import halves, split
from slmmux.table import MISSING, NO_VOTE, Recorded, Table

PROGRAM = """
from slmmux.holdout import halves
import test_holdout
print(test_holdout.names(halves(test_holdout.table_of([f"q{i}" for i in range(40)]), 0.5, 7).test))
"""


def recorded(classes: "np.typing.NDArray[np.int32]") -> Recorded:
    return Recorded(
        classes=classes,
        errored=np.zeros(classes.shape, np.bool_),
        tokens=np.zeros(classes.shape),
        cost=np.zeros(classes.shape),
    )


def table_of(texts: "list[str | None]", tasks: "list[str] | None" = None) -> Table:
    """Two models, three samples; every sample of question i is of class i."""
    count = len(texts)
    classes = np.broadcast_to(np.arange(count, dtype=np.int32)[:, None, None], (count, 2, 3)).copy()
    greedy = np.full((count, 2, 1), MISSING, np.int32)
    return Table(
        questions=tuple(
            BankQuestion(id=place, task=(tasks or ["t"] * count)[place], name=str(place), text=text)
            for place, text in enumerate(texts)
        ),
        kinds=tuple("text" for _ in texts),
        guessed={"t": "text"},
        models=("a", "b"),
        run_seed=0,
        samples=recorded(classes),
        greedy=recorded(greedy),
        right=np.zeros((count, count + 2), np.bool_),
    )


def names(table: Table) -> list[str]:
    return [question.text or question.name for question in table.questions]


def texts_of(table: Table) -> list[str]:
    return [question.text or "" for question in table.questions]


texts = st.lists(st.text("abc ", max_size=3), min_size=2, max_size=30).filter(
    lambda found: len({" ".join(text.split()) for text in found}) > 1
)


@given(texts, st.floats(0.05, 0.95), st.integers(0, 5))
def test_every_question_is_on_one_side_and_neither_side_is_empty(
    found: list[str], share: float, seed: int
) -> None:
    validation, test = halves(table_of([*found]), share, seed)
    ids = [q.id for side in (validation, test) for q in side.questions]
    assert sorted(ids) == list(range(len(found)))
    assert validation.questions
    assert test.questions


@given(texts, st.integers(0, 5))
def test_the_order_of_the_bank_does_not_matter(found: list[str], seed: int) -> None:
    here, there = (halves(table_of([*order]), 0.5, seed) for order in (found, sorted(found)))
    assert sorted(texts_of(here.test)) == sorted(texts_of(there.test))


@given(texts, st.integers(0, 5))
def test_questions_of_one_text_stay_together(found: list[str], seed: int) -> None:
    tasks = [f"task {place % 3}" for place in range(len(found))]
    validation, test = halves(table_of([*found], tasks), 0.5, seed)
    sides = [{" ".join(name.split()) for name in texts_of(side)} for side in (validation, test)]
    assert sides[0].isdisjoint(sides[1])


def test_the_share_is_met_to_the_question() -> None:
    parts = halves(table_of([f"q{place}" for place in range(200)]), 0.3, 0)
    assert (len(parts.validation.questions), len(parts.test.questions)) == (140, 60)


def test_another_seed_is_another_split() -> None:
    table = table_of([f"q{place}" for place in range(40)])
    assert names(halves(table, 0.5, 0).test) != names(halves(table, 0.5, 1).test)


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_the_split_is_the_same_in_every_process(hash_seed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    here = halves(table_of([f"q{place}" for place in range(40)]), 0.5, 7).test
    assert done.stdout.strip() == str(names(here))


def test_a_question_without_a_text_is_told_by_its_task_and_name() -> None:
    parts = halves(table_of([None, None]), 0.5, 0)
    assert len(parts.test.questions) == 1


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_that_leaves_nothing_on_one_side_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="make it above 0 and below 1"):
        halves(table_of(["p", "q"]), share, 0)


def test_one_question_cannot_be_split() -> None:
    with pytest.raises(UsageError, match="2 questions, 1 different: too few"):
        halves(table_of(["q", " Q "]), 0.5, 0)


def test_a_part_of_a_table_keeps_samples_beside_their_questions_and_models() -> None:
    table = table_of(["p", "q", "r"], ["s", "t", "u"])
    part = table.at([2, 0]).of([1])
    assert names(part) == ["r", "p"]
    assert part.models == ("b",)
    assert part.samples.classes.tolist() == [[[2, 2, 2]], [[0, 0, 0]]]
    assert part.greedy.classes.tolist() == [[[MISSING]], [[MISSING]]]
    assert part.right.shape == (2, 5)
    assert part.guessed == {}
    assert NO_VOTE not in part.samples.classes


def test_without_other_questions_a_choice_is_best_in_hindsight() -> None:
    table = table_of(["p", "q"])
    found = split(table)
    assert found.hindsight
    assert found.common == 2


def test_held_out_questions_are_no_hindsight() -> None:
    found = split(table_of(["p", "q", "r", "s"]), share=0.5, seed=3)
    assert not found.hindsight
    assert (len(found.validation.questions), len(found.test.questions)) == (2, 2)
    assert found.common == 0
    assert found.source == "the other questions (split seed 3)"


def test_a_validation_bank_says_how_many_of_the_questions_it_holds_too() -> None:
    found = split(table_of(["p", "q"]), validation=table_of(["Q", "r"]), name="other.db")
    assert not found.hindsight
    assert found.common == 1
    assert found.source == "validation bank other.db"
    with pytest.raises(UsageError, match="choose one of them"):
        split(table_of(["p"]), validation=table_of(["q"]), share=0.5)
