"""OpenTelemetry traces with its conventions for generative AI; none where it is not installed.

A span for each request to the gateway, continuing the client's own trace, and one for each upstream
call inside, which goes on upstream: its endpoint gets W3C's `traceparent` (and the client's
`tracestate`). Prompts, replies and keys are in none of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from slmmux.engines.base import Completion
from slmmux.errors import MissingExtraError, SlmmuxError
from slmmux.gateway.operations.record import Record
from slmmux.types import Model, Usage

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

_SERVER_ERROR = 500


class Call:
    """An upstream call without a span.

    Attributes:
        headers: with which the trace goes on at the endpoint.
    """

    headers: Mapping[str, str] | None = None

    def answered(self, completions: Sequence[Completion]) -> None:
        """These have come."""


_NO_REQUEST: AbstractContextManager[None] = nullcontext()
_NO_CALL: AbstractContextManager[Call] = nullcontext(Call())


class Traces:
    """Traces that go nowhere."""

    def request(self, record: Record, headers: Mapping[str, str]) -> AbstractContextManager[None]:  # noqa: ARG002
        """The span of a request to the gateway."""
        return _NO_REQUEST

    def call(self, model: Model, endpoint: str) -> AbstractContextManager[Call]:  # noqa: ARG002
        """The span of an upstream call."""
        return _NO_CALL

    def close(self) -> None:
        """Send what has not been sent."""


class OpenTelemetry(Traces):
    """Traces for an OpenTelemetry collector.

    Args:
        tracer: makes the spans.
        close: sends what is left.
    """

    def __init__(self, tracer: "Tracer", close: Callable[[], object]) -> None:
        self._tracer = tracer
        self._close = close

    @contextmanager
    def request(self, record: Record, headers: Mapping[str, str]) -> Iterator[None]:
        """As conventions for HTTP servers and generative AI have it."""
        from opentelemetry.propagate import extract  # noqa: PLC0415 - an extra
        from opentelemetry.trace import SpanKind  # noqa: PLC0415

        with self._tracer.start_as_current_span(
            f"{record.method} {record.path}", context=extract(headers), kind=SpanKind.SERVER
        ) as span:
            try:
                yield
            finally:
                _describe(span, record)

    @contextmanager
    def call(self, model: Model, endpoint: str) -> Iterator[Call]:
        """As the conventions for clients of generative AI have it."""
        from opentelemetry.propagate import inject  # noqa: PLC0415
        from opentelemetry.trace import (  # noqa: PLC0415
            SpanKind,
            StatusCode,
            set_span_in_context,
        )

        operation = "chat" if model.api == "chat" else "text_completion"
        attributes: dict[str, str | float | int] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "openai" if "://" in endpoint else "slmmux",
            "gen_ai.request.model": model.model,
            "gen_ai.request.temperature": model.temperature,
            "gen_ai.request.top_p": model.top_p,
            "gen_ai.request.max_tokens": model.max_tokens,
            "slmmux.model": model.name,
            **_server(endpoint),
        }
        # Not made the current span: a reply that is passed on is read by more than one task.
        span = self._tracer.start_span(
            f"{operation} {model.model}", kind=SpanKind.CLIENT, attributes=attributes
        )

        headers: dict[str, str] = {}
        inject(headers, set_span_in_context(span))
        try:
            yield _Spanned(span, headers)
        except SlmmuxError as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            span.end()

    def close(self) -> None:
        """Send what has not been sent."""
        self._close()


class _Spanned(Call):
    def __init__(self, span: "Span", headers: Mapping[str, str]) -> None:
        self._span = span
        self.headers = headers

    def answered(self, completions: Sequence[Completion]) -> None:
        _count(self._span, sum((c.usage for c in completions), Usage()))
        reasons = [c.finish_reason for c in completions if c.finish_reason]
        self._span.set_attribute("gen_ai.response.finish_reasons", reasons)


def traces_to_collector() -> OpenTelemetry:
    """Traces that go where the environment's `OTEL_…` variables say.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
    """
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise MissingExtraError("traces need OpenTelemetry: pip install 'slmmux[otel]'")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": "slmmux"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetry(provider.get_tracer("slmmux"), provider.shutdown)


def _describe(span: "Span", record: Record) -> None:
    from opentelemetry.trace import StatusCode  # noqa: PLC0415

    span.set_attribute("http.request.method", record.method)
    span.set_attribute("http.response.status_code", record.status)
    span.set_attribute("slmmux.request.id", record.id)
    if record.status >= _SERVER_ERROR:
        span.set_status(StatusCode.ERROR)
    if record.served is None:
        return
    operation = "chat" if record.path.endswith("/chat/completions") else "text_completion"
    span.update_name(f"{operation} {record.served}")
    span.set_attribute("gen_ai.operation.name", operation)
    span.set_attribute("gen_ai.provider.name", "slmmux")
    span.set_attribute("gen_ai.request.model", record.served)
    _count(span, record.usage)
    if (result := record.result) is not None:
        if result.selection.decided_by is not None:
            span.set_attribute("gen_ai.response.model", result.selection.decided_by)
        span.set_attribute("slmmux.draws", result.draws)
        span.set_attribute("slmmux.draws_saved", result.draws_saved)


def _count(span: "Span", usage: Usage) -> None:
    span.set_attribute("gen_ai.usage.input_tokens", usage.prompt_tokens)
    span.set_attribute("gen_ai.usage.output_tokens", usage.completion_tokens)


def _server(endpoint: str) -> dict[str, str | int]:
    parts = urlsplit(endpoint)
    if not parts.hostname or "://" not in endpoint:
        return {}
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname, "server.port": port}
