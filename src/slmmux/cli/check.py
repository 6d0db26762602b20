"""`slmmux check`: what each model of the pool can do, or what is wrong with it."""

from typing import TYPE_CHECKING, Annotated

import typer

from slmmux.cli import NO_ANSWER, UPSTREAMS_FAILED
from slmmux.cli.asking import everyone
from slmmux.cli.show import ConfigOption, JsonOption, console, print_json, progress, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from slmmux.checks import EndpointReport

_WIDE = 100  # columns; narrower terminals get a block for each model

_TITLES = ("first call", "several choices", "seeds", "tokens counted", "logprobs", "listed")
_CHOICES = {
    "seeded": "seed, seed + 1, …",
    "several": "yes, not by seed",
    "single": "no",
    None: "?",
}


def check(
    config: ConfigOption = None,
    *,
    json: JsonOption = False,
    timeout: Annotated[
        float, typer.Option(help="Seconds that one call may take.", metavar="SECONDS", min=0.1)
    ] = 30.0,
) -> None:
    """Call each model and tell what it can do, or what is wrong.

    A handful of small calls to each: are several choices in one request possible, and are they
    the texts of seed, seed + 1, …; are seeds honoured; are tokens counted; are there
    log-probabilities; does the endpoint list the model. Exit code 0: every model can be used;
    1: some cannot; 3: none can.
    """
    reports = _measure(config, timeout)
    if json:
        print_json([_as_json(report) for report in reports])
    else:
        _show(reports)
    usable = sum(report.usable for report in reports)
    if usable < len(reports):
        raise typer.Exit(NO_ANSWER if usable else UPSTREAMS_FAILED)


def _measure(path: "Path | None", timeout_s: float) -> "tuple[EndpointReport, ...]":
    from slmmux.checks import check_models
    from slmmux.cli.run_async import run_async
    from slmmux.config import load_config

    models = everyone(load_config(path))
    with progress("checking", len(models)) as step:
        return run_async(
            check_models(
                models,
                timeout_s=timeout_s,
                done=lambda report: step(report.model),
                pulling=lambda pull: step(
                    f"{pull.stage} weights, {pull.done / 1e6:.0f} of {pull.total / 1e6:.0f} MB", 0
                ),
            )
        )


def _as_json(report: "EndpointReport") -> dict[str, object]:
    import dataclasses

    return {"usable": report.usable, **dataclasses.asdict(report)}


def _show(reports: "Sequence[EndpointReport]") -> None:
    out = console()
    if out.width >= _WIDE:
        out.print(_table(reports))
    else:
        _blocks(out, reports)
    # Words wrap on a terminal; whoever reads a pipe gets each message as one line.
    whole = not out.is_terminal
    for report in reports:
        if report.error is not None:
            out.print(f"\n{report.error}", style="red", soft_wrap=whole)
        elif report.suggestions:
            out.print()
        for suggestion in report.suggestions:
            out.print(f"{report.model}: {suggestion}", soft_wrap=whole)


def _facts(report: "EndpointReport") -> dict[str, str]:
    """Titles and cells; one dash where a model that failed was not measured."""
    if not report.usable:
        return dict.fromkeys(_TITLES, "-")
    facts = (
        "?" if report.latency_s is None else seconds(report.latency_s),
        _CHOICES[report.n],
        _yes_no(report.seed),
        report.usage or "?",
        _yes_no(report.logprobs),
        _yes_no(report.listed),
    )
    return dict(zip(_TITLES, facts, strict=True))


def _yes_no(fact: bool | None) -> str:
    return "?" if fact is None else "yes" if fact else "no"


def _state(report: "EndpointReport") -> tuple[str, str]:
    return ("ok", "green") if report.usable else ("failed", "red")


def _table(reports: "Sequence[EndpointReport]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("model", "endpoint", "", *_facts(reports[0])):
        table.add_column(title, overflow="fold")
    for report in reports:
        state = Text(*_state(report))
        table.add_row(report.model, report.endpoint, state, *_facts(report).values())
    return table


def _blocks(out: "Console", reports: "Sequence[EndpointReport]") -> None:
    from rich.text import Text

    for report in reports:
        out.print(Text.assemble(f"{report.model} ", _state(report)), soft_wrap=True)
        out.print(f"  {'endpoint':15} {report.endpoint}", soft_wrap=True)
        if report.usable:
            for title, fact in _facts(report).items():
                out.print(f"  {title:15} {fact}", soft_wrap=True)
