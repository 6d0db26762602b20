"""API keys and their limits, at a gateway that listens."""

import asyncio
import sqlite3
import stat
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI, AuthenticationError, RateLimitError

from slmmux.config_gateway import GatewayConfig
from slmmux.errors import KeysError, UsageError
from slmmux.gateway.operations import callers
from slmmux.gateway.operations.bounds import most_of_vote
from slmmux.gateway.operations.guesses import Guesses, neighbourhood
from slmmux.gateway.operations.keys import bearer, id_of, new_key, same
from slmmux.gateway.operations.ledger import Key, KeyLimits, Ledger, Used
from slmmux.gateway.operations.record import Record
from slmmux.testing import FaultEndpoint, Reply
from slmmux.types import Conversation, Message, Model

# A stream that begins and never ends.
STALLED = Reply(
    body=b'data: {"choices": []}\n\n',
    headers={"Content-Type": "text/event-stream", "Content-Length": "10000"},
)
NOON = 20_000 * 86_400 + 43_200.0


def test_a_key_is_recognised_and_no_other_is() -> None:
    key, other = new_key(), new_key()
    assert id_of(key.text) == key.id
    assert same(key.text, key.digest)
    assert not same(other.text, key.digest)
    assert not same(key.text, None)
    assert not same("", None)


@given(st.text(max_size=80))
def test_whatever_is_sent_as_a_key_is_only_wrong(text: str) -> None:
    assert id_of(text) is None
    assert not same(text, new_key().digest)


def test_only_bearer_tokens_are_keys() -> None:
    assert bearer("Bearer  abc ") == "abc"
    assert bearer("bearer abc") == "abc"
    assert bearer("Basic abc") is None
    assert bearer("Bearer ") is None


def test_the_file_holds_no_key_and_is_its_owners_alone(tmp_path: Path) -> None:
    key = new_key()
    path = tmp_path / "state" / "keys.db"
    with Ledger(path, create=True) as ledger:
        ledger.add("alice", key, KeyLimits())
        ledger.begin(ledger.all()[0], NOON)
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
            assert key.text.encode() not in file.read_bytes()
            assert key.text.split("-", 2)[2].encode() not in file.read_bytes()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_is_no_file_of_keys_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but a text that is long enough to look like something")
    with pytest.raises(KeysError, match=r"notes\.txt"):
        Ledger(path, create=True)
    assert path.read_text().startswith("not a database")
    with pytest.raises(KeysError, match="keys add NAME"):
        Ledger(tmp_path / "none.db")


def test_two_keys_of_one_name_are_refused(tmp_path: Path) -> None:
    with Ledger(tmp_path / "keys.db", create=True) as ledger:
        ledger.add("alice", new_key(), KeyLimits())
        with pytest.raises(UsageError, match="already"):
            ledger.add("alice", new_key(), KeyLimits())
        ledger.revoke("alice")
        ledger.add("alice", new_key(), KeyLimits())
        with pytest.raises(UsageError, match="no key bob"):
            ledger.revoke("bob")


@given(
    st.integers(1, 5),
    st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=40),
)
def test_no_sixty_seconds_hold_more_requests_than_the_limit(rpm: int, pauses: list[float]) -> None:
    with TemporaryDirectory() as folder, Ledger(Path(folder) / "keys.db", create=True) as ledger:
        key = new_key()
        ledger.add("alice", key, KeyLimits(rpm=rpm))
        known = ledger.key(key.id)
        assert known is not None
        taken: list[float] = []
        now = NOON
        for pause in pauses:
            now += pause
            wait_s = ledger.begin(known, now)
            inside = [t for t in taken if t > now - 60]
            if wait_s is None:
                assert len(inside) < rpm
                taken.append(now)
            else:
                assert len(inside) == rpm
                assert wait_s == pytest.approx(inside[0] + 60 - now)


def test_usage_is_of_a_day_and_outlives_the_process(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    with Ledger(path, create=True) as ledger:
        ledger.add("alice", new_key(), KeyLimits())
        (key,) = ledger.all()
        ledger.spend({key: Used(0, 100, 0.5)}, NOON)
        ledger.spend({key: Used(0, 11, 0.25)}, NOON + 3600)
    with Ledger(path) as ledger:
        assert ledger.used(key, NOON) == Used(0, 111, 0.75)
        assert ledger.used(key, NOON + 86_400) == Used()


def test_a_clock_that_was_put_back_locks_nobody_out(tmp_path: Path) -> None:
    with Ledger(tmp_path / "keys.db", create=True) as ledger:
        ledger.add("alice", new_key(), KeyLimits(rpm=1))
        (key,) = ledger.all()
        assert ledger.begin(key, NOON + 7 * 86_400) is None
        assert ledger.begin(key, NOON) is None


def test_guessers_wait() -> None:
    guesses = Guesses()
    for second in range(10):
        assert guesses.wrong("10.0.0.1", second) is None
    assert guesses.wrong("10.0.0.1", 10) == 50
    assert guesses.wrong("10.0.0.1", 20) == 40  # what has to wait counts no more
    assert guesses.wrong("10.0.0.2", 20) is None
    assert guesses.wrong("10.0.0.1", 60) is None


def test_a_whole_ipv6_network_is_one_guesser() -> None:
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::ffff:2")
    assert neighbourhood("2001:db8:0:1::1") != neighbourhood("2001:db8::1")
    assert neighbourhood("unknown") == "unknown"


async def test_nobody_gets_in_without_a_key(
    run: Any, tmp_path: Path, add_key: Callable[..., str]
) -> None:
    key = add_key()
    running = await run(FaultEndpoint(), keys=tmp_path / "keys.db")
    status, reply, headers = await running.send()
    assert (status, reply["error"]["code"]) == (401, "missing_api_key")
    assert headers["WWW-Authenticate"] == "Bearer"
    status, reply, _ = await running.send("sk-wrong")
    assert (status, reply["error"]["code"]) == (401, "invalid_api_key")
    status, reply, _ = await running.send(key)
    assert (status, reply["slmmux"]["answer"]) == (200, "42")
    for path, expected in [("healthz", 200), ("readyz", 200), ("metrics", 401), ("v1/models", 401)]:
        async with running.session.get(f"{running.url}/{path}") as other:
            assert other.status == expected, path


async def test_a_key_works_as_soon_as_it_is_made_and_no_longer_than_it_is_there(
    run: Any, tmp_path: Path, add_key: Callable[..., str]
) -> None:
    add_key()
    running = await run(FaultEndpoint(), keys=tmp_path / "keys.db")
    late = add_key("bob")
    assert (await running.send(late))[0] == 200
    with Ledger(tmp_path / "keys.db") as ledger:
        ledger.revoke("bob")
    assert (await running.send(late))[0] == 401


async def test_guessing_keys_is_slow_and_locks_out_nobody_who_has_one(
    run: Any, tmp_path: Path, add_key: Callable[..., str]
) -> None:
    never_used = add_key()
    running = await run(FaultEndpoint(), keys=tmp_path / "keys.db")
    right_id = f"slmmux-{id_of(never_used)}-{'A' * 43}"
    replies = [await running.send(right_id) for _ in range(12)]
    assert [status for status, _, _ in replies] == [401] * 10 + [429] * 2
    assert replies[-1][1]["error"]["code"] == "too_many_wrong_keys"
    assert 0 < int(replies[-1][2]["Retry-After"]) <= 60
    assert (await running.send(never_used))[0] == 200
    assert (await running.send(right_id))[0] == 429


@pytest.mark.parametrize("model", ["pool", "a"])
async def test_an_open_stream_ends_soon_after_its_key_was_revoked(
    run: Any, tmp_path: Path, add_key: Callable[..., str], until: Any, model: str
) -> None:
    key, other = add_key(), add_key("bob")
    hanging = FaultEndpoint("hang" if model == "pool" else STALLED)
    running = await run(hanging, keys=tmp_path / "keys.db", k=1)
    streaming = asyncio.create_task(running.stream(key, model=model))
    waiting = asyncio.create_task(running.send(key))
    staying = asyncio.create_task(running.stream(other, model=model))
    await until(lambda: len(hanging.requests) == 3)
    began = time.monotonic()
    with Ledger(tmp_path / "keys.db") as ledger:
        ledger.revoke("alice")
    assert (await running.send(key))[0] == 401
    *_, error, done = await streaming
    assert '"invalid_api_key"' in error
    assert done == "data: [DONE]"
    status, reply, _ = await waiting
    assert (status, reply["error"]["code"]) == (401, "invalid_api_key")
    assert time.monotonic() - began < 3
    assert not staying.done()
    await until(lambda: hanging.open_connections == 1)
    staying.cancel()


async def test_a_request_that_takes_its_time_to_end_keeps_no_other_from_ending(
    tmp_path: Path, add_key: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "_TICK_S", 0.02)
    add_key()
    add_key("bob")
    with Ledger(tmp_path / "keys.db") as ledger:
        calls = callers.Callers(ledger, time.time)

        async def request(key: Key, last_words_s: float) -> None:
            async with calls.request(callers.Call(key, Record(method="POST", path="/"))):
                try:
                    await asyncio.sleep(60)
                finally:
                    await asyncio.sleep(last_words_s)

        alice, bob = ledger.all()
        slow = asyncio.create_task(request(alice, 0.2))
        other = asyncio.create_task(request(bob, 0))
        await asyncio.sleep(0)
        ledger.revoke("alice")
        await asyncio.sleep(0.1)
        ledger.revoke("bob")
        async with asyncio.timeout(2):
            for task in (slow, other):
                with pytest.raises(TimeoutError):
                    await task
        assert calls.running(alice) == calls.running(bob) == 0


async def test_nobody_is_let_in_while_the_keys_cannot_be_read(
    run: Any, tmp_path: Path, add_key: Callable[..., str]
) -> None:
    key = add_key()
    running = await run(FaultEndpoint(), keys=tmp_path / "keys.db")
    connection = sqlite3.connect(tmp_path / "keys.db")
    connection.execute("ALTER TABLE keys RENAME TO others")
    connection.close()
    status, reply, _ = await running.send(key)
    assert (status, reply["error"]["code"]) == (503, "keys_unreadable")
    assert str(tmp_path) not in reply["error"]["message"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("LOCALHOST", 200),
        ("my.localhost:1", 200),
        ("gateway.example", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8000", 421),
        ("localhost.evil.example", 421),
    ],
)
async def test_no_page_on_the_web_reaches_a_gateway_without_keys(
    run: Any, host: str, status: int
) -> None:
    running = await run(
        FaultEndpoint(), settings=GatewayConfig(hosts=("gateway.example",), drain_s=1)
    )
    async with running.session.get(f"{running.url}/v1/models", headers={"Host": host}) as reply:
        assert reply.status == status
        assert ("error" in await reply.json()) is (status != 200)


async def test_with_keys_any_name_is_fine(
    run: Any, tmp_path: Path, add_key: Callable[..., str]
) -> None:
    key = add_key()
    running = await run(FaultEndpoint(), keys=tmp_path / "keys.db")
    headers = {"Host": "llm.example.org", "Authorization": f"Bearer {key}"}
    assert (await running.send(headers=headers))[0] == 200


async def test_requests_in_a_minute_are_limited(
    run: Any, tmp_path: Path, add_key: Callable[..., str]
) -> None:
    key, other = add_key(rpm=2), add_key("bob")
    running = await run(FaultEndpoint(), keys=tmp_path / "keys.db")
    statuses = [(await running.send(key))[0] for _ in range(2)]
    status, reply, headers = await running.send(key)
    assert [*statuses, status] == [200, 200, 429]
    assert reply["error"]["type"] == "rate_limit_error"
    assert reply["error"]["code"] == "rate_limit_exceeded"
    assert 50 < int(headers["Retry-After"]) <= 60
    assert (await running.send(other))[0] == 200


async def test_requests_at_once_are_limited(
    run: Any, tmp_path: Path, add_key: Callable[..., str]
) -> None:
    key = add_key(concurrent=1)
    running = await run(FaultEndpoint(delay_s=0.3), keys=tmp_path / "keys.db", k=1)
    replies = await asyncio.gather(*(running.send(key) for _ in range(4)))
    assert sorted(status for status, _, _ in replies) == [200, 429, 429, 429]
    refused = next(reply for status, reply, _ in replies if status != 200)
    assert "alice has 1 request running, which is its limit" in refused["error"]["message"]
    assert (await running.send(key))[0] == 200


@pytest.mark.parametrize(
    ("limit", "what"),
    [
        ({"tokens_per_day": 40}, "alice has used 48 tokens today, and may use 40 a day"),
        (
            {"money_per_day": 0.001},
            "used 0.00144 in the currency of the models' prices today, and may use 0.001 a day",
        ),
    ],
)
async def test_tokens_and_money_of_a_day_are_limited(
    run: Any, tmp_path: Path, add_key: Callable[..., str], limit: Any, what: str
) -> None:
    key = add_key(**limit)
    async with FaultEndpoint() as endpoint:
        model = Model(
            name="a",
            model="x",
            base_url=endpoint.base_url,
            price_per_mtok_in=30,
            price_per_mtok_out=30,
        )
        running = await run(model, keys=tmp_path / "keys.db", stopping="off")
        status, reply, _ = await running.send(key)
        assert (status, reply["usage"]["total_tokens"]) == (200, 48)
        status, reply, headers = await running.send(key)
        assert (status, reply["error"]["code"]) == (429, "insufficient_quota")
        assert what in reply["error"]["message"]
        midnight_s = 86_400 - time.time() % 86_400
        assert int(headers["Retry-After"]) == pytest.approx(midnight_s, abs=5)


def priced(endpoint: FaultEndpoint, max_tokens: int) -> Model:
    return Model(
        name="a",
        model="x",
        base_url=endpoint.base_url,
        max_tokens=max_tokens,
        price_per_mtok_in=1_000,
        price_per_mtok_out=1_000,
    )


@pytest.mark.parametrize("limit", [{"tokens_per_day": 2_000}, {"money_per_day": 2.0}])
@pytest.mark.parametrize("model", ["pool", "a"])
async def test_requests_at_once_pass_no_limit_of_the_day_together(
    run: Any, tmp_path: Path, add_key: Callable[..., str], limit: Any, model: str
) -> None:
    key = add_key(**limit)
    async with FaultEndpoint(delay_s=0.3) as endpoint:
        running = await run(priced(endpoint, 500), keys=tmp_path / "keys.db", k=1)
        replies = await asyncio.gather(*(running.send(key, model=model) for _ in range(8)))
        statuses = sorted(status for status, _, _ in replies)
        assert 2 <= statuses.count(200) <= 3  # each may take 500 tokens and its prompt's
        assert set(statuses) == {200, 429}
        refused = next(r for status, r, _ in replies if status == 429)
        assert "beside those that run could pass that" in refused["error"]["message"]
        # What was not used is free again.
        assert (await running.send(key, model=model))[0] == 200


async def test_a_limit_below_the_largest_request_is_a_limit_and_no_ban(
    run: Any, tmp_path: Path, add_key: Callable[..., str], until: Any
) -> None:
    key = add_key(tokens_per_day=20)
    async with FaultEndpoint(delay_s=0.2) as endpoint:
        running = await run(priced(endpoint, 500), keys=tmp_path / "keys.db", k=1)
        alone = asyncio.create_task(running.send(key))
        await until(lambda: endpoint.at_once == 1)
        assert (await running.send(key, stream=True))[0] == 429  # a status, no event in a stream
        assert (await alone)[0] == 200
        assert (await running.send(key))[0] == 200  # 16 of 20 were used: the last one
        status, reply, _ = await running.send(key)
        assert (status, reply["error"]["code"]) == (429, "insufficient_quota")


@given(st.text(max_size=200), st.integers(1, 9), st.integers(1, 2_000))
def test_a_bound_is_never_below_what_a_byte_a_token_would_take(
    text: str, samples: int, longest: int
) -> None:
    model = Model(name="a", model="a", max_tokens=longest, price_per_mtok_in=2,
                  price_per_mtok_out=3)  # fmt: skip
    asked = Conversation(
        text=text, id="q", kind="text", messages=(Message("system", "é"), Message("user", text))
    )
    most = most_of_vote(asked, [(model, samples)])
    size = 2 + len(text.encode("utf-8", "replace"))
    assert most.tokens >= samples * (size + longest)
    assert most.money >= samples * (2 * size + 3 * longest) / 1e6


async def test_openais_own_client_knows_our_refusals(
    run: Any, tmp_path: Path, add_key: Callable[..., str]
) -> None:
    key = add_key(rpm=1)
    running = await run(FaultEndpoint(), keys=tmp_path / "keys.db")

    async def ask(with_key: str) -> str | None:
        base_url = f"{running.url}/v1"
        async with AsyncOpenAI(base_url=base_url, api_key=with_key, max_retries=0) as client:
            reply = await client.chat.completions.create(
                model="pool", messages=[{"role": "user", "content": "6 × 7?"}]
            )
            return reply.choices[0].message.content

    with pytest.raises(AuthenticationError) as wrong:
        await ask("sk-of-another-server")
    assert wrong.value.code == "invalid_api_key"
    assert await ask(key) == "The answer is 42."
    with pytest.raises(RateLimitError) as limited:
        await ask(key)
    assert limited.value.code == "rate_limit_exceeded"


async def test_passed_on_requests_count_too(
    run: Any, tmp_path: Path, add_key: Callable[..., str]
) -> None:
    key = add_key(tokens_per_day=1_000)
    running = await run(FaultEndpoint(), keys=tmp_path / "keys.db")
    assert (await running.send(key, model="a"))[0] == 200
    with Ledger(tmp_path / "keys.db") as ledger:
        (known,) = ledger.all()
        assert ledger.used(known, time.time()) == Used(1, 16, 0.0)


async def test_who_leaves_in_the_middle_has_used_what_was_drawn(
    run: Any, tmp_path: Path, add_key: Callable[..., str], until: Any
) -> None:
    key = add_key(tokens_per_day=1_000)
    running = await run(
        FaultEndpoint(), FaultEndpoint("hang"), keys=tmp_path / "keys.db", stopping="off"
    )
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await running.send(key)
    await until(lambda: len(running.operations.inflight) == 0)
    with Ledger(tmp_path / "keys.db") as ledger:
        (known,) = ledger.all()
        assert ledger.used(known, time.time()).tokens == 48


async def test_limits_are_not_reset_by_a_restart(
    run: Any, tmp_path: Path, add_key: Callable[..., str]
) -> None:
    key = add_key(rpm=3, tokens_per_day=50)
    first = await run(FaultEndpoint(), keys=tmp_path / "keys.db", stopping="off")
    assert (await first.send(key))[0] == 200
    await first.stop()
    second = await run(FaultEndpoint(), keys=tmp_path / "keys.db", stopping="off")
    assert (await second.send(key))[0] == 200
    status, reply, _ = await second.send(key)
    assert (status, reply["error"]["code"]) == (429, "insufficient_quota")
