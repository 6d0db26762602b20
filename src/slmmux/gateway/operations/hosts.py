"""By which names a gateway without keys may be called.

A page on the web can give its own name this machine's address, and a browser here then takes the
gateway for a part of that page. An address or `localhost` in the Host header cannot be such a name.
"""

from collections.abc import Collection
from http import HTTPStatus
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from slmmux.gateway.failures import Failure
from slmmux.gateway.operations.record import Record
from slmmux.gateway.watching import WATCH


class Hosts:
    """ASGI middleware, in place of `Access`.

    Args:
        app: what answers.
        names: that are fine, besides addresses and localhost.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        name = "" if scope["type"] != "http" else host_of(Headers(scope=scope).get("host", ""))
        if not name or name in self._names or is_here(name):
            await self._app(scope, receive, send)
            return
        if isinstance(record := WATCH.get(), Record):
            record.refused = "host"
        refusal = Failure(
            status=HTTPStatus.MISDIRECTED_REQUEST,
            message="a gateway without API keys answers to addresses and localhost only; name "
            "others in hosts of [gateway], or make a key",
            code="unknown_host",
        )
        await refusal.response()(scope, receive, send)


def host_of(header: str) -> str:
    """The name or address in a Host header, without its port."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")


def is_here(name: str) -> bool:
    """Whether no page on the web can have this name."""
    try:
        ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    return True
