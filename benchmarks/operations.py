"""What it costs to run a gateway as one should: breakers, metrics, logs, keys, limits, a bank.

    python benchmarks/operations.py

CPU time of a request (3 models × 3 samples, stopping off, a stub without delay, 32 at a time; see
benchmarks/gateway.py) in three gateways, each in a process of its own: the bare application, one
with breakers, metrics and a log of requests, and one that also checks keys and their limits and
keeps every sample in a bank. Ratios are medians of alternated rounds; CPU time, since it says the
same on a busy machine.
"""

import asyncio
import multiprocessing
import os
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
import uvloop

from gateway import AT_ONCE, Clients, K, Stub, models, saturation
from slmmux.config import MuxConfig
from slmmux.config_gateway import GatewayConfig
from slmmux.gateway.app import build_app
from slmmux.gateway.operations.assembly import Operations
from slmmux.gateway.operations.keys import new_key
from slmmux.gateway.operations.ledger import KeyLimits, Ledger
from slmmux.gateway.operations.logs import log_to
from slmmux.gateway.server import bind, raise_file_limit, server_of, settle
from slmmux.gateway.state import Gateway, Served, serve_profiles
from slmmux.sampling import SamplingLimits

ROUNDS = 5
KINDS = ("bare", "run", "run with keys and a bank")
MANY = 10**9


def serve(kind: str, port: int, folder: str, ready: Connection) -> None:
    """One of the three gateways."""

    async def main() -> None:
        full = kind == KINDS[2]
        keys, bank = Path(folder) / "keys.db", Path(folder) / "samples.db"
        settings = GatewayConfig(bank=bank if full else None)
        operations = Operations(settings, Ledger(keys) if full else None)
        served = Served(
            name="now", models=models(port, "now"), settings=MuxConfig(k=K, stopping="off")
        )
        limits = SamplingLimits(max_concurrency=100_000)
        if kind == "bare":
            gateway = Gateway(serve_profiles([served], limits))
            app = build_app(gateway)
        else:
            log_to((Path(folder) / f"{kind}.log").open("w"), "json")
            gateway = Gateway(serve_profiles([served], limits, guard=operations.guard))
            app = build_app(gateway, operations.middleware(gateway))
        settle()
        listener = bind("127.0.0.1", 0)
        ready.send(listener.getsockname()[1])
        await server_of(app, gateway.caps).serve(sockets=[listener])

    raise_file_limit()
    uvloop.run(main())


def cpu_s(pid: int) -> float:
    """CPU time that a process has used, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(ports: dict[str, int], pids: dict[str, int], key: str) -> None:
    numbers = iter(range(0, 10**9, 10**5))
    headers = {"Authorization": f"Bearer {key}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        clients = {kind: Clients(session, port) for kind, port in ports.items()}
        for one in clients.values():
            await saturation(one.vote, next(numbers))  # warm
        took: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for _ in range(ROUNDS):
            for kind, one in clients.items():
                before, began = cpu_s(pids[kind]), time.perf_counter()
                rate = await saturation(one.vote, next(numbers))
                requests = rate * (time.perf_counter() - began)
                took[kind].append((cpu_s(pids[kind]) - before) / requests * 1000)
            print("  " + ", ".join(f"{kind} {took[kind][-1]:.2f} ms" for kind in KINDS))
    for kind in KINDS[1:]:
        ratios = [mine / bare for mine, bare in zip(took[kind], took["bare"], strict=True)]
        print(f"{kind}: median ratio {statistics.median(ratios):.2f} to the bare application")


async def main() -> None:
    print(f"{AT_ONCE} requests at a time")
    raise_file_limit()
    loop = asyncio.get_running_loop()
    stub = await loop.create_server(Stub, "127.0.0.1", 0, backlog=8192)
    stub_port = stub.sockets[0].getsockname()[1]
    context = multiprocessing.get_context("spawn")
    key = new_key()
    with tempfile.TemporaryDirectory() as folder:
        with Ledger(Path(folder) / "keys.db", create=True) as ledger:
            limits = KeyLimits(rpm=MANY, concurrent=MANY, tokens_per_day=MANY, money_per_day=MANY)
            ledger.add("benchmark", key, limits)
        processes, ports, pids = [], {}, {}
        for kind in KINDS:
            ready, other_end = context.Pipe()
            processes.append(
                context.Process(
                    target=serve, args=(kind, stub_port, folder, other_end), daemon=True
                )
            )
            processes[-1].start()
            ports[kind] = await loop.run_in_executor(None, ready.recv)
            pids[kind] = processes[-1].pid or 0
        try:
            await measure(ports, pids, key.text)
        finally:
            for process in processes:
                process.terminate()
                process.join()


if __name__ == "__main__":
    uvloop.run(main())
