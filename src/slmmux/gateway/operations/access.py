"""Who may come in, and how often: API keys and their limits.

Health checks and the page's own files need no key: they say nothing about anybody.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slmmux.errors import KeysError
from slmmux.gateway.failures import Failure, RequestError
from slmmux.gateway.operations.callers import Call, Callers
from slmmux.gateway.operations.endings import end_early
from slmmux.gateway.operations.guesses import Guesses
from slmmux.gateway.operations.keys import bearer, id_of, same
from slmmux.gateway.operations.ledger import DAY_S, Key, Ledger, Used
from slmmux.gateway.operations.record import Record
from slmmux.gateway.watching import WATCH
from slmmux.gateway.wording import counted

OPEN_PATHS = frozenset(("/", "/healthz", "/readyz", "/favicon.ico"))
OPEN_FOLDERS = ("/static/", "/assets/")

_SOON_S = 2.0  # until a request that runs may be done

log = logging.getLogger("slmmux.gateway")

_NO_KEYS = Failure(
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    message="the gateway cannot read its API keys; its log says more",
    type="server_error",
    code="keys_unreadable",
)
_RATE = Failure(status=HTTPStatus.TOO_MANY_REQUESTS, message="", type="rate_limit_error")
_WRONG = Failure(
    status=HTTPStatus.UNAUTHORIZED,
    message="there is no such API key, or it was revoked",
    code="invalid_api_key",
)


class RefusedError(RequestError):
    """A request that has arrived and may not go on."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


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
        self._callers = Callers(ledger, clock)

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
        identity = id_of(text)
        key = None if identity is None else self._ledger.key(identity)
        if same(text, None if key is None else key.digest) and key is not None:
            return key
        wait_s = self._guesses.wrong(address, self._guessing())
        if wait_s is None:
            return _WRONG
        return replace(
            _RATE,
            message="too many wrong API keys came from this address; wait",
            code="too_many_wrong_keys",
            retry_after_s=wait_s,
        )

    def _over_limit(self, key: Key) -> Key | Failure:
        """The key, where it may send another request; the request is counted then."""
        limits, now = key.limits, self._clock()
        if limits.concurrent is not None and self._callers.running(key) >= limits.concurrent:
            return replace(
                _RATE,
                message=f"{key.name} has {counted(limits.concurrent, 'request')} running, which is "
                "its limit",
                code="rate_limit_exceeded",
                retry_after_s=1.0,
            )
        used = self._ledger.used(key, now)
        for what, spent, most in _of_a_day(key, used):
            if most is not None and spent >= most:
                return replace(
                    _RATE,
                    message=f"{key.name} has used {_told(what, spent)} today, and may use "
                    f"{most:,.10g} a day; the day ends at midnight UTC",
                    code="insufficient_quota",
                    retry_after_s=DAY_S - now % DAY_S,
                )
        wait_s = self._ledger.begin(key, now)
        if wait_s is None:
            return key
        return replace(
            _RATE,
            message=f"{key.name} has sent {counted(limits.rpm or 0, 'request')} in a minute, which "
            "is its limit",
            code="rate_limit_exceeded",
            retry_after_s=wait_s,
        )

    def _reserve(self, call: Call, most: Callable[[], Used]) -> None:
        """Take the most that a request can use, where others of its key run beside it.

        A key that has something left for today may always send one: else a limit that is smaller
        than the largest request would be no limit but a ban. So one request at most passes it.

        Raises:
            RefusedError: together they could pass a limit of the day.
        """
        key, limits = call.key, call.key.limits
        if limits.tokens_per_day is None and limits.money_per_day is None:
            return
        wanted, beside = most(), self._callers.reserved(key)
        if beside != Used():
            try:
                taken = self._ledger.used(key, self._clock()) + beside
            except KeysError as error:
                log.error("nobody is let in: %s", error)  # noqa: TRY400 - no bug
                raise RefusedError(_NO_KEYS) from error
            for what, spent, limit in _of_a_day(key, taken + wanted):
                if limit is not None and spent > limit:
                    call.record.refused = "rate_limit_exceeded"
                    raise RefusedError(_beside(key, what, limit))
        call.reserved = wanted

    async def _counted(
        self, key: Key, record: Record, scope: Scope, receive: Receive, send: Send
    ) -> None:
        call = Call(key, record)
        record.reserve = partial(self._reserve, call)

        async def sending(message: Message) -> None:
            # On disk before the client has the end: who kills the gateway then gains nothing.
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                self._callers.settle(call)
            await send(message)

        try:
            async with self._callers.request(call):
                await self._app(scope, receive, sending)
        except TimeoutError:
            if not call.revoked:
                raise
            record.refused, record.cut = "revoked", "revocation"
            await end_early(record, _WRONG, scope, receive, send)


def _beside(key: Key, what: str, limit: float) -> Failure:
    return replace(
        _RATE,
        message=f"{key.name} may use {_told(what, limit)} today (UTC), and this request beside "
        "those that run could pass that; send it when they are done, or with a smaller max_tokens",
        code="rate_limit_exceeded",
        retry_after_s=_SOON_S,
    )


def _told(what: str, amount: float) -> str:
    if what == "tokens":
        return counted(int(amount), "token")
    return f"{amount:,.6g} in the currency of the models' prices"


def _of_a_day(key: Key, used: Used) -> tuple[tuple[str, float, float | None], ...]:
    """What is limited, how much of it that is, and the most that the key may use."""
    limits = key.limits
    return (
        ("tokens", used.tokens, limits.tokens_per_day),
        ("money", used.money, limits.money_per_day),
    )


def _counts(scope: Scope) -> bool:
    """Whether the request asks models, and so counts against limits."""
    return bool(scope["method"] == "POST" and scope["path"].startswith("/v1/"))


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"
