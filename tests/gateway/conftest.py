"""A gateway on a real socket, before endpoints on real sockets."""

import asyncio
import dataclasses
import os
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import aiohttp
import pytest
import uvicorn

from slmmux.config import MuxConfig
from slmmux.config_gateway import GatewayConfig
from slmmux.gateway.app import Middleware, build_app
from slmmux.gateway.caps import Caps
from slmmux.gateway.operations.assembly import Operations
from slmmux.gateway.operations.keys import new_key
from slmmux.gateway.operations.ledger import KeyLimits, Ledger
from slmmux.gateway.operations.traces import Traces
from slmmux.gateway.server import bind, server_of
from slmmux.gateway.state import Gateway, Served, Serving, serve_profiles
from slmmux.sampling import SamplingLimits
from slmmux.testing import FaultEndpoint
from slmmux.types import Model

FAST = SamplingLimits(first_wait_s=0.001, longest_wait_s=0.002, max_attempts=2)


@dataclasses.dataclass
class Running:
    """A gateway that listens."""

    url: str
    gateway: Gateway
    session: aiohttp.ClientSession
    server: uvicorn.Server

    async def post(self, body: Any, path: str = "chat/completions") -> tuple[int, Any]:
        async with self.session.post(f"{self.url}/v1/{path}", json=body) as reply:
            return reply.status, await reply.json()

    async def ask(self, question: str = "What is 6 × 7?", **more: Any) -> Any:
        """The reply to a question, which must be one."""
        body = {"model": "pool", "messages": [{"role": "user", "content": question}], **more}
        status, reply = await self.post(body)
        assert status == 200, reply
        return reply

    async def refusal(self, **more: Any) -> tuple[int, Any]:
        """Status and error of a request that cannot be served."""
        body = {"model": "pool", "messages": [{"role": "user", "content": "6 × 7?"}], **more}
        status, reply = await self.post({k: v for k, v in body.items() if v != "LEFT OUT"})
        assert status != 200, reply
        return status, reply["error"]

    async def stream(self, path: str = "chat/completions", **more: Any) -> list[str]:
        """The parts of a stream, between blank lines."""
        body = {"model": "pool", "stream": True, **more}
        if path == "chat/completions":
            body.setdefault("messages", [{"role": "user", "content": "What is 6 × 7?"}])
        async with self.session.post(f"{self.url}/v1/{path}", json=body) as reply:
            assert reply.status == 200
            assert reply.content_type == "text/event-stream"
            return (await reply.text()).strip().split("\n\n")


class Serve(Protocol):
    def __call__(
        self,
        *endpoints: FaultEndpoint | Model,
        caps: Caps = ...,
        limits: SamplingLimits = ...,
        **mux: Any,
    ) -> Awaitable[Running]: ...


@pytest.fixture(name="stack")
async def exit_stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture(name="serve")
async def starter(stack: AsyncExitStack) -> Serve:
    """Starts a gateway: profile `pool` of models a, b, c …, one at each endpoint."""

    async def start(
        *endpoints: FaultEndpoint | Model,
        caps: Caps | None = None,
        limits: SamplingLimits = FAST,
        kind: Any = "auto",
        bigger: Model | None = None,
        **mux: Any,
    ) -> Running:
        models = [
            await model_at(name, endpoint, stack)
            for name, endpoint in zip("abcdef", endpoints, strict=False)
        ]
        served = Served(
            name="pool",
            models=tuple(models),
            settings=MuxConfig(**mux),
            kind=kind,
            bigger=bigger,
        )
        serving = serve_profiles([served], limits)
        await stack.enter_async_context(serving.pool)
        gateway = Gateway(serving, caps or Caps())
        listener = stack.enter_context(bind("127.0.0.1", 0))
        server = server_of(build_app(gateway), gateway.caps, drain_s=1)
        # As `server.serve` does it, without the second that its loop takes to notice the end.
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup(sockets=[listener])
        stack.push_async_callback(stop, server)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        return Running(url, gateway, session, server)

    return start


async def model_at(name: str, endpoint: FaultEndpoint | Model, stack: AsyncExitStack) -> Model:
    """A model of this name at an endpoint, which is started when it does not run yet."""
    if isinstance(endpoint, Model):
        return endpoint
    if not endpoint.base_url:
        await stack.enter_async_context(endpoint)
    return Model(name=name, model=f"model-{name}", base_url=endpoint.base_url)


async def stop(server: uvicorn.Server) -> None:
    """Stop listening, and let go of what clients still hold."""
    for listening in server.servers:
        listening.close()
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    await asyncio.gather(*server.server_state.tasks)


@pytest.fixture(name="until")
def waiter() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Waits until something is so."""

    async def until(so: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not so():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)

    return until


# The page: a gateway in a thread, and Chromium before it.

NAMES = ("qwen", "llama", "gemma")
CHROMIUM = os.environ.get("SLMMUX_CHROMIUM") or next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    None,
)
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync"),
)
# A reply that is no success is one of these; what the page makes of it is what tests look at.
EXPECTED = "Failed to load resource"

Open: TypeAlias = Callable[..., AbstractContextManager[Any]]


class Server:
    """A gateway that runs in a thread.

    Attributes:
        url: of its page.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._server: uvicorn.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, main: Callable[["Server"], Any]) -> None:
        """Begin, and return when it listens."""
        self._thread = threading.Thread(target=lambda: asyncio.run(main(self)), daemon=True)
        self._thread.start()

    async def until_stopped(self, server: uvicorn.Server, listener: Any) -> None:
        """Serve."""
        self._server, self._loop = server, asyncio.get_running_loop()
        await server.serve(sockets=[listener])

    def stop(self) -> None:
        """End as if the machine went down: open connections are cut."""
        if self._thread is None or self._loop is None or not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._cut)
        self._thread.join()

    def _cut(self) -> None:
        assert self._server is not None
        self._server.force_exit = self._server.should_exit = True
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()


ServePage: TypeAlias = Callable[..., Server]


@contextmanager
def running(
    *endpoints: FaultEndpoint,
    path: str = "/",
    layers: Sequence[Middleware] = (),
    bigger: Model | None = None,
    **mux: Any,
) -> Iterator[Server]:
    """A gateway: profile `pool` of qwen, llama, gemma, one at each endpoint."""
    models = tuple(
        Model(name=name, model=name, base_url=endpoint.base_url)
        for name, endpoint in zip(NAMES, endpoints, strict=False)
    )
    served = Served(name="pool", models=models, settings=MuxConfig(**mux), bigger=bigger)
    listener = bind("127.0.0.1", 0)
    server = Server(f"http://127.0.0.1:{listener.getsockname()[1]}{path}")

    async def main(started: Server) -> None:
        serving = serve_profiles([served], FAST)
        async with serving.pool:
            gateway = Gateway(serving, Caps())
            app = build_app(gateway, layers)
            await started.until_stopped(server_of(app, gateway.caps, drain_s=1), listener)

    server.run(main)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(name="serve_page")
def page_starter() -> Iterator[ServePage]:
    """Starts a gateway before these endpoints, which are started as well."""
    with ExitStack() as stack:

        def start(*endpoints: FaultEndpoint, **more: Any) -> Server:
            for endpoint in endpoints:
                stack.enter_context(endpoint)
            return stack.enter_context(running(*endpoints, **more))

        yield start


@pytest.fixture(scope="module", name="chromium")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium: make test-browser installs it")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield started
        started.close()


@pytest.fixture(name="open_page")
def page_opener(chromium: Any) -> Open:
    """Opens a server's page; fails on errors, on what the policy refused, and on other hosts."""

    @contextmanager
    def opened(
        server: Server, width: int = 1200, scheme: str = "light", path: str = ""
    ) -> Iterator[Any]:
        said: list[str] = []

        def refuse(dialog: Any) -> None:
            said.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        def look(request: Any) -> None:
            if not request.url.startswith(server.url):
                said.append(request.url)

        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", refuse)
        page.on("request", look)
        page.goto(server.url + path)
        yield page
        assert [text for text in said if not text.startswith(EXPECTED)] == []
        context.close()

    return opened


class Turns:
    """Replies that wait until a test lets them go; each endpoint has a thread of its own."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts
        self._given = 0
        self._allowed = threading.Semaphore(0)

    def __call__(self, body: dict[str, Any], index: int) -> str:  # noqa: ARG002
        self._allowed.acquire(timeout=10)
        self._given += 1
        return self._texts[min(self._given, len(self._texts)) - 1]

    def go(self, turns: int = 1) -> None:
        """Let so many replies go."""
        self._allowed.release(turns)


@pytest.fixture(name="page_server")
def server_class() -> type[Server]:
    """What runs a gateway in a thread."""
    return Server


@pytest.fixture(name="turns")
def turn_taker() -> type[Turns]:
    """Makes replies that wait until a test lets them go."""
    return Turns


@pytest.fixture(scope="module", name="mathematics")
def empty_page(chromium: Any) -> Iterator[Any]:
    """The page of a server without models, for what needs none."""
    with ExitStack() as stack:
        server = stack.enter_context(running())
        page = chromium.new_page()
        page.goto(server.url)
        yield page
        page.close()


ASKED = {"model": "pool", "messages": [{"role": "user", "content": "What is 6 × 7?"}]}


@dataclasses.dataclass
class Operated:
    """A gateway with all that runs it, which listens."""

    url: str
    gateway: Gateway
    operations: Operations
    session: aiohttp.ClientSession
    server: uvicorn.Server
    stop: Callable[[], Awaitable[None]]
    again: Callable[..., Serving]

    async def send(
        self, key: str | None = None, headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[int, Any, Any]:
        """Status, body and headers of the reply to a question."""
        headers = headers or ({} if key is None else {"Authorization": f"Bearer {key}"})
        url = f"{self.url}/v1/chat/completions"
        async with self.session.post(url, json={**ASKED, **more}, headers=headers) as reply:
            return reply.status, await reply.json(), reply.headers

    async def stream(self, key: str | None = None, **more: Any) -> list[str]:
        """The parts of a stream, as far as it came."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        body = {**ASKED, "stream": True, **more}
        url = f"{self.url}/v1/chat/completions"
        async with self.session.post(url, json=body, headers=headers) as reply:
            assert reply.status == 200, await reply.text()
            return (await reply.text()).strip().split("\n\n")

    async def metrics(self) -> dict[str, float]:
        """Name with labels → value."""
        async with self.session.get(f"{self.url}/metrics") as reply:
            assert reply.status == 200
            lines = (await reply.text()).splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}


class Run(Protocol):
    def __call__(
        self,
        *endpoints: FaultEndpoint | Model,
        settings: GatewayConfig = ...,
        keys: Path | None = ...,
        limits: SamplingLimits = ...,
        **mux: Any,
    ) -> Awaitable[Operated]: ...


@pytest.fixture(name="run")
async def operator() -> AsyncIterator[Run]:
    """Starts a gateway: profile `pool` of models a, b, c …, one at each endpoint."""
    async with AsyncExitStack() as stack:

        async def start(
            *endpoints: FaultEndpoint | Model,
            settings: GatewayConfig | None = None,
            keys: Path | None = None,
            limits: SamplingLimits = FAST,
            traces: Traces | None = None,
            bigger: Model | None = None,
            **mux: Any,
        ) -> Operated:
            settings = settings or GatewayConfig(drain_s=1.0)
            ledger = None if keys is None else Ledger(keys)
            operations = Operations(settings, ledger, traces=traces)

            def again(*chosen: FaultEndpoint | Model, name: str = "pool") -> Serving:
                models = tuple(
                    Model(name=letter, model=f"model-{letter}", base_url=one.base_url)
                    if isinstance(one, FaultEndpoint)
                    else one
                    for letter, one in zip("abcdef", chosen, strict=False)
                )
                asking = MuxConfig(**mux)
                served = Served(name=name, models=models, settings=asking, bigger=bigger)
                return serve_profiles([served], limits, guard=operations.guard)

            for endpoint in endpoints:
                if isinstance(endpoint, FaultEndpoint) and not endpoint.base_url:
                    await stack.enter_async_context(endpoint)
            gateway = Gateway(again(*endpoints), operations.caps)
            app = build_app(gateway, operations.middleware(gateway))
            listener = stack.enter_context(bind("127.0.0.1", 0))
            server = server_of(app, gateway.caps, drain_s=5, on_stop=operations.stop)
            running = asyncio.create_task(server._serve([listener]))
            stopped = False

            async def stop() -> None:
                nonlocal stopped
                if stopped:
                    return
                stopped = server.should_exit = True
                await running
                await operations.close()
                await gateway.serving.pool.close()

            stack.push_async_callback(stop)
            connector = aiohttp.TCPConnector(limit=0)
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            return Operated(url, gateway, operations, session, server, stop, again)

        yield start


@pytest.fixture(name="add_key")
def key_maker(tmp_path: Path) -> Callable[..., str]:
    """Makes a key in `tmp_path / "keys.db"`, and gives it."""

    def add(name: str = "alice", **limits: Any) -> str:
        key = new_key()
        with Ledger(tmp_path / "keys.db", create=True) as ledger:
            ledger.add(name, key, KeyLimits(**limits))
        return key.text

    return add
