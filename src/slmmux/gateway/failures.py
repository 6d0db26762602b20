"""What went wrong → a status, and the error as OpenAI's clients know it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Literal

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from slmmux.engines.refusals import OVER_CONTEXT, REJECTED
from slmmux.errors import (
    AuthenticationError,
    ConnectionDroppedError,
    ContextLengthError,
    EmbeddedServerError,
    LeftAloneError,
    ModelNotFoundError,
    QuorumError,
    RateLimitError,
    ReplyError,
    RequestRejectedError,
    RequestTimeoutError,
    SlmmuxError,
    UnreachableError,
    UpstreamError,
    UsageError,
)
from slmmux.results import Json

ErrorType = Literal["invalid_request_error", "upstream_error", "server_error", "rate_limit_error"]

CLIENT_GONE = 499  # nobody reads it; logs do

log = logging.getLogger("slmmux.gateway")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error reply.

    Attributes:
        param: the request's field that is at fault.
        code: a word for programs.
        upstreams: model → what its endpoint said.
        retry_after_s: the wait that an upstream asked for.
    """

    status: int
    message: str
    type: ErrorType = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    upstreams: Mapping[str, str] | None = None
    retry_after_s: float | None = None

    def to_json(self) -> dict[str, Json]:
        """The body."""
        error: dict[str, Json] = {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }
        if self.upstreams is not None:
            error["upstreams"] = dict(self.upstreams)
        return {"error": error}

    def response(self) -> JSONResponse:
        """The reply, for a request that has had none of it yet."""
        wait_s = self.retry_after_s
        headers = {} if wait_s is None else {"Retry-After": str(ceil(wait_s))}
        return JSONResponse(self.to_json(), self.status, headers)


class RequestError(SlmmuxError):
    """A request that cannot be served as it stands."""

    def __init__(
        self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.failure = Failure(status=status, message=message, param=param, code=code)


_UPSTREAM: tuple[tuple[type[SlmmuxError], int, str], ...] = (
    (RateLimitError, HTTPStatus.TOO_MANY_REQUESTS, "upstream_rate_limit"),
    (RequestTimeoutError, HTTPStatus.GATEWAY_TIMEOUT, "upstream_timeout"),
    (UnreachableError, HTTPStatus.SERVICE_UNAVAILABLE, "upstream_unreachable"),
    (LeftAloneError, HTTPStatus.SERVICE_UNAVAILABLE, "upstream_left_alone"),
    (EmbeddedServerError, HTTPStatus.SERVICE_UNAVAILABLE, "embedded_server_down"),
    (AuthenticationError, HTTPStatus.BAD_GATEWAY, "upstream_refused_our_key"),
    (ModelNotFoundError, HTTPStatus.BAD_GATEWAY, "upstream_model_not_found"),
    (UpstreamError, HTTPStatus.BAD_GATEWAY, "upstream_failed"),
    (ConnectionDroppedError, HTTPStatus.BAD_GATEWAY, "upstream_dropped"),
    (ReplyError, HTTPStatus.BAD_GATEWAY, "upstream_unreadable"),
)


def failure_of(error: SlmmuxError) -> Failure:
    """The reply to a request that ended with this error."""
    message = str(error)
    if isinstance(error, RequestError):
        return error.failure
    if isinstance(error, QuorumError):
        return _without_quorum(error)
    if isinstance(error, ContextLengthError):
        return Failure(status=400, message=message, code="context_length_exceeded")
    if isinstance(error, RequestRejectedError | UsageError):
        return Failure(status=400, message=message)
    for kind, status, code in _UPSTREAM:
        if isinstance(error, kind):
            wait_s = getattr(error, "retry_after_s", None)
            return Failure(
                status=status,
                message=message,
                type="upstream_error",
                code=code,
                retry_after_s=wait_s,
            )
    return Failure(status=HTTPStatus.SERVICE_UNAVAILABLE, message=message, type="server_error")


def _without_quorum(error: QuorumError) -> Failure:
    reasons = error.reasons
    if reasons and all(OVER_CONTEXT in reason for reason in reasons.values()):
        return Failure(
            status=400, message=str(error), code="context_length_exceeded", upstreams=reasons
        )
    if reasons and all(REJECTED in reason for reason in reasons.values()):
        return Failure(status=400, message=str(error), code="rejected_upstream", upstreams=reasons)
    return Failure(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        message=str(error),
        type="upstream_error",
        code="quorum_not_met",
        upstreams=reasons,
    )


def on_known_error(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001
    """Starlette's handler for our own errors."""
    if not isinstance(error, SlmmuxError):
        raise error
    return failure_of(error).response()


def on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Starlette's handler for its own errors: no such path, no such method."""
    if not isinstance(error, HTTPException):
        raise error
    path = request.url.path
    what = {
        HTTPStatus.NOT_FOUND: f"there is nothing at {path}; /openapi.json lists what there is",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{path} does not take {request.method}",
    }.get(HTTPStatus(error.status_code), error.detail)
    response = Failure(status=error.status_code, message=what).response()
    response.headers.update(error.headers or {})
    return response


def on_bug(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001
    """Starlette's handler for everything else; the error goes on to the log."""
    return bug(error).response()


def bug(error: Exception) -> Failure:
    """What a client is told of a bug of ours: its name, and nothing that may be secret."""
    return Failure(
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        message=f"a bug in slmmux ({type(error).__name__}); its log says more",
        type="server_error",
        code="bug",
    )
