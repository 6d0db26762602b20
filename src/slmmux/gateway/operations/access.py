"""Who may come in, and how often: API keys and their limits.

Health checks and the page's own files need no key: they say nothing about anybody.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slmmux.errors import KeysError
from slmmux.gateway.failures import Failure
from slmmux.gateway.operations.guesses import Guesses
from slmmux.gateway.operations.keys import bearer, digest, id_of, same
from slmmux.gateway.operations.ledger import DAY_S, Key, Ledger, Used
from slmmux.gateway.operations.record import Record
from slmmux.gateway.watching import WATCH

OPEN_PATHS = frozenset(("/", "/healthz", "/readyz", "/favicon.ico"))
OPEN_FOLDERS = ("/static/", "/assets/")

log = logging.getLogger("slmmux.gateway")

_NO_KEYS = Failure(
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    message="the gateway cannot read its API keys; its log says more",
    type="server_error",
    code="keys_unreadable",
)
_RATE = Failure(status=HTTPStatus.TOO_MANY_REQUESTS, message="", type="rate_limit_error")


class Access:
    """ASGI middleware, inside of `Requests`.

    Args:
        app: what answers.
        ledger: of the keys.
        clock: Unix time in seconds.
        guessing: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        app: ASGIApp,
        ledger: Ledger,
        *,
        clock: Callable[[], float] = time.time,
        guessing: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._ledger = ledger
        self._clock = clock
        self._guessing = guessing
        self._guesses = Guesses()
        self._running: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        path = scope.get("path", "")
        if scope["type"] != "http" or path in OPEN_PATHS or path.startswith(OPEN_FOLDERS):
            await self._app(scope, receive, send)
            return
        record = WATCH.get()
        record = record if isinstance(record, Record) else Record(method="", path=path)
        found = self._admitted(record, scope)
        if isinstance(found, Failure):
            record.refused = found.code
            response = found.response()
            if found.status == HTTPStatus.UNAUTHORIZED:
                response.headers["WWW-Authenticate"] = "Bearer"
            await response(scope, receive, send)
            return
        if not _counts(scope):
            await self._app(scope, receive, send)
            return
        await self._counted(found, record, scope, receive, send)

    def _admitted(self, record: Record, scope: Scope) -> Key | Failure:
        """The key of a request that may go on; nobody comes in while keys cannot be read."""
        try:
            found = self._known(Headers(scope=scope), _address(scope))
            if not isinstance(found, Key):
                return found
            record.key = found
            return self._over_limit(found) if _counts(scope) else found
        except KeysError as error:
            log.error("nobody is let in: %s", error)  # noqa: TRY400 - no bug
            return _NO_KEYS

    def _known(self, headers: Headers, address: str) -> Key | Failure:
        """The key that the client has."""
        text = bearer(headers.get("authorization", ""))
        if text is None:
            return Failure(
                status=HTTPStatus.UNAUTHORIZED,
                message="this gateway wants an API key: send the header Authorization: Bearer KEY",
                code="missing_api_key",
            )
        mark, now = digest(text), self._guessing()
        wait_s = self._guesses.wait_s(address, mark, now)
        if wait_s is not None:
            return replace(
                _RATE,
                message="too many wrong API keys came from this address; wait",
                code="too_many_wrong_keys",
                retry_after_s=wait_s,
            )
        identity = id_of(text)
        key = None if identity is None else self._ledger.key(identity)
        if same(text, None if key is None else key.digest) and key is not None:
            self._guesses.right(address, mark, now)
            return key
        self._guesses.wrong(address, now)
        return Failure(
            status=HTTPStatus.UNAUTHORIZED,
            message="there is no such API key, or it was revoked",
            code="invalid_api_key",
        )

    def _over_limit(self, key: Key) -> Key | Failure:
        """The key, where it may send another request; the request is counted then."""
        limits, now = key.limits, self._clock()
        if limits.concurrent is not None and self._running[key.id] >= limits.concurrent:
            return replace(
                _RATE,
                message=f"{key.name} has {limits.concurrent} requests running, which is its limit",
                code="rate_limit_exceeded",
                retry_after_s=1.0,
            )
        used = self._ledger.used(key, now)
        for what, spent, most in (
            ("tokens", used.tokens, limits.tokens_per_day),
            ("money", used.money, limits.money_per_day),
        ):
            if most is not None and spent >= most:
                return replace(
                    _RATE,
                    message=f"{key.name} has used {spent:g} of its {most:g} {what} for today (UTC)",
                    code="insufficient_quota",
                    retry_after_s=DAY_S - now % DAY_S,
                )
        wait_s = self._ledger.begin(key, now)
        if wait_s is None:
            return key
        return replace(
            _RATE,
            message=f"{key.name} has sent {limits.rpm} requests in a minute, which is its limit",
            code="rate_limit_exceeded",
            retry_after_s=wait_s,
        )

    async def _counted(
        self, key: Key, record: Record, scope: Scope, receive: Receive, send: Send
    ) -> None:
        async def sending(message: Message) -> None:
            # On disk before the client has the end: who kills the gateway then gains nothing.
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                self._settle(key, record)
            await send(message)

        self._running[key.id] += 1
        try:
            await self._app(scope, receive, sending)
        finally:
            self._running[key.id] -= 1
            if not self._running[key.id]:
                del self._running[key.id]
            self._settle(key, record)

    def _settle(self, key: Key, record: Record) -> None:
        used = record.unsettled()
        if used == Used():
            return
        try:
            self._ledger.spend(key, used, self._clock())
        except KeysError as error:  # the reply is there: its client gets it
            log.error("not counted for %s: %s", key.name, error)  # noqa: TRY400 - no bug


def _counts(scope: Scope) -> bool:
    """Whether the request asks models, and so counts against limits."""
    return bool(scope["method"] == "POST" and scope["path"].startswith("/v1/"))


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"
