"""What replies hold, for the OpenAPI document; `replies` makes them, and tests hold it to these."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Reply(BaseModel):
    model_config = ConfigDict(extra="allow")


class ErrorBody(_Reply):
    """What went wrong."""

    message: str = Field(description="One or more sentences for a person.")
    type: Literal["invalid_request_error", "rate_limit_error", "upstream_error", "server_error"]
    param: str | None = Field(description="The field at fault.")
    code: str | None = Field(description="A word for programs.")
    upstreams: dict[str, str] | None = Field(
        default=None,
        description="Model → what its endpoint said, where that is why there is no answer.",
    )


class ErrorReply(_Reply):
    """An error, as OpenAI's API has it."""

    error: ErrorBody


class UsageReply(_Reply):
    """Tokens of all upstream calls together."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Behind(_Reply):
    """What is behind the vote; fields as in docs/results.md."""

    answer: str | None
    kind: str
    kind_from: Literal["request", "profile", "response_format", "auto", "fallback"]
    confidence: dict[Literal["low", "high"], float]
    probability: dict[Literal["low", "high"], float] | None
    rule: str
    decided_by: str | None
    reason: str
    tie_break: str
    abstained: bool
    exact: bool
    tallies: list[dict[str, Any]]
    k: int
    draws: int
    draws_saved: int
    budget: int
    waves: int
    cost: float | None
    degraded: dict[str, str]
    usage_estimated: bool
    elapsed_s: float
    seed: int


class MessageReply(_Reply):
    """The winning model's own words."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None = Field(
        description="Why there is no content: no sample is what the request asked for."
    )


class ChatChoice(_Reply):
    """One answer."""

    index: int
    message: MessageReply
    finish_reason: Literal["stop", "length", "tool_calls"]
    logprobs: None


class TextChoice(_Reply):
    """One answer."""

    index: int
    text: str
    finish_reason: Literal["stop", "length"]
    logprobs: None


class _Completion(_Reply):
    id: str
    created: int
    model: str
    usage: UsageReply
    slmmux: Behind


class ChatReply(_Completion):
    """A vote's outcome as a chat completion."""

    object: Literal["chat.completion"]
    choices: list[ChatChoice]


class CompletionReply(_Completion):
    """A vote's outcome as a completion."""

    object: Literal["text_completion"]
    choices: list[TextChoice]


class ModelEntry(_Reply):
    """Something that has a name."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(_Reply):
    """Everything that has a name."""

    object: Literal["list"]
    data: list[ModelEntry]


class Status(_Reply):
    """How the server is."""

    status: str
