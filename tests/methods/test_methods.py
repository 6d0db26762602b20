"""Every method against its definition in plain Python, on random budgets with ties and gaps."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmmux.errors import UsageError
from slmmux.methods import METHODS, Budget, Decision, budget_of, find_methods
from slmmux.methods.patterns import distinct_rows, first_places, modes_of
from slmmux.methods.replays import exact_draws
from slmmux.selection import priority
from slmmux.stopping import replay
from slmmux.table import MISSING, NO_VOTE

Stream = list[int]
Row = list[Stream]

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "hindsight.py"
vote = st.sampled_from([0, 1, 2, 3, NO_VOTE])
accuracy = st.sampled_from([0.2, 0.5, 0.5, 0.9])


@st.composite
def budgets(draw: st.DrawFn) -> tuple[list[Row], Budget]:
    """Some questions' streams, as lists and as a budget; `MISSING` counts as no vote."""
    models, k = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    outcome = draw(st.sampled_from([vote, st.one_of(vote, st.just(MISSING))]))
    stream = st.lists(outcome, min_size=k, max_size=k)
    rows = draw(st.lists(st.lists(stream, min_size=models, max_size=models), min_size=1))
    names = tuple("dbca"[:models])
    accuracies = {name: draw(st.one_of(accuracy, st.none())) for name in names}
    return rows, budget_of(names, np.array(rows, np.int32), accuracies)


def most_common(votes: Sequence[int]) -> tuple[int, int]:
    """The class with the most votes, the earliest of equals, and its votes."""
    best, lead = NO_VOTE, 0
    for position, candidate in enumerate(votes):
        if candidate >= 0 and candidate not in votes[:position]:
            count = list(votes).count(candidate)
            if count > lead:
                best, lead = candidate, count
    return best, lead


def ranked(budget: Budget) -> list[int]:
    """Positions by validation accuracy where all are known, then pool order."""
    values = [budget.accuracies[name] for name in budget.models]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return list(range(len(values)))
    return sorted(range(len(known)), key=lambda position: (-known[position], position))


def decide(name: str, budget: Budget) -> tuple[Decision, ...]:
    return METHODS[name]().decide(budget)


@given(budgets())
def test_mux_is_the_most_confident_models_mode(case: tuple[list[Row], Budget]) -> None:
    rows, budget = case
    (decision,) = decide("mux", budget)
    assert decision.decided_by is not None
    for row, pick, decided_by in zip(rows, decision.picks, decision.decided_by, strict=True):
        winner, best, lead = -1, NO_VOTE, 0
        for position in ranked(budget):
            mode, votes = most_common(row[position])
            if votes > lead:
                winner, best, lead = position, mode, votes
        assert (decided_by, list(pick)) == (winner, [best])


@given(budgets())
def test_pooled_vote_is_the_most_common_class_first_in_pool_order(
    case: tuple[list[Row], Budget],
) -> None:
    rows, budget = case
    (decision,) = decide("pooled_vote", budget)
    for row, pick in zip(rows, decision.picks, strict=True):
        assert list(pick) == [most_common([v for stream in row for v in stream])[0]]


@given(budgets())
def test_self_consistency_oracle_and_random_model_look_at_every_models_mode(
    case: tuple[list[Row], Budget],
) -> None:
    rows, budget = case
    modes = [[most_common(stream)[0] for stream in row] for row in rows]
    each = decide("self_consistency", budget)
    assert [d.models for d in each] == [(name,) for name in budget.models]
    assert np.concatenate([d.picks for d in each], axis=1).tolist() == modes
    (oracle,), (chance,) = decide("oracle", budget), decide("random_model", budget)
    assert oracle.picks.tolist() == chance.picks.tolist() == modes
    assert oracle.any_counts
    assert not chance.any_counts


@given(budgets())
def test_single_takes_everything_recorded(case: tuple[list[Row], Budget]) -> None:
    rows, budget = case
    for decision in decide("single", budget):
        position = budget.models.index(decision.models[0])
        assert decision.picks.tolist() == [row[position] for row in rows]
        assert decision.draws.sum() == len(rows)


@settings(deadline=None)
@given(budgets(), st.sampled_from(["draws", "balanced", "waves"]))
def test_exact_stopping_draws_what_a_replay_of_each_question_draws(
    case: tuple[list[Row], Budget], schedule: str
) -> None:
    _, budget = case
    order = [budget.models.index(m) for m in priority(budget.models, budget.accuracies)]
    (decision,) = decide("mux", budget)
    told: list[float] = []
    draws = exact_draws(budget, schedule, report=told.append)  # type: ignore[arg-type]
    assert told == sorted(told)
    assert told[-1] == 1.0
    for classes, drawn, pick in zip(budget.classes, draws, decision.picks[:, 0], strict=True):
        keys = [[None if c < 0 else str(c) for c in classes[place].tolist()] for place in order]
        played = replay(keys, schedule)  # type: ignore[arg-type]
        assert [drawn[place] for place in order] == list(played.draws)
        assert played.key == (None if pick < 0 else str(pick))


@pytest.mark.skipif(not REFERENCE.is_file(), reason="needs ../shared/reference/hindsight.py")
def test_mux_agrees_with_the_independent_reference() -> None:
    spec = importlib.util.spec_from_file_location("hindsight", REFERENCE)
    assert spec is not None
    assert spec.loader is not None
    hindsight = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hindsight)
    rng = np.random.default_rng(0)
    classes = rng.integers(-1, 3, (3000, 3, 4)).astype(np.int32)
    names = ("a", "b", "c")
    budget = budget_of(names, classes, {"a": 0.9, "b": 0.5, "c": 0.1})
    (decision,) = decide("mux", budget)
    for row, pick in zip(classes.tolist(), decision.picks[:, 0].tolist(), strict=True):
        streams = [[None if vote < 0 else vote for vote in stream] for stream in row]
        assert hindsight.select(streams) == (None if pick < 0 else pick)


@given(st.lists(st.lists(vote, min_size=3, max_size=3), min_size=1))
def test_modes_are_counted_once_for_each_pattern_and_hold_for_every_row(rows: list[Stream]) -> None:
    modes, votes = modes_of(np.array(rows, np.int32))
    assert list(zip(modes.tolist(), votes.tolist(), strict=True)) == [
        most_common(row) for row in rows
    ]


def test_rows_that_differ_in_names_only_share_a_pattern() -> None:
    rows = np.array([[4, -1, 2, 4], [0, -1, 7, 0], [1, 1, 2, 1]], np.int32)
    assert first_places(rows).tolist() == [[0, -1, 2, 0], [0, -1, 2, 0], [0, 0, 2, 0]]


@pytest.mark.parametrize("width", [1, 4, 40])
def test_distinct_rows_are_found_whatever_their_width(width: int) -> None:
    rows = np.random.default_rng(0).integers(-1, 2, (200, width)).astype(np.int32)
    rows[::2] = rows[0]
    distinct, which = distinct_rows(rows)
    assert distinct[which].tolist() == rows.tolist()
    assert len({tuple(row) for row in rows.tolist()}) == len(distinct)


def test_single_greedy_reads_the_samples_at_temperature_0_of_the_models_that_have_some() -> None:
    classes = np.zeros((2, 2, 3), np.int32)
    greedy = np.array([[[1], [MISSING]], [[0], [MISSING]]], np.int32)
    budget = budget_of(("a", "b"), classes, {}, greedy=greedy)
    (decision,) = decide("single_greedy", budget)
    assert decision.models == ("a",)
    assert decision.picks.tolist() == [[1], [0]]


def test_a_method_is_found_by_its_name_with_either_dash() -> None:
    assert list(find_methods(["self-consistency", "MUX"])) == ["self_consistency", "mux"]


def test_an_unknown_method_is_refused_with_the_one_that_may_be_meant() -> None:
    with pytest.raises(UsageError, match="no method pool_vote; did you mean pooled_vote"):
        find_methods(["pool_vote"])
