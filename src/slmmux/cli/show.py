"""How commands show things: consoles, progress, JSON, and options that several commands share."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

if TYPE_CHECKING:
    from rich.console import Console

NARROWEST = 78  # columns that tables of methods and models need

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "--pool",
        help="The configuration, or a built-in pool (default, demo, candidates); otherwise "
        "SLMMUX_CONFIG, ./slmmux.toml or the default pool.",
        metavar="FILE",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def console(*, stderr: bool = False) -> "Console":
    """For people: coloured on a terminal unless NO_COLOR is set, and never guessing markup."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False)


def at_least(out: "Console", columns: int) -> "Console":
    """The console, never so narrow that tables lose columns: lines then wrap."""
    out.width = max(out.width, columns)
    return out


def counted(count: int, word: str) -> str:
    """`1 model`, `10,326 questions`."""
    return f"{count:,} {word}{'s' * (count != 1)}"


def seconds(duration_s: float) -> str:
    """`4 ms`, `0.35 s`, `12 s`."""
    if duration_s < 0.0995:  # noqa: PLR2004 - what rounds to 0.10 s
        return f"{duration_s * 1000:.0f} ms"
    return f"{duration_s:.2f} s" if duration_s < 9.995 else f"{duration_s:.0f} s"  # noqa: PLR2004


def print_json(value: object) -> None:
    """Plain JSON values on stdout, for programs."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


class Step(Protocol):
    """What `progress` yields; safe to call from any thread."""

    def __call__(self, beside: str, steps: int = 1) -> None:
        """Show the text beside the bar, and go on by so many steps."""


@contextmanager
def progress(what: str, total: int) -> Iterator["Step"]:
    """A bar on stderr while it is a terminal; silent otherwise.

    Args:
        what: stands before the bar.
        total: steps.

    Yields:
        Shows a text beside the bar, and takes a step unless told to take none.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    err = console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[beside]}", markup=False),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(what, total=total, beside="")
        yield lambda beside, steps=1: bar.update(task, advance=steps, beside=beside)


class Share(Protocol):
    """What `share_done` yields."""

    def __call__(self, share: float, what: str | None = None) -> None:
        """Show what share is done, 0 to 1, and of what where that changes."""


@contextmanager
def share_done(what: str) -> Iterator["Share"]:
    """A bar with the time left on stderr while it is a terminal; silent otherwise.

    Args:
        what: stands before the bar.
    """
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    err = console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeLeft(compact=True),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def report(share: float, what: str | None = None) -> None:
            if what is not None and what != bar.tasks[0].description:
                bar.reset(task, description=what)
            bar.update(task, completed=share, total=1.0)

        yield report


@contextmanager
def working(what: str) -> Iterator[None]:
    """Say on stderr what takes its time, while it is a terminal; silent otherwise."""
    err = console(stderr=True)
    if not err.is_terminal:
        yield
        return
    with err.status(f"{what} …"):
        yield
