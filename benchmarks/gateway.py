"""The gateway against a bare asyncio program on aiohttp that makes the same upstream calls.

    python benchmarks/gateway.py

Three processes on one machine, all on uvloop. One holds the stub that plays the upstreams and the
clients of both servers. One holds the gateway. The last holds the bare program: an `aiohttp.web`
server that takes the same requests, makes the same upstream calls with one `gather`, reads each
reply's JSON, and answers with the first one's text. Every request is 3 models × 3 samples, stopping
off, one call a sample; each question and each reply is a text of its own, and the answers are split
over three classes.

1. Requests a second at saturation, stub without delay, 32 requests at a time. Beside it, the bare
   calls alone, without a server before them: what no gateway can reach.
2. Latency with a stub that takes 50 ms, at half of the gateway's saturation.
3. 500 requests at once with a stub that takes 1 s: passed through to one model, and of 9 calls.

Ratios are medians of alternated pairs.
"""

import asyncio
import json
import multiprocessing
import re
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import aiohttp
import uvloop
from aiohttp import web

from slmmux.config import MuxConfig
from slmmux.gateway.app import build_app
from slmmux.gateway.server import bind, raise_file_limit, server_of, settle
from slmmux.gateway.state import Gateway, Served, serve_profiles
from slmmux.sampling import SamplingLimits
from slmmux.types import Model

MODELS, K = 3, 3
PAIRS, SECONDS, AT_ONCE = 5, 4.0, 32
MANY = 500
DELAYS = {"now": 0.0, "50ms": 0.05, "1s": 1.0}
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_SEED = re.compile(rb'"seed": ?(\d+)')

Ask = Callable[[str, int], Awaitable[None]]  # delay's name, number of the question


class Stub(asyncio.Protocol):
    """An upstream as cheap as one can be: `/DELAY/v1/chat/completions`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return
        self.received = b""
        seed = _SEED.search(body)
        delay = DELAYS[head.split(b"/", 2)[1].decode()]
        reply = completion(0 if seed is None else int(seed[1]))
        if delay:
            asyncio.get_running_loop().call_later(delay, self.send, reply)
        else:
            self.send(reply)

    def send(self, reply: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.transport.write(head % len(reply) + reply)


def completion(seed: int) -> bytes:
    """A reply of its own for every seed; the answers fall into three classes."""
    text = f"Let me think about it, step {seed} after step. So the answer is {seed % 3}."
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60}
    return json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode()


def question(number: int) -> str:
    return f"What is {number} × 7 − {number} × 6, modulo 3? Mind the order of operations."


def models(port: int, delay: str) -> tuple[Model, ...]:
    return tuple(
        Model(
            name=f"{delay}-{i}",
            model=f"m{i}",
            base_url=f"http://127.0.0.1:{port}/{delay}/v1",
            n="never",
            max_concurrency=100_000,
        )
        for i in range(MODELS)
    )


# In the other process: the gateway, or the bare program.


def serve(port: int, ready: Connection) -> None:
    """The gateway, with one profile for each delay."""

    async def main() -> None:
        limits = SamplingLimits(max_concurrency=100_000)
        profiles = [
            Served(name=delay, models=models(port, delay), settings=MuxConfig(k=K, stopping="off"))
            for delay in DELAYS
        ]
        serving = serve_profiles(profiles, limits)
        async with serving.pool:
            gateway = Gateway(serving)
            listener = bind("127.0.0.1", 0)
            settle()
            ready.send(listener.getsockname()[1])
            await server_of(build_app(gateway), gateway.caps).serve(sockets=[listener])

    raise_file_limit()
    uvloop.run(main())


def bare(port: int, pipe: Connection) -> None:
    """The bare program."""

    async def main() -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def call(delay: str, text: str, model: int, sample: int) -> Any:
                body = {
                    "model": f"m{model}",
                    "messages": [{"role": "user", "content": text}],
                    "temperature": 0.3,
                    "top_p": 1.0,
                    "max_tokens": 1024,
                    "seed": hash((text, model)) % 2**31 + sample,
                }
                url = f"http://127.0.0.1:{port}/{delay}/v1/chat/completions"
                async with session.post(url, json=body) as reply:
                    return json.loads(await reply.read())

            async def ask(delay: str, text: str) -> Any:
                calls = (call(delay, text, m, j) for m in range(MODELS) for j in range(K))
                return (await asyncio.gather(*calls))[0]

            async def handle(request: web.Request) -> web.Response:
                body = json.loads(await request.read())
                first = await ask(body["model"], body["messages"][0]["content"])
                usage = {"draws": MODELS * K}
                return web.json_response({"choices": first["choices"], "slmmux": usage})

            async def alone(delay: str, number: int) -> None:
                await ask(delay, question(number))

            app = web.Application()
            app.router.add_post("/v1/chat/completions", handle)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            listener = bind("127.0.0.1", 0)
            await web.SockSite(runner, listener).start()
            pipe.send(listener.getsockname()[1])
            loop = asyncio.get_running_loop()
            while (first := await loop.run_in_executor(None, pipe.recv)) is not None:
                pipe.send(await saturation(alone, first))

    raise_file_limit()
    uvloop.run(main())


# The measurements.


async def saturation(ask: Ask, first: int) -> float:
    """Requests a second, `AT_ONCE` at a time."""
    until = time.perf_counter() + SECONDS
    done = 0

    async def client(number: int) -> None:
        nonlocal done
        while time.perf_counter() < until:
            await ask("now", number)
            done += 1
            number += AT_ONCE

    began = time.perf_counter()
    await asyncio.gather(*(client(first + i) for i in range(AT_ONCE)))
    return done / (time.perf_counter() - began)


async def latencies(ask: Ask, first: int, rate: float) -> list[float]:
    """Seconds that requests take that come at this rate, whatever came of those before."""
    count = int(rate * SECONDS * 2)
    took: list[float] = []

    async def one(number: int, at: float) -> None:
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        began = time.perf_counter()
        await ask("50ms", number)
        took.append(time.perf_counter() - began)

    start = time.perf_counter() + 0.1
    await asyncio.gather(*(one(first + i, start + i / rate) for i in range(count)))
    return took


async def crowd(ask: Ask, first: int) -> list[float]:
    """Seconds that each of many requests at once takes."""

    async def one(number: int) -> float:
        began = time.perf_counter()
        await ask("1s", number)
        return time.perf_counter() - began

    return list(await asyncio.gather(*(one(first + i) for i in range(MANY))))


class Clients:
    """Clients of the gateway, each request over a connection that is kept."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.session = session
        self.url = f"http://127.0.0.1:{port}/v1/chat/completions"

    async def vote(self, delay: str, number: int) -> None:
        reply = await self._post(delay, number)
        assert reply["slmmux"]["draws"] == MODELS * K, reply

    async def pass_through(self, delay: str, number: int) -> None:
        await self._post(f"{delay}-0", number)

    async def _post(self, model: str, number: int) -> dict[str, dict[str, int]]:
        messages = [{"role": "user", "content": question(number)}]
        async with self.session.post(
            self.url, json={"model": model, "messages": messages}
        ) as reply:
            assert reply.status == 200, await reply.text()
            found: dict[str, dict[str, int]] = json.loads(await reply.read())
            return found


def peak_mb(pid: int) -> float:
    """The most memory that a process has held."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def measure(ours: Clients, theirs: Clients, alone: Callable[[int], Awaitable[float]]) -> None:
    """All measurements, printed as they come."""
    numbers = iter(range(0, 10**9, 10**5))
    await saturation(ours.vote, next(numbers))  # warm
    await saturation(theirs.vote, next(numbers))
    ratios, bounds, rates = [], [], []
    for _ in range(PAIRS):
        mine = await saturation(ours.vote, next(numbers))
        bare_rate = await saturation(theirs.vote, next(numbers))
        calls = await alone(next(numbers))
        rates.append(mine)
        ratios.append(mine / bare_rate)
        bounds.append(mine / calls)
        print(f"  gateway {mine:.0f}/s, bare server {bare_rate:.0f}/s, calls alone {calls:.0f}/s")
    print(
        f"saturation: median ratio {statistics.median(ratios):.2f} (at least 0.6); "
        f"to the calls alone {statistics.median(bounds):.2f}\n"
    )
    await half_load(ours, theirs, statistics.median(rates) / 2, numbers)
    passed = [await crowd(ours.pass_through, next(numbers)) for _ in range(3)]
    p99 = statistics.median(quantile(took, 0.99) for took in passed)
    print(f"{MANY} passed through at once: p99 {p99:.2f} s (at most 1.4)\n")
    ratios = []
    for _ in range(3):
        mine = max(await crowd(ours.vote, next(numbers)))
        bare_s = max(await crowd(theirs.vote, next(numbers)))
        ratios.append(mine / bare_s)
        print(f"  {MANY} of 9 calls: gateway {mine:.2f} s, bare server {bare_s:.2f} s")
    print(f"{MANY} of 9 calls at once: median ratio {statistics.median(ratios):.2f} (at most 2)")


async def half_load(ours: Clients, theirs: Clients, rate: float, numbers: Iterator[int]) -> None:
    """Latency at this rate, against the bare server's."""
    added: dict[float, list[float]] = {0.5: [], 0.99: []}
    for _ in range(PAIRS):
        mine = await latencies(ours.vote, next(numbers), rate)
        bare_s = await latencies(theirs.vote, next(numbers), rate)
        for share, found in added.items():
            found.append((quantile(mine, share) - quantile(bare_s, share)) * 1000)
        print(
            f"  at {rate:.0f}/s: p50 {quantile(mine, 0.5) * 1000:.1f} ms and "
            f"{quantile(bare_s, 0.5) * 1000:.1f}, p99 {quantile(mine, 0.99) * 1000:.1f} ms and "
            f"{quantile(bare_s, 0.99) * 1000:.1f}"
        )
    print(
        f"half load: added p50 {statistics.median(added[0.5]):.1f} ms (at most 3), "
        f"p99 {statistics.median(added[0.99]):.1f} ms (at most 10)\n"
    )


async def main() -> None:
    """Start the processes, and measure."""
    raise_file_limit()
    needed = 2 * MANY * MODELS * K + 2000
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < needed:
        sys.exit(f"this needs {needed} open files: ulimit -n {needed}")
    loop = asyncio.get_running_loop()
    stub = await loop.create_server(Stub, "127.0.0.1", 0, backlog=8192)
    stub_port = stub.sockets[0].getsockname()[1]
    context = multiprocessing.get_context("spawn")
    started = []
    for target in (serve, bare):
        pipe, its_end = context.Pipe()
        process = context.Process(target=target, args=(stub_port, its_end), daemon=True)
        process.start()
        started.append((process, pipe, await loop.run_in_executor(None, pipe.recv)))
    (gateway, _, port), (program, pipe, bare_port) = started

    async def alone(first: int) -> float:
        await loop.run_in_executor(None, pipe.send, first)
        found: float = await loop.run_in_executor(None, pipe.recv)
        return found

    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await measure(Clients(session, port), Clients(session, bare_port), alone)
        print(f"memory of the gateway: at most {peak_mb(gateway.pid or 0):.0f} MB (below 300)")
    finally:
        gateway.terminate()
        program.terminate()


if __name__ == "__main__":
    uvloop.run(main())
