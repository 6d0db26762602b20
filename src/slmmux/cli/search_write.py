"""What `slmmux search --write` adds to a search: the rules compared, and the profile."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slmmux.cli.show import console, working

if TYPE_CHECKING:
    from rich.console import Console

    from slmmux.profile import Profile
    from slmmux.profile_choice import Origin, ProfileChoice
    from slmmux.results import Json
    from slmmux.rule_choice import RuleScore
    from slmmux.search_outcome import SearchOutcome
    from slmmux.table import Table

WriteOption = Annotated[
    Path | None,
    typer.Option(
        "--write",
        help="Compare the rules on the best subset of every size, choose, and write the profile.",
        metavar="FILE",
        show_default=False,
    ),
]
SizeOption = Annotated[
    int | None,
    typer.Option(
        "--size",
        help="Models in the profile; else the fewest within one standard error of the best number.",
        min=1,
        show_default=False,
    ),
]
CreatedOption = Annotated[
    str | None,
    typer.Option(
        "--created",
        help="A date to put into the profile; without one, equal choices are equal files.",
        metavar="DATE",
        show_default=False,
    ),
]
MissingOption = Annotated[
    bool,
    typer.Option(
        "--allow-missing", help="With --write: missing samples vote for nothing; else refused."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A profile on disk, and how it was chosen."""

    path: Path
    choice: "ProfileChoice"
    profile: "Profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`--write` and what goes with it.

    Raises:
        UsageError: an option without `--write`, or a file of another kind in the way.
    """

    path: Path | None
    size: int | None
    created: str | None
    allow_missing: bool

    def __post_init__(self) -> None:
        from slmmux.errors import UsageError

        if self.path is not None:
            _need_tomlkit()
            _check_target(self.path)
            return
        options = {
            "--size": self.size is not None,
            "--created": self.created is not None,
            "--allow-missing": self.allow_missing,
        }
        for option, given in options.items():
            if given:
                raise UsageError(f"{option} is about the profile, which --write FILE asks for")


def write_profile(
    wanted: Wanted, bank: Path, table: "Table", outcome: "SearchOutcome"
) -> Written | None:
    """Choose, and write the profile when one is wanted."""
    from slmmux.profile_choice import choose, profile_of
    from slmmux.profile_text import to_toml
    from slmmux.whole_files import write_whole

    if wanted.path is None:
        return None
    with working("comparing rules"):
        choice = choose(table, outcome, wanted.size, allow_missing=wanted.allow_missing)
    profile = profile_of(choice, table, outcome, _origin(bank, table, wanted.created))
    write_whole(wanted.path, to_toml(profile).encode())
    if profile.caution is not None:
        console(stderr=True).print(f"warning: the profile was {profile.caution}", style="yellow")
    return Written(path=wanted.path, choice=choice, profile=profile)


def _need_tomlkit() -> None:
    from importlib.util import find_spec

    from slmmux.errors import MissingExtraError

    if find_spec("tomlkit") is None:
        raise MissingExtraError("--write needs tomlkit: pip install 'slmmux[analysis]'")


def _check_target(path: Path) -> None:
    """See that nothing but an older profile is written over.

    Raises:
        UsageError: the file is something else.
    """
    from slmmux.errors import ConfigError, UsageError
    from slmmux.profile_file import read_profile

    if path.is_dir():
        raise UsageError(f"--write {path} is a folder; name a file")
    if not path.exists() or path.stat().st_size == 0 or not path.is_file():
        return
    try:
        read_profile(path)
    except ConfigError as error:
        raise UsageError(
            f"--write {path}: the file there is no profile that this slmmux reads, so it stays; "
            "name another one, or remove it"
        ) from error


def _origin(bank: Path, table: "Table", created: str | None) -> "Origin":
    from slmmux.bank import Bank
    from slmmux.pool_models import pool_models
    from slmmux.profile_choice import Origin

    tasks = list(dict.fromkeys(question.task for question in table.questions))
    with Bank.open(bank) as opened:
        models = pool_models(opened.models(tasks), table.models)
    return Origin(bank=bank.name, models=[model.model for model in models], created=created)


def show_choice(out: "Console", written: Written) -> None:
    """The rules' scores, what was chosen, why, and how to use it."""
    from rich.table import Table as Columns

    columns = Columns(box=None, pad_edge=False)
    for title in ("size", "rule", "models"):
        columns.add_column(title, overflow="fold", justify="right" if title == "size" else "left")
    for title in ("accuracy", "95% interval", ""):
        columns.add_column(title, justify="right", no_wrap=True)
    choice, profile = written.choice, written.profile
    for size, candidate in choice.candidates.items():
        for place, result in enumerate(candidate.rules.scores):
            picked = result is candidate.chosen
            taken = picked and size == choice.size.size
            interval = result.estimate.ci95
            columns.add_row(
                str(size) if place == 0 else "",
                result.rule,
                result.models[0] if len(result.models) == 1 else f"all {len(result.models)}",
                f"{result.estimate.accuracy:.1%}",
                f"{100 * interval.low:.1f}–{interval.high:.1%}",
                "written" if taken else "chosen" if picked else "",
                style="bold" if taken else "",
            )
    out.print()
    out.print(columns)
    out.print(
        "accuracy: expected over all ordered draws of the recorded samples, as mux above; "
        "calibrated: cross-fitted, by seeded draws",
        style="dim",
    )
    out.print()
    out.print(f"profile  {profile.rule}, k = {profile.k}: {', '.join(profile.names)}")
    out.print(f"models   {profile.why_models}")
    out.print(f"rule     {profile.why_rule}")
    out.print(f'wrote {written.path}; slmmux ask --profile {written.path} "…"', soft_wrap=True)


def choice_json(written: Written) -> "dict[str, Json]":
    """What `--json` tells of the profile and of the comparison behind it."""
    profile = written.profile
    return {
        "path": str(written.path),
        "models": list(profile.names),
        "rule": profile.rule,
        "k": profile.k,
        "accuracy": written.choice.taken.chosen.estimate.accuracy,
        "why_models": profile.why_models,
        "why_rule": profile.why_rule,
        "rules": {
            str(size): [_result_json(result) for result in candidate.rules.scores]
            for size, candidate in written.choice.candidates.items()
        },
    }


def _result_json(result: "RuleScore") -> "Json":
    found = result.estimate
    return {
        "rule": result.rule,
        "models": list(result.models),
        "accuracy": found.accuracy,
        "stderr": found.stderr,
        "ci95": [found.ci95.low, found.ci95.high],
    }
