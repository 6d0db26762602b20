"""`slmmux ask`: one question, the answer, and the votes behind it."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from slmmux.cli import NO_ANSWER
from slmmux.cli.asking import (
    AbstainOption,
    DeadlineOption,
    KindOption,
    ProfileOption,
    RuleOption,
    SamplesOption,
    ScheduleOption,
    SeedOption,
    StoppingOption,
    configured,
    everyone,
    kind_of,
    mux_of,
)
from slmmux.cli.models import fetch_missing
from slmmux.cli.show import ConfigOption, JsonOption, console, print_json, progress, seconds

if TYPE_CHECKING:
    from rich.table import Table

    from slmmux.config import Config
    from slmmux.types import Question, Result, Tally

_BAR = 12
_SHOWN = 60


def ask(
    question: Annotated[str, typer.Argument(help="The question; - reads it from stdin.")],
    *,
    kind: KindOption = "auto",
    choices: Annotated[
        list[str] | None,
        typer.Option(
            help="An option of a choice question; repeat it, or separate with |.",
            metavar="TEXT",
            show_default=False,
        ),
    ] = None,
    k: SamplesOption = None,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    rule: RuleOption = None,
    stopping: StoppingOption = None,
    schedule: ScheduleOption = None,
    seed: SeedOption = None,
    deadline: DeadlineOption = None,
    abstain_below: AbstainOption = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the winner's whole reply.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Ask the pool a question; the most confident model answers.

    Exit code 0: answered; 1: no sample had a readable answer, or none is sure enough; 3: every
    endpoint failed.
    """
    from slmmux.cli.run_async import run_async
    from slmmux.prompts import question_of, validate
    from slmmux.results import to_json

    text = sys.stdin.read() if question == "-" else question
    options = [part.strip() for value in choices or () for part in value.split("|")]
    asked = question_of(text, kind_of(kind), options)
    validate(asked)
    settings = configured(
        config,
        profile=profile,
        k=k,
        rule=rule,
        stopping=stopping,
        schedule=schedule,
        seed=seed,
        deadline=deadline,
        abstain_below=abstain_below,
    )
    fetch_missing(everyone(settings))
    result = run_async(_ask(settings, asked))
    if json:
        print_json(to_json(result))
    else:
        show(result, verbose=verbose)
    if result.abstained:
        raise typer.Exit(NO_ANSWER)


async def _ask(config: "Config", question: "Question") -> "Result":
    async with mux_of(config) as mux:
        with progress("asking", config.mux.k * len(config.models)) as step:
            return await mux.ask(question, on_sample=lambda sample: step(sample.model))


def show(result: "Result", *, verbose: bool) -> None:
    """The result for a person: votes by model, the answer, and what it took."""
    from rich.text import Text

    out = console()
    out.print(_votes(result))
    out.print()
    if result.answer is None:
        out.print("No readable answer.", style="bold yellow")
    elif result.abstained:
        out.print(
            Text.assemble("Held back  ", (_short(result.answer), "bold yellow"), " is a guess")
        )
    else:
        out.print(Text.assemble("Answer  ", (_short(result.answer), "bold green")))
    out.print(f"Why     {result.selection.reason}")
    out.print(f"Took    {_effort(result)}")
    for model, reason in result.degraded.items():
        said = reason if reason.startswith(f"{model}:") else f"{model}: {reason}"
        out.print(f"Degraded: {said}", style="yellow")
    if result.text is not None and (verbose or result.abstained):
        out.print(f"\n{result.text.strip()}")


def _votes(result: "Result") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("model", overflow="fold")
    table.add_column("votes", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("answer", overflow="fold")
    for tally in result.tallies:
        name = tally.model
        for first, bar, share, answer, style in _rows(tally, result):
            table.add_row(name if first else "", bar, share, answer, style=style)
    return table


def _rows(tally: "Tally", result: "Result") -> "list[tuple[bool, str, str, str, str]]":
    """(first row of the model, bar, votes/k, answer, style) for each class and what has no vote."""
    rows: list[tuple[str, str, str, str]] = [
        (
            "█" * max(1, round(_BAR * c.votes / tally.k)),
            f"{c.votes}/{tally.k}",
            _short(c.text),
            "bold" if c.key == result.selection.key else "",
        )
        for c in tally.classes
    ]
    for count, what in (
        (tally.unreadable, "no readable answer"),
        (tally.errored, "failed"),
        (tally.k - tally.drawn, "not asked" if result.exact else "not waited for"),
    ):
        if count:
            rows.append(("", f"{count}/{tally.k}", f"({what})", "dim"))
    return [(place == 0, *row) for place, row in enumerate(rows)]


def _effort(result: "Result") -> str:
    usage = result.usage
    tokens = f"{usage.prompt_tokens:,} + {usage.completion_tokens:,} tokens"
    parts = [
        f"{result.draws} of {result.budget} draws ({result.draws_saved} saved)",
        f"{result.waves} round trip{'s' if result.waves != 1 else ''}",
        f"about {tokens}" if usage.estimated else tokens,
        seconds(result.elapsed_s),
    ]
    if result.cost is not None:
        parts.append(f"cost {result.cost:.6f}")
    if not result.exact:
        parts.append("approximate: open draws could change the answer")
    return ", ".join(parts)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
