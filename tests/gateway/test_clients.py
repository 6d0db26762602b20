"""Unchanged clients over the embedded pool: the openai SDK, `llm`, curl."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import BaseModel

pytestmark = pytest.mark.embedded

COMMAND = str(Path(sys.executable).with_name("slmmux"))
PAGE = Path(__file__).resolve().parents[2] / "docs" / "gateway.md"
SUM = "What is 12 + 30?"


@pytest.fixture(scope="module", name="served")
def serve_command() -> Iterator[tuple[str, str]]:
    """`slmmux serve` as a user starts it: its address, and what it printed."""
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SLMMUX_CONFIG": ""},
    )
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if "Ctrl-C" in line:
            break
    try:
        yield printed.partition("client: ")[2].split()[0], printed
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        process.stdout.close()


@pytest.fixture(name="client")
def sdk(served: tuple[str, str]) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served[0], api_key="none", max_retries=0) as client:
        yield client


def test_the_line_that_serve_prints_works_as_it_stands(served: tuple[str, str]) -> None:
    (line,) = [line for line in served[1].splitlines() if line.strip().startswith("curl ")]
    told = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)  # noqa: S602 - as a user pastes it
    reply = json.loads(told.stdout)
    assert reply["choices"][0]["message"]["content"]
    assert reply["slmmux"]["kind"] == "math"


def test_curl_can_follow_a_stream(served: tuple[str, str]) -> None:
    body = {"model": "slmmux", "stream": True, "messages": [{"role": "user", "content": SUM}]}
    told = subprocess.run(
        ["curl", "-sN", f"{served[0]}/chat/completions", "--json", json.dumps(body)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ": 0 of 6 samples" in told.stdout
    assert told.stdout.endswith("data: [DONE]\n\n")


def test_the_sdk_asks_a_profile(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="slmmux",
        messages=[{"role": "user", "content": SUM}],
        extra_body={"slmmux": {"k": 2, "stopping": "off"}},
    )
    assert "42" in (reply.choices[0].message.content or "")
    assert reply.usage is not None
    assert reply.usage.total_tokens > 0
    behind: Any = reply.model_extra
    assert behind["slmmux"]["answer"] == "42"
    assert behind["slmmux"]["draws"] == 4


def test_the_sdk_streams_from_a_profile(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="slmmux",
        messages=[{"role": "user", "content": SUM}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert "42" in text
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage is not None


async def test_the_async_sdk_asks_and_streams(served: tuple[str, str]) -> None:
    async with openai.AsyncOpenAI(base_url=served[0], api_key="none") as client:
        reply = await client.chat.completions.create(
            model="slmmux:self_consistency", messages=[{"role": "user", "content": SUM}]
        )
        assert "42" in (reply.choices[0].message.content or "")
        stream = await client.chat.completions.create(
            model="slmmux", messages=[{"role": "user", "content": SUM}], stream=True
        )
        parts = [c.choices[0].delta.content or "" async for c in stream if c.choices]
        assert "42" in "".join(parts)


def test_the_sdk_gets_structured_output(client: openai.OpenAI) -> None:
    class Person(BaseModel):
        age: int

    reply = client.chat.completions.parse(
        model="slmmux",
        messages=[{"role": "user", "content": "Bob is 42 years old. Who is he?"}],
        response_format=Person,
        max_tokens=20,
        extra_body={"slmmux": {"k": 1}},
    )
    assert isinstance(reply.choices[0].message.parsed, Person)


def test_the_sdk_completes_a_text_and_lists_models(client: openai.OpenAI) -> None:
    reply = client.completions.create(model="slmmux", prompt=SUM)
    assert "42" in reply.choices[0].text
    assert {"slmmux", "slmmux:mux", "gemma3-270m"} <= {m.id for m in client.models.list()}


def test_the_sdk_passes_a_request_to_a_member_model(client: openai.OpenAI) -> None:
    reply = client.completions.create(
        model="smollm2-135m", prompt="2 + 2 =", max_tokens=2, logprobs=1
    )
    assert reply.choices[0].logprobs is not None
    stream = client.completions.create(
        model="smollm2-135m", prompt="2 + 2 =", max_tokens=2, stream=True
    )
    assert len(list(stream)) > 1


def test_the_sdk_tells_errors_apart(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model"):
        client.completions.create(model="gpt-5", prompt=SUM)
    with pytest.raises(openai.BadRequestError, match="can call tools"):
        client.chat.completions.create(
            model="slmmux",
            messages=[{"role": "user", "content": SUM}],
            tools=[{"type": "function", "function": {"name": "f"}}],
        )


def test_llm_asks_through_its_own_configuration(served: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: slmmux\n  model_name: slmmux\n  api_base: {served[0]}\n", encoding="utf-8"
    )
    environment = {**os.environ, "LLM_USER_PATH": str(tmp_path), "OPENAI_API_KEY": "none"}
    for more in ([], ["--no-stream"]):
        told = subprocess.run(
            [str(Path(sys.executable).with_name("llm")), "-m", "slmmux", *more, SUM],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        assert "42" in told.stdout, told.stderr


@pytest.mark.parametrize("language", ["sh", "py"])
def test_the_examples_of_the_page_run_as_they_stand(
    served: tuple[str, str], tmp_path: Path, language: str
) -> None:
    examples = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
    assert len(examples) > 1
    for example in examples:
        ours = example.replace("http://127.0.0.1:8000/v1", served[0])
        command = {"sh": ["bash", "-ec", ours], "py": [sys.executable, "-c", ours]}[language]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        told = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
        )
        assert told.returncode == 0, told.stderr
        assert "42" in told.stdout or "age=" in told.stdout


async def test_a_killed_embedded_server_is_back_for_the_next_request(serve: Any) -> None:
    from slmmux.default_pools import DEFAULT_MODELS  # noqa: PLC0415

    running = await serve(*DEFAULT_MODELS[:1])
    first = await running.ask(SUM)
    engine = running.gateway.serving.pool.engines["smollm2-135m"]
    os.kill(engine._server._process.pid, signal.SIGKILL)
    again = await running.ask(SUM)
    assert again["slmmux"]["answer"] == first["slmmux"]["answer"] == "42"
    assert again["slmmux"]["degraded"] == {}
