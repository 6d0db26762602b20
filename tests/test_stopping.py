"""Exact stopping never changes the answer: by enumeration, by property, against the reference."""

import importlib.util
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmmux.certificates import shortest_certificate
from slmmux.selection import contenders, is_decided
from slmmux.stopping import (
    Schedule,
    next_wave,
    quorum_is_settled,
    replay,
)
from slmmux.votes import mode, stream

Outcome = str | None
FullStream = tuple[Outcome, ...]
SCHEDULES: tuple[Schedule, ...] = ("draws", "balanced", "waves")
REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference" / "hindsight.py"


def full_budget(streams: Sequence[FullStream]) -> Outcome:
    """Algorithm 1 by its definition; streams in priority order."""
    best: tuple[Outcome, int] = (None, 0)
    for outcomes in streams:
        key, votes = mode(outcomes)
        if votes > best[1]:
            best = (key, votes)
    return best[0]


def play(
    streams: Sequence[FullStream], schedule: Schedule, quorum: int = 1
) -> tuple[Outcome, int, int]:
    """Selected class, draws and waves when a schedule drives the draws."""
    done = replay(streams, schedule, quorum)
    return done.key, sum(done.draws), done.waves


def streams_of(classes: int, k: int) -> list[FullStream]:
    return list(itertools.product([*"abc"[:classes], None], repeat=k))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("n", "k", "classes"), [(2, 2, 3), (2, 3, 2), (3, 2, 2), (4, 1, 3)])
def test_exact_stopping_selects_what_the_full_budget_selects_for_all_streams(
    n: int, k: int, classes: int, schedule: Schedule
) -> None:
    for streams in itertools.product(streams_of(classes, k), repeat=n):
        selected, draws, _ = play(streams, schedule)
        assert selected == full_budget(streams), streams
        assert draws <= n * k


@pytest.mark.slow
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("n", "k", "classes"), [(2, 3, 3), (2, 4, 2), (3, 3, 1), (4, 2, 2)])
def test_exact_stopping_selects_what_the_full_budget_selects_for_all_larger_streams(
    n: int, k: int, classes: int, schedule: Schedule
) -> None:
    for streams in itertools.product(streams_of(classes, k), repeat=n):
        assert play(streams, schedule)[0] == full_budget(streams), streams


def completions(known: Sequence[dict[int, Outcome]], k: int) -> Iterator[tuple[FullStream, ...]]:
    """All ways to fill the open outcomes with seen classes, two unseen ones, and no vote."""
    holes = [(p, j) for p, outcomes in enumerate(known) for j in range(k) if j not in outcomes]
    for filling in itertools.product(["a", "b", "new", "newer", None], repeat=len(holes)):
        filled = dict(zip(holes, filling, strict=True))
        yield tuple(
            tuple(outcomes[j] if j in outcomes else filled[p, j] for j in range(k))
            for p, outcomes in enumerate(known)
        )


def partial_states(n: int, k: int, most_open: int) -> Iterator[list[dict[int, Outcome]]]:
    for cells in itertools.product(["a", "b", None, "open"], repeat=n * k):
        if cells.count("open") <= most_open:
            yield [
                {j: c for j, c in enumerate(cells[p * k : (p + 1) * k]) if c != "open"}
                for p in range(n)
            ]


@pytest.mark.parametrize(("n", "k", "most_open"), [(2, 2, 4), (1, 4, 4), (2, 3, 2), (3, 2, 2)])
def test_decided_means_that_every_completion_selects_the_same_class_gaps_included(
    n: int, k: int, most_open: int
) -> None:
    for known in partial_states(n, k, most_open):
        winners = {full_budget(streams) for streams in completions(known, k)}
        assert is_decided([stream(o, k) for o in known]) == (len(winners) == 1), known


@pytest.mark.parametrize(("n", "k", "most_open"), [(2, 2, 4), (2, 3, 2)])
def test_contenders_are_exactly_the_seen_classes_that_some_completion_selects(
    n: int, k: int, most_open: int
) -> None:
    for known in partial_states(n, k, most_open):
        winners = {full_budget(streams) for streams in completions(known, k)}
        listed = {c.key for c in contenders([stream(o, k) for o in known])}
        shown = {key for o in known for key in o.values() if key is not None}
        if None not in listed:  # a class unseen by one model may be one that another has shown
            assert listed == winners - {None}, known
        assert listed & shown <= winners, known


outcome = st.sampled_from(["a", "b", "c", "d", None])


@st.composite
def full_streams(draw: st.DrawFn) -> tuple[FullStream, ...]:
    n, k = draw(st.integers(1, 4)), draw(st.integers(1, 7))
    return tuple(tuple(draw(st.lists(outcome, min_size=k, max_size=k))) for _ in range(n))


@given(full_streams(), st.sampled_from(SCHEDULES), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_exact_stopping_agrees_with_a_reference_that_always_draws_everything(
    streams: tuple[FullStream, ...], schedule: Schedule, quorum: int
) -> None:
    selected, draws, waves = play(streams, schedule, quorum)
    assert selected == full_budget(streams)
    assert waves <= draws <= len(streams) * len(streams[0])


@given(full_streams(), st.data())
@settings(max_examples=150, deadline=None)
def test_draws_that_finish_in_any_order_decide_the_same_class(
    streams: tuple[FullStream, ...], data: st.DataObject
) -> None:
    k = len(streams[0])
    cells = [(p, j) for p in range(len(streams)) for j in range(k)]
    known: list[dict[int, Outcome]] = [{} for _ in streams]
    for position, index in data.draw(st.permutations(cells)):
        if is_decided([stream(o, k) for o in known]):
            break
        known[position][index] = streams[position][index]
    assert full_budget([tuple(o.get(j) for j in range(k)) for o in known]) == full_budget(streams)


@given(full_streams(), st.integers(2, 4))
@settings(max_examples=100, deadline=None)
def test_a_quorum_is_met_whenever_the_full_budget_would_meet_it(
    streams: tuple[FullStream, ...], quorum: int
) -> None:
    k = len(streams[0])
    drawn = replay(streams, "balanced", quorum).draws
    known = [dict(enumerate(s[:d])) for s, d in zip(streams, drawn, strict=True)]
    answered = sum(any(o.values()) for o in known)
    possible = sum(any(s) for s in streams)
    assert (answered >= quorum) == (possible >= quorum)
    assert quorum_is_settled([stream(o, k) for o in known], quorum)


def test_when_the_best_model_is_unanimous_no_other_model_is_asked() -> None:
    for schedule in SCHEDULES:
        assert play([("a", "a", "a"), ("b", "b", "b")], schedule)[:2] == ("a", 3)


def test_the_first_two_waves_of_waves_are_the_last() -> None:
    for streams in itertools.product(streams_of(2, 3), repeat=2):
        assert play(streams, "waves")[2] <= 2


def test_no_vote_is_decided_only_when_nothing_is_open() -> None:
    assert not is_decided([stream({0: None}, 2)])
    assert is_decided([stream({0: None, 1: None}, 2)])


@cache
def reference() -> ModuleType:
    if not REFERENCE.exists():
        pytest.skip("the independent reference program is not beside this checkout")
    spec = importlib.util.spec_from_file_location("hindsight", REFERENCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_decided_agrees_with_the_independent_reference_on_all_prefixes() -> None:
    prefixes = [p for t in range(4) for p in itertools.product(["a", "b", None], repeat=t)]
    for pair in itertools.product(prefixes, repeat=2):
        ours = is_decided([stream(dict(enumerate(p)), 3) for p in pair])
        assert ours == reference().determined(list(pair), 3), pair


def test_no_schedule_needs_fewer_draws_than_the_hindsight_bound() -> None:
    for streams in itertools.product(streams_of(2, 2), repeat=3):
        bound = reference().hindsight_bound(list(streams))
        assert all(play(streams, schedule)[1] >= bound for schedule in SCHEDULES), streams


def test_the_shortest_certificate_of_an_untouched_question_is_one_unanimous_model() -> None:
    for n, k in itertools.product([2, 4], [1, 3, 5]):
        assert shortest_certificate((stream({}, k),) * n) == k


def test_a_very_large_budget_is_planned_quickly_and_selects_the_same_class() -> None:
    rng = random.Random(1)
    streams = tuple(
        tuple(rng.choice(["a", "b", "c", None]) for _ in range(k)) for k in (400, 400, 400)
    )
    began = time.monotonic()
    selected, draws, _ = play(streams, "balanced")
    assert selected == full_budget(streams)
    assert draws < 1200
    assert time.monotonic() - began < 30  # planned draw by draw it takes many minutes


def test_a_large_budget_of_different_answers_does_not_block_between_two_draws() -> None:
    began = time.monotonic()
    half = [stream({i: f"{model}{i}" for i in range(500)}, 1000) for model in range(4)]
    assert sum(next_wave(half, "balanced")) > 0
    assert time.monotonic() - began < 2
