"""Places, a queue with an end, and requests that stop in good order."""

import asyncio
import json
from typing import Any

import pytest

from slmmux.config_gateway import GatewayConfig
from slmmux.gateway.operations.inflight import Inflight
from slmmux.gateway.operations.places import BusyError, Places
from slmmux.gateway.operations.record import Record
from slmmux.testing import FaultEndpoint


async def test_who_finds_no_place_in_the_queue_is_told_when_to_come_again() -> None:
    places = Places(1, 1, 5)
    first, second, third = (Record(method="POST", path="/") for _ in range(3))
    await places.enter(first)
    waiting = asyncio.create_task(places.enter(second))
    await asyncio.sleep(0)
    with pytest.raises(BusyError) as refused:
        await places.enter(third)
    assert refused.value.failure.code == "queue_full"
    assert (refused.value.failure.retry_after_s or 0) >= 1
    places.leave(first)
    await waiting
    assert (places.taken, places.queued) == (1, 0)
    assert second.queued_s is not None
    places.leave(second)
    places.leave(second)
    assert places.taken == 0


async def test_nobody_waits_longer_than_allowed() -> None:
    places = Places(1, 5, 0.02)
    await places.enter(Record(method="POST", path="/"))
    with pytest.raises(BusyError, match="no place became free"):
        await places.enter(Record(method="POST", path="/"))
    assert places.queued == 0


async def test_the_queue_is_bounded_and_what_is_in_it_is_answered(run: Any) -> None:
    settings = GatewayConfig(max_requests=2, max_waiting=3, drain_s=1)
    endpoint = FaultEndpoint(delay_s=0.2)
    running = await run(endpoint, settings=settings, k=1)
    replies = await asyncio.gather(*(running.send() for _ in range(9)))
    statuses = sorted(status for status, _, _ in replies)
    assert statuses == [200] * 5 + [429] * 4
    assert endpoint.most_at_once == 2
    refused = [reply for reply in replies if reply[0] == 429]
    assert all(reply["error"]["code"] == "queue_full" for _, reply, _ in refused)
    assert all(int(headers["Retry-After"]) >= 1 for _, _, headers in refused)
    metrics = await running.metrics()
    assert metrics["slmmux_requests_running"] == 0
    assert metrics["slmmux_queue_seconds_count"] == 3
    assert metrics['slmmux_refused_total{reason="queue_full"}'] == 4


async def test_a_slow_body_takes_no_place(run: Any) -> None:
    running = await run(FaultEndpoint(), settings=GatewayConfig(max_requests=1, drain_s=0.1))
    host, _, port = running.url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
    await writer.drain()
    async with asyncio.timeout(5):
        status, _, _ = await running.send()
    assert status == 200
    writer.close()


async def test_what_is_open_is_waited_for_and_what_comes_later_is_not() -> None:
    inflight, order = Inflight(), []

    async def request(name: str, seconds: float) -> None:
        async with inflight.request():
            await asyncio.sleep(seconds)
        order.append(name)

    first = asyncio.create_task(request("first", 0.05))
    await asyncio.sleep(0)
    settled = asyncio.create_task(inflight.settled())
    await asyncio.sleep(0)
    late = asyncio.create_task(request("late", 0.3))
    await settled
    assert order == ["first"]
    await asyncio.gather(first, late)


async def test_requests_end_within_the_drain_time(run: Any) -> None:
    running = await run(FaultEndpoint(delay_s=0.3), settings=GatewayConfig(drain_s=5), k=1)
    asking = [asyncio.create_task(running.send()) for _ in range(4)]
    streaming = asyncio.create_task(running.stream())
    await asyncio.sleep(0.1)
    await running.stop()
    assert [status for status, _, _ in await asyncio.gather(*asking)] == [200] * 4
    assert (await streaming)[-1] == "data: [DONE]"
    assert not running.gateway.ready


async def test_requests_that_take_longer_than_the_drain_time_end_as_errors(
    run: Any, until: Any
) -> None:
    running = await run(FaultEndpoint("hang"), settings=GatewayConfig(drain_s=0.2), k=1)
    asking = asyncio.create_task(running.send())
    streaming = [asyncio.create_task(running.stream()) for _ in range(100)]
    relayed = asyncio.create_task(running.send(model="a"))
    await until(lambda: len(running.operations.inflight) == 102)
    async with asyncio.timeout(4):
        await running.stop()
    for status, reply, headers in (await asking, await relayed):
        assert (status, reply["error"]["code"]) == (503, "stopping")
        assert headers["Retry-After"] == "2"
    for parts in await asyncio.gather(*streaming):
        last, done = parts[-2:]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "stopping"
        assert done == "data: [DONE]"


async def test_a_stopping_gateway_says_that_it_is_not_ready(run: Any) -> None:
    running = await run(FaultEndpoint(), settings=GatewayConfig(drain_s=5))
    running.operations.stop()
    async with running.session.get(f"{running.url}/readyz") as reply:
        assert reply.status == 503
    async with running.session.get(f"{running.url}/healthz") as reply:
        assert reply.status == 200
