import asyncio
import gc
import json
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from slmmux.engines.base import Completion, Message, Prompt, Request
from slmmux.engines.openai import OpenAIEngine
from slmmux.engines.refusals import retry_after_s
from slmmux.errors import (
    AuthenticationError,
    ConnectionDroppedError,
    ContextLengthError,
    EngineError,
    ModelNotFoundError,
    RateLimitError,
    ReplyError,
    RequestRejectedError,
    RequestTimeoutError,
    RetryableError,
    UnreachableError,
    UpstreamError,
    UsageError,
)
from slmmux.testing import Fault, FaultEndpoint, Reply
from slmmux.types import Model, Usage

KEY = "sk-a-secret-of-ours"
MODEL = Model(name="qwen", model="qwen2.5-7b", temperature=0.5, top_p=0.9, max_tokens=64)
PROMPT = Prompt(messages=(Message("system", "Be brief."), Message("user", "6 × 7?")), stop=("END",))


def ask(*, n: int = 1, seed: int = 7, **changes: Any) -> Request:
    return Request(model=replace(MODEL, **changes), prompt=PROMPT, seed=seed, n=n)


async def draw(endpoint: FaultEndpoint, request: Request | None = None) -> list[Completion]:
    async with endpoint:
        engine = OpenAIEngine(endpoint.base_url, api_key=KEY, request_timeout_s=5)
        try:
            return list(await engine.draw(request or ask()))
        finally:
            await engine.close()


async def read(reply: dict[str, Any], request: Request | None = None) -> list[Completion]:
    """What the engine makes of an exact reply."""
    return await draw(FaultEndpoint(Reply(body=json.dumps(reply).encode())), request)


def said(text: str | None, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"index": index, "message": {"content": text, **more}, "finish_reason": "stop"}


@pytest.fixture(name="engine")
async def honouring_engine() -> AsyncIterator[OpenAIEngine]:
    """An engine whose endpoint honours `n`."""
    async with FaultEndpoint(honours_n=True) as endpoint:
        engine = OpenAIEngine(endpoint.base_url)
        yield engine
        await engine.close()


async def test_a_chat_request_carries_every_sampling_parameter() -> None:
    endpoint = FaultEndpoint()
    (completion,) = await draw(endpoint)
    assert endpoint.requests == [
        {
            "model": "qwen2.5-7b",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "6 × 7?"},
            ],
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 64,
            "seed": 7,
            "stop": ["END"],
        }
    ]
    assert completion == Completion(
        text="The answer is 42.", finish_reason="stop", usage=Usage(10, 6)
    )
    assert endpoint.headers[0]["authorization"] == f"Bearer {KEY}"


async def test_a_base_model_is_asked_to_continue_a_text() -> None:
    endpoint = FaultEndpoint()
    model = replace(MODEL, api="completions")
    prompt = Prompt(text="Question: 6 × 7?\nAnswer:")
    (completion,) = await draw(endpoint, Request(model=model, prompt=prompt, seed=1))
    assert endpoint.requests[0]["prompt"] == prompt.text
    assert "messages" not in endpoint.requests[0]
    assert completion.text == "The answer is 42."


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("wrong key", AuthenticationError, "Incorrect API key provided"),
        ("unknown model", ModelNotFoundError, "does not serve the model 'qwen2.5-7b'"),
        ("wrong path", ModelNotFoundError, "base_url ends where the API begins, usually in /v1"),
        ("context", ContextLengthError, "maximum context length is 2048"),
        ("rate limit", RateLimitError, "Rate limit reached"),
        ("server error", UpstreamError, "500: CUDA out of memory"),
        ("not json", ReplyError, "<html>It works!</html>"),
        ("truncated json", ReplyError, 'not JSON: {"object": "chat.completion"'),
        ("no choices", ReplyError, "an empty list of choices"),
        ("close mid-body", ConnectionDroppedError, "before its reply was complete"),
        ("close at once", ConnectionDroppedError, "before its reply was complete"),
    ],
)
async def test_each_fault_has_its_error_and_the_endpoints_words(
    fault: Fault, error: type[EngineError], words: str
) -> None:
    endpoint = FaultEndpoint(fault)
    with pytest.raises(error) as raised:
        await draw(endpoint)
    assert words in str(raised.value)
    assert str(raised.value).startswith("qwen: ")
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("fault", ["huge body", "gzip bomb"])
async def test_a_reply_without_end_is_given_up_before_it_fills_the_memory(fault: Fault) -> None:
    async with FaultEndpoint(fault) as endpoint:
        engine = OpenAIEngine(endpoint.base_url)
        tracemalloc.start()
        with pytest.raises(ReplyError, match=r"sent more than 32 MB; check that base_url"):
            await engine.draw(ask())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 64_000_000
        async with asyncio.timeout(5):
            while endpoint.open_connections:  # noqa: ASYNC110 - what is waited for is the server
                await asyncio.sleep(0.01)
        await engine.close()


async def test_a_long_reply_below_the_limit_is_read() -> None:
    (completion,) = await read({"choices": [said("x" * 31_000_000)]})
    assert len(completion.text or "") == 31_000_000


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RequestRejectedError),
        (403, AuthenticationError),
        (405, RequestRejectedError),
        (408, RequestTimeoutError),
        (413, RequestRejectedError),
        (422, RequestRejectedError),
        (425, RateLimitError),
        (429, RateLimitError),
        (500, UpstreamError),
        (503, UpstreamError),
        (529, UpstreamError),
    ],
)
async def test_every_status_has_its_error(status: int, error: type[EngineError]) -> None:
    with pytest.raises(error) as raised:
        await draw(FaultEndpoint(Reply(status, b"oh\x00\n no")))
    assert f"{status}: oh no" in str(raised.value)
    retryable = status in (408, 425, 429) or status >= 500
    assert isinstance(raised.value, RetryableError) == retryable


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Please reduce your input.", "code": "context_length_exceeded"}},
        {
            "error": {
                "code": 400,
                "message": "request (12030 tokens) exceeds the available context size (2048)",
                "type": "exceed_context_size_error",
            }
        },
        {"object": "error", "message": "This model's maximum context length is 2048 tokens."},
        {"detail": "x" * 300 + " longer than the model's context length"},
    ],
    ids=["OpenAI", "llama.cpp", "vLLM", "far down"],
)
async def test_a_prompt_that_is_too_long_is_recognised(body: dict[str, Any]) -> None:
    with pytest.raises(ContextLengthError, match="does not fit the model's context"):
        await draw(FaultEndpoint(Reply(400, json.dumps(body).encode())))


async def test_a_refused_key_says_where_it_came_from() -> None:
    with pytest.raises(AuthenticationError, match=r"check the key in QWEN_KEY$"):
        await draw(FaultEndpoint("wrong key"), ask(api_key_env="QWEN_KEY"))
    with pytest.raises(AuthenticationError, match=r"check the key in keys/qwen$"):
        await draw(FaultEndpoint("wrong key"), ask(api_key_file="keys/qwen"))


@pytest.mark.parametrize("status", [200, 400, 401, 500])
async def test_a_server_that_echoes_the_key_does_not_get_it_into_a_message(status: int) -> None:
    with pytest.raises(EngineError) as raised:
        await draw(FaultEndpoint(Reply(status, f"no such key: {KEY}!".encode())))
    assert "no such key: [the API key]!" in str(raised.value)
    assert KEY not in repr(raised.value)
    assert KEY not in repr(raised.value.__cause__)


def test_the_key_and_the_urls_password_are_not_shown() -> None:
    assert KEY not in repr(OpenAIEngine("http://localhost/v1", api_key=KEY))
    engine = OpenAIEngine("http://me:hunter2@localhost:8001/v1/")
    assert engine.endpoint == "http://localhost:8001/v1"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("localhost:8001/v1", None),
        ("http://[::1/v1", None),
        ("ftp://localhost/v1", None),
        ("http://me:pw@localhost/v1", KEY),
        ("http://localhost/v1", "two\nlines"),
        ("http://localhost/v1", ""),
    ],
)
def test_what_cannot_be_asked_is_refused_at_once(url: str, key: str | None) -> None:
    with pytest.raises(UsageError) as raised:
        OpenAIEngine(url, api_key=key)
    assert "pw" not in str(raised.value)
    assert "lines" not in str(raised.value)


async def test_a_redirect_is_not_followed_with_the_key() -> None:
    async with FaultEndpoint() as other:
        moved = Reply(307, b"", {"Location": f"{other.base_url}/chat/completions?token=1"})
        with pytest.raises(RequestRejectedError, match="write the final address into base_url"):
            await draw(FaultEndpoint(moved))
        assert other.requests == []


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(204, b""), "answered with status 204 and no reply; check"),
        (Reply(202, b'{"detail": "queued"}'), "answered with status 202 and no reply (queued); "),
        (Reply(304, b""), "answered with status 304 and no reply; check"),
    ],
)
async def test_an_odd_status_that_leads_nowhere_is_no_redirect(reply: Reply, words: str) -> None:
    with pytest.raises(ReplyError) as raised:
        await draw(FaultEndpoint(reply))
    assert words in str(raised.value)


async def test_nobody_listening_is_a_refused_connection() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    engine = OpenAIEngine(url)
    with pytest.raises(UnreachableError) as raised:
        await engine.draw(ask())
    assert str(raised.value) == (
        f"qwen: connection refused at {url}; start the server, or remove the model from the pool"
    )
    await engine.close()


async def test_an_unknown_host_is_unreachable() -> None:
    engine = OpenAIEngine("http://no-such-host.invalid/v1")
    with pytest.raises(
        UnreachableError, match=r"no such host at http://no-such-host.*spelling of base_url"
    ):
        await engine.draw(ask())
    await engine.close()


async def speaker(words: bytes) -> asyncio.Server:
    """A server that says this to whoever comes."""

    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        await writer.drain()
        writer.close()

    return await asyncio.start_server(speak, "127.0.0.1", 0)


async def test_https_to_a_plain_port_is_unreachable() -> None:
    async with await speaker(b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        engine = OpenAIEngine(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        with pytest.raises(UnreachableError, match="this port speaks plain http: write http://"):
            await engine.draw(ask())
        await engine.close()


async def test_a_port_that_speaks_another_protocol_is_a_reply_error() -> None:
    async with await speaker(b"SSH-2.0-OpenSSH_9.6\r\n") as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        engine = OpenAIEngine(url, api_key=KEY)
        with pytest.raises(ReplyError, match=r"not speak HTTP \(Bad status line\); ") as raised:
            await engine.draw(ask())
        assert raised.value.__cause__ is None  # aiohttp's error holds the request's headers
        await engine.close()


async def test_a_server_that_hangs_times_out() -> None:
    async with FaultEndpoint("hang") as endpoint:
        engine = OpenAIEngine(endpoint.base_url, request_timeout_s=0.1)
        with pytest.raises(RequestTimeoutError, match=r"within 0\.1 s"):
            await engine.draw(ask())
        await engine.close()


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "0.25"}, 0.25),
        ({"Retry-After": "-1"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(
    headers: dict[str, str], wait_s: float | None
) -> None:
    assert retry_after_s(headers) == wait_s


def test_retry_after_may_be_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry_after_s({"Retry-After": date}) == pytest.approx(30, abs=2)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("0.25", "wait 0.25 s ("),
        ("90", "wait 90 s ("),
        ("86400", "wait 24 hours ("),
        ("2300730000", "wait 26,629 days ("),
    ],
)
async def test_a_long_wait_is_shown_in_a_unit_that_a_person_reads(asked: str, words: str) -> None:
    with pytest.raises(RateLimitError) as raised:
        await draw(FaultEndpoint("rate limit", retry_after=asked))
    assert words in str(raised.value)


@pytest.mark.parametrize("fault", ["rate limit", "server error"])
async def test_the_wait_that_the_server_asks_for_is_kept(fault: Fault) -> None:
    with pytest.raises(RetryableError) as raised:
        await draw(FaultEndpoint(fault, retry_after="7"))
    assert raised.value.retry_after_s == 7.0


@pytest.mark.parametrize(
    ("fault", "note"),
    [
        ("null content", "qwen: the reply holds no text (content is null)"),
        ("tool call", "qwen: called a tool instead of answering"),
    ],
)
async def test_a_reply_without_text_says_why(fault: Fault, note: str) -> None:
    (completion,) = await draw(FaultEndpoint(fault))
    assert (completion.text, completion.note) == (None, note)
    assert completion.usage == Usage(10, 6)


async def test_a_refusal_is_not_a_text() -> None:
    (completion,) = await read({"choices": [said(None, refusal="I cannot help with that.")]})
    assert completion.text is None
    assert completion.note == "qwen: refused to answer: I cannot help with that."


async def test_an_answer_beside_a_tool_call_counts() -> None:
    (completion,) = await read({"choices": [said("42", tool_calls=[{}])]})
    assert completion.text == "42"


async def test_thinking_until_max_tokens_says_so() -> None:
    choice = said(None, reasoning_content="Let me see") | {"finish_reason": "length"}
    (completion,) = await read({"choices": [choice]})
    assert completion.text is None
    assert completion.note == "qwen: reached max_tokens before its answer; raise max_tokens"
    assert completion.reasoning == "Let me see"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_is_kept_apart(field: str) -> None:
    (completion,) = await read({"choices": [{"message": {"content": "42", field: "6 sevens"}}]})
    assert (completion.text, completion.reasoning) == ("42", "6 sevens")


async def test_content_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "4"}, {"type": "image"}, {"type": "text", "text": "2"}]
    (completion,) = await read({"choices": [{"message": {"content": parts}}]})
    assert completion.text == "42"


async def test_a_text_cut_off_at_max_tokens_keeps_its_finish_reason() -> None:
    (completion,) = await draw(FaultEndpoint("length"))
    assert (completion.text, completion.finish_reason) == ("The answ", "length")


async def test_broken_utf_8_costs_characters_and_no_sample() -> None:
    (completion,) = await draw(FaultEndpoint("invalid utf-8"))
    assert completion.text == "The answ\ufffd\ufffdr is 42."


async def test_half_an_emoji_can_be_written_out() -> None:
    (completion,) = await draw(
        FaultEndpoint(Reply(body=b'{"choices": [{"text": "ok \xc3\xa9 \\ud83d"}]}'))
    )
    assert completion.text == "ok é ?"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b'{"choices": null}',
        b'{"choices": ["text"]}',
        b"[" * 100_000,
        b"\xff\xfe\x00\x01",
        b'{"error": "the model is loading"}',
    ],
)
async def test_a_reply_of_another_shape_is_a_reply_error(body: bytes) -> None:
    with pytest.raises(ReplyError):
        await draw(FaultEndpoint(Reply(body=body)))


async def test_an_error_reported_with_status_200_is_that_error() -> None:
    with pytest.raises(RateLimitError, match="429: slow down"):
        await read({"error": {"code": 429, "message": "slow down"}})


async def test_n_choices_come_in_the_order_of_their_index() -> None:
    choices = [said("third", 2), said("first", 0), said("second", 1), said("extra", 3)]
    completions = await read({"choices": choices}, ask(n=3))
    assert [c.text for c in completions] == ["first", "second", "third"]


async def test_n_is_sent_and_honoured_where_it_works(engine: OpenAIEngine) -> None:
    assert engine.choices_per_request(MODEL, ordered=False) == 64
    assert len(await engine.draw(ask(n=5))) == 5
    assert engine.choices_per_request(MODEL, ordered=False) == 64


def test_n_is_for_unordered_samples_unless_it_is_known_to_be_seeded() -> None:
    engine = OpenAIEngine("http://localhost/v1")
    assert engine.choices_per_request(MODEL, ordered=True) == 1
    assert engine.choices_per_request(replace(MODEL, n="seeded"), ordered=True) == 64
    assert engine.choices_per_request(replace(MODEL, n="never"), ordered=False) == 1


async def test_a_server_that_ignores_n_is_remembered_for_that_model() -> None:
    async with FaultEndpoint(honours_n=False) as endpoint:
        engine = OpenAIEngine(endpoint.base_url)
        assert len(await engine.draw(ask(n=4))) == 1
        assert engine.choices_per_request(MODEL, ordered=False) == 1
        assert engine.choices_per_request(replace(MODEL, model="other"), ordered=False) == 64
        await engine.close()


async def test_a_server_that_rejects_n_is_asked_again_without() -> None:
    endpoint = FaultEndpoint("rejects n")
    assert len(await draw(endpoint, ask(n=4))) == 1
    assert [body.get("n") for body in endpoint.requests] == [4, None]


async def test_a_server_that_limits_n_is_asked_for_that_many() -> None:
    message = "Field 'n': Value must be between 1 <= value <= 2, but got 5"  # llama.cpp, 2 slots
    refused = Reply(400, json.dumps({"error": {"code": 400, "message": message}}).encode())
    async with FaultEndpoint(refused, "ok", honours_n=True) as endpoint:
        engine = OpenAIEngine(endpoint.base_url)
        assert len(await engine.draw(ask(n=5))) == 2
        assert engine.choices_per_request(MODEL, ordered=False) == 2
        await engine.close()


async def test_a_rejection_of_something_else_is_no_verdict_on_n() -> None:
    async with FaultEndpoint(Reply(400, b'{"error": "temperature is too high"}')) as endpoint:
        engine = OpenAIEngine(endpoint.base_url)
        with pytest.raises(RequestRejectedError, match="temperature is too high"):
            await engine.draw(ask(n=4))
        assert engine.choices_per_request(MODEL, ordered=False) == 64
        assert len(endpoint.requests) == 1
        await engine.close()


async def test_a_seeded_model_honours_seeds_and_others_are_unknown() -> None:
    (completion,) = await draw(FaultEndpoint(), ask(n=1))
    assert completion.seed_honoured is None
    (completion,) = await draw(FaultEndpoint(), replace(ask(), model=replace(MODEL, n="seeded")))
    assert completion.seed_honoured is True


def total(completions: list[Completion]) -> Usage:
    return sum((c.usage for c in completions), Usage())


async def test_usage_of_several_choices_adds_up_to_the_endpoints_figure() -> None:
    reply = {
        "choices": [said("x" * 10, 0), said("x" * 30, 1), said("x" * 60, 2)],
        "usage": {"prompt_tokens": 11, "completion_tokens": 25},
    }
    completions = await read(reply, ask(n=3))
    assert [c.usage.completion_tokens for c in completions] == [2, 8, 15]
    assert [c.usage.prompt_tokens for c in completions] == [11, 0, 0]
    assert total(completions) == Usage(11, 25, estimated=True)


@pytest.mark.parametrize("timings", [{"timings": {"predicted_n": 10}}, {}])
async def test_usage_that_counts_the_first_choice_only_is_extrapolated(
    timings: dict[str, Any],
) -> None:
    reply = {
        "choices": [said("x" * 40, 0), said("x" * 80, 1), said("x" * 20, 2)],
        "usage": {"prompt_tokens": 11, "completion_tokens": 10},
        **timings,
    }
    completions = await read(reply, ask(n=3))
    assert [c.usage.completion_tokens for c in completions] == [10, 20, 5]
    assert all(c.usage.estimated for c in completions)


@pytest.mark.parametrize("usage", [None, {}, {"completion_tokens": 0, "prompt_tokens": None}])
async def test_missing_usage_is_estimated_from_the_text(usage: object) -> None:
    (completion,) = await read({"choices": [said("x" * 400)], "usage": usage})
    assert completion.usage == Usage(4, 100, estimated=True)  # the prompt has 15 characters


@pytest.mark.parametrize("digits", [5000, 4000])
async def test_a_usage_that_no_model_can_have_costs_no_text(digits: int) -> None:
    usage = f'{{"prompt_tokens": 3, "completion_tokens": {"9" * digits}}}'
    body = f'{{"choices": [{json.dumps(said("x" * 400))}], "usage": {usage}}}'
    (completion,) = await draw(FaultEndpoint(Reply(body=body.encode())))
    assert completion.usage == Usage(3, 100, estimated=True)


async def test_many_draws_share_one_session_and_closing_leaves_no_connection() -> None:
    async with FaultEndpoint(delay_s=0.02) as endpoint:
        engine = OpenAIEngine(endpoint.base_url)
        await asyncio.gather(*(engine.draw(ask(seed=i)) for i in range(50)))
        assert endpoint.most_at_once == 50  # limits live in sampling
        assert endpoint.open_connections == 50
        await engine.close()
        await engine.close()
        await asyncio.sleep(0.05)
        assert endpoint.open_connections == 0
        assert len(await engine.draw(ask())) == 1  # a later draw connects again
        await engine.close()


async def test_a_cancelled_draw_leaves_no_connection() -> None:
    async with FaultEndpoint("hang") as endpoint:
        engine = OpenAIEngine(endpoint.base_url)
        task = asyncio.create_task(engine.draw(ask()))
        while not endpoint.requests:  # noqa: ASYNC110 - what is waited for is the server
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.05)
        assert (endpoint.abandoned, endpoint.open_connections) == (1, 0)
        await engine.close()


def test_one_engine_serves_several_loops_and_nobody_has_to_close_it() -> None:
    with FaultEndpoint() as endpoint:
        engine = OpenAIEngine(endpoint.base_url)
        for _ in range(3):
            assert len(asyncio.run(_draw(engine))) == 1
        gc.collect()  # a connection left open would warn here, and warnings are errors
        assert endpoint.open_connections == 0
        asyncio.run(engine.close())


def test_two_loops_can_draw_at_the_same_time() -> None:
    async def both() -> None:
        here = asyncio.create_task(_draw(engine))
        there = asyncio.to_thread(asyncio.run, _draw(engine))
        assert [len(c) for c in await asyncio.gather(here, there)] == [1, 1]
        await engine.close()

    with FaultEndpoint(delay_s=0.1) as endpoint:
        engine = OpenAIEngine(endpoint.base_url)
        asyncio.run(both())
        assert endpoint.most_at_once == 2


async def _draw(engine: OpenAIEngine) -> list[Completion]:
    return list(await engine.draw(ask()))


async def test_a_call_costs_little_cpu(engine: OpenAIEngine) -> None:
    for _ in range(20):
        await engine.draw(ask())
    began = time.process_time()
    for _ in range(200):
        await engine.draw(ask())
    assert (time.process_time() - began) / 200 < 0.002  # both sides; about 0.35 ms measured
