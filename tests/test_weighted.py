"""Rules that add up votes: what they select, and exact stopping that never changes it."""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmmux import Calibration, Mux, Risk, Rule
from slmmux.errors import UsageError
from slmmux.methods.added_up import balanced_draws
from slmmux.risk import chance_of_change
from slmmux.selection import is_decided
from slmmux.stopping import Schedule, next_wave, replay
from slmmux.testing import scripted_pool
from slmmux.types import Interval, Result
from slmmux.votes import Stream, stream
from slmmux.weighted import can_win, shortest_certificate, standing

Outcome = str | None
FullStream = tuple[Outcome, ...]
Weights = tuple[int, ...]
SCHEDULES: tuple[Schedule, ...] = ("draws", "balanced", "waves")
ASKED = "What is 6 × 7?"


def full_budget(streams: Sequence[FullStream], weights: Weights) -> Outcome:
    """The rule by its definition: largest weighted sum; ties to the class met first."""
    totals: dict[str, int] = {}
    for outcomes, weight in zip(streams, weights, strict=True):
        for key in outcomes:
            if key is not None:
                totals[key] = totals.get(key, 0) + weight
    return max(totals, key=lambda key: totals[key], default=None)  # the first of equals, as met


def known_of(known: Sequence[dict[int, Outcome]], k: int) -> list[Stream]:
    return [stream(outcomes, k) for outcomes in known]


def streams_of(classes: int, k: int) -> list[FullStream]:
    return list(itertools.product([*"abc"[:classes], None], repeat=k))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    ("weights", "k", "classes"),
    [
        ((1, 1), 2, 3),
        ((1, 1), 3, 2),
        ((2, 1), 3, 2),
        ((0, 3), 2, 2),
        ((1, 1, 1), 2, 2),
        ((5, 3, 4), 2, 2),
        ((1, 1, 1, 1), 1, 3),
        ((1,), 5, 3),
    ],
)
def test_exact_stopping_selects_what_the_full_budget_selects_for_all_streams(
    weights: Weights, k: int, classes: int, schedule: Schedule
) -> None:
    for streams in itertools.product(streams_of(classes, k), repeat=len(weights)):
        done = replay(streams, schedule, weights=weights)
        assert done.key == full_budget(streams, weights), streams
        assert done.waves <= sum(done.draws) <= len(weights) * k


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


STATES = [((1, 1), 2, 4), ((2, 1), 2, 4), ((0, 1), 2, 3), ((1,), 4, 4), ((3, 2), 3, 2)]


@pytest.mark.parametrize(("weights", "k", "most_open"), STATES)
def test_decided_means_that_every_completion_selects_the_same_class_gaps_included(
    weights: Weights, k: int, most_open: int
) -> None:
    for known in partial_states(len(weights), k, most_open):
        winners = {full_budget(streams, weights) for streams in completions(known, k)}
        streams = known_of(known, k)
        assert is_decided(streams, weights) == (len(winners) == 1), known
        seen = {key for outcomes in known for key in outcomes.values() if key is not None}
        assert {key for key in can_win(streams, weights) if key} == winners & seen, known
        assert (None in can_win(streams, weights)) == ("new" in winners), known


outcome = st.sampled_from(["a", "b", "c", "d", None])


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[FullStream, ...], Weights]:
    n, k = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    streams = tuple(tuple(draw(st.lists(outcome, min_size=k, max_size=k))) for _ in range(n))
    weights = draw(st.just((1,) * n) | st.tuples(*[st.integers(0, 9)] * n).filter(any))
    return streams, weights


@given(cases(), st.sampled_from(SCHEDULES), st.integers(1, 3))
@settings(max_examples=120, deadline=None)
def test_exact_stopping_agrees_with_drawing_everything(
    case: tuple[tuple[FullStream, ...], Weights], schedule: Schedule, quorum: int
) -> None:
    streams, weights = case
    done = replay(streams, schedule, quorum, weights)
    assert done.key == full_budget(streams, weights)
    assert done.waves <= sum(done.draws) <= len(streams) * len(streams[0])


@given(cases(), st.data())
@settings(max_examples=120, deadline=None)
def test_draws_that_finish_in_any_order_decide_the_same_class(
    case: tuple[tuple[FullStream, ...], Weights], data: st.DataObject
) -> None:
    streams, weights = case
    k = len(streams[0])
    known: list[dict[int, Outcome]] = [{} for _ in streams]
    cells = [(p, j) for p in range(len(streams)) for j in range(k)]
    for position, index in data.draw(st.permutations(cells)):
        if is_decided(known_of(known, k), weights):
            break
        known[position][index] = streams[position][index]
    ranking = standing(known_of(known, k), weights).ranking
    assert (ranking[0] if ranking else None) == full_budget(streams, weights)


def test_a_pooled_vote_stops_as_soon_as_one_answer_has_half_of_the_budget_and_came_first() -> None:
    for schedule in SCHEDULES:
        assert sum(replay([("a",) * 3] * 4, schedule, weights=(1,) * 4).draws) == 6
        assert sum(replay([("a",) * 3] * 3, schedule, weights=(1,) * 3).draws) == 5


def test_waves_needs_two_round_trips_at_most() -> None:
    for streams in itertools.product(streams_of(2, 2), repeat=3):
        assert replay(streams, "waves", weights=(2, 1, 1)).waves <= 2


def test_the_heaviest_model_is_asked_first() -> None:
    untouched = [stream({}, 3)] * 3
    assert next_wave(untouched, "draws", weights=(1, 1, 9)) == (0, 0, 1)
    assert next_wave(untouched, "waves", weights=(1, 1, 9)) == (0, 0, 2)


@pytest.mark.parametrize("weights", [(1, 1), (1, 1, 1), (2, 1), (0, 1)])
def test_the_shortest_certificate_of_an_untouched_question_is_as_short_as_any(
    weights: Weights,
) -> None:
    """All draws vote for one class: the fewest that decide, by trying all of them."""
    likely = (1.0,) * len(weights)
    for k in (1, 2, 3):
        lengths = itertools.product(range(k + 1), repeat=len(weights))
        deciding = [
            sum(drawn)
            for drawn in lengths
            if is_decided([stream(dict.fromkeys(range(d), "a"), k) for d in drawn], weights)
        ]
        found = shortest_certificate([stream({}, k)] * len(weights), weights, likely)
        assert sum(found) == min(deciding)


@given(cases())
@settings(max_examples=100, deadline=None)
def test_with_equal_weights_no_draw_of_a_certificate_is_made_in_vain(
    case: tuple[tuple[FullStream, ...], Weights],
) -> None:
    """No fewer draws of these streams decide, whichever they are."""
    streams, k = case[0][:3], min(3, len(case[0][0]))
    weights = (1,) * len(streams)
    cut = [s[:k] for s in streams]
    fewest = min(
        sum(drawn)
        for drawn in itertools.product(range(k + 1), repeat=len(cut))
        if is_decided(
            [stream(dict(enumerate(s[:d])), k) for s, d in zip(cut, drawn, strict=True)], weights
        )
    )
    first = next_wave([stream({}, k)] * len(cut), "balanced", weights=weights)
    assert sum(first) <= fewest


@given(cases(), st.data())
@settings(max_examples=80, deadline=None)
def test_the_risk_is_a_probability_and_zero_where_nothing_can_change(
    case: tuple[tuple[FullStream, ...], Weights], data: st.DataObject
) -> None:
    streams, weights = case
    k = len(streams[0])
    cut = [data.draw(st.integers(0, k)) for _ in streams]
    known = [stream(dict(enumerate(s[:c])), k) for s, c in zip(streams, cut, strict=True)]
    assert 0.0 <= chance_of_change(known, weights) <= 1.0
    if not any(s.open for s in known):
        assert chance_of_change(known, weights) == 0.0


def test_more_agreement_is_less_risk() -> None:
    def known(votes: int) -> list[Stream]:
        return [stream(dict.fromkeys(range(votes), "a"), 9), stream({0: "b"}, 9)]

    risks = [chance_of_change(known(votes), (1, 1)) for votes in (1, 4, 7)]
    assert risks == sorted(risks, reverse=True)
    assert risks[0] > 0.4
    assert risks[-1] < 0.3


@given(st.data(), st.integers(1, 4), st.integers(1, 5))
@settings(max_examples=80, deadline=None)
def test_many_rows_at_once_draw_what_each_would_draw_alone(
    data: st.DataObject, models: int, k: int
) -> None:
    size = models * k
    sample = st.sampled_from([-1, 0, 1, 2, 7])
    rows = data.draw(st.lists(st.lists(sample, min_size=size, max_size=size), min_size=1))
    weights = [
        data.draw(st.just((1,) * models) | st.tuples(*[st.integers(0, 9)] * models).filter(any))
        for _ in rows
    ]
    classes = np.array(rows, np.int32).reshape(-1, models, k)
    together = balanced_draws(classes, np.array(weights, np.int64))
    for row, weight, drawn in zip(classes.tolist(), weights, together.tolist(), strict=True):
        streams = [[None if c < 0 else str(c) for c in each] for each in row]
        assert replay(streams, "balanced", weights=weight).draws == tuple(drawn)


# Probabilities.


def calibration(weights: Weights, k: int, sharpness: float = 3.0) -> Calibration:
    return Calibration(
        models=tuple("abcd"[: len(weights)]),
        k=k,
        weights=weights,
        sharpness=sharpness,
        outside=0.5,
        questions=40,
        spread=0.0,
    )


def test_a_probability_is_what_the_formula_says() -> None:
    known = calibration((1000, 500), 2)
    expected = math.expm1(3) / (math.exp(0.5) + math.expm1(3) + math.expm1(0.75))
    interval = known.probability({"x": 2000, "y": 500}, "x")
    assert interval.low == interval.high == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("weights", [(1000, 1000), (1000, 300), (0, 1000)])
def test_the_interval_of_a_probability_is_what_completions_reach(weights: Weights) -> None:
    rule = calibration(weights, 2)
    for known in partial_states(2, 2, 3):
        now = standing(known_of(known, 2), weights)
        for key in now.scores:
            reached = []
            for streams in completions(known, 2):
                ending = standing([stream(dict(enumerate(s)), 2) for s in streams], weights)
                reached.append(rule.probability(ending.scores, key).low)
            interval = rule.probability(now.scores, key, now.open)
            assert (min(reached), max(reached)) == pytest.approx(
                (interval.low, interval.high), abs=2e-6
            )


def test_a_calibration_that_makes_no_rule_is_refused() -> None:
    with pytest.raises(UsageError, match="3 weights for 2 models"):
        Calibration(
            models=("a", "b"),
            k=3,
            weights=(1, 2, 3),
            sharpness=1.0,
            outside=0.0,
            questions=9,
            spread=0.0,
        )
    with pytest.raises(UsageError, match="not all 0"):
        calibration((0, 0), 3)
    with pytest.raises(UsageError, match="sharpness is -1"):
        calibration((1, 1), 3, sharpness=-1.0)


def test_a_rule_says_what_it_lacks() -> None:
    with pytest.raises(UsageError, match="needs a calibration"):
        Rule("calibrated")
    with pytest.raises(UsageError, match="takes no calibration"):
        Rule("mux", calibration((1, 1), 3))
    with pytest.raises(UsageError, match="it can be one of mux, pooled_vote, calibrated"):
        Rule("vote")  # type: ignore[arg-type]
    pool = scripted_pool({"a": ["The answer is 1."], "z": ["The answer is 1."]})
    with pytest.raises(UsageError, match="is of a, b, and the pool is a, z"):
        Mux(pool, rule=Rule("calibrated", calibration((1, 1), 3)))
    with pytest.raises(UsageError, match="for k = 3, not 5"):
        Mux(
            scripted_pool({"a": ["1"], "b": ["1"]}),
            k=5,
            rule=Rule("calibrated", calibration((1, 1), 3)),
        )


# The line.


def says(*answers: object) -> list[str]:
    return [f"The answer is {answer}." for answer in answers]


async def asked(rule: Rule, **script: list[str]) -> tuple[Result, Result]:
    """With exact stopping, and with the full budget."""
    k = len(next(iter(script.values())))
    exact = await Mux(scripted_pool(script), k=k, rule=rule).ask(ASKED)
    return exact, await Mux(scripted_pool(script), k=k, rule=rule, stopping="off").ask(ASKED)


async def test_a_pooled_vote_counts_the_samples_of_all_models() -> None:
    exact, full = await asked(
        Rule("pooled_vote"), a=says(1, 2, 3), b=says(2, 2, 4), c=says(7, 7, 7)
    )
    assert (full.answer, exact.answer) == ("2", "2")
    assert full.selection.rule == "pooled_vote"
    assert full.selection.decided_by is None
    assert full.selection.confidence == Interval(3 / 9, 3 / 9)
    assert full.selection.tie_break == "first met"
    assert full.selection.reason == (
        "it has the most votes of all models, 3 of 9, as another answer has, and was met first in "
        "pool order"
    )
    assert exact.exact


async def test_a_pooled_vote_makes_only_draws_that_can_change_it() -> None:
    exact, full = await asked(Rule("pooled_vote"), a=says(5, 5, 5), b=says(5, 5, 6))
    assert (exact.answer, exact.draws, full.draws) == ("5", 3, 6)
    assert exact.selection.confidence == Interval(0.5, 1.0)
    assert exact.selection.reason == (
        "it has the most votes of all models, 3 of 6, and no other answer has any; no draw that "
        "was saved could change the answer"
    )


async def test_a_calibrated_vote_weighs_models_and_gives_a_probability() -> None:
    rule = Rule("calibrated", calibration((200, 1000), 3))
    exact, full = await asked(rule, a=says(1, 1, 1), b=says(2, 2, 3))
    assert (exact.answer, full.answer) == ("2", "2")
    assert full.selection.rule == "calibrated"
    scores = {"1": 600, "2": 2000, "3": 1000}
    assert full.selection.probability == calibration((200, 1000), 3).probability(scores, "2")
    assert full.selection.probability is not None
    assert exact.selection.probability is not None
    low, high = exact.selection.probability.low, exact.selection.probability.high
    assert low <= full.selection.probability.low <= high
    assert full.selection.reason == (
        "it has the most weight, 56% of all votes'; the next answer has 28%; it is right with "
        f"probability {full.selection.probability.low:.2f}"
    )


async def test_the_weights_follow_the_names_whatever_the_order_of_the_pool() -> None:
    rule = Rule("calibrated", calibration((200, 1000), 3))
    _, full = await asked(rule, b=says(2, 2, 2), a=says(1, 1, 1))
    assert full.answer == "2"


async def test_no_votes_anywhere_select_nothing() -> None:
    pool = scripted_pool({"a": ["Hm."], "b": ["Who knows."]})
    result = await Mux(pool, k=1, rule="pooled_vote").ask(ASKED, kind="number")
    assert (result.answer, result.abstained, result.selection.rule) == (None, True, "pooled_vote")


async def test_a_risk_stops_earlier_and_says_so() -> None:
    script = {"a": says(5, 5, 5, 5, 5, 5, 5), "b": says(5, 5, 5, 5, 5, 5, 5)}
    mux = Mux(scripted_pool(script), k=7, rule="pooled_vote", schedule="draws", stopping=Risk(0.3))
    result = await mux.ask(ASKED)
    assert result.answer == "5"
    assert result.draws < 7
    assert not result.exact
