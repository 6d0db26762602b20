"""A gateway on a real socket, before endpoints on real sockets."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol

import aiohttp
import pytest
import uvicorn

from slmmux.config import MuxConfig
from slmmux.gateway.app import build_app
from slmmux.gateway.caps import Caps
from slmmux.gateway.server import bind, server_of
from slmmux.gateway.state import Gateway, Served, serve_profiles
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
