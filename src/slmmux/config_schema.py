"""The tables and keys of `slmmux.toml`, their types and ranges.

Defaults are not here: a key that is not given keeps the default of `Model`, `MuxConfig` or
`SamplingLimits`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Required, TypeAlias, get_args

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from slmmux.stopping import Schedule
from slmmux.types import Api
from slmmux.waves import MOST_SAMPLES

NUse: TypeAlias = Literal["auto", "seeded", "never"]
NamedRule: TypeAlias = Literal["mux", "pooled_vote"]  # the calibrated one takes its calibration

as_table = with_config(ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "must not be empty")
    return text


Text = Annotated[str, AfterValidator(_not_blank)]
_Count = Annotated[int, Field(ge=1)]
_Seconds = Annotated[float, Field(gt=0)]
_Money = Annotated[float, Field(ge=0)]


@as_table
class ExampleTable(TypedDict):
    """A solved question."""

    question: Text
    answer: Text


@as_table
class PromptTable(TypedDict, total=False):
    """How a question is put to the model."""

    system: str
    instruction: str
    stop: list[Text]
    examples: list[ExampleTable]


@as_table
class ModelTable(TypedDict, total=False):
    """One `[[models]]` entry."""

    name: Text
    model: Required[Text]
    base_url: Text
    api: Api
    api_key_env: Text
    api_key_file: Text
    prompt: PromptTable
    few_shot_file: Text
    temperature: Annotated[float, Field(ge=0, le=2)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)]
    n: NUse
    price_per_mtok_in: _Money
    price_per_mtok_out: _Money
    validation_accuracy: Annotated[float, Field(ge=0, le=1)]
    max_concurrency: _Count


@as_table
class RiskTable(TypedDict):
    """`stopping = {risk = 0.05}`."""

    risk: Annotated[float, Field(gt=0, lt=1)]


WORD, RISK = "<word>", "<risk>"
TAGS = frozenset({WORD, RISK})  # stand in the path of an error, not in the file


def stopping_form(value: object) -> str:
    """Which of the two ways to write `stopping` this is."""
    return RISK if isinstance(value, dict) else WORD


@as_table
class MuxTable(TypedDict, total=False):
    """`[mux]`."""

    profile: Text
    k: Annotated[int, Field(ge=1, le=MOST_SAMPLES)]
    rule: NamedRule
    stopping: Annotated[
        Annotated[Literal["exact", "off"], Tag(WORD)] | Annotated[RiskTable, Tag(RISK)],
        Discriminator(stopping_form),
    ]
    schedule: Schedule
    deadline: _Seconds
    abstain_below: Annotated[float, Field(gt=0, le=1)]
    escalate_to: Text
    quorum: _Count
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)]  # banks keep it in 64 bits


@as_table
class SamplingTable(TypedDict, total=False):
    """`[sampling]`."""

    max_concurrency: _Count
    request_timeout: _Seconds
    max_attempts: _Count
    max_retry_time: Annotated[float, Field(ge=0)]


LogForm: TypeAlias = Literal["plain", "json"]


@as_table
class GatewayTable(TypedDict, total=False):
    """`[gateway]`."""

    host: Text
    port: Annotated[int, Field(ge=0, le=65535)]
    hosts: list[Text]
    keys_file: Text
    max_requests: _Count
    max_waiting: Annotated[int, Field(ge=0)]
    max_wait: _Seconds
    drain_time: Annotated[float, Field(ge=0)]
    max_deadline: _Seconds
    max_draws: _Count
    max_body_mb: Annotated[float, Field(gt=0, le=1024)]
    breaker_failures: _Count
    breaker_wait: _Seconds
    slow_call: _Seconds
    bank: Text
    redact_prompts: bool
    log: LogForm
    log_prompts: bool
    traces: bool


@as_table
class FileTable(TypedDict, total=False):
    """The whole file; the tables inside are checked one by one."""

    models: list[dict[str, Any]]
    mux: dict[str, Any]
    sampling: dict[str, Any]
    gateway: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """What a kind of TOML file may hold, for messages about files that hold something else.

    Attributes:
        tables: dotted place → its keys and their types.
        words: key → the words that it takes, where there are only a few.
        headers: place → how its header is written, for keys in the wrong table.
    """

    tables: Mapping[str, type]
    words: Mapping[str, tuple[str, ...]]
    headers: Mapping[str, str]


TABLES: dict[str, type] = {
    "": FileTable,
    "models": ModelTable,
    "models.prompt": PromptTable,
    "models.prompt.examples": ExampleTable,
    "mux": MuxTable,
    "mux.stopping": RiskTable,
    "sampling": SamplingTable,
    "gateway": GatewayTable,
}

CONFIG = Form(
    TABLES,
    words={
        "api": get_args(Api),
        "n": get_args(NUse),
        "log": get_args(LogForm),
        "rule": get_args(NamedRule),
        "schedule": get_args(Schedule),
    },
    headers={
        "models": "[[models]]",
        "models.prompt": "[models.prompt]",
        "mux": "[mux]",
        "sampling": "[sampling]",
        "gateway": "[gateway]",
    },
)
