"""Exact stopping through the whole line: the streams are fixed, whatever is drawn, in any order."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmmux import Model, Mux, Pool, Question, Result, Risk, connect
from slmmux.engines.base import Completion, Request
from slmmux.errors import ModelNotFoundError, QuorumError
from slmmux.fault_endpoint import FaultEndpoint
from slmmux.sampling import SamplingLimits, stream_seed
from slmmux.stopping import Schedule
from slmmux.types import Sample, Usage
from slmmux.waves import Stopping

QUESTION = Question(text="What is 6 × 7?", id="q", kind="number")
FAILED, UNREADABLE, CUT_OFF = -1, -2, -3


@dataclass(slots=True)
class Streams:
    """An engine whose sample j is fixed by its index, as rule 7 wants it, and may come late.

    Attributes:
        outcomes: by model name: an answer, or one of the failures.
        turns: of the event loop that a sample takes, by its index.
        drawn: (model, index) of everything asked, in order.
    """

    outcomes: dict[str, tuple[int, ...]]
    turns: Sequence[int]
    drawn: list[tuple[str, int]]
    choices: int = 1
    endpoint: str = "streams"

    def choices_per_request(self, model: Model, *, ordered: bool) -> int:  # noqa: ARG002
        return self.choices

    async def draw(self, request: Request) -> Sequence[Completion]:
        name = request.model.name
        first = (request.seed - stream_seed(0, QUESTION.id, name)) % 2**31
        self.drawn += [(name, first + i) for i in range(request.n)]
        for _ in range(self.turns[first % len(self.turns)]):
            await asyncio.sleep(0)
        outcomes = self.outcomes[name][first : first + request.n]
        if outcomes == (FAILED,):
            raise ModelNotFoundError(f"{name}: not here")
        return [said(name, outcome) for outcome in outcomes]

    async def close(self) -> None:
        """Nothing is open."""


def said(name: str, outcome: int) -> Completion:
    if outcome == FAILED:
        return Completion(text=None, note=f"{name}: not here")
    text = "No idea." if outcome == UNREADABLE else f"The answer is {outcome}."
    if outcome == CUT_OFF:
        return Completion(text="So 6 times 7 is 4", finish_reason="length", usage=Usage(3, 5))
    return Completion(text=text, finish_reason="stop", usage=Usage(3, 5))


@dataclass(frozen=True, slots=True)
class Case:
    """Streams by model in pool order, validation accuracies, and how draws come back."""

    outcomes: tuple[tuple[int, ...], ...]
    accuracies: tuple[float | None, ...]
    turns: tuple[int, ...]
    choices: int = 1

    @property
    def k(self) -> int:
        return len(self.outcomes[0])


async def ask(case: Case, stopping: Stopping, **more: Any) -> tuple[Result, Streams]:
    models = tuple(
        Model(name=f"m{i}", model="m", validation_accuracy=accuracy)
        for i, accuracy in enumerate(case.accuracies)
    )
    outcomes = {m.name: case.outcomes[i] for i, m in enumerate(models)}
    engine = Streams(outcomes, case.turns, [], case.choices)
    mux = Mux(Pool(models, {m.name: engine for m in models}), k=case.k, stopping=stopping, **more)
    return await mux.ask(QUESTION), engine


@st.composite
def cases(draw: st.DrawFn) -> Case:
    n, k = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    outcome = st.sampled_from([1, 1, 1, 2, 2, 3, FAILED, UNREADABLE, CUT_OFF])
    streams = tuple(draw(st.tuples(*[outcome] * k)) for _ in range(n))
    accuracies = draw(st.tuples(*[st.sampled_from([0.2, 0.5, 0.8])] * n))
    known = draw(st.booleans())
    turns = draw(st.lists(st.integers(0, 6), min_size=1, max_size=k))
    return Case(
        streams, accuracies if known else (None,) * n, tuple(turns), draw(st.integers(1, 3))
    )


@given(cases(), st.sampled_from(["draws", "balanced", "waves"]), st.integers(1, 2))
@settings(max_examples=150, deadline=None)
def test_exact_stopping_selects_what_the_full_budget_selects(
    case: Case, schedule: Schedule, quorum: int
) -> None:
    quorum = min(quorum, len(case.outcomes))
    try:
        full, _ = asyncio.run(ask(case, "off", quorum=quorum))
    except QuorumError:
        with pytest.raises(QuorumError):
            asyncio.run(ask(case, "exact", schedule=schedule, quorum=quorum))
        return
    exact, engine = asyncio.run(ask(case, "exact", schedule=schedule, quorum=quorum))
    assert exact.selection.key == full.selection.key
    assert exact.exact
    assert full.exact
    assert exact.draws <= full.draws == full.budget
    assert exact.draws_saved == full.draws - exact.draws
    assert len(engine.drawn) <= exact.draws  # one that is cancelled at once was not sent
    assert len(set(engine.drawn)) == len(engine.drawn)
    low, high = exact.selection.confidence.low, exact.selection.confidence.high
    assert low <= full.selection.confidence.low <= high
    assert exact.selection.decided_by in (None, full.selection.decided_by)
    assert by_place(exact).items() <= by_place(full).items()


def by_place(result: Result) -> dict[tuple[str, int], Sample]:
    return {(s.model, s.index): replace(s, latency_s=0.0) for s in result.samples}


@given(cases(), st.sampled_from([0.05, 0.3, 0.7]), st.sampled_from(["draws", "balanced", "waves"]))
@settings(max_examples=100, deadline=None)
def test_a_risk_never_draws_beyond_the_budget_and_knows_when_it_is_exact(
    case: Case, chance: float, schedule: Schedule
) -> None:
    try:
        full, _ = asyncio.run(ask(case, "off"))
        result, engine = asyncio.run(ask(case, Risk(chance), schedule=schedule))
    except QuorumError:
        return
    assert set(engine.drawn) <= {(t.model, j) for t in full.tallies for j in range(case.k)}
    assert result.draws <= result.budget
    if result.exact:
        assert result.selection.key == full.selection.key


@given(cases(), st.sampled_from(["draws", "balanced", "waves"]))
@settings(max_examples=60, deadline=None)
def test_the_same_streams_give_the_same_full_result_in_any_order(
    case: Case, schedule: Schedule
) -> None:
    try:
        calm, _ = asyncio.run(ask(replace(case, turns=(0,)), "off", schedule=schedule))
        wild, _ = asyncio.run(ask(case, "off", schedule=schedule))
    except QuorumError:
        return
    assert (wild.selection, wild.tallies, wild.text) == (calm.selection, calm.tallies, calm.text)


UNANIMOUS = Case(((1, 1, 1), (2, 2, 2), (3, 3, 3)), (None, None, None), (0,))


async def test_the_default_schedule_reports_its_draws_and_waves() -> None:
    result, engine = await ask(UNANIMOUS, "exact", schedule="waves")
    assert (result.draws, result.draws_saved, result.waves) == (3, 6, 1)
    assert engine.drawn == [("m0", 0), ("m0", 1), ("m0", 2)]
    one_by_one, _ = await ask(UNANIMOUS, "exact", schedule="draws")
    assert (one_by_one.draws, one_by_one.waves) == (3, 3)


@pytest.mark.parametrize("schedule", ["draws", "balanced", "waves"])
async def test_servers_that_hang_are_waited_for_twice_at_most(schedule: Schedule) -> None:
    async with FaultEndpoint(delay_s=60) as hangs, FaultEndpoint() as answers:
        urls = {"h1": hangs.base_url, "h2": hangs.base_url, "up": answers.base_url}
        models = [Model(name=name, model=name, base_url=url) for name, url in urls.items()]
        limits = SamplingLimits(request_timeout_s=1.1, max_attempts=1)
        async with connect(models, request_timeout_s=limits.request_timeout_s) as pool:
            mux = Mux(pool, k=3, schedule=schedule, limits=limits)
            began = time.monotonic()
            result = await mux.ask(QUESTION)
            assert time.monotonic() - began < 4.2
    assert (result.selection.answer, result.exact) == ("42", True)
    assert set(result.degraded) == {"h1", "h2"}


async def test_a_cancelled_draw_counts_as_drawn() -> None:
    # The second model can no longer win once the first is unanimous; its draws are under way.
    late = Case(((1, 2, 1, 1), (1, 1, 1, 1)), (None, None), (0, 0, 0, 500))
    result, engine = await ask(late, "exact", schedule="waves")
    assert result.draws == len(engine.drawn)
    assert len(result.samples) < result.draws
    assert result.exact


async def test_wave_after_wave_reads_each_text_once_for_all_samples() -> None:
    result, _ = await ask(UNANIMOUS, "off")
    assert len({id(s.answer) for s in result.samples if s.model == "m0"}) <= 3
    assert [s.answer.key for s in result.samples if s.answer] == [
        t.classes[0].key for t in result.tallies for _ in range(3)
    ]
