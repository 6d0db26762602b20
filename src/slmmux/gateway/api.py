"""The API's endpoints: a request in, a vote or a member model's own reply out."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from slmmux.gateway.asked import asked
from slmmux.gateway.bodies import read_body
from slmmux.gateway.checked import checked
from slmmux.gateway.clients import Stream, unless_gone
from slmmux.gateway.failures import Failure, RequestError
from slmmux.gateway.fields import AnyRequest, ChatRequest, CompletionRequest
from slmmux.gateway.relay import pass_on
from slmmux.gateway.replies import Api, Head, reply
from slmmux.gateway.state import Gateway, Listed, Serving
from slmmux.gateway.streams import HEADERS, events
from slmmux.gateway.voting import vote
from slmmux.gateway.watching import WATCH
from slmmux.results import Json
from slmmux.types import Model

_PATHS: dict[Api, str] = {"chat": "chat/completions", "completions": "completions"}
_FORMS: dict[Api, type[AnyRequest]] = {"chat": ChatRequest, "completions": CompletionRequest}
_NOT_READY = Failure(status=503, message="starting or stopping; try again", type="server_error")
_ALL_DEAD = Failure(
    status=503,
    message="every model's endpoint kept failing and is left alone for a while; GET /v1/models "
    "tells of each",
    type="server_error",
    code="no_upstream",
)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The handlers of one gateway's paths."""

    gateway: Gateway

    async def chat(self, request: Request) -> ASGIApp:
        """`POST /v1/chat/completions`."""
        return await self._answer("chat", request)

    async def completions(self, request: Request) -> ASGIApp:
        """`POST /v1/completions`."""
        return await self._answer("completions", request)

    async def models(self, request: Request) -> Response:  # noqa: ARG002
        """`GET /v1/models`."""
        serving = self.gateway.serving
        states = self.gateway.breakers()
        listed = [_listed(entry, serving, states) for entry in serving.listed()]
        return JSONResponse({"object": "list", "data": listed})

    async def model(self, request: Request) -> Response:
        """`GET /v1/models/{model}`."""
        serving = self.gateway.serving
        name = request.path_params["model"]
        serving.find(name)
        known = {entry.id: entry for entry in serving.listed()}
        return JSONResponse(_listed(known[name], serving, self.gateway.breakers()))

    async def alive(self, request: Request) -> Response:  # noqa: ARG002
        """`GET /healthz`: the process answers."""
        return JSONResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:  # noqa: ARG002
        """`GET /readyz`: requests are welcome, and there is a model to ask.

        A breaker whose wait is over lets a request through, so that one counts: whoever sends no
        requests to what is not ready must send some again, or nobody would find out.
        """
        if not self.gateway.ready:
            return _NOT_READY.response()
        states = self.gateway.breakers().values()
        dead = bool(states) and all(state == "open" for state in states)
        return _ALL_DEAD.response() if dead else JSONResponse({"status": "ready"})

    async def _answer(self, api: Api, request: Request) -> ASGIApp:
        serving = self.gateway.serving  # a reload does not touch requests that have begun
        body = await read_body(request, self.gateway.caps)
        name = body.get("model")
        if name is not None and not isinstance(name, str):
            raise RequestError("model must be a name; GET /v1/models lists them", param="model")
        if not name:
            raise RequestError("model: say which; GET /v1/models lists them", param="model")
        found = serving.find(name)
        if (watch := WATCH.get()) is not None:
            await watch.admit()
        if isinstance(found, Model):
            most_s = self.gateway.caps.deadline_s
            path = _PATHS[api]
            return await pass_on(serving, found, path, body, request.receive, deadline_s=most_s)
        wanted = asked(checked(_FORMS[api], body), body, found, self.gateway.caps)
        if watch is not None:
            watch.wants(wanted.question, wanted.draws)
        head = Head(api, name)
        if wanted.stream:
            return Stream(events(wanted, head, partial(vote, wanted, serving)), HEADERS)
        voted = await unless_gone(request.receive, vote(wanted, serving))
        return Response(to_json(reply(voted, head)), media_type="application/json")


def _listed(entry: Listed, serving: Serving, breakers: Mapping[str, str]) -> dict[str, Json]:
    about: dict[str, Json] = {
        "role": entry.role,
        "summary": entry.summary,
        "models": list(entry.models),
        "k": entry.k,
        "fixed": entry.fixed,
    }
    if entry.id in breakers:
        about["breaker"] = breakers[entry.id]
    return {
        "id": entry.id,
        "object": "model",
        "created": serving.since,
        "owned_by": "slmmux",
        "slmmux": about,
    }
