import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmmux import Model, Mux, Question, to_json
from slmmux.errors import AuthenticationError, QuorumError
from slmmux.results import check_quorum, cost, degraded, shown_text, total_usage
from slmmux.testing import scripted_pool
from slmmux.types import (
    Answer,
    ClassVotes,
    Interval,
    Result,
    Sample,
    Selection,
    Tally,
    TieBreak,
    Usage,
)
from slmmux.votes import tally

SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "result.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def sample(model: str, index: int = 0, text: str | None = None, **more: Any) -> Sample:
    answer = None if text is None or "?" in text else Answer(text, text)
    return Sample(
        model=model, question_id="q", index=index, text=text, **{"answer": answer, **more}
    )


def failed(model: str, error: str, index: int = 0) -> Sample:
    return sample(model, index, error=error)


def selection(key: str | None, decided_by: str | None = None) -> Selection:
    return Selection(
        key=key,
        answer=key,
        decided_by=decided_by,
        confidence=Interval(1.0, 1.0),
        tie_break="none",
        reason="",
    )


# The JSON form.

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
share = st.floats(0, 1)
count = st.integers(0, 10**6)
intervals = st.builds(Interval, share, share)
usages = st.builds(Usage, count, count, st.booleans())
questions = st.builds(
    Question,
    text=text,
    id=text,
    kind=st.sampled_from(["auto", "math"]),
    choices=st.tuples(text, text) | st.just(()),
)
samples = st.builds(
    Sample,
    model=text,
    question_id=text,
    index=count,
    text=st.none() | text,
    reasoning=st.none() | text,
    error=st.none() | text,
    finish_reason=st.none() | text,
    usage=usages,
    seed=st.none() | count,
    seed_honoured=st.none() | st.booleans(),
    latency_s=st.floats(0, 1e6),
    answer=st.none() | st.builds(Answer, text, text),
)
tallies = st.builds(
    Tally,
    model=text,
    k=st.integers(1, 99),
    drawn=count,
    classes=st.lists(st.builds(ClassVotes, text, text, st.integers(1, 99), count), max_size=2).map(
        tuple
    ),
    unreadable=count,
    errored=count,
    confidence=intervals,
)
tie_breaks: st.SearchStrategy[TieBreak] = st.sampled_from(
    ["none", "validation accuracy", "pool order", "first met"]
)
results = st.builds(
    Result,
    question=questions,
    kind=st.sampled_from(["number", "choice"]),
    selection=st.builds(
        Selection,
        key=st.none() | text,
        answer=st.none() | text,
        decided_by=st.none() | text,
        confidence=intervals,
        tie_break=tie_breaks,
        reason=text,
        rule=st.sampled_from(["mux", "pooled_vote", "calibrated"]),
        probability=st.none() | intervals,
    ),
    text=st.none() | text,
    abstained=st.booleans(),
    exact=st.booleans(),
    stopping=text,
    tallies=st.lists(tallies, max_size=2).map(tuple),
    samples=st.lists(samples, max_size=2).map(tuple),
    k=st.integers(1, 99),
    seed=st.integers(),
    draws=st.integers(0, 10),
    budget=st.integers(10, 99),
    waves=count,
    usage=usages,
    cost=st.none() | st.floats(0, 1e6),
    degraded=st.dictionaries(text, text, max_size=2),
    elapsed_s=st.floats(0, 1e6),
)


@given(results)
@settings(max_examples=60, deadline=None)
def test_every_result_has_a_json_form_that_fits_the_schema(result: Result) -> None:
    written = json.dumps(to_json(result), allow_nan=False)
    VALIDATOR.validate(json.loads(written))


def test_the_schema_itself_is_valid_and_names_every_field() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    fields = set(Result.__dataclass_fields__) | {"schema", "answer", "draws_saved"}
    assert set(SCHEMA["required"]) == fields
    assert set(SCHEMA["properties"]) == fields | {"settings"}


@pytest.mark.parametrize("stopping", ["exact", "off"])
@pytest.mark.parametrize(
    "script",
    [
        ["The answer is 42."],
        ["Who knows?"],
        ["The answer is 1.", AuthenticationError("a: no key"), "The answer is 2."],
        ["<think>Hm.</think>The answer is 42."],
    ],
)
async def test_what_the_line_returns_fits_the_schema(stopping: Any, script: Any) -> None:
    pool = scripted_pool({"a": script, "b": ["The answer is 42."]})
    result = await Mux(pool, stopping=stopping).ask("6 × 7?", kind="number")
    shown = to_json(result)
    VALIDATOR.validate(shown)
    assert list(shown)[:2] == ["schema", "answer"]
    assert shown["schema"] == "slmmux.result/1"
    assert shown["draws_saved"] == result.budget - result.draws
    assert json.loads(json.dumps(shown)) == shown


# Sums.


def test_usage_adds_up_and_one_estimate_makes_the_sum_an_estimate() -> None:
    parts = [sample("a", usage=Usage(10, 5)), sample("b", usage=Usage(1, 2, estimated=True))]
    assert total_usage(parts) == Usage(11, 7, estimated=True)
    assert total_usage([]) == Usage(0, 0)


PRICED = Model(name="a", model="a", price_per_mtok_in=2.0, price_per_mtok_out=10.0)
FREE = Model(name="b", model="b")


def test_the_cost_counts_prompt_and_completion_tokens_per_million() -> None:
    spent = cost([sample("a", usage=Usage(1_000_000, 500_000))] * 2, [PRICED, FREE])
    assert spent is not None
    assert math.isclose(spent, 14.0)


def test_a_model_without_prices_makes_the_cost_unknown_once_it_was_asked() -> None:
    assert cost([sample("a", usage=Usage(1, 1)), sample("b")], [PRICED, FREE]) is None
    assert cost([], [FREE]) == 0.0


def test_degraded_names_each_model_once_with_what_went_wrong_first() -> None:
    found = degraded([failed("b", "first"), sample("a", text="1"), failed("b", "second", 1)])
    assert found == {"b": "first"}


# The text to show.


def test_the_text_shown_is_the_deciding_models_earliest_of_the_class() -> None:
    drawn = [
        sample("a", 0, "from a", answer=Answer("1", "1")),
        sample("b", 1, "later", answer=Answer("1", "1")),
        sample("b", 0, "other", answer=Answer("2", "2")),
    ]
    assert shown_text(drawn, selection("1", "b"), ["a", "b"]) == "later"
    assert shown_text(drawn, selection("1"), ["a", "b"]) == "from a"


def test_an_abstention_shows_the_first_text_of_the_model_with_priority() -> None:
    drawn = [sample("a", 0, "a?"), failed("b", "down"), sample("b", 1, "b?")]
    assert shown_text(drawn, selection(None), ["b", "a"]) == "b?"
    assert shown_text([failed("a", "down")], selection(None), ["a"]) is None


# The quorum.


def quorum_of(drawn: dict[str, list[Sample]], quorum: int) -> None:
    rows = [tally(name, row, 2) for name, row in drawn.items()]
    check_quorum(rows, [s for row in drawn.values() for s in row], quorum)


def test_any_text_meets_a_quorum_of_one() -> None:
    quorum_of({"a": [sample("a", text="Hm?")], "b": [failed("b", "down")]}, 1)
    with pytest.raises(QuorumError):
        quorum_of({"a": [failed("a", "down")], "b": [failed("b", "down")]}, 1)


def test_a_larger_quorum_needs_readable_answers() -> None:
    answered = {"a": [sample("a", text="1")], "b": [sample("b", text="2")]}
    quorum_of(answered, 2)
    with pytest.raises(QuorumError) as raised:
        quorum_of({**answered, "c": [sample("c", text="Hm?")], "d": []}, 3)
    assert raised.value.reasons == {"c": "no readable answer", "d": "not asked any more"}


def test_a_missed_quorum_tells_what_each_endpoint_said() -> None:
    with pytest.raises(QuorumError) as raised:
        quorum_of({"a": [failed("a", "a: no key")], "b": [failed("b", "too slow")]}, 1)
    assert str(raised.value) == (
        "none of 2 models answered; the quorum is 1:\n  a: no key\n  b: too slow"
    )
