"""Everything around one gateway, put together: what is before its engines and around its app."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial

from starlette.types import ASGIApp

from slmmux.config_gateway import GatewayConfig
from slmmux.engines.base import Pool
from slmmux.errors import SlmmuxError
from slmmux.gateway.app import Middleware
from slmmux.gateway.caps import Caps
from slmmux.gateway.operations.access import Access
from slmmux.gateway.operations.breaker import State
from slmmux.gateway.operations.guarded import Guard, Guarded
from slmmux.gateway.operations.hosts import Hosts
from slmmux.gateway.operations.inflight import Inflight
from slmmux.gateway.operations.journal import Journal
from slmmux.gateway.operations.keeping import close_all_but, kept
from slmmux.gateway.operations.ledger import Ledger
from slmmux.gateway.operations.logs import Journalist
from slmmux.gateway.operations.measures import Measures, Metrics
from slmmux.gateway.operations.places import Places
from slmmux.gateway.operations.requests import Requests
from slmmux.gateway.operations.traces import Traces, traces_to_collector
from slmmux.gateway.state import Gateway, Serving

log = logging.getLogger("slmmux.gateway")

_MEGABYTE = 10**6


class Operations:
    """What keeps one gateway running; made inside of its event loop.

    Args:
        settings: of the gateway.
        ledger: of API keys; None where everybody who can connect may ask.
        traces: in place of what the settings say.

    Attributes:
        caps: of every request.
        inflight: requests that are being answered.

    Raises:
        BankError: the bank cannot be opened.
        MissingExtraError: traces are wanted and OpenTelemetry is not installed.
    """

    def __init__(
        self, settings: GatewayConfig, ledger: Ledger | None, *, traces: Traces | None = None
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._gateway: Gateway | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._reloading: asyncio.Task[None] | None = None
        self._again = self._stopping = False
        self.inflight = Inflight()
        self.places = Places(settings.max_requests, settings.max_waiting, settings.max_wait_s)
        self.measures = Measures(
            running=lambda: self.places.taken,
            waiting=lambda: self.places.queued,
            breakers=self.breakers,
        )
        self.traces = traces or (traces_to_collector() if settings.traces else Traces())
        self.journal = None
        if settings.bank is not None:
            self.journal = Journal(
                settings.bank, redact=settings.redact_prompts, on_banked=self.measures.banked
            )
        self._guard = Guard(
            failures=settings.breaker_failures,
            wait_s=settings.breaker_wait_s,
            slow_s=settings.slow_call_s,
            on_call=self.measures.call,
            traces=self.traces,
        )
        self.caps = Caps(
            body_bytes=int(settings.max_body_mb * _MEGABYTE),
            draws=settings.max_draws,
            deadline_s=settings.max_deadline_s,
        )

    def middleware(self, gateway: Gateway) -> list[Middleware]:
        """Layers for this gateway's app, the outermost first."""
        self._gateway = gateway
        gateway.breakers = self.breakers
        journalist = Journalist(prompts=self._settings.log_prompts)
        layers: list[Middleware] = [
            partial(
                Requests,
                inflight=self.inflight,
                places=self.places,
                on_sample=None if self.journal is None else self.journal.add,
                on_end=(self.measures.request, journalist.request),
                traces=self.traces,
            )
        ]
        if self._ledger is not None:
            layers.append(partial(Access, ledger=self._ledger))
        else:
            layers.append(partial(Hosts, names=(*self._settings.hosts, self._settings.host)))
        return [*layers, partial(_metrics, self.measures)]

    def guard(self, pool: Pool) -> Pool:
        """What is served is asked through this; engines that run already stay."""
        return self._guard(
            pool if self._gateway is None else kept(pool, self._gateway.serving.pool)
        )

    async def discard(self, serving: Serving) -> None:
        """Close what was loaded and is not going to be served."""
        if self._gateway is not None:
            await close_all_but(serving.pool, self._gateway.serving.pool)

    def breakers(self) -> Mapping[str, State]:
        """Model → the state of its endpoint's breaker."""
        if self._gateway is None:
            return {}
        engines = self._gateway.serving.pool.engines
        return {name: e.state for name, e in engines.items() if isinstance(e, Guarded)}

    def reload(self, load: Callable[[], Awaitable[Serving]]) -> None:
        """Serve what `load` gives from now on; where it fails, what is served stays.

        Args:
            load: reads the configuration again.
        """
        if self._reloading is not None:
            self._again = True
            return
        if self._stopping:
            return
        self._reloading = asyncio.get_running_loop().create_task(self._reload(load))

    async def _reload(self, load: Callable[[], Awaitable[Serving]]) -> None:
        try:
            await self._replace(load)
        finally:
            self._reloading = None
            if self._again:
                self._again = False
                self.reload(load)

    async def _replace(self, load: Callable[[], Awaitable[Serving]]) -> None:
        gateway = self._gateway
        assert gateway is not None  # noqa: S101 - it serves
        try:
            serving = await load()
        except SlmmuxError as error:
            self.measures.reloaded("refused")
            log.error("not reloaded, what was served stays: %s", error)  # noqa: TRY400 - no bug
            return
        old, gateway.serving = gateway.serving, serving
        self.measures.reloaded("taken")
        names = ", ".join(serving.profiles)
        log.info("reloaded", extra={"fields": {"profiles": names, "models": len(serving.members)}})
        retiring = asyncio.get_running_loop().create_task(self._retire(old, serving))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    async def _retire(self, old: Serving, successor: Serving) -> None:
        """Close what was served when nobody uses it any more."""
        await self.inflight.settled()
        await close_all_but(old.pool, successor.pool)

    def stop(self) -> None:
        """Say that no more requests are welcome, and give the open ones their time."""
        self._stopping = True
        if self._gateway is not None:
            self._gateway.ready = False
        log.info("stopping", extra={"fields": {"open": len(self.inflight)}})
        loop = asyncio.get_running_loop()
        loop.call_later(self._settings.drain_s, self.inflight.cut)

    async def close(self) -> None:
        """Bank what was drawn, send the last traces; nothing is served any more."""
        if self._reloading is not None:
            self._reloading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reloading
        await asyncio.gather(*self._retiring)  # their requests have ended
        if self.journal is not None:
            kept = await self.journal.close()
            fields = {
                "kept": kept,
                "dropped": self.journal.dropped,
                "bank": str(self._settings.bank),
            }
            log.info("banked", extra={"fields": fields})
        await asyncio.to_thread(self.traces.close)
        if self._ledger is not None:
            self._ledger.close()


def _metrics(measures: Measures, app: ASGIApp) -> ASGIApp:
    return Metrics(app, measures)
