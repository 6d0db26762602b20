"""Prometheus metrics of one gateway, at `/metrics`."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Receive, Scope, Send

from slmmux.gateway.operations.breaker import STATES, State
from slmmux.gateway.operations.record import Record
from slmmux.types import Result

_PATHS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/models",
    "/healthz",
    "/readyz",
    "/metrics",
)
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Measures:
    """The metrics. Labels come from the configuration and the protocol, never from clients.

    Args:
        running: how many requests have a place.
        waiting: how many wait for one.
        breakers: model → the state of its endpoint's breaker.
    """

    def __init__(
        self,
        *,
        running: Callable[[], int],
        waiting: Callable[[], int],
        breakers: Callable[[], Mapping[str, State]],
    ) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Breakers(breakers))

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"slmmux_{name}", about, labels, registry=registry)

        def histogram(
            name: str, about: str, *labels: str, buckets: Iterable[float] = _SECONDS
        ) -> Histogram:
            return Histogram(
                f"slmmux_{name}", about, labels, registry=registry, buckets=tuple(buckets)
            )

        def gauge(name: str, about: str, read: Callable[[], int]) -> None:
            Gauge(f"slmmux_{name}", about, registry=registry).set_function(lambda: float(read()))

        gauge("requests_running", "Requests that have a place.", running)
        gauge("requests_waiting", "Requests that wait for a place.", waiting)
        self._requests = counter(
            "requests", "Requests by path, served model and status.", "path", "model", "status"
        )
        self._outcomes = counter("outcomes", "Requests by how they ended.", "outcome")
        self._refused = counter("refused", "Requests that were not served, and why.", "reason")
        self._latency = histogram("request_seconds", "Time of a request.", "path", "model")
        self._queue = histogram("queue_seconds", "Time that a request waited for a place.")
        self._calls = histogram("upstream_seconds", "Time of an upstream call.", "model")
        self._took: dict[str, Histogram] = {}
        self._errors = counter("upstream_errors", "Upstream calls that failed.", "model", "error")
        self._draws = counter("draws", "Samples asked for.", "served")
        self._saved = counter("draws_saved", "Samples that early stopping saved.", "served")
        self._tokens = counter("tokens", "Tokens of upstream calls.", "model", "type")
        self._money = counter("money", "Spent on upstream calls, by the models' prices.")
        self._confidence = histogram(
            "confidence", "Confidence of the winner.", "served", buckets=_SHARES
        )
        self._selected = counter("selected", "Votes that a model decided.", "served", "model")
        self._abstained = counter("abstained", "Votes without an answer to give.", "served")
        self._escalated = counter("escalated", "Votes that a bigger model decided.", "served")
        self._degraded = counter("degraded", "Votes in which a model failed.", "served", "model")
        self._bank = counter("bank_samples", "Samples for the bank.", "outcome")
        self._reloads = counter("reloads", "Reloads of the configuration.", "outcome")
        # From 0 on: an alert on a rise does not see the first one of a series that begins with it.
        for outcomes, words in (
            (self._bank, ("kept", "dropped")),
            (self._reloads, ("taken", "refused")),
        ):
            for word in words:
                outcomes.labels(word)

    def call(self, model: str, seconds: float, error: str | None) -> None:
        """An upstream call has ended."""
        if error is not None:
            self._errors.labels(model, error).inc()
        if error != "LeftAloneError":
            took = self._took.get(model)
            if took is None:  # finding it by its labels costs more than all the rest
                took = self._took[model] = self._calls.labels(model)
            took.observe(seconds)

    def request(self, record: Record) -> None:
        """A request is over."""
        path = next((p for p in _PATHS if f"{record.path}/".startswith(f"{p}/")), "other")
        model = record.served or ""
        self._requests.labels(path, model, str(record.status)).inc()
        self._latency.labels(path, model).observe(record.elapsed_s())
        self._outcomes.labels(record.outcome).inc()
        if record.refused is not None:
            self._refused.labels(record.refused).inc()
        if record.queued_s is not None:
            self._queue.observe(record.queued_s)
        if record.money:
            self._money.inc(record.money)
        for name, usage in record.tokens.items():
            self._tokens.labels(name, "prompt").inc(usage.prompt_tokens)
            self._tokens.labels(name, "completion").inc(usage.completion_tokens)
        if record.result is not None:
            self._vote(model, record.result)

    def banked(self, outcome: str, samples: int) -> None:
        """Samples were `kept` in the bank, or `dropped`."""
        self._bank.labels(outcome).inc(samples)

    def reloaded(self, outcome: str) -> None:
        """The configuration was `taken` or `refused`."""
        self._reloads.labels(outcome).inc()

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._registry)

    def _vote(self, served: str, result: Result) -> None:
        self._draws.labels(served).inc(result.draws)
        self._saved.labels(served).inc(max(0, result.draws_saved))
        if result.escalated is not None:
            self._escalated.labels(served).inc()
        if result.abstained:
            self._abstained.labels(served).inc()
        else:
            self._confidence.labels(served).observe(result.selection.confidence.low)
        # More than one could be the winner while draws are open: their answer is the same.
        if result.selection.decided_by is not None:
            self._selected.labels(served, result.selection.decided_by).inc()
        for model in result.degraded:
            self._degraded.labels(served, model).inc()


class Metrics:
    """ASGI middleware, inside of `Access`: answers `GET /metrics`."""

    def __init__(self, app: ASGIApp, measures: Measures) -> None:
        self._app = app
        self._measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer it, or pass the request on."""
        ours = scope["type"] == "http" and scope["path"] == "/metrics"
        if not ours or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        headers = [(b"content-type", _CONTENT_TYPE), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        body = self._measures.text() if scope["method"] == "GET" else b""
        await send({"type": "http.response.body", "body": body, "more_body": False})


class _Breakers(Collector):
    """States, read when somebody asks: models come and go with a reload."""

    def __init__(self, read: Callable[[], Mapping[str, State]]) -> None:
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One value for each model: 0 closed, 1 half-open, 2 open."""
        family = GaugeMetricFamily(
            "slmmux_breaker_state",
            "Breaker of a model's endpoint: 0 closed, 1 half-open, 2 open.",
            labels=("model",),
        )
        for model, state in self._read().items():
            family.add_metric((model,), float(STATES.index(state)))
        yield family
