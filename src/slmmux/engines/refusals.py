"""A status other than 200 → the error that it stands for, in the endpoint's own words."""

import email.utils
import json
import math
import re
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from slmmux.engines.base import duration
from slmmux.errors import (
    AuthenticationError,
    ContextLengthError,
    EngineError,
    ModelNotFoundError,
    RateLimitError,
    ReplyError,
    RequestRejectedError,
    RequestTimeoutError,
    UpstreamError,
)
from slmmux.types import Model

OVER_CONTEXT = "the question does not fit the model's context"
REJECTED = " rejected the request "
_SHOWN = 120  # characters of what the endpoint said
_CONTEXT = re.compile(
    r"context[ _](length|size|window)|maximum context|maximum number of tokens"
    r"|prompt is too long|too many tokens",
    re.IGNORECASE,
)
_ABOUT_N = re.compile(
    r"['\"`]n['\"`]|\bn (must|should|is|has|parameter|value)\b|\bn ?[=<>]|\bchoices\b|num_return",
    re.IGNORECASE,
)
_ABOUT_FORMAT = re.compile(
    r"response_?format|json[ _]?(?:schema|object|mode)|grammar|structured output|guided",
    re.IGNORECASE,
)
_MOST = re.compile(r"(?:<=|≤|at most|up to|less than or equal to)\s*(\d+)", re.IGNORECASE)


def refusal(
    model: Model, status: int, headers: Mapping[str, str], body: bytes, where: str
) -> EngineError:
    """The error to raise; a `RetryableError` where the same request may succeed later."""
    name, said = model.name, error_message(body)
    wait_s = retry_after_s(headers)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UpstreamError(
            f"{name}: {where} failed ({status}: {said}); see the server's log",
            retry_after_s=wait_s,
        )
    if status in (HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS):
        asked = "" if wait_s is None else f" and asks to wait {duration(wait_s)}"
        return RateLimitError(
            f"{name}: {where} limits the rate{asked} ({status}: {said}); lower max_concurrency",
            retry_after_s=wait_s,
        )
    if status == HTTPStatus.REQUEST_TIMEOUT:
        return RequestTimeoutError(
            f"{name}: {where} gave up waiting ({status}: {said})", retry_after_s=wait_s
        )
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST and "Location" in headers:
        return _redirect(model, status, headers, where)
    if status < HTTPStatus.BAD_REQUEST:
        words = f" ({said})" if body else ""
        return ReplyError(
            f"{name}: {where} answered with status {status} and no reply{words}; check that "
            "base_url is an OpenAI-compatible API"
        )
    return _client_error(model, status, body, where)


def most_choices(error: EngineError, asked: int) -> int | None:
    """How many choices the endpoint gives at once, where a rejection is about asking for more.

    Args:
        error: the rejection; llama.cpp names its limit, the number of its slots.
        asked: choices that were asked for.
    """
    said = str(error).partition(REJECTED)[2]
    if not isinstance(error, RequestRejectedError) or not _ABOUT_N.search(said):
        return None
    named = _MOST.search(said)
    most = int(named[1]) if named else 1
    return most if 1 <= most < asked else 1


def about_format(error: EngineError) -> bool:
    """Whether a rejection is about the form that the reply was to have."""
    said = str(error).partition(REJECTED)[2]
    return isinstance(error, RequestRejectedError) and bool(_ABOUT_FORMAT.search(said))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that the endpoint asks to wait.

    `retry-after-ms`, else `Retry-After` in seconds or as a date; None when there is neither, or
    nothing that can be read.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("Retry-After", "").strip()
    seconds = _number(text)
    if seconds is not None or not text:
        return seconds
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def error_message(body: bytes) -> str:
    """What an error reply says, in one short line."""
    return excerpt(_said(body)) or "no explanation"


def excerpt(text: str) -> str:
    """The beginning of a text in one line, without control characters."""
    text = text[: 4 * _SHOWN]
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _client_error(model: Model, status: int, body: bytes, where: str) -> EngineError:
    name, said = model.name, error_message(body)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return AuthenticationError(
            f"{name}: {where} refused the API key ({status}: {said}); check {_key_source(model)}"
        )
    if _CONTEXT.search(_said(body)) or _CONTEXT.search(_code(body)):
        return ContextLengthError(
            f"{name}: {OVER_CONTEXT} ({said}); shorten it, lower "
            "max_tokens, or serve the model with a larger context"
        )
    if status == HTTPStatus.NOT_FOUND:
        return _not_found(model, said, where)
    return RequestRejectedError(f"{name}: {where}{REJECTED}({status}: {said})")


def _not_found(model: Model, said: str, where: str) -> ModelNotFoundError:
    """A missing model and a wrong path have one status; servers name the model they miss."""
    name = model.name
    if "model" in said.lower() or model.model.lower() in said.lower():
        return ModelNotFoundError(
            f"{name}: {where} does not serve the model {model.model!r} ({said}); check `model`, "
            "or load it there"
        )
    return ModelNotFoundError(
        f"{name}: {where} does not know the path, or not the model {model.model!r} (404: {said}); "
        "base_url ends where the API begins, usually in /v1"
    )


def _redirect(
    model: Model, status: int, headers: Mapping[str, str], where: str
) -> RequestRejectedError:
    """A redirect is not followed: the key is for the configured host, not for another one."""
    target = excerpt(headers["Location"].partition("?")[0].rpartition("@")[2])
    return RequestRejectedError(
        f"{model.name}: {where} does not answer, it sends us to "
        f"{target or 'another address'} ({status}); write the final address into base_url"
    )


def _parsed(body: bytes) -> Any:
    try:
        reply = json.loads(body.decode("utf-8", errors="replace"), strict=False)
    except (ValueError, RecursionError):
        return None
    return reply.get("error", reply) if isinstance(reply, dict) else reply


def _said(body: bytes) -> str:
    found = _parsed(body)
    if isinstance(found, dict):
        found = found.get("message") or found.get("detail") or found.get("type") or found
    if isinstance(found, str):
        return found
    return body.decode("utf-8", errors="replace") if found is None else json.dumps(found)


def _code(body: bytes) -> str:
    """OpenAI's and llama.cpp's own names of an error."""
    found = _parsed(body)
    return f"{found.get('code')} {found.get('type')}" if isinstance(found, dict) else ""


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else max(0.0, value)


def _key_source(model: Model) -> str:
    if model.api_key_env is not None:
        return f"the key in {model.api_key_env}"
    if model.api_key_file is not None:
        return f"the key in {model.api_key_file}"
    return "whether the endpoint needs one, and set api_key_env"
