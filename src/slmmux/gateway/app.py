"""A gateway → one ASGI application: its paths, and one shape for every error."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from slmmux.errors import SlmmuxError
from slmmux.gateway.api import Endpoints
from slmmux.gateway.failures import CLIENT_GONE, on_bug, on_http_error, on_known_error
from slmmux.gateway.openapi import document
from slmmux.gateway.page.files import routes as page
from slmmux.gateway.state import Gateway

Middleware: TypeAlias = Callable[[ASGIApp], ASGIApp]


def build_app(gateway: Gateway, middleware: Sequence[Middleware] = ()) -> ASGIApp:
    """The application.

    Args:
        gateway: what it serves.
        middleware: around all paths, the outermost first.
    """
    endpoints = Endpoints(gateway)

    async def openapi(request: Request) -> Response:  # noqa: ARG001
        return JSONResponse(document(gateway.serving))

    app: ASGIApp = Starlette(
        routes=[
            Route("/v1/chat/completions", endpoints.chat, methods=["POST"]),
            Route("/v1/completions", endpoints.completions, methods=["POST"]),
            Route("/v1/models", endpoints.models),
            Route("/v1/models/", endpoints.models),
            Route("/v1/models/{model:path}", endpoints.model),
            Route("/healthz", endpoints.alive),
            Route("/readyz", endpoints.ready),
            Route("/openapi.json", openapi),
            *page(),
        ],
        exception_handlers={
            SlmmuxError: on_known_error,
            HTTPException: on_http_error,
            ClientDisconnect: _on_client_gone,
            Exception: on_bug,
        },
    )
    for layer in reversed(middleware):
        app = layer(app)
    return app


def _on_client_gone(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return Response(status_code=CLIENT_GONE)
