"""The whole line, over real loopback endpoints and scripted engines."""

import asyncio
import dataclasses
import gc
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from slmmux import Model, Mux, Pool, Question, Risk, SamplingLimits, connect
from slmmux.errors import AuthenticationError, QuestionError, QuorumError, UsageError
from slmmux.fault_endpoint import Step
from slmmux.sampling import stream_seed
from slmmux.testing import FaultEndpoint, Reply, ScriptedEngine, scripted_pool
from slmmux.types import Interval, Result, Usage

FAST = SamplingLimits(first_wait_s=0.001, longest_wait_s=0.002, max_attempts=3)
ASKED = "What is 6 × 7?"


def says(answer: object) -> str:
    return f"The answer is {answer}."


def model(name: str, endpoint: FaultEndpoint, **more: Any) -> Model:
    return Model(name=name, model=name, base_url=endpoint.base_url, **more)


def tasks_of_ours() -> set["asyncio.Task[Any]"]:
    """Running tasks, without this test's own and those of the endpoints."""
    mine = (asyncio.current_task(),)
    return {t for t in asyncio.all_tasks() if t not in mine and "FaultEndpoint" not in repr(t)}


@asynccontextmanager
async def endpoints(*faults: Step) -> AsyncIterator[tuple[Pool, list[FaultEndpoint]]]:
    """A pool of models a, b, c …, each at an endpoint with its one fault."""
    async with AsyncExitStack() as stack:
        served = [await stack.enter_async_context(FaultEndpoint(fault)) for fault in faults]
        pool = connect([model("abcdef"[i], one) for i, one in enumerate(served)])
        async with pool:
            yield pool, served


# The paper's example: the consistent model wins over the better-voted one.


async def test_the_most_confident_model_beats_the_more_frequent_answer() -> None:
    pool = scripted_pool(
        {
            "a": [says(1), says(2), says(3)],
            "b": [says(2), says(2), says(4)],
            "c": [says(7), says(7), says(7)],
        }
    )
    result = await Mux(pool, stopping="off").ask(ASKED)
    assert (result.answer, result.selection.decided_by) == ("7", "c")
    assert result.selection.confidence == Interval(1.0, 1.0)
    assert result.selection.reason == "c is the most confident with 3 of 3 votes"
    assert (result.draws, result.budget, result.draws_saved, result.waves) == (9, 9, 0, 1)
    assert result.exact


async def test_a_unanimous_model_of_highest_accuracy_is_the_only_one_asked() -> None:
    pool = scripted_pool({"weak": [says(1)], "strong": [says(2)]}, weak=0.3, strong=0.6)
    result = await Mux(pool).ask(ASKED)
    assert (result.answer, result.selection.decided_by) == ("2", "strong")
    assert (result.draws, result.budget, result.draws_saved) == (3, 6, 3)
    assert result.exact
    assert [t.model for t in result.tallies] == ["weak", "strong"]
    assert [t.drawn for t in result.tallies] == [0, 3]


async def test_decided_by_is_null_while_two_models_could_still_be_the_winner() -> None:
    # With 2 of 3 votes in hand the second model can still reach 3 of 3 for the same class only.
    scripts = {"a": [says(5), says(6), says(5)], "b": [says(5), says(5), says(9)]}
    result = await Mux(scripted_pool(scripts), schedule="draws").ask(ASKED)
    full = await Mux(scripted_pool(scripts), stopping="off").ask(ASKED)
    assert (full.answer, full.selection.decided_by) == ("5", "a")
    assert result.answer == "5"
    assert result.draws < full.draws
    assert result.exact
    assert result.selection.decided_by is None
    assert result.selection.confidence.low < result.selection.confidence.high
    assert "no draw that was saved could change the answer" in result.selection.reason


# Rules of the design, section 3.


async def test_rule_1_failed_cut_off_and_unreadable_samples_stay_in_the_denominator() -> None:
    cut_off = Reply(body=b'{"choices": [{"text": "So 6 times 7 is 4", "finish_reason": "length"}]}')
    async with FaultEndpoint(cut_off, "not json", "null content", "ok") as endpoint:
        pool = connect([model("a", endpoint, n="never", max_concurrency=1)])
        async with pool:
            result = await Mux(pool, k=4, stopping="off", limits=FAST).ask(ASKED)
    (tally,) = result.tallies
    assert (tally.k, tally.drawn, tally.errored, tally.unreadable) == (4, 4, 2, 1)
    assert tally.classes[0].votes == 1
    assert result.selection.confidence == Interval(0.25, 0.25)
    assert result.samples[0].text == "So 6 times 7 is 4"
    assert (result.samples[0].answer, result.samples[0].error) == (None, None)


async def test_rule_2_a_class_is_shown_as_its_earliest_member_wrote_it() -> None:
    pool = scripted_pool({"a": [says("0.5"), says("1/2"), says("50")]})
    result = await Mux(pool, stopping="off").ask("One half of one?", kind="math")
    assert [(c.text, c.votes) for c in result.tallies[0].classes] == [("0.5", 2), ("50", 1)]


async def test_rule_3_a_tie_within_a_model_goes_to_the_class_that_came_first() -> None:
    pool = scripted_pool({"a": [says(2), says(1), says(1), says(2)]})
    result = await Mux(pool, k=4, stopping="off").ask(ASKED)
    assert result.answer == "2"
    assert [(c.text, c.first_index) for c in result.tallies[0].classes] == [("2", 0), ("1", 1)]


async def test_rule_4_a_tie_between_models_goes_to_the_higher_validation_accuracy() -> None:
    scripts = {"a": [says(1)], "b": [says(2)]}
    result = await Mux(scripted_pool(scripts, a=0.4, b=0.7), stopping="off").ask(ASKED)
    assert (result.answer, result.selection.tie_break) == ("2", "validation accuracy")


async def test_rule_4_without_validation_accuracies_pool_order_decides_and_is_said() -> None:
    scripts = {"a": [says(1)], "b": [says(2)]}
    for accuracies in ({}, {"b": 0.7}):
        result = await Mux(scripted_pool(scripts, **accuracies), stopping="off").ask(ASKED)
        assert (result.answer, result.selection.tie_break) == ("1", "pool order")


async def test_rule_5_no_votes_anywhere_is_no_selection() -> None:
    pool = scripted_pool({"a": ["I give up."], "b": ["Who knows?"]}, a=0.2, b=0.9)
    for stopping in ("exact", "off"):
        result = await Mux(pool, stopping=stopping).ask(ASKED, kind="number")
        assert (result.answer, result.selection.key) == (None, None)
        assert result.selection.decided_by is None
        assert result.abstained
        assert result.exact
        assert result.text == "Who knows?"  # the first text of the most accurate model
        assert result.draws == 6


async def test_rule_6_an_abstention_is_a_result_and_all_failing_an_error() -> None:
    assert (await Mux(scripted_pool({"a": ["Hm."]})).ask(ASKED, kind="number")).abstained
    with pytest.raises(QuorumError):
        await Mux(scripted_pool({"a": [AuthenticationError("a: no")]})).ask(ASKED)


async def test_rule_7_every_sample_asks_for_its_own_seed() -> None:
    engine = ScriptedEngine([says(1)])
    pool = Pool((Model(name="a", model="a"),), {"a": engine})
    question = Question(text=ASKED, id="q1")
    result = await Mux(pool, k=3, seed=5, stopping="off").ask(question)
    base = stream_seed(5, "q1", "a")
    assert [s.seed for s in result.samples] == [base, base + 1, base + 2]
    assert [r.seed for r in engine.requests] == [base, base + 1, base + 2]


async def test_rule_7_an_exact_run_asks_for_the_seeds_of_the_full_budget() -> None:
    scripts = {"a": [says(1), says(2), says(1)], "b": [says(1), says(3), says(4)]}
    exact = await Mux(scripted_pool(scripts), seed=3).ask(ASKED)
    full = await Mux(scripted_pool(scripts), seed=3, stopping="off").ask(ASKED)
    seeds = {(s.model, s.index): s.seed for s in full.samples}
    assert {(s.model, s.index): s.seed for s in exact.samples}.items() <= seeds.items()


HASHED = """
import asyncio
from slmmux import Mux, to_json
from slmmux.errors import AuthenticationError
from slmmux.testing import scripted_pool

def says(*numbers): return [f"The answer is {n}." for n in numbers]

async def main():
    scripts = {"a": says(1, 2, 3), "b": says(2, 3, 1), "c": [AuthenticationError("c: no")]}
    result = to_json(await Mux(scripted_pool(scripts), stopping="off").ask("6 x 7?"))
    for sample in result["samples"]: del sample["latency_s"]
    del result["elapsed_s"]
    print(result)

asyncio.run(main())
"""


def test_rule_7_the_same_samples_give_the_same_output_for_any_hash_seed() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", HASHED],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout
        for hash_seed in ("0", "1", "2")
    }
    assert len(outputs) == 1
    assert "'answer': '1'" in outputs.pop()


# What a failure looks like, section 6.


async def test_one_model_down_is_named_and_the_vote_goes_on() -> None:
    async with endpoints("ok", "wrong key", "ok") as (pool, _):
        result = await Mux(pool, stopping="off", limits=FAST).ask(ASKED)
    assert result.answer == "42"
    assert list(result.degraded) == ["b"]
    assert "Incorrect API key provided" in result.degraded["b"]
    assert result.tallies[1].errored == 3


@pytest.mark.parametrize("stopping", ["exact", "off"])
async def test_all_models_down_is_an_error_with_each_endpoints_own_words(stopping: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    async with endpoints("server error", "unknown model") as (pool, _):
        nobody = connect([Model(name="z", model="z", base_url=url)])
        both = Pool((*pool.models, *nobody.models), {**pool.engines, **nobody.engines})
        with pytest.raises(QuorumError) as raised:
            await Mux(both, k=2, stopping=stopping, limits=FAST).ask(ASKED)
        await nobody.close()
    told = str(raised.value)
    assert told.startswith("none of 3 models answered; the quorum is 1:\n  a: ")
    assert list(raised.value.reasons) == ["a", "b", "z"]
    for words in ("CUDA out of memory", "does not serve the model", "connection refused"):
        assert told.count(words) == 1


async def test_a_quorum_of_two_keeps_drawing_until_two_models_have_an_answer() -> None:
    scripts = {"a": [says(1)], "b": ["Hm.", "Hm.", says(2)], "c": [says(3)]}
    alone = await Mux(scripted_pool(scripts)).ask(ASKED, kind="number")
    assert [t.drawn for t in alone.tallies] == [3, 0, 0]
    result = await Mux(scripted_pool(scripts), quorum=2).ask(ASKED, kind="number")
    assert result.answer == "1"
    assert sum(t.mode is not None for t in result.tallies) >= 2


async def test_a_quorum_that_has_become_impossible_is_an_error_at_once() -> None:
    refused = AuthenticationError("b: refused the key")
    pool = scripted_pool({"a": [says(1)], "b": [refused], "c": ["Hm."]})
    with pytest.raises(QuorumError) as raised:
        await Mux(pool, quorum=2).ask(ASKED, kind="number")
    assert str(raised.value) == (
        "1 of 3 models answered; the quorum is 2:\n  b: refused the key\n  c: no readable answer"
    )


async def test_a_model_that_was_not_asked_is_not_accused_of_an_unreadable_answer() -> None:
    pool = scripted_pool({"a": [AuthenticationError("a: no key")], "b": ["Hm."], "c": [says(1)]})
    with pytest.raises(QuorumError) as raised:
        await Mux(pool, quorum=3, k=2).ask(ASKED, kind="number")
    assert raised.value.reasons["a"] == "a: no key"
    engine = pool.engines["b"]
    assert isinstance(engine, ScriptedEngine)
    words = "no readable answer" if engine.requests else "not asked any more"
    assert raised.value.reasons["b"] == words


@pytest.mark.parametrize("stopping", ["exact", "off"])
async def test_a_deadline_takes_the_vote_over_what_arrived(stopping: Any) -> None:
    async with endpoints("hang", "ok") as (pool, (hanging, _)):
        result = await Mux(pool, deadline_s=0.6, stopping=stopping).ask(ASKED)
        await asyncio.sleep(0.05)
        assert hanging.open_connections == 0
    assert (result.answer, result.selection.decided_by) == ("42", "b")
    assert not result.exact
    assert [(t.drawn, t.errored) for t in result.tallies] == [(3, 3), (3, 0)]
    assert list(result.degraded) == ["a"]
    failed = [s for s in result.samples if s.model == "a"]
    assert {s.error for s in failed} == {"no reply within the question's deadline of 0.6 s"}
    assert failed[0].seed == stream_seed(0, result.question.id, "a")
    assert 0.6 <= result.elapsed_s < 5
    assert result.draws == 6


async def test_a_deadline_also_makes_the_draws_that_a_quorum_needs() -> None:
    async with endpoints("ok", "hang", "ok") as (pool, _):
        result = await Mux(pool, k=2, quorum=2, deadline_s=1, schedule="draws").ask(ASKED)
    assert [t.mode is not None for t in result.tallies] == [True, False, True]
    assert result.answer == "42"
    assert 0.5 <= result.elapsed_s < 1  # the third model was asked at half of the deadline


@pytest.mark.parametrize(
    ("n", "stopping", "choices"),
    [("auto", "exact", 1), ("auto", "off", 3), ("seeded", "exact", 3), ("never", "off", 1)],
)
async def test_several_choices_a_request_only_where_their_order_does_not_matter(
    n: str, stopping: Any, choices: int
) -> None:
    async with FaultEndpoint(honours_n=True) as endpoint:
        async with connect([model("a", endpoint, n=n)]) as pool:
            result = await Mux(pool, stopping=stopping, schedule="waves").ask(ASKED)
        assert {body.get("n", 1) for body in endpoint.requests} == {choices}
    assert result.tallies[0].classes[0].votes == 3


async def test_a_server_that_ignores_or_rejects_n_still_gives_every_sample() -> None:
    async with endpoints("ok", "rejects n") as (pool, served):
        result = await Mux(pool, stopping="off", limits=FAST).ask(ASKED)
        await Mux(pool, stopping="off", limits=FAST).ask(ASKED)
    assert [t.classes[0].votes for t in result.tallies] == [3, 3]
    for tally, one in zip(result.tallies, served, strict=True):
        base = stream_seed(0, result.question.id, tally.model)
        alone = sorted(b["seed"] - base for b in one.requests if b.get("n", 1) == 1)
        assert alone in ([0, 0, 1, 1, 2, 2], [0, 1, 1, 2, 2])
        assert [b.get("n", 1) for b in one.requests].count(3) == 1  # learnt for good


async def test_what_a_deadline_cuts_off_stays_in_the_denominator() -> None:
    async with FaultEndpoint("ok", "ok", "hang") as endpoint:
        pool = connect([model("a", endpoint, n="never", max_concurrency=1)])
        async with pool:
            result = await Mux(pool, k=4, deadline_s=0.3, stopping="off").ask(ASKED)
    assert result.selection.confidence == Interval(0.5, 0.5)


async def test_a_deadline_that_nobody_meets_says_so() -> None:
    async with endpoints("hang", "hang") as (pool, _):
        with pytest.raises(
            QuorumError, match=r"a: no reply within the question's deadline of 0\.2"
        ):
            await Mux(pool, deadline_s=0.2).ask(ASKED)


async def test_a_reply_still_being_read_at_the_deadline_is_not_called_missing() -> None:
    slow = r"\boxed{(p+q+r+s+t)^{12}(u+v+w+y+z)^{12}}"  # no other test's: answers are cached
    hostile = FaultEndpoint(text=slow)
    async with hostile as endpoint, connect([model("a", endpoint)]) as pool:
        result = await Mux(pool, k=1, deadline_s=0.4).ask(ASKED, kind="math")
    (sample,) = result.samples
    words = "its reply came, and was still being read at the question's deadline of 0.4 s"
    assert sample.error == words
    assert (sample.text, sample.answer) == (slow, None)
    assert sample.usage == Usage(10, 6)
    assert result.abstained


async def test_a_decided_question_does_not_wait_for_a_model_that_hangs() -> None:
    async with endpoints("ok", "hang") as (pool, _):
        result = await Mux(pool, deadline_s=60).ask(ASKED)
    assert (result.answer, result.exact) == ("42", True)
    assert result.elapsed_s < 5


async def test_a_risk_is_labelled_inexact_unless_it_is_decided() -> None:
    def pool() -> Pool:
        return scripted_pool({"a": [says(1)], "b": [says(2)]})

    loose = await Mux(pool(), k=9, stopping=Risk(0.5), schedule="draws").ask(ASKED)
    assert (loose.answer, loose.stopping) == ("1", "risk 0.5")
    assert not loose.exact
    assert loose.draws < 9
    strict = await Mux(pool(), k=3, stopping=Risk(1e-9), schedule="draws").ask(ASKED)
    assert strict.exact
    assert strict.draws == 3


# Nothing stays behind.


@pytest.mark.parametrize("stopping", ["exact", "off"])
async def test_cancelling_a_question_leaves_no_task_and_no_connection(stopping: Any) -> None:
    async with endpoints("hang", "hang") as (pool, served):
        asking = asyncio.create_task(Mux(pool, stopping=stopping).ask(ASKED))
        while not any(one.requests for one in served):  # noqa: ASYNC110 - the server is elsewhere
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.sleep(0.05)
        assert tasks_of_ours() == set()
        assert [one.open_connections for one in served] == [0, 0]
        assert [one.abandoned for one in served] == [len(one.requests) for one in served]


async def test_draws_that_no_longer_matter_are_cancelled() -> None:
    async with endpoints("ok", "hang") as (pool, (_, hanging)):
        result = await Mux(pool, k=3, quorum=1, schedule="waves").ask(ASKED)
        again = await Mux(
            Pool(pool.models, pool.engines), k=1, stopping=Risk(0.4), deadline_s=5
        ).ask(ASKED)
        await asyncio.sleep(0.05)
        assert tasks_of_ours() == set()
        assert hanging.open_connections == 0
    assert result.answer == again.answer == "42"
    assert result.draws_saved == result.budget - result.draws


def test_one_mux_serves_two_event_loops_one_after_the_other() -> None:
    with FaultEndpoint() as endpoint:
        pool = connect([model("a", endpoint)])
        mux = Mux(pool)
        for i in range(2):
            assert asyncio.run(mux.ask(f"6 × {i}?")).answer == "42"
        gc.collect()  # an unclosed session warns here, and warnings are errors
        asyncio.run(pool.close())


async def test_many_questions_at_once_stay_within_the_limits() -> None:
    async with FaultEndpoint(delay_s=0.01) as one, FaultEndpoint(delay_s=0.01) as two:
        models = [
            model("a", one, max_concurrency=2),
            model("b", two, max_concurrency=9),
            model("c", one, max_concurrency=9),  # the endpoint's smallest limit counts
        ]
        async with connect(models) as pool:
            mux = Mux(pool, k=2, stopping="off", limits=SamplingLimits(max_concurrency=5))
            results = await asyncio.gather(*(mux.ask(f"6 × {i}?") for i in range(12)))
    assert {r.answer for r in results} == {"42"}
    assert one.most_at_once <= 2
    assert two.most_at_once <= 5


# What is asked and what comes back.


async def test_reasoning_between_tags_is_kept_apart_and_never_read_as_the_answer() -> None:
    thought = "<think>\nIs it \\boxed{41}? No.\n</think>\n\nThe answer is 42."
    result = await Mux(scripted_pool({"a": [thought]}), k=1).ask(ASKED)
    (sample,) = result.samples
    assert (result.answer, result.text) == ("42", "The answer is 42.")
    assert sample.text == "The answer is 42."
    assert sample.reasoning == "Is it \\boxed{41}? No."


async def test_a_model_that_thinks_until_it_is_cut_off_has_failed() -> None:
    pool = scripted_pool({"a": ["<think>Is it 41? Or is the answer 40"]})
    with pytest.raises(QuorumError, match="a: its reasoning never came to an answer; raise max_"):
        await Mux(pool, k=1).ask(ASKED)


async def test_a_comparison_in_a_text_is_no_reasoning() -> None:
    text = "Since 41 < 42 and 43 > 42, the answer is 42."
    result = await Mux(scripted_pool({"a": [text]}), k=1).ask(ASKED)
    assert (result.text, result.samples[0].reasoning) == (text, None)


async def test_reasoning_content_is_no_vote() -> None:
    body = (
        b'{"choices": [{"message": {"content": "The answer is 42.", "reasoning_content": "41"}}]}'
    )
    async with endpoints(Reply(body=body)) as (pool, _):
        result = await Mux(pool, k=1).ask(ASKED)
    assert (result.answer, result.samples[0].reasoning) == ("42", "41")


async def test_on_sample_sees_every_sample_that_arrives() -> None:
    seen: list[str] = []
    pool = scripted_pool({"a": [says(1)], "b": [AuthenticationError("b: no")]})
    result = await Mux(pool, k=2, stopping="off").ask(
        ASKED, on_sample=lambda s: seen.append(f"{s.model}{s.index}")
    )
    assert sorted(seen) == [f"{s.model}{s.index}" for s in result.samples]


async def test_a_fault_of_on_sample_is_not_swallowed_and_leaves_no_task() -> None:
    def fail(_: object) -> None:
        raise LookupError("disk full")

    with pytest.raises(LookupError, match="disk full"):
        await Mux(scripted_pool({"a": [says(1)], "b": [says(2)]})).ask(ASKED, on_sample=fail)
    assert tasks_of_ours() == set()


async def test_choices_are_put_to_the_models_and_read() -> None:
    pool = scripted_pool({"a": ["The answer is (B)."]})
    result = await Mux(pool).ask("The sky is …", choices=("green", "blue"))
    assert (result.kind, result.answer) == ("choice", "B")
    engine = pool.engines["a"]
    assert isinstance(engine, ScriptedEngine)
    assert "A) green\nB) blue" in engine.requests[0].prompt.messages[-1].content


@pytest.mark.parametrize("text", ["", "  \n", "broken \udcff"])
async def test_a_question_that_cannot_be_asked_is_refused_before_any_draw(text: str) -> None:
    pool = scripted_pool({"a": [says(1)]})
    with pytest.raises(QuestionError):
        await Mux(pool).ask(text)
    engine = pool.engines["a"]
    assert isinstance(engine, ScriptedEngine)
    assert engine.requests == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"k": 0}, "k is 0; it counts samples"),
        ({"quorum": 0}, "quorum is 0; this pool can give 1 to 1"),
        ({"quorum": 2}, "quorum is 2"),
        ({"stopping": "sometimes"}, "stopping is 'sometimes'; it can be 'exact', 'off' or a Risk"),
        ({"schedule": "fast"}, "schedule is 'fast'; it can be one of draws, balanced, waves"),
        ({"deadline_s": 0}, "deadline is 0 s"),
        ({"deadline_s": float("nan")}, "deadline is nan s"),
    ],
)
def test_an_argument_out_of_range_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Mux(scripted_pool({"a": [says(1)]}), **arguments)


@pytest.mark.parametrize("chance", [0.0, 1.0, -1.0, float("nan")])
def test_a_risk_lies_between_0_and_1(chance: float) -> None:
    with pytest.raises(UsageError, match="must lie between 0 and 1"):
        Risk(chance)


def test_limits_that_would_wait_for_ever_are_refused() -> None:
    with pytest.raises(UsageError, match="max_concurrency is 0"):
        SamplingLimits(max_concurrency=0)
    with pytest.raises(UsageError, match="max_attempts is 0"):
        SamplingLimits(max_attempts=0)
    idle = Model(name="a", model="a", max_concurrency=0)
    with pytest.raises(UsageError, match="a: max_concurrency is 0"):
        Mux(Pool((idle,), {"a": ScriptedEngine([says(1)])}))


async def test_results_are_frozen() -> None:
    result: Any = await Mux(scripted_pool({"a": [says(1)]})).ask(ASKED)
    for value in (result, result.question, result.selection, *result.tallies, *result.samples):
        name = dataclasses.fields(value)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, None)


async def test_the_same_streams_give_the_same_result_in_any_order_of_arrival() -> None:
    async def once(delays: dict[str, float]) -> Result:
        models = tuple(Model(name=n, model=n) for n in delays)
        answers = {"a": [1, 2, 1], "b": [3, 3, 4], "c": [5, 6, 7]}
        engines = {
            n: ScriptedEngine([says(x) for x in answers[n]], name=n, delay_s=delay)
            for n, delay in delays.items()
        }
        return await Mux(Pool(models, engines), stopping="off").ask(ASKED)

    first = await once({"a": 0.0, "b": 0.01, "c": 0.02})
    second = await once({"a": 0.02, "b": 0.01, "c": 0.0})
    assert first.selection == second.selection
    assert first.tallies == second.tallies
