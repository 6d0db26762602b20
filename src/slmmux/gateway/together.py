"""Fields that mean something only beside another one, or contradict it."""

from slmmux.gateway.failures import RequestError
from slmmux.gateway.fields import AnyRequest, ChatRequest


def check_together(request: AnyRequest) -> None:
    """See that no field is there in vain.

    Raises:
        RequestError: one would be ignored, with its name.
    """
    if request.stream_options is not None and not request.stream:
        raise _vain("stream_options", "stream: true")
    if not isinstance(request, ChatRequest):
        return
    if not request.tools:
        for field in ("tool_choice", "parallel_tool_calls"):
            if getattr(request, field) is not None:
                raise _vain(field, "tools")
    longest, older = request.max_completion_tokens, request.max_tokens
    if None not in (longest, older) and longest != older:
        raise RequestError(
            f"max_completion_tokens is {longest} and max_tokens, its older name, is {older}; "
            "say one of them",
            param="max_completion_tokens",
        )


def _vain(field: str, other: str) -> RequestError:
    return RequestError(
        f"{field} means nothing without {other}; leave it out or add that", param=field
    )
