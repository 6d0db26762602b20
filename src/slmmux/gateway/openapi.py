"""The OpenAPI document, made of the classes that check the bodies."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from slmmux._version import __version__
from slmmux.gateway import fields, reply_fields
from slmmux.gateway.state import Serving

_REQUESTS: tuple[type[BaseModel], ...] = (
    fields.ChatRequest,
    fields.CompletionRequest,
    fields.MemberRequest,
)
_REPLIES: tuple[type[BaseModel], ...] = (
    reply_fields.ChatReply,
    reply_fields.CompletionReply,
    reply_fields.ModelList,
    reply_fields.ModelEntry,
    reply_fields.Status,
    reply_fields.ErrorReply,
)
_STATUSES = {
    400: "The request cannot be honoured as it stands.",
    401: "There is no such API key.",
    404: "There is no such model.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    421: "The gateway is not called by this name.",
    429: "Too many requests.",
    500: "A bug in slmmux.",
    502: "The member model's endpoint failed, or sent no reply.",
    503: "No answer: too few models answered, and why each did not; or the gateway stops.",
    504: "The member model's endpoint took too long.",
}

Schema = dict[str, Any]


def document(serving: Serving) -> Schema:
    """The document for what is served now."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "slmmux",
            "version": __version__,
            "description": "Several small language models behind one OpenAI-compatible API.",
        },
        "paths": {
            "/v1/chat/completions": {"post": _asking("ChatRequest", "ChatReply")},
            "/v1/completions": {"post": _asking("CompletionRequest", "CompletionReply")},
            "/v1/models": {"get": _reading("What can be asked.", "ModelList")},
            "/v1/models/{model}": {"get": _model(serving)},
            "/healthz": {"get": _reading("The process answers.", "Status")},
            "/readyz": {"get": _reading("Requests are welcome.", "Status", 503)},
            "/openapi.json": {"get": _reading("This document.", None)},
        },
        "components": {"schemas": _schemas(serving)},
    }


def _schemas(serving: Serving) -> Schema:
    wanted = [(model, "validation") for model in (*_REQUESTS, *_REPLIES)]
    _, definitions = models_json_schema(
        wanted,  # type: ignore[arg-type]
        ref_template="#/components/schemas/{model}",
    )
    schemas: Schema = definitions["$defs"]
    members = list(serving.members)
    votes = [listed.id for listed in serving.listed() if listed.role != "member"]
    for name, models in (
        ("ChatRequest", votes),
        ("CompletionRequest", votes),
        ("MemberRequest", members),
    ):
        schemas[name]["properties"]["model"]["enum"] = models
    return schemas


def _asking(request: str, reply: str) -> Schema:
    own = {"type": "object", "description": "A member model's reply is its endpoint's own."}
    return {
        "summary": f"Ask a profile ({request}) or a member model.",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"anyOf": [_ref(request), _ref("MemberRequest")]},
                }
            },
        },
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {
                    "application/json": {"schema": {"anyOf": [_ref(reply), own]}},
                    "text/event-stream": {"schema": {}},
                },
            },
            **_errors(_STATUSES),
        },
    }


def _reading(summary: str, reply: str | None, *statuses: int) -> Schema:
    schema = {"type": "object"} if reply is None else _ref(reply)
    content = {"application/json": {"schema": schema}}
    return {
        "summary": summary,
        "responses": {"200": {"description": summary, "content": content}, **_errors(statuses)},
    }


def _model(serving: Serving) -> Schema:
    names = [listed.id for listed in serving.listed()]
    parameter = {
        "name": "model",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
        "examples": {name: {"value": name} for name in names},
    }
    return {**_reading("One of them.", "ModelEntry", 404), "parameters": [parameter]}


def _errors(statuses: Iterable[int]) -> Mapping[str, Schema]:
    content = {"application/json": {"schema": _ref("ErrorReply")}}
    return {str(s): {"description": _STATUSES[s], "content": content} for s in statuses}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
