"""The bodies that clients send, field by field; the OpenAPI document is made of the same classes.

What a pool cannot honour has a field that takes its neutral value only, so that nothing is ever
silently ignored. `null` is the same as leaving a field out, as in OpenAI's API.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field

from slmmux.types import Kind
from slmmux.waves import MOST_SAMPLES

Name = Annotated[str, Field(min_length=1, max_length=256)]
_Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
_Stop: TypeAlias = (
    Annotated[str, Field(min_length=1)]
    | Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=4)]
)
_Penalty = Annotated[float, Field(ge=-2, le=2)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class RiskStop(_Strict):
    """`{"risk": 0.05}`: stop when the answer changes with less than this chance."""

    risk: Annotated[float, Field(gt=0, lt=1)]


class Extras(_Strict):
    """What OpenAI's API has no field for."""

    k: Annotated[int, Field(ge=1, le=MOST_SAMPLES)] | None = Field(
        default=None, description="Samples from each model, at most."
    )
    stopping: Literal["exact", "off"] | RiskStop | None = Field(
        default=None, description="exact: only draws that can change the answer; off: all of them."
    )
    kind: Kind | None = Field(default=None, description="How answers are read and compared.")
    deadline_s: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Seconds, after which the vote is taken over what has arrived."
    )
    quorum: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Models that must have an answer."
    )
    return_samples: bool | None = Field(
        default=None,
        description="Every sample goes into the reply, and into a stream as it arrives.",
    )
    instruction: Literal["off"] | None = Field(
        default=None, description="off: nothing is added to the messages."
    )
    choices: (
        Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=2, max_length=10)]
        | None
    ) = Field(default=None, description="Options of a multiple-choice question, in order.")


class TextPart(_Open):
    """A text among a message's parts."""

    type: Literal["text"]
    text: str


class OtherPart(_Open):
    """A part that goes to the models as it is: not every model takes it."""

    type: Literal["image_url", "input_audio", "file"]


_Parts = Annotated[
    list[Annotated[TextPart | OtherPart, Discriminator("type")]], Field(min_length=1)
]


class SystemMessage(_Strict):
    """Instructions; `developer` reaches the models as `system`, the name that all of them know."""

    role: Literal["system", "developer"]
    content: str | Annotated[list[TextPart], Field(min_length=1)]
    name: str | None = None


class UserMessage(_Strict):
    """What the user says."""

    role: Literal["user"]
    content: str | _Parts
    name: str | None = None


class CalledFunction(_Strict):
    """The function of a call."""

    name: str
    arguments: str


class Call(_Strict):
    """A call that the assistant made."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class AssistantMessage(_Strict):
    """What the assistant said before."""

    role: Literal["assistant"]
    content: str | Annotated[list[TextPart], Field(min_length=1)] | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: Annotated[list[Call], Field(min_length=1)] | None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None
    audio: None = None
    function_call: None = None


class ToolMessage(_Strict):
    """What a tool said."""

    role: Literal["tool"]
    content: str | Annotated[list[TextPart], Field(min_length=1)]
    tool_call_id: str


AnyMessage: TypeAlias = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Discriminator("role")
]


class StreamOptions(_Strict):
    """Of a stream."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class TextForm(_Strict):
    """Any text."""

    type: Literal["text"]


class ObjectForm(_Strict):
    """A JSON object."""

    type: Literal["json_object"]


class NamedSchema(_Strict):
    """A JSON Schema."""

    name: Name
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class SchemaForm(_Strict):
    """JSON that fits a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


Form: TypeAlias = Annotated[TextForm | ObjectForm | SchemaForm, Discriminator("type")]


class Function(_Strict):
    """A function that a model may call."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Strict):
    """A tool."""

    type: Literal["function"]
    function: Function


class NamedFunction(_Strict):
    """A function by its name."""

    name: Name


class NamedTool(_Strict):
    """The tool that must be called."""

    type: Literal["function"]
    function: NamedFunction


class _Sampling(_Strict):
    """What both endpoints take."""

    model: Name = Field(description="A profile, PROFILE:METHOD, or a member model.")
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    stop: _Stop | None = None
    seed: _Int64 | None = Field(
        default=None,
        description="The same seed gives the same samples; without one they are drawn afresh, and "
        "the reply's slmmux.seed says with which.",
    )
    n: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="So many distinct answers, the best first, from the full budget."
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    user: str | None = None
    slmmux: Extras | None = None
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = None


class ChatRequest(_Sampling):
    """`POST /v1/chat/completions` to a profile."""

    messages: Annotated[list[AnyMessage], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    response_format: Form | None = None
    tools: Annotated[list[Tool], Field(min_length=1, max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: None = None
    store: Literal[False] | None = None
    metadata: Annotated[dict[str, Any], Field(max_length=0)] | None = None
    modalities: Annotated[list[Literal["text"]], Field(max_length=1)] | None = None
    service_tier: Literal["auto", "default"] | None = None
    reasoning_effort: None = None
    verbosity: None = None
    audio: None = None
    prediction: None = None
    web_search_options: None = None
    functions: None = None
    function_call: None = None
    safety_identifier: None = None
    prompt_cache_key: None = None


class CompletionRequest(_Sampling):
    """`POST /v1/completions` to a profile: the prompt is put to every model as a question."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)]
    logprobs: None = None
    echo: Literal[False] | None = None
    suffix: None = None
    best_of: None = None


AnyRequest: TypeAlias = ChatRequest | CompletionRequest


class MemberRequest(_Open):
    """A request to a member model: it goes to the model's endpoint as it is."""

    model: Name


# Why a field that is known is refused, for a person.
REASONS = {
    "logprobs": "log probabilities belong to one model's sample, and a vote has many: ask a member "
    "model by its name",
    "logit_bias": "token ids mean something else to each model: ask a member model by its name",
    "store": "nothing is stored here; leave it out",
    "metadata": "nothing is stored here; leave it out",
    "functions": "it is deprecated: use tools",
    "function_call": "it is deprecated: use tool_choice",
    "modalities": "a pool answers in text",
    "audio": "a pool answers in text",
    "echo": "only a member model, asked by its name, repeats the prompt",
    "suffix": "only a member model, asked by its name, may fill a gap",
    "best_of": "use slmmux.k, the samples of each model",
}
REASONS["top_logprobs"] = REASONS["logprobs"]
_ELSEWHERE = (
    "reasoning_effort",
    "verbosity",
    "service_tier",
    "prediction",
    "web_search_options",
    "safety_identifier",
    "prompt_cache_key",
)
REASONS |= dict.fromkeys(_ELSEWHERE, "not every model of a pool has it: ask one by its name")
