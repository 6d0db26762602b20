import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from slmmux.engines import weights
from slmmux.engines.base import Message, Prompt, Request
from slmmux.engines.catalog import lookup
from slmmux.engines.embedded import EmbeddedEngine
from slmmux.errors import (
    ContextLengthError,
    EmbeddedServerError,
    MissingExtraError,
    RequestRejectedError,
    UsageError,
    WeightsError,
)
from slmmux.types import Model

NAME = "smollm2-135m"
MODEL = Model(name="smol", model=NAME, max_tokens=8)


def ask(text: str = "What is 2 + 2?", *, seed: int = 1, n: int = 1, max_tokens: int = 8) -> Request:
    model = Model(name="smol", model=NAME, max_tokens=max_tokens)
    return Request(model=model, prompt=Prompt(messages=(Message("user", text),)), seed=seed, n=n)


def servers(parent: int | None = None) -> list[int]:
    """Process ids of the embedded servers that a process has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            after_name = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"slmmux.engines.embedded_server" in command and after_name[0] != "Z":
            found += [int(folder.name)] * (int(after_name[1]) == (parent or os.getpid()))
    return found


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for is another process
        await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def pulled() -> None:
    weights.pull(lookup(NAME))


@pytest.fixture(scope="module")
def server(pulled: None) -> Iterator[EmbeddedEngine]:  # noqa: ARG001 - wants the weights
    """One server for the tests that leave it in peace."""
    engine = EmbeddedEngine(NAME, slots=4, context=512)
    yield engine
    asyncio.run(engine.close())


@pytest.fixture
async def shared(server: EmbeddedEngine) -> AsyncIterator[EmbeddedEngine]:
    """The shared server; each test has an event loop of its own, which takes its session along."""
    yield server
    if server._server is not None:
        await server._server.client.close()


@pytest.fixture
async def fresh(pulled: None) -> AsyncIterator[EmbeddedEngine]:  # noqa: ARG001 - wants the weights
    engine = EmbeddedEngine(NAME, slots=2, context=256)
    yield engine
    await engine.close()


def test_an_unknown_model_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="did you mean smollm2-135m"):
        EmbeddedEngine("smollm2-135")


def test_the_endpoint_names_the_model() -> None:
    assert EmbeddedEngine(NAME).endpoint == "embedded:smollm2-135m"


def test_a_request_may_ask_for_as_many_choices_as_there_are_slots() -> None:
    engine = EmbeddedEngine(NAME, slots=5)
    assert engine.choices_per_request(MODEL, ordered=True) == 5
    never = Model(name="smol", model=NAME, n="never")
    assert engine.choices_per_request(never, ordered=False) == 1


async def test_without_xllamacpp_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'slmmux\[embedded\]'"):
        await EmbeddedEngine(NAME).draw(ask())


async def test_corrupted_weights_are_reported_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLMMUX_CACHE", str(tmp_path))
    (tmp_path / f"{NAME}.gguf").write_bytes(b"GGUF and then nothing")
    with pytest.raises(WeightsError, match=f"{NAME}: .*truncated.*--force"):
        await EmbeddedEngine(NAME).draw(ask())


async def test_weights_that_llama_cpp_refuses_end_in_an_error_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLMMUX_CACHE", str(tmp_path))
    path = tmp_path / f"{NAME}.gguf"
    path.write_bytes(b"no GGUF")
    weights._record(lookup(NAME), path, lookup(NAME).sha256 or "")
    with pytest.raises(EmbeddedServerError, match=r"did not start.*invalid magic"):
        await EmbeddedEngine(NAME).draw(ask())


@pytest.mark.embedded
async def test_choice_j_is_the_sample_of_seed_plus_j(shared: EmbeddedEngine) -> None:
    together = await shared.draw(ask(seed=5, n=3))
    apart = [(await shared.draw(ask(seed=seed)))[0] for seed in (5, 6, 7)]
    assert [c.text for c in together] == [c.text for c in apart]
    assert all(c.seed_honoured for c in together)


@pytest.mark.embedded
async def test_a_request_for_more_choices_than_slots_gets_some_of_them(
    shared: EmbeddedEngine,
) -> None:
    assert 1 <= len(await shared.draw(ask(n=9))) <= 4


@pytest.mark.embedded
async def test_a_completion_carries_its_tokens_and_why_it_ended(shared: EmbeddedEngine) -> None:
    (completion,) = await shared.draw(ask("Count to one hundred."))
    assert completion.usage.completion_tokens == 8
    assert completion.usage.prompt_tokens > 8
    assert completion.finish_reason == "length"


@pytest.mark.embedded
async def test_a_question_longer_than_the_context_is_called_that(shared: EmbeddedEngine) -> None:
    with pytest.raises(ContextLengthError):
        await shared.draw(ask("word " * 600))


@pytest.mark.embedded
async def test_what_a_request_is_to_blame_for_is_no_failure_of_the_server(
    shared: EmbeddedEngine,
) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    body = {"messages": [{"role": "user", "content": [picture]}]}
    with pytest.raises(RequestRejectedError, match="image input is not supported"):
        async with shared.relay(MODEL, "chat/completions", body):
            pass


@pytest.mark.embedded
async def test_nothing_reaches_the_terminal(
    shared: EmbeddedEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    await shared.draw(ask())
    assert capfd.readouterr() == ("", "")


@pytest.mark.embedded
async def test_ctrl_c_is_the_parents_to_handle(shared: EmbeddedEngine) -> None:
    await shared.draw(ask())
    (pid,) = servers()
    os.kill(pid, signal.SIGINT)
    await shared.draw(ask())
    assert servers() == [pid]
    assert os.getpgid(pid) != os.getpgid(0)


@pytest.mark.embedded
async def test_other_users_of_the_machine_lack_the_key(shared: EmbeddedEngine) -> None:
    await shared.draw(ask())
    assert shared._server is not None
    url = f"{shared._server.address}/v1/completions"
    async with aiohttp.ClientSession() as session, session.post(url, json={"prompt": "x"}) as reply:
        assert reply.status == 401


# A session whose loop is gone cannot be closed any more; Python says so when it collects it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.embedded
@pytest.mark.usefixtures("pulled")
def test_one_engine_serves_several_event_loops() -> None:
    engine = EmbeddedEngine(NAME, slots=2, context=256)
    first = asyncio.run(engine.draw(ask()))
    pids = servers()
    second = asyncio.run(engine.draw(ask()))
    assert servers() == pids
    assert [c.text for c in first] == [c.text for c in second]
    asyncio.run(engine.close())
    gc.collect()


@pytest.mark.embedded
async def test_many_first_draws_start_one_server_and_close_ends_it(fresh: EmbeddedEngine) -> None:
    before = servers()
    await asyncio.gather(*(fresh.draw(ask(seed=seed)) for seed in range(6)))
    assert len(servers()) == len(before) + 1
    await fresh.close()
    await fresh.close()
    assert servers() == before


@pytest.mark.embedded
async def test_a_killed_server_is_started_again_once_and_no_more(
    fresh: EmbeddedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    others = set(servers())
    long = [asyncio.create_task(fresh.draw(ask(seed=s, max_tokens=64))) for s in range(2)]
    await until(lambda: fresh._server is not None)
    (first,) = set(servers()) - others
    os.kill(first, signal.SIGKILL)
    completions = await asyncio.gather(*long)
    assert all(drawn.text for (drawn,) in completions)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "smollm2-135m: the embedded server died" in record.getMessage()

    (second,) = set(servers()) - others
    os.kill(second, signal.SIGKILL)
    async with asyncio.timeout(2):  # nobody asks it anything
        await until(lambda: len(caplog.records) == 2)
    assert "(signal 9: killed from outside" in caplog.records[1].getMessage()
    with pytest.raises(EmbeddedServerError, match=r"died again after its restart \(signal 9"):
        await fresh.draw(ask())
    assert set(servers()) == others
    assert len(caplog.records) == 2


@pytest.mark.embedded
async def test_a_server_that_is_closed_has_not_died(
    fresh: EmbeddedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    await fresh.start()
    await fresh.close()
    await asyncio.sleep(0.1)
    assert caplog.records == []


@pytest.mark.embedded
async def test_a_cancelled_first_draw_leaves_no_server_behind(fresh: EmbeddedEngine) -> None:
    others = servers()
    task = asyncio.create_task(fresh.draw(ask()))
    await until(lambda: servers() != others)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await fresh.close()
    assert servers() == others


PARENT = f"""
import asyncio, time
from slmmux.engines.base import Prompt, Request
from slmmux.engines.embedded import EmbeddedEngine
from slmmux.types import Model
engine = EmbeddedEngine("{NAME}", slots=1, context=256)
model = Model(name="smol", model="{NAME}", api="completions", max_tokens=4)
asyncio.run(engine.draw(Request(model=model, prompt=Prompt(text="One, two,"), seed=1)))
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.embedded
@pytest.mark.usefixtures("pulled")
def test_a_parent_that_is_killed_leaves_no_orphan() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        (pid,) = servers(parent.pid)
        parent.kill()
    until_gone(pid)
