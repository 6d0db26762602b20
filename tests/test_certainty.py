"""Answers that are not sure enough: held back, or somebody else is asked; and exactly so."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmmux import Calibration, Mux, Question, Result, Rule, to_json
from slmmux.certainty import Threshold
from slmmux.errors import RequestRejectedError, UsageError
from slmmux.selection import is_decided
from slmmux.stopping import Schedule, next_wave
from slmmux.testing import scripted_pool
from slmmux.votes import Stream, mode, stream
from slmmux.weighted import standing

ASKED = "What is 6 × 7?"
Outcome = str | None
FullStream = tuple[Outcome, ...]
SCHEDULES: tuple[Schedule, ...] = ("draws", "balanced", "waves")


def calibration(weights: tuple[int, ...], k: int) -> Calibration:
    return Calibration(
        models=tuple("abcd"[: len(weights)]),
        k=k,
        weights=weights,
        sharpness=3.0,
        outside=0.5,
        questions=40,
        spread=0.0,
    )


def certainty(threshold: Threshold, streams: Sequence[FullStream]) -> float:
    """Of the full budget, by the definitions."""
    if threshold.weights is None:
        return max(mode(outcomes)[1] for outcomes in streams) / threshold.k
    now = standing([known(s, threshold.k) for s in streams], threshold.weights)
    if not now.ranking:
        return 0.0
    if threshold.calibration is not None:
        return threshold.calibration.probability(now.scores, now.ranking[0]).low
    return now.scores[now.ranking[0]] / (threshold.k * sum(threshold.weights))


def known(outcomes: FullStream, k: int) -> Stream:
    return stream(dict(enumerate(outcomes)), k)


def drawn(streams: Sequence[FullStream], threshold: Threshold, schedule: Schedule) -> list[Stream]:
    """What is known when the class is decided and it is settled whether it is sure enough."""
    done = [0] * len(streams)
    while True:
        now = [known(s[:count], threshold.k) for s, count in zip(streams, done, strict=True)]
        wave = next_wave(now, schedule, weights=threshold.weights)
        if not any(wave):
            wave = threshold.next_wave(now, schedule)
        if not any(wave):
            return now
        done = [count + more for count, more in zip(done, wave, strict=True)]


def thresholds(k: int) -> list[Threshold]:
    return [
        Threshold(least, k, weights, table)
        for least in (0.4, 0.7, 1.0)
        for weights, table in (
            (None, None),
            ((1, 1), None),
            ((1000, 400), calibration((1000, 400), k)),
        )
    ]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_stopping_early_holds_back_what_the_full_budget_holds_back_for_all_streams(
    schedule: Schedule,
) -> None:
    for k in (1, 2, 3):
        options = list(itertools.product(["a", "b", None], repeat=k))
        for streams in itertools.product(options, repeat=2):
            for threshold in thresholds(k):
                now = drawn(streams, threshold, schedule)
                assert is_decided(now, threshold.weights)
                bounds = threshold.bounds(now)
                exact = certainty(threshold, streams)
                assert bounds.low <= exact <= bounds.high
                assert (exact < threshold.least) == (bounds.low < threshold.least), streams


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "c", None]), min_size=6, max_size=6),
        min_size=2,
        max_size=2,
    ),
    st.sampled_from(thresholds(6)),
    st.sampled_from(SCHEDULES),
)
@settings(max_examples=150, deadline=None)
def test_the_same_holds_for_larger_budgets(
    outcomes: list[list[Outcome]], threshold: Threshold, schedule: Schedule
) -> None:
    streams = [tuple(each) for each in outcomes]
    bounds = threshold.bounds(drawn(streams, threshold, schedule))
    exact = certainty(threshold, streams)
    assert bounds.low <= exact <= bounds.high
    assert (exact < threshold.least) == (bounds.low < threshold.least)


# The line.


def says(*answers: object) -> list[str]:
    return [f"The answer is {answer}." for answer in answers]


async def test_an_answer_that_is_not_sure_enough_is_held_back_as_a_best_guess() -> None:
    pool = scripted_pool({"a": says(1, 2, 3), "b": says(4, 5, 6)})
    result = await Mux(pool, abstain_below=0.6).ask(ASKED)
    assert result.abstained
    assert result.answer == "1"
    assert result.selection.reason.endswith("; held back: its confidence of 0.33 is too low")
    assert result.escalated is None


async def test_an_answer_that_is_sure_enough_is_given() -> None:
    pool = scripted_pool({"a": says(1, 1, 3), "b": says(4, 5, 6)})
    result = await Mux(pool, abstain_below=0.6).ask(ASKED)
    assert (result.answer, result.abstained) == ("1", False)


async def test_the_probability_is_what_counts_where_the_rule_gives_one() -> None:
    script = {"a": says(1, 1, 1), "b": says(1, 2, 3)}
    rule = Rule("calibrated", calibration((1000, 1000), 3))
    sure = await Mux(scripted_pool(script), rule=rule, abstain_below=0.5).ask(ASKED)
    assert not sure.abstained
    unsure = await Mux(scripted_pool(script), rule=rule, abstain_below=0.999).ask(ASKED)
    assert unsure.abstained
    assert unsure.exact
    assert unsure.selection.reason.endswith(
        "; held back: its probability of 0.48 to 1.00 is too low"
    )


async def test_draws_go_on_until_it_is_known_whether_the_answer_is_sure_enough() -> None:
    script = {"a": says(1, 1, 1), "b": says(1, 1, 1)}
    plain = await Mux(scripted_pool(script), rule="pooled_vote").ask(ASKED)
    sure = await Mux(scripted_pool(script), rule="pooled_vote", abstain_below=0.8).ask(ASKED)
    assert (plain.draws, sure.draws) == (3, 5)
    assert sure.selection.confidence.low >= 0.8
    assert sure.exact


async def test_somebody_else_is_asked_instead_of_holding_back() -> None:
    bigger = Mux(scripted_pool({"big": says(42)}), k=1)
    pool = scripted_pool({"a": says(1, 2, 3), "b": says(4, 5, 6)})
    result = await Mux(pool, abstain_below=0.6, escalate=bigger.ask).ask(ASKED)
    assert (result.answer, result.abstained, result.selection.decided_by) == ("42", False, "big")
    assert result.escalated is not None
    assert result.escalated.key == "1"
    assert result.selection.reason == (
        "its confidence of 0.33 is too low, so others were asked: big is the most confident with "
        "1 of 1 votes"
    )
    assert result.budget == 7
    assert [t.model for t in result.tallies] == ["a", "b", "big"]
    assert result.samples[-1].model == "big"
    assert to_json(result)["escalated"] is not None


async def test_nobody_else_is_asked_when_the_pool_is_sure() -> None:
    async def never(question: Question) -> Result:
        raise AssertionError(question)

    pool = scripted_pool({"a": says(1, 1, 1)})
    result = await Mux(pool, abstain_below=0.6, escalate=never).ask(ASKED)
    assert result.answer == "1"


async def test_when_the_other_fails_the_best_guess_is_held_back_and_the_failure_told() -> None:
    down = scripted_pool({"big": [RequestRejectedError("big: 400 no such thing")]})
    bigger = Mux(down, k=1)
    pool = scripted_pool({"a": says(1, 2, 3)})
    result = await Mux(pool, abstain_below=0.6, escalate=bigger.ask).ask(ASKED)
    assert (result.answer, result.abstained) == ("1", True)
    assert "no such thing" in result.degraded["big"]
    assert result.selection.reason.endswith("and whoever was asked then failed")


async def test_when_the_other_has_no_answer_the_best_guess_is_held_back() -> None:
    bigger = Mux(scripted_pool({"big": ["Hm."]}), k=1)
    pool = scripted_pool({"a": says(1, 2, 3)})
    mux = Mux(pool, abstain_below=0.6, escalate=bigger.ask)
    result = await mux.ask(ASKED, kind="number")
    assert (result.answer, result.abstained) == ("1", True)
    assert result.draws == 4


async def test_where_nobody_has_an_answer_the_reason_says_just_that() -> None:
    mux = Mux(scripted_pool({"a": ["Hm."]}), abstain_below=0.6)
    result = await mux.ask(ASKED, kind="number")
    assert (result.answer, result.abstained) == (None, True)
    assert result.selection.reason == "no sample of any model has a readable answer"


def test_what_makes_no_threshold_is_refused() -> None:
    pool = scripted_pool({"a": says(1)})
    for wrong in (0.0, 1.5, float("nan")):
        with pytest.raises(UsageError, match="abstain_below is"):
            Mux(pool, abstain_below=wrong)
    with pytest.raises(UsageError, match="escalate needs abstain_below"):
        Mux(pool, escalate=Mux(pool).ask)
