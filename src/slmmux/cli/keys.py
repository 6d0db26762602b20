"""`slmmux keys`: who may use the gateway, and how much."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slmmux.cli.show import NARROWEST, ConfigOption, JsonOption, at_least, console, print_json

if TYPE_CHECKING:
    from slmmux.gateway.operations.ledger import Key, Ledger, Used
    from slmmux.results import Json

app = typer.Typer(no_args_is_help=True, help="API keys of the gateway: add, list, revoke.")

_WIDE = 100  # columns of a terminal in which every column of the list fits

FileOption = Annotated[
    Path | None,
    typer.Option(
        "--keys-file",
        help="The file of keys; otherwise keys_file in [gateway], or the user's own.",
        metavar="FILE",
        show_default=False,
    ),
]
NameArgument = Annotated[str, typer.Argument(help="Whose key it is: shown in logs, never secret.")]


@app.command()
def add(
    name: NameArgument,
    *,
    rpm: Annotated[
        int | None, typer.Option(help="Requests in any 60 seconds.", min=1, show_default=False)
    ] = None,
    concurrent: Annotated[
        int | None, typer.Option(help="Requests at once.", min=1, show_default=False)
    ] = None,
    tokens_per_day: Annotated[
        int | None,
        typer.Option(help="Tokens of all upstream calls, a day (UTC).", min=1, show_default=False),
    ] = None,
    money_per_day: Annotated[
        float | None,
        typer.Option(help="Money, by the models' prices, a day (UTC).", min=0, show_default=False),
    ] = None,
    keys_file: FileOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Make a key and show it, once.

    A running gateway that wants keys takes it at once.
    """
    from slmmux.errors import UsageError
    from slmmux.gateway.operations.keys import new_key
    from slmmux.gateway.operations.ledger import KeyLimits

    if not name.strip() or not name.isprintable():
        raise UsageError("the name of a key is a word or two, in one line")
    limits = KeyLimits(
        rpm=rpm,
        concurrent=concurrent,
        tokens_per_day=tokens_per_day,
        money_per_day=money_per_day,
    )
    key = new_key()
    with _ledger(keys_file, config, create=True) as ledger:
        ledger.add(name, key, limits)
        where = ledger.path
    if json:
        print_json({"name": name, "key": key.text, "keys_file": str(where)})
        return
    typer.echo(key.text)
    console(stderr=True).print(
        f"This is the key of {name}. It is shown now and never again; {where} holds a hash of it.",
        soft_wrap=True,
    )


@app.command("list")
def list_keys(
    *, keys_file: FileOption = None, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Show the keys, their limits, and what they have used today (UTC); never a key itself."""
    import time

    now = time.time()
    with _ledger(keys_file, config, create=False) as ledger:
        known = [(key, ledger.used(key, now)) for key in ledger.all()]
        where = ledger.path
    if json:
        print_json([_entry(key, used) for key, used in known])
        return
    _show(known, where)


@app.command()
def revoke(
    name: NameArgument, *, keys_file: FileOption = None, config: ConfigOption = None
) -> None:
    """Let a key in no more; a running gateway refuses it at once."""
    with _ledger(keys_file, config, create=False) as ledger:
        ledger.revoke(name)
    typer.echo(f"{name} is revoked")


def keys_path(given: Path | None, config: Path | None) -> Path:
    """The file of keys: the one named, the configuration's, or the user's own.

    Nothing else of the configuration is looked at: a key must be revocable while it is broken.
    """
    from slmmux.config import keys_file_in
    from slmmux.errors import ConfigError

    if given is not None:
        return given
    try:
        return keys_file_in(config) or own_keys_path()
    except ConfigError as error:
        raise ConfigError(f"{error}; --keys-file names the file of keys without it") from error


def own_keys_path() -> Path:
    """The user's own file of keys."""
    from platformdirs import user_state_path

    return user_state_path("slmmux") / "keys.db"


def _ledger(given: Path | None, config: Path | None, *, create: bool) -> "Ledger":
    from slmmux.gateway.operations.ledger import Ledger

    return Ledger(keys_path(given, config), create=create)


def _show(known: "list[tuple[Key, Used]]", where: Path) -> None:
    from rich.table import Table

    out = at_least(console(), NARROWEST)
    if not known:
        out.print(f"{where}: no keys", soft_wrap=True)
        return
    wide = out.width >= _WIDE
    table = Table(box=None, pad_edge=False)
    table.add_column("name", overflow="fold")
    if wide:
        table.add_column("made")
    for title in ("a minute", "at once", "requests", "tokens today", "money today"):
        table.add_column(title, justify="right", no_wrap=not title.endswith("today"))
    for key, used in known:
        limits = key.limits
        made = [f"{datetime.fromtimestamp(key.created, UTC):%Y-%m-%d}"] if wide else []
        table.add_row(
            key.name,
            *made,
            _most(limits.rpm),
            _most(limits.concurrent),
            f"{used.requests:,}",
            _of(f"{used.tokens:,}", limits.tokens_per_day),
            _of(f"{used.money:.4g}", limits.money_per_day),
        )
    out.print(table)
    out.print(f"In {where}", soft_wrap=True)


def _most(limit: int | None) -> str:
    return "any" if limit is None else f"{limit:,}"


def _of(used: str, limit: float | None) -> str:
    return used if limit is None else f"{used} of {limit:,}"


def _entry(key: "Key", used: "Used") -> "Json":
    limits = key.limits
    return {
        "name": key.name,
        "created": f"{datetime.fromtimestamp(key.created, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "limits": {
            "rpm": limits.rpm,
            "concurrent": limits.concurrent,
            "tokens_per_day": limits.tokens_per_day,
            "money_per_day": limits.money_per_day,
        },
        "used_today": {"requests": used.requests, "tokens": used.tokens, "money": used.money},
    }
