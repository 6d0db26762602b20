"""Metrics, logs, traces and the bank: what a gateway tells of its requests, and what never."""

import asyncio
import io
import json
import logging
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from slmmux.bank import Bank
from slmmux.bank.checks import compare, reextract, verify
from slmmux.bank.connection import connect
from slmmux.config_gateway import GatewayConfig
from slmmux.gateway.operations import journal
from slmmux.gateway.operations.journal import REDACTED
from slmmux.gateway.operations.logs import log_to
from slmmux.gateway.operations.record import Record
from slmmux.gateway.operations.traces import OpenTelemetry
from slmmux.testing import FaultEndpoint
from slmmux.types import Conversation, Message, Model, Sample

PRIVATE = "What is 6 × 7? My cat is called Hieronymus."


@pytest.fixture(name="lines")
def captured_log() -> Iterator[Callable[[], list[Any]]]:
    stream = io.StringIO()
    names = ("slmmux", "uvicorn")
    before = [(n, logging.getLogger(n).handlers, logging.getLogger(n).propagate) for n in names]
    log_to(stream, "json")
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    for name, handlers, propagate in before:
        logging.getLogger(name).handlers = handlers
        logging.getLogger(name).propagate = propagate


def question(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


async def test_votes_are_counted_and_add_up(run: Any) -> None:
    running = await run(FaultEndpoint(), FaultEndpoint("hang", "ok"), stopping="exact")
    for _ in range(3):
        status, _, _ = await running.send(slmmux={"deadline_s": 5})
        assert status == 200
    relayed, _, _ = await running.send(model="a")
    missing, _, _ = await running.send(model="nobody")
    assert (relayed, missing) == (200, 404)
    metrics = await running.metrics()
    path = 'path="/v1/chat/completions"'
    assert metrics[f'slmmux_requests_total{{model="pool",{path},status="200"}}'] == 3
    assert metrics[f'slmmux_requests_total{{model="a",{path},status="200"}}'] == 1
    assert metrics[f'slmmux_requests_total{{model="",{path},status="404"}}'] == 1
    made = metrics['slmmux_draws_total{served="pool"}']
    assert made + metrics['slmmux_draws_saved_total{served="pool"}'] == 3 * 6
    assert metrics['slmmux_confidence_count{served="pool"}'] == 3
    assert metrics[f'slmmux_request_seconds_count{{model="pool",{path}}}'] == 3
    assert metrics['slmmux_upstream_seconds_count{model="a"}'] >= 1
    assert metrics['slmmux_tokens_total{model="a",type="completion"}'] > 0
    assert metrics["slmmux_requests_running"] == 0
    assert "process_resident_memory_bytes" in metrics


async def test_metrics_hold_nothing_that_a_client_chose(run: Any) -> None:
    running = await run(FaultEndpoint())
    await running.send(model="evil\n} 1", messages=question(PRIVATE))
    async with running.session.get(f"{running.url}/secret-path/{'x' * 50}") as reply:
        assert reply.status == 404
    async with running.session.get(f"{running.url}/metrics") as reply:
        text = await reply.text()
    assert "evil" not in text
    assert "secret-path" not in text
    assert "Hieronymus" not in text


async def test_a_request_is_a_line_without_its_key_or_its_question(
    run: Any, tmp_path: Path, add_key: Callable[..., str], lines: Callable[[], list[Any]]
) -> None:
    key = add_key()
    running = await run(FaultEndpoint(), keys=tmp_path / "keys.db")
    _, _, headers = await running.send(key, messages=question(PRIVATE))
    await running.send("slmmux-000000000000-" + "A" * 43)
    await running.send(key, messages=question(PRIVATE), temperature="hot")
    told = [line for line in lines() if line["message"] == "request"]
    assert [line["status"] for line in told] == [200, 401, 400]
    first = told[0]
    assert first["request"] == headers["X-Request-Id"]
    assert (first["key"], first["model"], first["decided_by"]) == ("alice", "pool", "a")
    assert first["draws"] + first["draws_saved"] == 3
    assert first["tokens"] > 0
    assert [line["outcome"] for line in told] == ["ok", "refused", "rejected"]
    assert told[1]["refused"] == "invalid_api_key"
    everything = json.dumps(lines())
    assert "Hieronymus" not in everything
    assert key not in everything
    assert key.rpartition("-")[2] not in everything
    assert "A" * 43 not in everything


@pytest.mark.parametrize("stream", [False, True])
async def test_the_log_tells_how_a_request_ended_whatever_its_status_was(
    run: Any, lines: Callable[[], list[Any]], until: Any, stream: bool
) -> None:
    ill = FaultEndpoint("hang", "hang", "server error")
    running = await run(ill, settings=GatewayConfig(drain_s=0.1), k=1)
    ask = running.stream if stream else running.send
    leaving = asyncio.create_task(ask())
    await until(lambda: len(ill.requests) == 1)
    leaving.cancel()
    await until(lambda: len(running.operations.inflight) == 0)
    cut = asyncio.create_task(ask())
    await until(lambda: len(ill.requests) == 2)
    await ask()
    await until(lambda: len(running.operations.inflight) == 1)
    text = running.operations.measures.text
    await running.stop()
    await cut
    told = [line for line in lines() if line["message"] == "request"]
    assert [line["outcome"] for line in told] == ["client_gone", "failed", "cut_by_shutdown"]
    assert [line["status"] for line in told] == [499, *((200, 200) if stream else (503, 503))]
    assert told[1].get("error") == ("quorum_not_met" if stream else None)
    assert [line["level"] for line in told] == ["info", "warning", "warning"]
    for outcome in ("client_gone", "failed", "cut_by_shutdown"):
        assert f'slmmux_outcomes_total{{outcome="{outcome}"}} 1.0' in text().decode()


async def test_questions_are_logged_where_that_is_asked_for(
    run: Any, lines: Callable[[], list[Any]]
) -> None:
    running = await run(FaultEndpoint(), settings=GatewayConfig(log_prompts=True, drain_s=1))
    await running.send(messages=question(PRIVATE))
    assert lines()[0]["question"] == PRIVATE


async def test_a_clients_request_id_is_kept_unless_it_is_odd(run: Any) -> None:
    running = await run(FaultEndpoint())
    for sent, kept in [("abc-123", True), ("x" * 65, False), ("a b", False), ("é", False)]:
        async with running.session.get(
            f"{running.url}/healthz", headers={"X-Request-Id": sent}
        ) as reply:
            assert (reply.headers["X-Request-Id"] == sent) is kept
            assert reply.headers.getall("X-Request-Id")[1:] == []


async def test_traces_follow_the_conventions_and_hold_no_question(
    run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces = OpenTelemetry(provider.get_tracer("test"), provider.shutdown)
    running = await run(
        good_one := FaultEndpoint(), FaultEndpoint("server error"), traces=traces, stopping="off"
    )
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await running.send(
        messages=question(PRIVATE), headers={"traceparent": parent, "tracestate": "us=1"}
    )
    spans = exporter.get_finished_spans()
    (request,) = [span for span in spans if span.kind.name == "SERVER"]
    calls = [span for span in spans if span.kind.name == "CLIENT"]
    assert request.name == "chat pool"
    assert request.context is not None
    assert f"{request.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    about = dict(request.attributes or {})
    assert about["gen_ai.operation.name"] == "chat"
    assert about["gen_ai.request.model"] == "pool"
    assert about["gen_ai.response.model"] == "a"
    assert about["gen_ai.usage.output_tokens"] == 18
    assert about["http.response.status_code"] == 200
    good = next(dict(c.attributes or {}) for c in calls if c.name == "chat model-a")
    assert good["gen_ai.usage.input_tokens"] > 0  # type: ignore[operator]
    assert good["server.address"] == "127.0.0.1"
    bad = next(dict(c.attributes or {}) for c in calls if c.name == "chat model-b")
    assert bad["error.type"] == "UpstreamError"
    assert all(call.parent is not None for call in calls)
    # The trace goes on at the endpoint, below the span of its call.
    sent = {headers["traceparent"] for headers in good_one.headers}
    assert sent == {
        f"00-0af7651916cd43dd8448eb211c80319c-{call.context.span_id:016x}-01"
        for call in calls
        if call.context is not None and call.name == "chat model-a"
    }
    assert good_one.headers[0]["tracestate"] == "us=1"
    await running.send(model="a")
    assert "traceparent" in good_one.headers[-1]
    await running.send(model="a", stream=True, headers={"Accept": "text/event-stream"})
    names = [span.name for span in exporter.get_finished_spans()[len(spans) :]]
    assert names == ["chat model-a", "chat a"] * 2
    assert "detach" not in caplog.text
    everything = "".join(span.to_json() for span in spans)
    assert "Hieronymus" not in everything


async def test_without_traces_no_endpoint_hears_of_one(run: Any) -> None:
    running = await run(endpoint := FaultEndpoint())
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await running.send(headers={"traceparent": parent})
    assert "traceparent" not in endpoint.headers[0]


def bank(path: Path) -> Bank:
    return Bank.open(path)


def modes(folder: Path) -> set[int]:
    """Of all files there."""
    return {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def test_only_its_owner_can_read_a_bank_that_the_gateway_makes(
    run: Any, tmp_path: Path
) -> None:
    path = tmp_path / "samples.db"
    running = await run(FaultEndpoint(), settings=GatewayConfig(bank=path, drain_s=1))
    assert modes(tmp_path) == {0o600}
    await running.stop()


async def test_every_sample_is_in_the_bank_when_the_gateway_has_stopped(
    run: Any, tmp_path: Path
) -> None:
    path = tmp_path / "samples.db"
    settings = GatewayConfig(bank=path, drain_s=1)
    running = await run(
        FaultEndpoint(), FaultEndpoint("server error"), settings=settings, stopping="off"
    )
    chat = [{"role": "system", "content": "Be short."}, *question(PRIVATE)]
    for _ in range(2):  # the same question twice: the bank keeps both
        status, _, _ = await running.send(messages=chat, temperature=0.9, slmmux={"k": 2})
        assert status == 200
    await running.stop()
    with bank(path) as kept:
        questions = kept.questions()
        assert [q.text for q in questions] == [PRIVATE] * 2
        assert {q.task for q in questions} == {"gateway"}
        assert all(q.reference is None for q in questions)
        assert questions[0].metadata["messages"] == chat
        rows = kept.query("SELECT model, answer, error IS NOT NULL, prompt_tokens FROM samples")
        assert len(rows) == 8
        assert (
            sorted((answer, failed) for _, answer, failed, _ in rows if answer) == [("42", 0)] * 4
        )
        assert [m.settings["temperature"] for m in kept.models()] == [0.9, 0.9]
    metrics = running.operations.measures.text().decode()
    assert 'slmmux_bank_samples_total{outcome="kept"} 8.0' in metrics


TOOL = {"type": "function", "function": {"name": "calculate", "parameters": {"type": "object"}}}
SCHEMA = {"name": "x", "schema": {"type": "object", "required": ["n"]}}
READINGS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("The answer is 42.", {}),
    ("The answer is 42.", {"slmmux": {"kind": "math"}}),
    ("Well, as one says.", {"messages": question("Tell me a story.")}),
    ("Paris, so (B).", {"slmmux": {"kind": "choice", "choices": ["Rome", "Paris"]}}),
    ('So {"n": 1, "answer": 2}', {"slmmux": {"kind": "json"}}),
    ('So {"n": 1, "answer": 2}', {"response_format": {"type": "json_object"}}),
    ('{"m": 1}, {"n": 1}', {"response_format": {"type": "json_schema", "json_schema": SCHEMA}}),
    ('{"answer": 42}', {"response_format": {"type": "json_object"}, "slmmux": {"kind": "number"}}),
    ("It is 42.", {"tools": [TOOL], "tool_choice": "required"}),
    ("It is 42.", {"tools": [TOOL], "slmmux": {"kind": "math"}}),
)


@pytest.mark.parametrize("redact", [False, True])
async def test_a_bank_of_the_gateway_is_sound_and_nothing_is_read_otherwise_again(
    run: Any, tmp_path: Path, redact: bool
) -> None:
    path = tmp_path / "samples.db"
    texts = iter([text for text, _ in READINGS])
    settings = GatewayConfig(bank=path, redact_prompts=redact, drain_s=1)
    running = await run(
        FaultEndpoint(text=lambda _body, _index: next(texts)),
        FaultEndpoint("tool call"),
        settings=settings,
        stopping="off",
        k=1,
    )
    answers = []
    for _, more in READINGS:
        status, reply, _ = await running.send(**more)
        answers.append(reply["slmmux"]["answer"] if status == 200 else status)
    await running.stop()
    assert answers.count(None) == 0
    with Bank.open(path, write=True) as kept:
        recorded = kept.query("SELECT question, model, answer, key FROM samples")
        assert sum(answer is not None for _, _, answer, _ in recorded) >= len(READINGS)
        assert verify(kept) == ()
        found = compare(kept)
        assert (found.unlike, found.shown) == (0, ())
        assert found.settled >= 4
        assert reextract(kept) == 0
        assert kept.query("SELECT question, model, answer, key FROM samples") == recorded


async def test_a_redacted_bank_holds_no_question(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "samples.db"
    settings = GatewayConfig(bank=path, redact_prompts=True, drain_s=1)
    running = await run(FaultEndpoint(), settings=settings, stopping="off")
    chat = [{"role": "system", "content": "Hieronymus"}, *question(PRIVATE)]
    await running.send(messages=chat)
    await running.send(messages=chat)
    await running.stop()
    with bank(path) as kept:
        assert [q.text for q in kept.questions()] == [REDACTED] * 2
        assert kept.query("SELECT count(*) FROM samples") == [(6,)]
    assert b"Hieronymus" not in path.read_bytes()


async def test_what_was_drawn_is_banked_when_a_request_is_cut_short(
    run: Any, tmp_path: Path, until: Any
) -> None:
    path = tmp_path / "samples.db"
    settings = GatewayConfig(bank=path, drain_s=0.1)
    running = await run(FaultEndpoint(), FaultEndpoint("hang"), settings=settings, stopping="off")
    asking = asyncio.create_task(running.send())
    await until(lambda: running.operations.journal.kept == 3)
    await running.stop()
    assert (await asking)[0] == 503
    with bank(path) as kept:
        assert kept.query("SELECT count(*) FROM samples") == [(3,)]


async def test_a_bank_that_cannot_be_written_stops_no_request(
    run: Any, tmp_path: Path, lines: Callable[[], list[Any]]
) -> None:
    path = tmp_path / "samples.db"
    running = await run(FaultEndpoint(), settings=GatewayConfig(bank=path, drain_s=1), k=1)
    connection = connect(path, write=True)
    connection.execute("DROP TABLE claims")
    connection.close()
    assert (await running.send())[0] == 200
    assert (await running.send())[0] == 200
    await running.stop()
    assert running.operations.journal.dropped == 2
    (error,) = [line for line in lines() if line["level"] == "error"]
    assert "samples are not kept" in error["message"]


async def test_more_than_the_disk_takes_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_MOST_CHARACTERS", 100)
    told: list[tuple[str, int]] = []
    kept = journal.Journal(
        tmp_path / "samples.db", redact=False, on_banked=lambda what, n: told.append((what, n))
    )
    asked = Conversation(text="6 × 7?", id="q", kind="math", messages=(Message("user", "6 × 7?"),))
    record = Record(method="POST", path="/")
    record.asks("pool", asked, [Model(name="a", model="a")], seed=0)
    for index in range(5):
        text = "x" * 30
        kept.add(record, Sample(model="a", question_id="q", index=index, text=text))
    assert told == [("dropped", 1), ("dropped", 1), ("dropped", 1)]
    assert await kept.close() == 2
    assert told[-1] == ("kept", 2)


async def test_a_bigger_model_that_was_asked_is_counted_and_banked_too(
    run: Any, tmp_path: Path
) -> None:
    path = tmp_path / "samples.db"
    texts = iter(["It is 41.", "It is 42.", "It is 43."])
    unsure = FaultEndpoint(text=lambda _body, _index: next(texts))
    async with FaultEndpoint() as sure:
        running = await run(
            unsure,
            settings=GatewayConfig(bank=path, drain_s=1),
            bigger=Model(name="big", model="big", base_url=sure.base_url),
            stopping="off",
            abstain_below=0.9,
        )
        status, reply, _ = await running.send()
        metrics = await running.metrics()
        await running.stop()
    assert (status, reply["slmmux"]["decided_by"]) == (200, "big")
    assert metrics['slmmux_escalated_total{served="pool"}'] == 1
    assert metrics['slmmux_selected_total{model="big",served="pool"}'] == 1
    assert metrics['slmmux_tokens_total{model="big",type="completion"}'] == 6
    with bank(path) as kept:
        assert kept.query("SELECT count(*) FROM samples") == [(4,)]
        assert [model.name for model in kept.models()] == ["a", "big"]
