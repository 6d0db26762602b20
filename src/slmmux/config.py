"""`slmmux.toml` → frozen objects: models, mux, sampling. Every problem is reported at once."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from slmmux.config_files import read_toml
from slmmux.config_gateway import GatewayConfig, gateway_of
from slmmux.config_messages import Key, check, told
from slmmux.config_models import read_model
from slmmux.config_schema import FileTable, GatewayTable, ModelTable, MuxTable, SamplingTable
from slmmux.default_pools import DEFAULT_MODELS, POOLS
from slmmux.errors import ConfigError
from slmmux.rules import Rule
from slmmux.sampling import SamplingLimits
from slmmux.stopping import Schedule
from slmmux.types import Model, RuleName
from slmmux.waves import Risk, Stopping

FILE_NAME = "slmmux.toml"
VARIABLE = "SLMMUX_CONFIG"


@dataclass(frozen=True, slots=True, kw_only=True)
class MuxConfig:
    """`[mux]`: how a question is answered.

    Attributes:
        k: samples from each model, at most.
        rule: how votes become an answer; a name, or a rule with its calibration.
        stopping: `exact` never changes the selected class; `off` draws the full budget.
        schedule: fewer draws (`draws`) or fewer round trips (`waves`).
        deadline_s: seconds for a question; None waits for as long as it takes.
        abstain_below: certainty under which an answer is held back; None never.
        quorum: models that must have an answer.
        seed: of the run; every sample's own seed follows from it (rule 7).
    """

    k: int = 3
    rule: Rule | RuleName = "mux"
    stopping: Stopping = "exact"
    schedule: Schedule = "balanced"
    deadline_s: float | None = None
    abstain_below: float | None = None
    quorum: int = 1
    seed: int = 0


# A base model copies the form of these: after a first example like 17 + 25 - 9, Gemma 3 270M
# went on to subtract something from every sum that it was asked for.
@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that `slmmux.toml` says.

    Attributes:
        path: the file; None is a built-in pool, by default two small models that run embedded.
        models: in pool order.
        bigger: who is asked instead of holding an answer back (`[mux] escalate_to`); not of the
            pool.
        profile: the file that chooses among them, for whoever answers questions.
        gateway: how `slmmux serve` runs.
    """

    path: Path | None = None
    models: tuple[Model, ...] = DEFAULT_MODELS
    bigger: Model | None = None
    mux: MuxConfig = field(default_factory=MuxConfig)
    sampling: SamplingLimits = field(default_factory=SamplingLimits)
    profile: Path | None = None
    gateway: GatewayConfig = field(default_factory=GatewayConfig)


def find_config(explicit: str | Path | None = None) -> Path | None:
    """The file to read: the one named, `SLMMUX_CONFIG`, `./slmmux.toml`, or None.

    Raises:
        ConfigError: a file was named and is not there.
    """
    name = explicit or os.environ.get(VARIABLE)
    if not name:
        here = Path(FILE_NAME)
        return here if here.exists() else None
    named = Path(name)
    if not named.is_file():
        whose = "" if explicit else f"{VARIABLE} names it, but "
        near = get_close_matches(str(name), POOLS, n=1)
        guess = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(
            f"{named}: {whose}there is no such file; `slmmux init` writes one. Built-in pools: "
            f"{', '.join(POOLS)}{guess}"
        )
    return named


def load_config(explicit: str | Path | None = None) -> Config:
    """The configuration that `find_config` finds, or the default pool.

    Args:
        explicit: the file that the caller named, or a built-in pool: `default`, `demo`,
            `candidates` (what the demo's pool was chosen from).

    Raises:
        ConfigError: every problem of the file in one message.
    """
    if str(explicit) in POOLS and not Path(str(explicit)).exists():
        return Config(models=POOLS[str(explicit)]())
    path = find_config(explicit)
    return Config() if path is None else read_config(path)


def keys_file_in(explicit: str | Path | None = None) -> Path | None:
    """The gateway's file of keys as the configuration names it, whatever else is wrong in there.

    Raises:
        ConfigError: the file is not there or not TOML, or this setting is no text.
    """
    if str(explicit) in POOLS and not Path(str(explicit)).exists():
        return None
    path = find_config(explicit)
    if path is None:
        return None
    gateway = read_toml(path).get("gateway")
    named = gateway.get("keys_file") if isinstance(gateway, dict) else None
    good, problems = check(
        GatewayTable, {} if named is None else {"keys_file": named}, ("gateway",)
    )
    if problems:
        raise ConfigError(told(path, problems, "configuration"))
    return gateway_of(good, path.parent).keys_file


def read_config(path: str | Path) -> Config:
    """The configuration in this file.

    Raises:
        ConfigError: every problem of the file in one message.
    """
    path = Path(path)
    problems: list[tuple[Key, str]] = []
    config = _config(path, read_toml(path), problems)
    if not problems:
        return config
    raise ConfigError(told(path, problems, "configuration"))


def _config(path: Path, document: Mapping[str, Any], problems: list[tuple[Key, str]]) -> Config:
    """The configuration, as far as it can be read; the rest goes to `problems`."""

    def checked(table: type, data: Mapping[str, Any], at: Key = ()) -> dict[str, Any]:
        good, found = check(table, data, at)
        problems.extend(found)
        return good

    file = checked(FileTable, document)
    answering = checked(MuxTable, file.get("mux", {}), ("mux",))
    profile = answering.pop("profile", None)
    escalate_to = answering.pop("escalate_to", None)
    mux = _mux(answering)
    sampling = _sampling(checked(SamplingTable, file.get("sampling", {}), ("sampling",)))
    gateway = gateway_of(checked(GatewayTable, file.get("gateway", {}), ("gateway",)), path.parent)
    models: list[Model] = []
    for position, data in enumerate(file.get("models", ())):
        at: Key = ("models", position)
        table = checked(ModelTable, data, at)
        models.append(read_model(table, path.parent, partial(_complain, problems, at)))
    bigger = next((model for model in models if model.name == escalate_to), None)
    if "models" in file or "models" not in document:
        if escalate_to is not None:
            problems.extend(_escalation_problems(escalate_to, models, mux))
        models = [model for model in models if model is not bigger]
        problems.extend(_pool_problems(models, mux))
    return Config(
        path=path,
        models=tuple(models),
        bigger=bigger,
        mux=mux,
        sampling=sampling,
        profile=None if profile is None else path.parent / Path(profile).expanduser(),
        gateway=gateway,
    )


def _complain(problems: list[tuple[Key, str]], at: Key, key: str, what: str) -> None:
    problems.append(((*at, key), what))


def _mux(table: dict[str, Any]) -> MuxConfig:
    if isinstance(stopping := table.get("stopping"), dict):
        table["stopping"] = Risk(stopping["risk"])
    return MuxConfig(**_renamed(table, deadline="deadline_s"))


def _sampling(table: dict[str, Any]) -> SamplingLimits:
    return SamplingLimits(
        **_renamed(table, request_timeout="request_timeout_s", max_retry_time="max_retry_s")
    )


def _renamed(table: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """Keys of the file → fields, which carry their unit."""
    return {names.get(key, key): value for key, value in table.items()}


def _pool_problems(models: Sequence[Model], mux: MuxConfig) -> Iterator[tuple[Key, str]]:
    if not models:
        yield ("models",), "is missing: a pool needs a model; `slmmux init` writes an example"
        return
    for name, count in Counter(model.name for model in models).items():
        places = [i for i, model in enumerate(models) if model.name == name]
        if count > 1 and name:
            others = " and ".join(f"models[{i}]" for i in places[:-1])
            yield ("models", places[-1], "name"), f'"{name}" is also the name of {others}'
    if mux.quorum > len(models):
        yield ("mux", "quorum"), f"asks for {mux.quorum} models, and there are {len(models)}"


def _escalation_problems(
    name: str, models: Sequence[Model], mux: MuxConfig
) -> Iterator[tuple[Key, str]]:
    if name not in {model.name for model in models}:
        known = ", ".join(model.name for model in models)
        yield ("mux", "escalate_to"), f'there is no model "{name}"; it is one of {known}'
    if mux.abstain_below is None:
        yield ("mux", "escalate_to"), "needs abstain_below beside it: how sure is sure enough"
