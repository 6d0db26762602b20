"""A storm of upstream faults: every request gets a true answer or a proper error, in time."""

import asyncio
import gc
import random
import resource
import sys
import time
from collections import Counter
from typing import Any

import pytest

from slmmux.sampling import SamplingLimits
from slmmux.testing import FaultEndpoint
from slmmux.types import Model

FAULTS: tuple[Any, ...] = (
    "rate limit",
    "server error",
    "hang",
    "not json",
    "truncated json",
    "close mid-body",
    "close at once",
    "no choices",
    "null content",
)
DEADLINE_S = 3.0
LIMITS = SamplingLimits(
    first_wait_s=0.01, longest_wait_s=0.05, max_attempts=3, max_retry_s=1, request_timeout_s=0.5,
    max_concurrency=256,
)  # fmt: skip


def stormy(seed: int, share: float = 0.3) -> FaultEndpoint:
    """An endpoint of whose calls this share fails."""
    rng = random.Random(seed)
    steps: list[Any] = [rng.choice(FAULTS) if rng.random() < share else "ok" for _ in range(40_000)]
    return FaultEndpoint(*steps)


async def weather(serve: Any, requests: int) -> Counter[str]:
    """Send so many requests into the storm, 64 at a time; what came of them."""
    async with stormy(1) as a, stormy(2) as b, stormy(3) as c:
        models = [
            Model(name=n, model=n, base_url=e.base_url, max_concurrency=64)
            for n, e in (("a", a), ("b", b), ("c", c))
        ]
        running = await serve(*models, limits=LIMITS)
        outcomes: Counter[str] = Counter()
        places = asyncio.Semaphore(64)

        async def ask(number: int) -> None:
            stopping = ("exact", "off")[number % 2]
            body = {
                "model": "pool",
                "messages": [{"role": "user", "content": f"What is 6 × 7? ({number})"}],
                "slmmux": {"stopping": stopping, "deadline_s": DEADLINE_S},
            }
            async with places:
                began = time.perf_counter()
                status, reply = await running.post(body)
                took_s = time.perf_counter() - began
            assert took_s < DEADLINE_S + 1.5
            if status != 200:
                assert status == 503
                assert set(reply["error"]["upstreams"]) <= {"a", "b", "c"}
                outcomes["error"] += 1
                return
            behind = reply["slmmux"]
            check(behind, reply)
            outcomes["abstained" if behind["abstained"] else "answer"] += 1

        await asyncio.gather(*map(ask, range(requests)))
        return outcomes


def check(behind: dict[str, Any], reply: dict[str, Any]) -> None:
    """Nothing was dropped: every sample is in a class, unreadable, failed, or was not drawn."""
    for tally in behind["tallies"]:
        votes = sum(c["votes"] for c in tally["classes"])
        assert tally["k"] == 3
        assert votes + tally["unreadable"] + tally["errored"] == tally["drawn"] <= 3
        assert tally["confidence"]["low"] == pytest.approx(
            max((c["votes"] for c in tally["classes"]), default=0) / 3
        )
    assert behind["draws"] + behind["draws_saved"] == behind["budget"] == 9
    if not behind["abstained"]:
        assert behind["answer"] == "42"
        assert reply["choices"][0]["message"]["content"] == "The answer is 42."


async def test_every_request_in_a_storm_gets_a_true_answer_or_a_proper_error(serve: Any) -> None:
    outcomes = await weather(serve, 150)
    assert outcomes["answer"] > 140
    assert sum(outcomes.values()) == 150


@pytest.mark.slow
async def test_two_thousand_requests_in_a_storm_leave_nothing_behind(serve: Any) -> None:
    await weather(serve, 200)
    gc.collect()
    before, objects = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, len(gc.get_objects())
    outcomes = await weather(serve, 2000)
    assert outcomes["answer"] > 1900
    gc.collect()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 60_000 * (1 if sys.platform == "linux" else 1024)  # KB, of the peak
    assert len(gc.get_objects()) - objects < 60_000
    assert len(asyncio.all_tasks()) < 10
