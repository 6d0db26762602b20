"""The tree of commands. Command modules import only typer; the rest waits until one runs."""

from typing import Annotated

import typer

from slmmux.cli import bank, keys, models
from slmmux.cli.ask import ask
from slmmux.cli.check import check
from slmmux.cli.collect import collect
from slmmux.cli.demo import demo
from slmmux.cli.eval import evaluate
from slmmux.cli.init import init
from slmmux.cli.report import report
from slmmux.cli.run import run
from slmmux.cli.scale import scale
from slmmux.cli.search import search
from slmmux.cli.serve import serve

app = typer.Typer(
    name="slmmux",
    help="Several small language models answer together; the most confident one wins.",
    epilog="Exit codes: 0 answered, 1 no answer, 2 usage or configuration, 3 all upstreams "
    "failed, 4 weights, banks or files, 130 interrupted.",
    # Plain help is quick, and a person reads it as well as a coloured one.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from slmmux._version import __version__

        typer.echo(f"slmmux {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    *,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool,
        typer.Option(
            "--version", "-V", help="Show the version.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command("ask")(ask)
app.command("run")(run)
app.command("demo")(demo)
app.command("collect")(collect)
app.command("eval")(evaluate)
app.command("search")(search)
app.command("scale")(scale)
app.command("report")(report)
app.command("serve")(serve)
app.command("init")(init)
app.command("check")(check)
app.add_typer(bank.app, name="bank")
app.add_typer(keys.app, name="keys")
app.add_typer(models.app, name="models")
