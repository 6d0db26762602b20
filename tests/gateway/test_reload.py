"""A reload under load, and what keeps its books in a storm."""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slmmux.bank import Bank
from slmmux.config_gateway import GatewayConfig
from slmmux.engines.base import Pool
from slmmux.errors import ConfigError
from slmmux.gateway.operations.guarded import Guard, unguarded
from slmmux.gateway.operations.keeping import close_all_but, kept
from slmmux.gateway.operations.ledger import Ledger
from slmmux.gateway.operations.traces import Traces
from slmmux.gateway.state import Serving
from slmmux.sampling import SamplingLimits
from slmmux.testing import FaultEndpoint, ScriptedEngine, Step
from slmmux.types import Model


async def test_a_reload_changes_what_is_served_and_no_request_that_has_begun(
    run: Any, until: Any
) -> None:
    old = FaultEndpoint(text="The answer is 1.", delay_s=0.4)
    running = await run(old, k=1)
    asking = asyncio.create_task(running.send())
    await until(lambda: old.requests)
    before = running.gateway.serving
    async with FaultEndpoint(text="The answer is 2.") as new:

        async def load() -> Serving:
            return running.again(new)  # type: ignore[no-any-return]

        running.operations.reload(load)
        await until(lambda: running.gateway.serving is not before)
        status, reply, _ = await running.send()
        assert (status, reply["slmmux"]["answer"]) == (200, "2")
        assert not asking.done()
        assert old.open_connections == 1
        status, reply, _ = await asking
        assert (status, reply["slmmux"]["answer"]) == (200, "1")
        await until(lambda: old.open_connections == 0)
        assert (await running.metrics())['slmmux_reloads_total{outcome="taken"}'] == 1


async def test_an_invalid_configuration_changes_nothing_and_is_told(
    run: Any, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    running = await run(FaultEndpoint(), k=1)
    before = running.gateway.serving

    async def load() -> Serving:
        raise ConfigError("slmmux.toml: mux.k: must be at least 1, not 0")

    running.operations.reload(load)
    await until(lambda: "mux.k" in caplog.text)
    assert running.gateway.serving is before
    assert (await running.send())[0] == 200
    assert (await running.metrics())['slmmux_reloads_total{outcome="refused"}'] == 1


async def test_reloads_that_come_while_one_is_under_way_are_one_more(run: Any, until: Any) -> None:
    endpoint = FaultEndpoint()
    running = await run(endpoint, k=1)
    loads: list[int] = []

    async def load() -> Serving:
        loads.append(len(loads))
        await asyncio.sleep(0.05)
        return running.again(endpoint, name=f"pool{len(loads)}")  # type: ignore[no-any-return]

    for _ in range(5):
        running.operations.reload(load)
    await until(lambda: "pool2" in running.gateway.serving.profiles)
    assert len(loads) == 2


class Dear(ScriptedEngine):
    """An engine that is dear to start, and runs."""

    def stands_for(self, other: object) -> bool:
        return isinstance(other, Dear) and other.endpoint == self.endpoint and not self.closed


def pool_of(*engines: ScriptedEngine) -> Pool:
    models = tuple(Model(name=f"{e.endpoint}{i}", model="m") for i, e in enumerate(engines))
    return Pool(models, {m.name: e for m, e in zip(models, engines, strict=True)})


async def test_engines_that_run_go_on_and_are_closed_by_the_last_pool_that_has_them() -> None:
    guard = Guard(failures=3, wait_s=1, slow_s=60, on_call=lambda *_: None, traces=Traces())
    same, gone, cheap = Dear(["1"], name="x"), Dear(["2"], name="y"), ScriptedEngine(["3"])
    first = guard(pool_of(same, gone, cheap))
    second = guard(kept(pool_of(Dear(["4"], name="x"), other := ScriptedEngine(["5"])), first))
    assert list(map(unguarded, second.engines.values())) == [same, other]
    await close_all_but(first, second)
    assert [e.closed for e in (same, gone, cheap, other)] == [False, True, True, False]
    # A third that fails to start closes what it would have begun, and nothing that is served.
    third = guard(kept(pool_of(Dear(["6"], name="x"), failed := Dear(["7"], name="z")), second))
    await close_all_but(third, second)
    assert [e.closed for e in (same, other, failed)] == [False, False, True]


def stormy(seed: int) -> FaultEndpoint:
    """An endpoint of whose calls three in ten fail."""
    rng = random.Random(seed)
    faults: tuple[Step, ...] = ("rate limit", "server error", "not json", "close mid-body")
    return FaultEndpoint(*[rng.choice(faults) if rng.random() < 0.3 else "ok" for _ in range(5000)])


async def test_bank_limits_and_metrics_keep_the_same_books_in_a_storm(
    run: Any, tmp_path: Path, add_key: Callable[..., str]
) -> None:
    key = add_key()
    settings = GatewayConfig(bank=tmp_path / "samples.db", drain_s=5, max_requests=16)
    limits = SamplingLimits(
        first_wait_s=0.001, longest_wait_s=0.002, max_attempts=2, request_timeout_s=1
    )
    async with stormy(1) as a, stormy(2) as b, stormy(3) as c:
        models = [
            Model(name=n, model=n, base_url=e.base_url, price_per_mtok_in=1, price_per_mtok_out=1)
            for n, e in (("a", a), ("b", b), ("c", c))
        ]
        running = await run(*models, settings=settings, limits=limits, keys=tmp_path / "keys.db")
        replies = await asyncio.gather(*(running.send(key) for _ in range(100)))
        text = running.operations.measures.text().decode().splitlines()
        await running.stop()
    votes = [reply for status, reply, _ in replies if status == 200]
    assert len(votes) > 90
    assert {status for status, _, _ in replies} <= {200, 503}
    with Ledger(tmp_path / "keys.db") as ledger:
        used = ledger.used(ledger.all()[0], time.time())
    counted = sum(
        float(line.split()[-1]) for line in text if line.startswith("slmmux_tokens_total")
    )
    with Bank.open(tmp_path / "samples.db") as bank:
        ((rows, tokens, money),) = bank.query(
            "SELECT count(*), sum(prompt_tokens + completion_tokens), sum(cost) FROM samples"
        )
        assert len(bank.questions()) == 100
    told = sum(vote["usage"]["total_tokens"] for vote in votes)
    assert used.requests == 100
    assert used.tokens == counted == tokens >= told
    assert used.money == pytest.approx(money)
    assert rows <= sum(vote["slmmux"]["draws"] for vote in votes) + 9 * (100 - len(votes))
