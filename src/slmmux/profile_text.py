"""`Profile` → TOML, with a comment wherever a key does not explain itself.

The same profile is the same text, byte for byte, so that `diff` shows what changed.
"""

from collections.abc import Mapping
from typing import TypeAlias

import tomlkit
from tomlkit.items import AoT, Table

from slmmux.profile import SCHEMA, Data, Objective, Profile, ProfileModel, RuleAccuracy
from slmmux.results import Json
from slmmux.rules import Calibration
from slmmux.waves import Risk

Fields: TypeAlias = Mapping[str, Json]

_HEAD = (
    "Which models answer, how many samples, and by which rule: chosen on validation questions.",
    'slmmux ask --profile FILE "..." uses it; docs/selection.md explains it.',
)
_TOP = {
    "rule": "how the samples of all models become one answer",
    "k": "samples from each model, at most",
    "seed": "of everything random in this choice",
}
_MODEL = {
    "validation_accuracy": "mean over questions of the share of correct samples; settles ties",
    "samples_each": "the fewest and the most on one question",
}
_OBJECTIVE = {
    "lambda": "how much contradictions count",
    "union": "share of questions that some model gets right",
    "contradiction": "share that one gets wrong every time while another is right",
    "sizes": "numbers of models that were compared",
}
_CALIBRATION = {
    "k": "what it was fitted for",
    "sharpness": "how much votes say",
    "outside": "log of the weight of 'no answer is right': higher is less sure",
    "spread": "how much the models were found to differ",
    "questions": "it was fitted on",
}
_DATA = {
    "digest": "of the questions, their references and all samples",
    "question_digest": "of the questions alone",
    "models": "that were searched",
    "samples": "of these models",
}


def to_toml(profile: Profile) -> str:
    """The text of the file."""
    document = tomlkit.document()
    for line in _HEAD:
        document.add(tomlkit.comment(line))
    if profile.caution is not None:
        document.add(tomlkit.comment(f"Careful: {profile.caution}."))
    for key, value in _table(_top(profile), _TOP).items():
        document.add(key, value)
    document.add("models", _tables([_model(model) for model in profile.models]))
    if profile.objective is not None:
        document.add("objective", _table(_objective(profile.objective), _OBJECTIVE))
    if profile.calibration is not None:
        document.add("calibration", _calibration(profile.calibration))
    if profile.scores:
        document.add("scores", _tables([_table(_score(score)) for score in profile.scores]))
    document.add("data", _table(_data(profile.data), _DATA))
    return tomlkit.dumps(document)


def _top(profile: Profile) -> Fields:
    stopping = profile.stopping
    return {
        "schema": SCHEMA,
        "tool": profile.tool,
        "created": profile.created,
        "rule": profile.rule,
        "why_rule": profile.why_rule,
        "why_models": profile.why_models,
        "k": profile.k,
        "stopping": {"risk": stopping.chance} if isinstance(stopping, Risk) else stopping,
        "schedule": profile.schedule,
        "seed": profile.seed,
    }


def _model(model: ProfileModel) -> Table:
    table = _table(
        {
            "name": model.name,
            "validation_accuracy": model.validation_accuracy,
            "correct": model.correct,
            "samples": model.samples,
            "samples_each": None if model.samples_each is None else list(model.samples_each),
            "fingerprint": model.fingerprint,
        },
        _MODEL,
    )
    if model.settings:
        table.add("settings", _table(model.settings))
    return table


def _objective(objective: Objective) -> Fields:
    return {
        "name": objective.name,
        "value": objective.value,
        "lambda": objective.weight,
        "correct": objective.correct,
        "union": objective.union,
        "contradiction": objective.contradiction,
        "sizes": list(objective.sizes),
    }


def _calibration(calibration: Calibration) -> Table:
    table = _table(
        {
            "k": calibration.k,
            "sharpness": calibration.sharpness,
            "outside": calibration.outside,
            "spread": calibration.spread,
            "questions": calibration.questions,
        },
        _CALIBRATION,
    )
    table.add("weights", _table(dict(zip(calibration.models, calibration.weights, strict=True))))
    return table


def _score(score: RuleAccuracy) -> Fields:
    return {
        "rule": score.rule,
        "models": list(score.models),
        "accuracy": score.accuracy,
        "stderr": score.stderr,
        "ci95": [score.ci95.low, score.ci95.high],
    }


def _data(data: Data) -> Fields:
    return {
        "bank": data.bank,
        "digest": data.digest,
        "question_digest": data.question_digest,
        "tasks": list(data.tasks),
        "questions": data.questions,
        "models": data.models,
        "samples": data.samples,
        "run_seed": data.run_seed,
    }


def _table(fields: Fields, comments: Mapping[str, str] | None = None) -> Table:
    """What has no value has no line: TOML knows no null."""
    table = tomlkit.table()
    for key, value in fields.items():
        if value is None:
            continue
        table.add(key, _inline(value) if isinstance(value, dict) else value)
        if comments and key in comments:
            table[key].comment(comments[key])
    return table


def _inline(fields: Fields) -> "tomlkit.items.InlineTable":
    inline = tomlkit.inline_table()
    inline.update(fields)
    return inline


def _tables(tables: list[Table]) -> AoT:
    found = tomlkit.aot()
    for table in tables:
        found.append(table)
    return found
