"""The breaker as a state machine, and before real endpoints."""

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmmux.config_gateway import GatewayConfig
from slmmux.gateway.operations.breaker import Breaker, Outcome
from slmmux.sampling import SamplingLimits
from slmmux.testing import FaultEndpoint, Reply, Step

OUTCOMES: list[Outcome] = ["success", "failure", "unknown"]


def call(breaker: Breaker, outcome: Outcome, now: float) -> bool:
    """Make a call where one may be made."""
    ticket = breaker.begin(now)
    if ticket is not None:
        breaker.end(ticket, outcome, now)
    return ticket is not None


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(3, 10)
    for _ in range(3):
        call(breaker, "failure", now)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker(3, 10)
    outcomes: list[Outcome] = ["failure", "failure", "success", "failure", "failure"]
    for outcome in outcomes:
        call(breaker, outcome, 0)
    assert breaker.state(0) == "closed"
    call(breaker, "failure", 0)
    assert breaker.state(0) == "open"
    assert breaker.wait_s(4) == 6
    assert not call(breaker, "success", 9.9)


def test_one_call_probes_and_the_others_wait_for_it() -> None:
    breaker = opened()
    probe = breaker.begin(10)
    assert probe is not None
    assert breaker.begin(10) is None
    breaker.end(probe, "success", 11)
    assert breaker.state(11) == "closed"
    assert call(breaker, "success", 11)


def test_a_probe_that_fails_doubles_the_wait_up_to_five_minutes() -> None:
    breaker, now, waits = opened(), 0.0, []
    for _ in range(7):
        now += breaker.wait_s(now)
        assert call(breaker, "failure", now)
        waits.append(breaker.wait_s(now))
    assert waits == [20, 40, 80, 160, 300, 300, 300]


def test_a_cancelled_probe_says_nothing_and_lets_the_next_one_through() -> None:
    breaker = opened()
    assert call(breaker, "unknown", 10)
    assert breaker.state(10) == "half-open"
    assert call(breaker, "success", 10)


def test_calls_from_before_it_opened_neither_close_it_nor_prolong_it() -> None:
    breaker = Breaker(1, 10)
    early, late = breaker.begin(0), breaker.begin(0)
    assert early is not None
    assert late is not None
    call(breaker, "failure", 0)
    breaker.end(early, "success", 1)
    breaker.end(late, "failure", 9)
    assert breaker.state(9) == "open"
    assert breaker.state(10) == "half-open"


@given(st.lists(st.tuples(st.sampled_from(OUTCOMES), st.floats(0, 400)), max_size=60))
def test_it_never_locks_an_endpoint_out_for_good(calls: list[tuple[Outcome, float]]) -> None:
    breaker, now = Breaker(2, 10), 0.0
    for outcome, wait_s in calls:
        now += wait_s
        call(breaker, outcome, now)
    assert breaker.begin(now + 300.001) is not None


async def test_a_dead_endpoint_is_left_alone_and_the_vote_goes_on_without_it(run: Any) -> None:
    dead = FaultEndpoint("server error")
    settings = GatewayConfig(breaker_failures=4, breaker_wait_s=60)
    running = await run(dead, FaultEndpoint(), settings=settings, stopping="off")
    for _ in range(5):
        status, reply, _ = await running.send()
        assert status == 200
        assert list(reply["slmmux"]["degraded"]) == ["a"]
        assert reply["slmmux"]["tallies"][1]["confidence"] == {"low": 1.0, "high": 1.0}
        assert reply["slmmux"]["tallies"][0]["errored"] == 3
    assert len(dead.requests) < 10
    assert "left alone; it is tried again in" in reply["slmmux"]["degraded"]["a"]
    metrics = await running.metrics()
    assert metrics['slmmux_breaker_state{model="a"}'] == 2
    assert metrics['slmmux_breaker_state{model="b"}'] == 0
    async with running.session.get(f"{running.url}/v1/models") as listing:
        listed = {m["id"]: m["slmmux"] for m in (await listing.json())["data"]}
    assert (listed["a"]["breaker"], listed["b"]["breaker"]) == ("open", "closed")
    assert "breaker" not in listed["pool"]
    assert metrics['slmmux_degraded_total{model="a",served="pool"}'] == 5
    assert metrics['slmmux_upstream_errors_total{error="UpstreamError",model="a"}'] >= 4
    assert metrics['slmmux_upstream_errors_total{error="LeftAloneError",model="a"}'] >= 3


async def test_an_endpoint_that_comes_back_is_found_by_one_probe(run: Any) -> None:
    ill = FaultEndpoint("server error", "server error", "server error", "server error", "ok")
    settings = GatewayConfig(breaker_failures=2, breaker_wait_s=0.05)
    running = await run(ill, settings=settings, stopping="off", k=1)
    statuses = [(await running.send())[0] for _ in range(3)]
    assert statuses[0] == 503

    async with asyncio.timeout(5):
        while (await running.send())[0] != 200:  # noqa: ASYNC110 - asking is the way to know
            await asyncio.sleep(0.02)
    assert (await running.metrics())['slmmux_breaker_state{model="a"}'] == 0


async def test_a_gateway_whose_endpoints_are_all_dead_is_not_ready_until_one_is_tried_again(
    run: Any,
) -> None:
    ill: tuple[Step, ...] = ("server error", "server error", "server error", "server error", "ok")
    settings = GatewayConfig(breaker_failures=2, breaker_wait_s=0.3)
    first, second = FaultEndpoint(*ill), FaultEndpoint(*ill)
    running = await run(first, second, settings=settings, stopping="off", k=1)

    async def ready() -> tuple[int, Any]:
        async with running.session.get(f"{running.url}/readyz") as reply:
            return reply.status, await reply.json()

    assert (await ready())[0] == 200
    assert (await running.send())[0] == 503
    status, reply = await ready()
    assert (status, reply["error"]["code"]) == (503, "no_upstream")
    async with running.session.get(f"{running.url}/healthz") as alive:
        assert alive.status == 200
    seen = len(first.requests)
    await asyncio.sleep(0.35)  # nothing is sent, and it is ready all the same
    assert (await ready())[0] == 200
    assert len(first.requests) == seen
    async with asyncio.timeout(5):
        while (await running.send())[0] != 200:  # noqa: ASYNC110 - asking is the way to know
            await asyncio.sleep(0.1)
    assert (await ready())[0] == 200


@pytest.mark.parametrize("fault", ["rate limit", "context", "unknown model"])
async def test_what_says_no_to_a_request_is_not_down(run: Any, fault: Any) -> None:
    endpoint = FaultEndpoint(fault)
    settings = GatewayConfig(breaker_failures=2, breaker_wait_s=60)
    running = await run(endpoint, settings=settings, limits=SamplingLimits(max_attempts=1), k=1)
    for _ in range(4):
        await running.send()
    assert len(endpoint.requests) == 4


async def test_a_hanging_endpoint_is_found_by_the_deadlines_that_it_breaks(run: Any) -> None:
    hanging = FaultEndpoint("hang")
    settings = GatewayConfig(breaker_failures=1, breaker_wait_s=60, slow_call_s=0.1)
    running = await run(hanging, FaultEndpoint(), settings=settings, stopping="off", k=2)
    status, reply, _ = await running.send(slmmux={"deadline_s": 0.2})
    assert (status, reply["slmmux"]["exact"]) == (200, False)
    status, reply, _ = await running.send(slmmux={"deadline_s": 30})
    assert reply["slmmux"]["elapsed_s"] < 5
    assert "left alone" in reply["slmmux"]["degraded"]["a"]


async def test_calls_that_time_out_are_failures(run: Any) -> None:
    hanging = FaultEndpoint("hang")
    limits = SamplingLimits(request_timeout_s=0.1, max_attempts=1)
    settings = GatewayConfig(breaker_failures=2, breaker_wait_s=60)
    running = await run(hanging, settings=settings, limits=limits, k=1)
    replies = [await running.send() for _ in range(3)]
    assert [status for status, _, _ in replies] == [503] * 3
    assert len(hanging.requests) == 2
    assert "left alone" in replies[-1][1]["error"]["upstreams"]["a"]


async def test_a_member_behind_an_open_breaker_is_503_with_its_reason(run: Any) -> None:
    settings = GatewayConfig(breaker_failures=1, breaker_wait_s=60)
    running = await run(FaultEndpoint("server error"), settings=settings, k=1)
    await running.send()
    status, reply, headers = await running.send(model="a")
    assert status == 503
    assert "left alone" in reply["error"]["message"]
    assert int(headers["Retry-After"]) in range(1, 61)


REJECTED = Reply(400, b'{"error": {"message": "top_k is not allowed"}}')


@pytest.mark.parametrize("model", ["a", "pool"])
@pytest.mark.parametrize("stream", [True, False])
async def test_bad_requests_of_clients_open_no_breaker(run: Any, model: str, stream: bool) -> None:
    endpoint = FaultEndpoint(*[REJECTED] * 20, "ok")
    settings = GatewayConfig(breaker_failures=8, breaker_wait_s=60)
    running = await run(endpoint, settings=settings, k=1)
    for _ in range(20):
        if stream:
            with contextlib.suppress(AssertionError):  # a member's 400 comes before the stream
                await running.stream(model=model)
        else:
            assert (await running.send(model=model))[0] == 400
    assert (await running.metrics())['slmmux_breaker_state{model="a"}'] == 0
    assert len(endpoint.requests) == 20
    assert (await running.send(model=model))[0] == 200


UNREADABLE = (
    *(b"{}", b"<html>", b'{"choices": []}', b'{"choices": [{}]}'),
    *(b'{"choices": [{"message": null}]}', b'{"choices": [{"message": {"content": 5}}]}'),
)


@pytest.mark.parametrize("body", UNREADABLE)
@pytest.mark.parametrize("model", ["a", "pool"])
async def test_replies_that_cannot_be_read_are_counted_as_errors(
    run: Any, body: bytes, model: str
) -> None:
    running = await run(FaultEndpoint(Reply(body=body)), k=1)
    status, _, _ = await running.send(model=model)
    assert status == (502 if model == "a" else 503)
    counted = 'slmmux_upstream_errors_total{error="ReplyError",model="a"}'
    assert (await running.metrics())[counted] == 1


async def test_streams_without_events_are_counted_as_errors(run: Any) -> None:
    head = {"Content-Type": "text/event-stream"}
    running = await run(FaultEndpoint(Reply(body=b"\n\n", headers=head)))
    await running.stream(model="a")
    counted = 'slmmux_upstream_errors_total{error="ReplyError",model="a"}'
    assert (await running.metrics())[counted] == 1


@pytest.mark.parametrize("fault", ["length", "tool call"])
async def test_what_a_model_leaves_unsaid_is_no_fault_of_its_endpoint(run: Any, fault: Any) -> None:
    running = await run(FaultEndpoint(fault), k=1)
    await running.send()
    assert not [m for m in await running.metrics() if "upstream_errors_total{" in m]
