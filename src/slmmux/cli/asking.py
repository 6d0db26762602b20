"""What `ask` and `run` share: options, weights fetched first, and a Mux of the configuration."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

if TYPE_CHECKING:
    from slmmux.config import Config
    from slmmux.config_schema import NamedRule
    from slmmux.mux import Mux
    from slmmux.profile import Profile
    from slmmux.rules import Rule
    from slmmux.stopping import Schedule
    from slmmux.types import Kind, Model
    from slmmux.waves import Stopping

_KINDS = "auto, math, number, choice, date, yes_no, json or text"

KindOption = Annotated[
    str, typer.Option("--kind", help=f"How answers are read: {_KINDS}.", metavar="KIND")
]
ProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        help="A file of `slmmux search --write`: it chooses models of the pool, k and the rule.",
        metavar="FILE",
        show_default=False,
    ),
]
SamplesOption = Annotated[
    int | None,
    typer.Option("-k", "--samples", help="Samples from each model, at most.", show_default=False),
]
StoppingOption = Annotated[
    str | None,
    typer.Option(
        "--stopping",
        help="exact: only draws that can change the answer; off: all of them; or a risk such as "
        "0.05: stop when a change is less likely than that.",
        metavar="exact|off|RISK",
        show_default=False,
    ),
]
RuleOption = Annotated[
    str | None,
    typer.Option(
        "--rule",
        help="How votes become an answer: the most confident model's (mux), the most common of all "
        "samples (pooled_vote), or the same weighted as a --profile says (calibrated).",
        metavar="mux|pooled_vote|calibrated",
        show_default=False,
    ),
]
ScheduleOption = Annotated[
    str | None,
    typer.Option(
        "--schedule",
        help="Fewest draws, fewest round trips (waves), or between.",
        metavar="draws|balanced|waves",
        show_default=False,
    ),
]
AbstainOption = Annotated[
    float | None,
    typer.Option(
        "--abstain-below",
        help="Hold back an answer that is less certain than this, between 0 and 1.",
        metavar="CERTAINTY",
        show_default=False,
    ),
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Of the run.", show_default=False)]
DeadlineOption = Annotated[
    float | None,
    typer.Option(
        "--deadline", help="Seconds for a question.", metavar="SECONDS", show_default=False
    ),
]


def kind_of(word: str) -> "Kind":
    """The answer kind of that name.

    Raises:
        UsageError: there is none.
    """
    from slmmux.errors import UsageError
    from slmmux.types import Kind

    kinds: tuple[Kind, ...] = get_args(Kind)
    for kind in kinds:
        if word.replace("-", "_") == kind:
            return kind
    raise UsageError(f"--kind {word} is not known; it is one of {_KINDS}")


def configured(
    path: Path | None,
    *,
    profile: Path | None,
    k: int | None,
    rule: str | None,
    stopping: str | None,
    schedule: str | None,
    seed: int | None,
    deadline: float | None,
    abstain_below: float | None,
) -> "Config":
    """The configuration, what the profile says over it, and the command line over both.

    What a profile's validation does not hold for any more is told on stderr.

    Raises:
        UsageError: an option, the configuration or the profile cannot be used.
    """
    import dataclasses

    from slmmux.config import load_config
    from slmmux.profile_file import read_profile

    config = load_config(path)
    named = profile or config.profile
    chosen = None if named is None else read_profile(named)
    if chosen is not None:
        config = profiled(config, chosen)
    changes = {
        "k": k,
        "rule": None if rule is None else _rule_of(rule, chosen),
        "stopping": None if stopping is None else _stopping_of(stopping),
        "schedule": None if schedule is None else _schedule_of(schedule),
        "seed": seed,
        "deadline_s": deadline,
        "abstain_below": abstain_below,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    if chosen is not None:
        _tell_overrides(config, chosen, given)
    # The fields are checked where they are used; here they only replace one another.
    return dataclasses.replace(config, mux=dataclasses.replace(config.mux, **given))  # type: ignore[arg-type]


def profiled(config: "Config", profile: "Profile") -> "Config":
    """The configuration as the profile has it; warnings go to stderr."""
    from slmmux.profile_pool import apply_profile

    applied = apply_profile(profile, config)
    for warning in applied.warnings:
        _tell(profile, warning)
    return applied.config


def _tell_overrides(config: "Config", profile: "Profile", given: "Mapping[str, object]") -> None:
    """Say what the command line has otherwise than the profile."""
    for name in ("k", "rule", "stopping", "schedule", "abstain_below"):
        here, now = _plain(getattr(config.mux, name)), _plain(given.get(name))
        if name in given and now != here:
            _tell(profile, f"{name} is {now} as the command line says, not {here}")


def _plain(value: object) -> str:
    """`3`, `exact`, `risk 0.05`, or a rule's name."""
    return str(getattr(value, "name", value))


def _tell(profile: "Profile", what: str) -> None:
    from slmmux.cli.show import console

    console(stderr=True).print(f"{profile.source}: {what}", style="yellow", soft_wrap=True)


def everyone(config: "Config") -> "tuple[Model, ...]":
    """The pool, and the bigger model where there is one."""
    return config.models if config.bigger is None else (*config.models, config.bigger)


@asynccontextmanager
async def mux_of(config: "Config") -> AsyncIterator["Mux"]:
    """A Mux over the configured pool; connections and servers are closed in the end."""
    import dataclasses

    from slmmux.engines.base import Pool
    from slmmux.mux import Mux
    from slmmux.pool import connect

    timeout_s = config.sampling.request_timeout_s
    async with connect(everyone(config), request_timeout_s=timeout_s) as connected:
        settings = {
            field.name: getattr(config.mux, field.name) for field in dataclasses.fields(config.mux)
        }
        pool = Pool(config.models, connected.engines)
        escalate = None
        if config.bigger is not None:
            bigger = Pool((config.bigger,), connected.engines)
            escalate = Mux(bigger, k=1, seed=config.mux.seed, limits=config.sampling).ask
        yield Mux(pool, **settings, escalate=escalate, limits=config.sampling)


def _stopping_of(word: str) -> "Stopping":
    from slmmux.errors import UsageError
    from slmmux.waves import Risk

    words: tuple[Literal["exact"], Literal["off"]] = ("exact", "off")
    for known in words:
        if word == known:
            return known
    try:
        chance = float(word)
    except ValueError:
        chance = 0.0
    if not 0 < chance < 1:
        raise UsageError(f"--stopping {word} is neither exact, off nor a risk between 0 and 1")
    return Risk(chance)


def _rule_of(word: str, profile: "Profile | None") -> "NamedRule | Rule":
    from slmmux.config_schema import NamedRule
    from slmmux.errors import UsageError
    from slmmux.rules import Rule

    rules: tuple[NamedRule, ...] = get_args(NamedRule)
    for rule in rules:
        if word.replace("-", "_") == rule:
            return rule
    calibration = None if profile is None else profile.calibration
    if word == "calibrated" and calibration is not None:
        return Rule("calibrated", calibration)
    if word == "calibrated":
        raise UsageError(
            "--rule calibrated takes a calibration, which a --profile may hold; without one "
            "there are mux and pooled_vote"
        )
    raise UsageError(f"--rule {word} is not known; it is one of {', '.join(rules)}")


def _schedule_of(word: str) -> "Schedule":
    from slmmux.errors import UsageError
    from slmmux.stopping import Schedule

    schedules: tuple[Schedule, ...] = get_args(Schedule)
    for schedule in schedules:
        if word == schedule:
            return schedule
    raise UsageError(f"--schedule {word} is not known; it is one of {', '.join(schedules)}")
