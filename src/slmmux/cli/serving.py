"""What runs while `slmmux serve` does: the server, its reloads, and its end."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import ceil
from socket import socket
from typing import TypeAlias

from slmmux.cli.notify import notify
from slmmux.cli.run_async import Stopper
from slmmux.cli.show import working
from slmmux.config_gateway import GatewayConfig, changed
from slmmux.engines.base import Pool
from slmmux.gateway.app import build_app
from slmmux.gateway.operations.assembly import Operations
from slmmux.gateway.operations.guarded import unguarded
from slmmux.gateway.operations.ledger import Ledger
from slmmux.gateway.operations.logs import log_to
from slmmux.gateway.server import server_of, settle
from slmmux.gateway.state import Gateway, Serving
from slmmux.pool import EMBEDDED

log = logging.getLogger("slmmux.gateway")

_AFTERWARDS_S = 5  # for requests that are cut short to say so


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the configuration says.

    Attributes:
        settings: of the gateway; only those of its start count.
    """

    serving: Serving
    settings: GatewayConfig


Load: TypeAlias = Callable[[Callable[[Pool], Pool]], Loaded]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be served, and where.

    Attributes:
        settings: of the gateway.
        ledger: of API keys; None where none are needed.
        listener: a socket that listens.
        load: reads the configuration; it gets what goes before the engines.
        tell: says where it is, once it answers.
    """

    settings: GatewayConfig
    ledger: Ledger | None
    listener: socket
    load: Load
    tell: "Callable[[Serving, Plan], None]"


async def run(plan: Plan) -> int | None:
    """Serve until a signal comes.

    Returns:
        The signal.

    Raises:
        SlmmuxError: it cannot be served.
    """
    log_to(sys.stderr, plan.settings.log)
    operations = Operations(plan.settings, plan.ledger)
    gateway = Gateway(plan.load(operations.guard).serving, operations.caps, ready=False)
    app = build_app(gateway, operations.middleware(gateway))
    drain_s = ceil(plan.settings.drain_s) + _AFTERWARDS_S
    server = server_of(app, gateway.caps, drain_s=drain_s, on_stop=operations.stop)
    starting = asyncio.create_task(start_embedded(gateway.serving))
    stopper = Stopper()

    def stop() -> None:
        notify("STOPPING=1")
        server.should_exit = True
        starting.cancel()

    stopper.listen(stop)
    again = partial(_load_again, plan, operations)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, operations.reload, again)
    running = asyncio.create_task(server.serve(sockets=[plan.listener]))
    try:
        with suppress(asyncio.CancelledError):
            await starting
            settle()
            gateway.ready = True
            plan.tell(gateway.serving, plan)
            notify("READY=1")
    except BaseException:
        server.should_exit = True
        raise
    finally:
        await running
        await operations.close()
        await gateway.serving.pool.close()
    return stopper.signum


async def _load_again(plan: Plan, operations: Operations) -> Serving:
    """Read the configuration beside requests, and load the embedded models that are new in it."""
    loaded = await asyncio.to_thread(plan.load, operations.guard)
    try:
        await start_embedded(loaded.serving)
    except BaseException:
        await operations.discard(loaded.serving)
        raise
    if waiting := changed(plan.settings, loaded.settings):
        fields = {"settings": ", ".join(waiting)}
        log.warning("what changed in [gateway] waits for a restart", extra={"fields": fields})
    return loaded.serving


async def start_embedded(serving: Serving) -> None:
    """Load the weights now, so that the first question need not wait for them."""
    names = [name for name, model in serving.members.items() if model.base_url == EMBEDDED]
    if not names:
        return
    from slmmux.engines.embedded import EmbeddedEngine

    engines = {unguarded(serving.pool.engines[name]) for name in names}
    with working("loading the embedded models"):
        await asyncio.gather(*(e.start() for e in engines if isinstance(e, EmbeddedEngine)))
