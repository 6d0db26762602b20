"""The OpenAPI document is true, and nothing near it crashes us."""

import asyncio
import copy
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slmmux.gateway.fields import Extras
from slmmux.testing import FaultEndpoint

VALID: dict[str, Any] = {
    "model": "pool",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is 6 × 7?"}]},
        {"role": "assistant", "content": "42", "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "content": "42", "tool_call_id": "c"},
        {"role": "user", "content": "Sure?", "name": "Ann"},
    ],
    "temperature": 0.5, "top_p": 0.9, "max_tokens": 5, "stop": ["x"], "seed": 1, "n": 2,
    "stream": True, "stream_options": {"include_usage": True},
    "response_format": {"type": "json_schema", "json_schema": {
        "name": "x", "schema": {"type": "object", "properties": {"a": {"pattern": "^a"}}}}},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": "auto", "parallel_tool_calls": True, "frequency_penalty": 0, "user": "ann",
    "slmmux": {"k": 2, "stopping": "off", "kind": "math", "deadline_s": 5, "quorum": 1,
               "return_samples": True, "instruction": "off"},
}  # fmt: skip
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 10**30, 1e308, [], {}, [[]], {"": None}, [None] * 200),
    *("", "x", "\x00", "\U0001f600", "a" * 5000, "pool:mux", "a"),
    *({"type": "function"}, {"role": "user"}, {"risk": 0.1}),
)


def mutated(rng: random.Random) -> bytes:
    """The valid body with some of it changed, added, left out, or broken as a text."""
    body = json.loads(json.dumps(VALID))
    for _ in range(rng.randint(1, 4)):
        node: Any = body
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.7:
                node = node[key]
                continue
            action = rng.random()
            if action < 0.6:
                node[key] = copy.deepcopy(rng.choice(ODD))
            elif action < 0.8:
                del node[key]
            elif isinstance(node, dict):
                node[rng.choice(("", "x", "role", "type", "$ref", "strict"))] = copy.deepcopy(
                    rng.choice(ODD)
                )
            break
    text = json.dumps(body).encode()
    if rng.random() < 0.2:
        text = text[: rng.randrange(len(text))] + bytes([rng.randrange(256)])
    return text


async def throw(running: Any, count: int, seed: int) -> dict[int, int]:
    """Send so many mutated bodies; statuses and how often each came."""
    rng = random.Random(seed)
    bodies = [mutated(rng) for _ in range(count)]
    statuses: dict[int, int] = {}

    async def send(some: list[bytes]) -> None:
        for body in some:
            path = "completions" if len(body) % 5 == 0 else "chat/completions"
            async with running.session.post(
                f"{running.url}/v1/{path}", data=body, headers={"Content-Type": "application/json"}
            ) as reply:
                text = await reply.read()
                assert reply.status in (200, 400, 404), (body, text)
                if reply.content_type == "application/json":
                    assert ("error" in json.loads(text)) == (reply.status != 200), body
                else:
                    assert text.endswith(b"data: [DONE]\n\n"), body
                statuses[reply.status] = statuses.get(reply.status, 0) + 1

    await asyncio.gather(*(send(bodies[i::8]) for i in range(8)))
    return statuses


async def test_mutated_bodies_are_answered_or_refused(serve: Any) -> None:
    running = await serve(FaultEndpoint(text='{"a": "a 42"}'))
    statuses = await throw(running, 300, seed=1)
    assert set(statuses) <= {200, 400, 404}
    assert statuses[200] > 5
    assert statuses[400] > 50


@pytest.mark.slow
async def test_ten_thousand_mutated_bodies_are_answered_or_refused(serve: Any) -> None:
    running = await serve(FaultEndpoint(text='{"a": "a 42"}'))
    assert sum((await throw(running, 10_000, seed=2)).values()) == 10_000


def conform(url: str, folder: Path, phases: str, examples: int) -> None:
    """Let schemathesis make requests of every operation, as documented and not."""
    told = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            *("run", f"{url}/openapi.json", "--no-color", "--phases", phases),
            *("--max-examples", str(examples), "--seed", "1", "--generation-database", "none"),
            # What a schema cannot say: an empty question, choices without options.
            *("--exclude-checks", "positive_data_acceptance"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,  # it leaves its cases there
    )
    assert told.returncode == 0, told.stdout[-5000:] + told.stderr[-2000:]


async def test_requests_made_from_the_document_get_documented_replies(
    serve: Any, tmp_path: Path
) -> None:
    running = await serve(FaultEndpoint())
    await asyncio.to_thread(conform, running.url, tmp_path, "fuzzing", 40)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_many_requests_made_from_the_document_get_documented_replies(
    serve: Any, tmp_path: Path
) -> None:
    running = await serve(FaultEndpoint())
    await asyncio.to_thread(conform, running.url, tmp_path, "examples,coverage,fuzzing", 400)


async def test_the_document_names_what_is_served_and_every_extra(serve: Any) -> None:
    running = await serve(FaultEndpoint())
    async with running.session.get(f"{running.url}/openapi.json") as reply:
        document = await reply.json()
    schemas = document["components"]["schemas"]
    assert schemas["MemberRequest"]["properties"]["model"]["enum"] == ["a"]
    assert "pool:mux" in schemas["ChatRequest"]["properties"]["model"]["enum"]
    assert set(schemas["Extras"]["properties"]) == set(Extras.model_fields)
    assert schemas["ChatRequest"]["additionalProperties"] is False
