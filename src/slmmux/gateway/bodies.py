"""A request's bytes → its JSON object, within the limits."""

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request

from slmmux.gateway.caps import Caps
from slmmux.gateway.failures import RequestError


async def read_body(request: Request, caps: Caps) -> dict[str, Any]:
    """The body.

    Raises:
        RequestError: it is not JSON, no object, too large, too slow or too deep.
        ClientDisconnect: the client has gone.
    """
    _check_headers(request, caps)
    try:
        async with asyncio.timeout(caps.body_s):
            body = await _whole(request, caps.body_bytes)
    except TimeoutError:
        raise RequestError(
            f"the body did not arrive within {caps.body_s:g} s",
            status=HTTPStatus.REQUEST_TIMEOUT,
        ) from None
    return parse(body)


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in these bytes.

    Raises:
        RequestError: it is none.
    """
    try:
        # It stops at 200 levels and at broken characters, where others recurse or let them pass.
        found = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RequestError(f"the body is not JSON that can be read: {error}") from error
    if not isinstance(found, dict):
        raise RequestError("the body must be a JSON object")
    return found


def check_numbers(body: Mapping[str, Any]) -> None:
    """See that a body can be sent on: numbers beyond all others are read, but have no JSON.

    Raises:
        RequestError: one cannot, with its field.
    """
    for field, value in body.items():
        try:
            json.dumps(value, allow_nan=False)
        except ValueError as error:
            raise RequestError(f"{field[:80]}: a number is too large", param=field[:80]) from error


def _check_headers(request: Request, caps: Caps) -> None:
    # Pages of other sites can make a browser send any text, but JSON only where we allow it.
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise RequestError(
            "the body must be JSON: send the header Content-Type: application/json",
            status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestError(
            "the body must not be compressed", status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        )
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > caps.body_bytes:
        raise _too_large(caps.body_bytes)


async def _whole(request: Request, most: int) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > most:
            raise _too_large(most)
        more = message.get("more_body", False)
    return bytes(body)


def _too_large(most: int) -> RequestError:
    return RequestError(
        f"the body is larger than {most / 1_000_000:g} MB",
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    )
