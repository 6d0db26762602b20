"""One client for every OpenAI-compatible endpoint: vLLM, SGLang, llama.cpp, Ollama, hosted APIs.

Small and on aiohttp, since a fan-out makes many calls and the official SDK costs ten times the
CPU a call; retries and limits live in `sampling`.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from pydantic_core import PydanticSerializationError, to_json
from yarl import URL

from slmmux.engines.base import Completion, Message, Relayed, Request, no_reply
from slmmux.engines.refusals import about_format, excerpt, most_choices, refusal
from slmmux.engines.replies import read_reply
from slmmux.errors import (
    ConnectionDroppedError,
    EngineError,
    ReplyError,
    RequestRejectedError,
    UnreachableError,
    UsageError,
)
from slmmux.types import Model

_CHOICES = 64  # asked for in one request, at most
_LARGEST_MB = 32  # of a reply, decompressed: the longest that 64 choices give stay well below
_FORMS = 1024  # that are remembered as rejected
_SECRET = 8  # characters from which on a key is one: `none` and `EMPTY` are not

_PLAIN = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")  # to a TLS greeting

_Connected = AsyncGenerator[aiohttp.ClientSession, None]
_Replying = AbstractAsyncContextManager[aiohttp.ClientResponse]
_UNTIMED = aiohttp.ClientTimeout(total=None)  # two watches cost as much as reading the reply
_WRONG = (TimeoutError, aiohttp.ClientError)


class OpenAIEngine:
    """Draws samples over HTTP. One object may serve several event loops, also at the same time.

    Args:
        base_url: where the API begins, usually ending in `/v1`.
        api_key: sent as a bearer token to this host only; never shown.
        request_timeout_s: seconds from request to complete reply.
        name: shown in messages instead of the URL.

    Raises:
        UsageError: not an http(s) URL, or a key that cannot be sent.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        request_timeout_s: float = 120.0,
        name: str | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._endpoint = name or _without_credentials(self._base_url)
        _check(self._base_url, api_key, self._endpoint)
        self._timeout_s = request_timeout_s
        self._timeout = aiohttp.ClientTimeout(total=request_timeout_s)
        self._key = api_key
        self._headers = {"Content-Type": "application/json"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._urls: dict[str, URL] = {}  # path → where that is
        self._sessions: dict[
            asyncio.AbstractEventLoop, tuple[_Connected, aiohttp.ClientSession]
        ] = {}
        self._most: dict[str, int] = {}  # model id → choices that a request may ask for, as learnt
        self._formless: set[tuple[str, str | None]] = set()  # model id, fields: rejected as a form

    @property
    def endpoint(self) -> str:
        """The base URL without credentials, or the name given."""
        return self._endpoint

    def choices_per_request(self, model: Model, *, ordered: bool) -> int:
        """1 where `n` is known not to work, or not known to give seed + j when that matters."""
        if model.n == "never" or (ordered and model.n != "seeded"):
            return 1
        return self._most.get(model.model, _CHOICES)

    async def draw(self, request: Request) -> Sequence[Completion]:
        """From 1 to `request.n` completions; learns what of a request is limited or rejected.

        Raises:
            EngineError: with the endpoint's own words.
        """
        request = self._within_reach(request)
        try:
            completions = await self._post(request)
        except RequestRejectedError as error:
            request = self._learnt(request, error)
            completions = await self._post(request)
        if len(completions) < request.n:
            self._most[request.model.model] = len(completions)
        if request.model.n == "seeded":
            return [replace(completion, seed_honoured=True) for completion in completions]
        return completions

    def _learnt(self, request: Request, error: RequestRejectedError) -> Request:
        """The request without what the endpoint rejected of it, which is remembered.

        Raises:
            RequestRejectedError: it is about something that we do not leave out.
        """
        model_id = request.model.model
        most = most_choices(error, request.n) if request.n > 1 else None
        if most is not None:
            self._most[model_id] = most
            return replace(request, n=most)
        if about_format(error) and _has_format(request):
            if len(self._formless) >= _FORMS:
                self._formless.clear()
            self._formless.add((model_id, request.prompt.fields))
            return self._within_reach(request)
        raise error

    def _within_reach(self, request: Request) -> Request:
        """Without the reply's form, where the model is known not to take this one."""
        if (request.model.model, request.prompt.fields) not in self._formless:
            return request
        fields = json.loads(request.prompt.fields or "{}")
        del fields["response_format"]
        return replace(request, prompt=replace(request.prompt, fields=json.dumps(fields)))

    async def close(self) -> None:
        """Close the connections; safe to call twice, and from another loop than drew."""
        here = asyncio.get_running_loop()
        while self._sessions:
            loop, (connected, _) = self._sessions.popitem()
            if loop is here:
                await connected.aclose()
            elif loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(connected.aclose(), loop)
                await asyncio.wrap_future(closing)

    @asynccontextmanager
    async def relay(
        self,
        model: Model,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Relayed]:
        """Pass a request on as it is, with the model's own id, and its reply as it comes.

        Raises:
            EngineError: the endpoint did not answer, or not with status 200.
        """
        try:
            whole = {**body, "model": model.model}
            async with await self._sent(path, whole, headers) as reply:
                if reply.status != HTTPStatus.OK:
                    said = self._without_key(await self._whole(model, reply))
                    raise refusal(model, reply.status, reply.headers, said, self._endpoint)
                yield Relayed(reply.content_type, reply.content.iter_any())
        except _WRONG as error:
            raise self._told(model, error) from _cause(error)

    async def _post(self, request: Request) -> list[Completion]:
        model = request.model
        path = "chat/completions" if model.api == "chat" else "completions"
        try:
            watched = request.timeout_s is not None and request.timeout_s <= self._timeout_s
            sent = self._sent(path, _body(request), request.headers, watched=watched)
            async with await sent as reply:
                body = await self._whole(model, reply)
        except _WRONG as error:
            raise self._told(model, error) from _cause(error)
        return self._read(request, reply.status, reply.headers, body)

    async def _sent(
        self,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        *,
        watched: bool = False,
    ) -> _Replying:
        session = await self._session()
        timeout = _UNTIMED if watched else self._timeout
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = URL(f"{self._base_url}/{path}")
        return session.post(
            url, data=_json(body), headers=headers, allow_redirects=False, timeout=timeout
        )

    def _told(self, model: Model, error: Exception) -> EngineError:
        """What went wrong between a request and the end of its reply, in our words."""
        name = model.name
        if isinstance(error, TimeoutError):
            return no_reply(model, self._endpoint, self._timeout_s)
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL):
            why, then = _why(error)
            return UnreachableError(f"{name}: {why} at {self._endpoint}; {then}")
        if isinstance(error, aiohttp.ClientResponseError):
            why = excerpt(error.message.strip().partition("\n")[0].rstrip(":"))
            return ReplyError(
                f"{name}: {self._endpoint} does not speak HTTP ({why}); "
                "check base_url, http or https, and the port"
            )
        return ConnectionDroppedError(
            f"{name}: {self._endpoint} closed the connection before its reply was complete "
            f"({type(error).__name__})"
        )

    async def _whole(self, model: Model, reply: aiohttp.ClientResponse) -> bytes:
        """The body, as long as it is one that a model may have written."""
        chunks, left = [], _LARGEST_MB * 1_000_000
        async for chunk in reply.content.iter_any():
            chunks.append(chunk)
            left -= len(chunk)
            if left < 0:
                reply.close()  # the rest of it is not worth a connection
                raise ReplyError(
                    f"{model.name}: {self._endpoint} sent more than {_LARGEST_MB} MB; check that "
                    "base_url is an OpenAI-compatible API"
                )
        return b"".join(chunks)

    def _read(
        self, request: Request, status: int, headers: Mapping[str, str], body: bytes
    ) -> list[Completion]:
        try:
            return _read(request, status, headers, body, self._endpoint)
        except EngineError:
            hidden = self._without_key(body)
            if hidden == body:
                raise
        # The error quotes a reply that echoes the key: once more, without it.
        return _read(request, status, headers, hidden, self._endpoint)

    def _without_key(self, body: bytes) -> bytes:
        if self._key is None or len(self._key) < _SECRET:
            return body
        return body.replace(self._key.encode(), b"[the API key]")

    async def _session(self) -> aiohttp.ClientSession:
        """The running loop's session: a session does not outlive the loop it was made in."""
        loop = asyncio.get_running_loop()
        known = self._sessions.get(loop)
        if known is not None:
            return known[1]
        for old in [old for old in self._sessions if old.is_closed()]:
            del self._sessions[old]
        connected = self._connected()
        session = await anext(connected)
        self._sessions[loop] = (connected, session)
        return session

    async def _connected(self) -> _Connected:
        """One session, closed with this generator: `asyncio.run` closes the ones left open."""
        session = aiohttp.ClientSession(
            headers=self._headers,
            timeout=self._timeout,
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        try:
            yield session
        finally:
            await session.close()


def _read(
    request: Request, status: int, headers: Mapping[str, str], body: bytes, where: str
) -> list[Completion]:
    if status != HTTPStatus.OK:
        raise refusal(request.model, status, headers, body, where)
    return read_reply(request, body, where)


def _body(request: Request) -> dict[str, Any]:
    model, prompt = request.model, request.prompt
    body: dict[str, Any] = {
        "model": model.model,
        "temperature": model.temperature,
        "top_p": model.top_p,
        "max_tokens": model.max_tokens,
        "seed": request.seed,
    }
    if prompt.text is not None:
        body["prompt"] = prompt.text
    else:
        body["messages"] = [_message(m) for m in prompt.messages]
    if prompt.stop:
        body["stop"] = list(prompt.stop)
    if request.n > 1:
        body["n"] = request.n
    if prompt.fields is not None:
        body.update(json.loads(prompt.fields))
    return body


def _json(body: Mapping[str, Any]) -> bytes:
    """The body as it is sent; half a surrogate pair goes as the escape that it was read from."""
    try:
        return to_json(body)
    except PydanticSerializationError:
        return json.dumps(body).encode()


def _has_format(request: Request) -> bool:
    fields = request.prompt.fields
    return fields is not None and "response_format" in json.loads(fields)


def _message(message: Message) -> Any:
    if message.raw is not None:
        return json.loads(message.raw)
    return {"role": message.role, "content": message.content}


def _cause(error: Exception) -> Exception | None:
    """What stands behind ours; not where it carries the request's headers, with the key."""
    return None if isinstance(error, aiohttp.ClientResponseError) else error


def _why(error: aiohttp.ClientError) -> tuple[str, str]:
    """What went wrong, and what to do about it."""
    cause = getattr(error, "os_error", None)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no such host", "check the spelling of base_url, and the name server"
    if isinstance(cause, ssl.SSLError) and cause.reason in _PLAIN:
        return "no TLS", "this port speaks plain http: write http:// into base_url"
    if isinstance(error, aiohttp.ClientSSLError):
        trust = "have its certificate trusted (SSL_CERT_FILE names other authorities)"
        return f"no trusted TLS connection ({cause or error})", f"check base_url, or {trust}"
    start = "start the server, or remove the model from the pool"
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused", start
    return f"no connection ({cause or type(error).__name__})", start


def _without_credentials(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"base_url is not a URL ({error})") from error
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, query="", fragment=""))


def _check(url: str, api_key: str | None, endpoint: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"base_url has no http:// or https:// and host: {endpoint}")
    if api_key is not None and not (api_key and api_key.isprintable()):
        raise UsageError(f"the API key for {endpoint} must be one line of text")
    if api_key is not None and "@" in parts.netloc:
        raise UsageError(f"{endpoint} has a user in its URL and an API key; keep one of the two")
