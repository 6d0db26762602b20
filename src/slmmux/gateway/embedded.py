"""Requests to an embedded member model: what its server would ignore or fail at is refused."""

from typing import Annotated, Any

from pydantic import Field, create_model

from slmmux.gateway.checked import checked
from slmmux.gateway.failures import RequestError
from slmmux.gateway.fields import REASONS, AnyRequest, ChatRequest, CompletionRequest
from slmmux.gateway.messages import has_more_than_text, messages_of
from slmmux.gateway.together import check_together
from slmmux.types import Model

# What a pool takes, and what means something for one model only.
_Bias = Annotated[float, Field(ge=-100, le=100)]
_OWN: dict[str, Any] = {"logit_bias": (dict[str, _Bias] | None, None)}
_CHAT: type[AnyRequest] = create_model(
    "EmbeddedChat",
    __base__=ChatRequest,
    logprobs=(bool | None, None),
    top_logprobs=(int | None, None),
    **_OWN,
)
_COMPLETION: type[AnyRequest] = create_model(
    "EmbeddedCompletion",
    __base__=CompletionRequest,
    prompt=(str | list[str] | list[int], ...),
    logprobs=(int | None, None),
    **_OWN,
)
_KEPT = ("store", "metadata", "functions", "function_call")
_REASONS = dict.fromkeys(REASONS, "an embedded model does not have it; leave it out") | {
    field: REASONS[field] for field in _KEPT
}
for _field in ("logprobs", "top_logprobs", "logit_bias"):
    del _REASONS[_field]


def check_embedded(model: Model, path: str, body: dict[str, Any]) -> None:
    """See that the embedded server can honour all of a request.

    Args:
        model: that is asked.
        path: `chat/completions` or `completions`.
        body: of the request.

    Raises:
        RequestError: what cannot be honoured, with its field.
    """
    request = checked(_COMPLETION if path == "completions" else _CHAT, body, _REASONS)
    check_together(request)
    if not isinstance(request, ChatRequest):
        return
    if request.tools:
        raise RequestError(
            f"{model.name} cannot call tools: that takes a chat model behind an endpoint of its "
            "own",
            param="tools",
        )
    if any(map(has_more_than_text, messages_of(request, body))):
        raise RequestError(f"messages: {model.name} takes text only", param="messages")
