"""The tables and keys of a profile file, their types and ranges."""

from typing import Annotated, Literal, NotRequired, get_args

from annotated_types import Len
from pydantic import Discriminator, Field, Tag
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from slmmux.config_schema import RISK, WORD, Form, RiskTable, Text, as_table, stopping_form
from slmmux.rules import FULL_WEIGHT, SHARPEST
from slmmux.stopping import Schedule
from slmmux.types import RuleName
from slmmux.waves import MOST_SAMPLES

Correct = Annotated[str, Field(pattern=r"^(mode|any|at-least:[1-9]\d*)$")]

_Share = Annotated[float, Field(ge=0, le=1)]
_Count = Annotated[int, Field(ge=0)]
_Some = Annotated[int, Field(ge=1)]


@as_table
class SettingsTable(TypedDict, total=False):
    """`[models.settings]`: what shaped a model's samples, as far as the bank knows."""

    model: Text
    endpoint: Text
    api: Text
    prompt: Text
    temperature: float
    top_p: float
    max_tokens: int


@as_table
class ModelTable(TypedDict):
    """One `[[models]]` entry."""

    name: Text
    validation_accuracy: _Share
    correct: _Count
    samples: _Count
    samples_each: NotRequired[Annotated[list[_Count], Len(2, 2)]]
    fingerprint: Text
    settings: NotRequired[SettingsTable]


# Written as a call, since `lambda` is no name for an attribute.
_Weight = TypedDict("_Weight", {"lambda": Annotated[float, Field(ge=0)]})


@as_table
class ObjectiveTable(_Weight):
    """`[objective]`."""

    name: Text
    value: float
    correct: Correct
    union: _Share
    contradiction: _Share
    sizes: Annotated[list[_Some], Len(1)]


@as_table
class CalibrationTable(TypedDict):
    """`[calibration]`."""

    k: Annotated[int, Field(ge=1, le=MOST_SAMPLES)]
    sharpness: Annotated[float, Field(ge=0, le=SHARPEST)]
    outside: Annotated[float, Field(ge=-SHARPEST, le=SHARPEST)]
    spread: Annotated[float, Field(ge=0)]
    questions: _Some
    weights: dict[str, Annotated[int, Field(ge=0, le=FULL_WEIGHT)]]


@as_table
class ScoreTable(TypedDict):
    """One `[[scores]]` entry."""

    rule: Text
    models: Annotated[list[Text], Len(1)]
    accuracy: _Share
    stderr: Annotated[float, Field(ge=0)]
    ci95: Annotated[list[_Share], Len(2, 2)]


@as_table
class DataTable(TypedDict):
    """`[data]`."""

    bank: Text
    digest: Text
    question_digest: Text
    tasks: Annotated[list[Text], Len(1)]
    questions: _Some
    models: _Some
    samples: _Count
    run_seed: int


@as_table
class ProfileTable(TypedDict):
    """The whole file."""

    schema: Literal["slmmux.profile/1"]
    tool: Text
    created: NotRequired[Text]
    rule: RuleName
    why_rule: str
    why_models: str
    seed: _Count
    k: Annotated[int, Field(ge=1, le=MOST_SAMPLES)]
    stopping: NotRequired[
        Annotated[
            Annotated[Literal["exact", "off"], Tag(WORD)] | Annotated[RiskTable, Tag(RISK)],
            Discriminator(stopping_form),
        ]
    ]
    schedule: NotRequired[Schedule]
    models: Annotated[list[ModelTable], Len(1)]
    objective: NotRequired[ObjectiveTable]
    calibration: NotRequired[CalibrationTable]
    scores: NotRequired[list[ScoreTable]]
    data: DataTable


FORM = Form(
    tables={
        "": ProfileTable,
        "models": ModelTable,
        "models.settings": SettingsTable,
        "objective": ObjectiveTable,
        "calibration": CalibrationTable,
        "scores": ScoreTable,
        "data": DataTable,
        "stopping": RiskTable,
    },
    words={"rule": get_args(RuleName), "schedule": get_args(Schedule)},
    headers={"models": "[[models]]", "objective": "[objective]", "data": "[data]"},
)
