"""Profile file → `Profile`; everything that is wrong with it in one message."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from slmmux.config_files import parse_toml, read_text
from slmmux.config_messages import Key, check, told
from slmmux.errors import ConfigError
from slmmux.profile import SCHEMA, Data, Objective, Profile, ProfileModel, RuleAccuracy
from slmmux.profile_schema import FORM, ProfileTable
from slmmux.rules import Calibration
from slmmux.types import Interval
from slmmux.waves import Risk, Stopping

_ROUNDING = 1e-6  # of an accuracy that somebody copied


def read_profile(path: str | Path) -> Profile:
    """The profile in this file.

    Raises:
        ConfigError: it cannot be read, is something else, or has problems: all of them.
    """
    return parse_profile(Path(path), read_text(Path(path)))


def parse_profile(path: Path, text: str) -> Profile:
    """The profile in this text, which is that of the file.

    Raises:
        ConfigError: as `read_profile`.
    """
    document = parse_toml(path, text)
    _check_schema(path, document)
    table, problems = check(ProfileTable, document, form=FORM)
    problems = problems or list(_contradictions(table))
    if problems:
        raise ConfigError(told(path, problems, "profile"))
    return _profile(str(path), table)


def _check_schema(path: Path, document: Mapping[str, Any]) -> None:
    schema = document.get("schema")
    if schema == SCHEMA:
        return
    name, _, version = SCHEMA.partition("/")
    if re.fullmatch(rf"{re.escape(name)}/\d+", str(schema)):
        raise ConfigError(
            f"{path}: the profile has schema {schema}, and this slmmux reads version {version}; "
            "use the slmmux that wrote it, or choose again with `slmmux search --write`"
        )
    raise ConfigError(
        f'{path}: not a profile: it does not say schema = "{SCHEMA}"; `slmmux search --write` '
        "makes one (the pool's own file is for --config)"
    )


def _contradictions(table: Mapping[str, Any]) -> Iterator[tuple[Key, str]]:
    """Where keys that are fine by themselves cannot be true together."""
    names = [model["name"] for model in table["models"]]
    for name, count in Counter(names).items():
        if count > 1:
            places = [place for place, other in enumerate(names) if other == name]
            yield ("models", places[-1], "name"), f'"{name}" is also the name of another model'
    for place, model in enumerate(table["models"]):
        for key, what in _count_problems(model, table["data"]["questions"]):
            yield ("models", place, key), what
    for place, score in enumerate(table.get("scores", ())):
        if score["ci95"][0] > score["ci95"][1]:
            yield ("scores", place, "ci95"), "ends before it begins; it is [low, high]"
    yield from _calibration_problems(table, names)


def _count_problems(model: Mapping[str, Any], questions: int) -> Iterator[tuple[str, str]]:
    """Where a model's accuracy, counts and questions cannot be true together.

    The accuracy is the mean over questions of correct / samples, so with n_min to n_max samples a
    question it lies between correct / (questions · n_max) and correct / (questions · n_min); and
    what is wrong does so too.
    """
    correct, samples = model["correct"], model["samples"]
    if correct > samples:
        yield "correct", f"is {correct} of {samples} samples"
        return
    fewest, most = model.get("samples_each", (0, samples))
    if not fewest * questions <= samples <= most * questions:
        what = f"are {fewest} to {most} on {questions} questions, which do not make {samples}"
        yield "samples_each", what
        return
    low, high = _possible(correct, questions, fewest, most)
    if fewest:
        wrong = _possible(samples - correct, questions, fewest, most)
        low, high = max(low, 1 - wrong[1]), min(high, 1 - wrong[0])
    if not low - _ROUNDING <= model["validation_accuracy"] <= high + _ROUNDING:
        between = f"{low:.4g}" if high - low < _ROUNDING else f"{low:.4g} to {high:.4g}"
        what = (
            f"is {model['validation_accuracy']:g}, and {correct} of {samples} correct samples on "
            f"{questions} questions make {between}"
        )
        yield "validation_accuracy", what


def _possible(correct: int, questions: int, fewest: int, most: int) -> tuple[float, float]:
    """Between what the mean share of so many samples can be."""
    high = min(1.0, correct / (questions * fewest)) if fewest else min(1.0, correct / questions)
    return correct / max(questions * most, 1), high


def _calibration_problems(
    table: Mapping[str, Any], names: Sequence[str]
) -> Iterator[tuple[Key, str]]:
    calibration = table.get("calibration")
    if calibration is None:
        if table["rule"] == "calibrated":
            yield ("rule",), "calibrated takes a [calibration], and there is none"
        return
    weights = calibration["weights"]
    if sorted(weights) != sorted(names):
        what = f"are of {', '.join(weights) or 'nothing'}, and the models are {', '.join(names)}"
        yield ("calibration", "weights"), what
    elif not any(weights.values()):
        yield ("calibration", "weights"), "are all 0: some model must count"
    if calibration["k"] != table["k"]:
        yield ("calibration", "k"), f"is {calibration['k']}, and the profile's k is {table['k']}"


def _profile(source: str, table: Mapping[str, Any]) -> Profile:
    objective = table.get("objective")
    return Profile(
        source=source,
        tool=table["tool"],
        created=table.get("created"),
        rule=table["rule"],
        calibration=_calibration(table),
        why_rule=table["why_rule"],
        why_models=table["why_models"],
        seed=table["seed"],
        k=table["k"],
        stopping=_stopping(table.get("stopping")),
        schedule=table.get("schedule"),
        models=tuple(_model(row) for row in table["models"]),
        objective=None if objective is None else _objective(objective),
        scores=tuple(_score(row) for row in table.get("scores", ())),
        data=Data(**{**table["data"], "tasks": tuple(table["data"]["tasks"])}),
    )


def _stopping(value: Any) -> Stopping | None:
    return Risk(value["risk"]) if isinstance(value, dict) else value


def _model(row: Mapping[str, Any]) -> ProfileModel:
    each = row.get("samples_each")
    told = {"samples_each": None if each is None else tuple(each)}
    return ProfileModel(**{**row, **told, "settings": dict(row.get("settings", {}))})


def _calibration(table: Mapping[str, Any]) -> Calibration | None:
    if "calibration" not in table:
        return None
    fields = dict(table["calibration"])
    weights = fields.pop("weights")
    names = tuple(model["name"] for model in table["models"])
    return Calibration(models=names, weights=tuple(weights[name] for name in names), **fields)


def _objective(row: Mapping[str, Any]) -> Objective:
    fields = {("weight" if key == "lambda" else key): value for key, value in row.items()}
    return Objective(**{**fields, "sizes": tuple(row["sizes"])})


def _score(row: Mapping[str, Any]) -> RuleAccuracy:
    low, high = row["ci95"]
    return RuleAccuracy(**{**row, "models": tuple(row["models"]), "ci95": Interval(low, high)})
