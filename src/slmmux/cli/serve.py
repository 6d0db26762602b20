"""`slmmux serve`: the pool behind an OpenAI-compatible API."""

import dataclasses
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slmmux.cli import Interrupted
from slmmux.cli.asking import KindOption, kind_of, profiled
from slmmux.cli.keys import FileOption, own_keys_path
from slmmux.cli.models import fetch_missing
from slmmux.cli.show import ConfigOption, console

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from slmmux.cli.serving import Loaded, Plan
    from slmmux.config import Config
    from slmmux.config_gateway import GatewayConfig
    from slmmux.engines.base import Pool
    from slmmux.gateway.operations.ledger import Ledger
    from slmmux.gateway.state import Served, Serving
    from slmmux.types import Kind

# An address that means all of a machine's → one that this machine can ask.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
_NAME = "slmmux"  # of the pool when no profile gives it another

ProfilesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--profile",
        help="A file of `slmmux search --write`; repeat it for several. Clients ask for it by "
        "the file's name without its ending.",
        metavar="FILE",
        show_default=False,
    ),
]


def serve(
    *,
    host: Annotated[
        str | None,
        typer.Option(help="The address to listen on.  [default: 127.0.0.1]", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="The port; 0 is any free one.  [default: 8000]",
            min=0,
            max=65535,
            show_default=False,
        ),
    ] = None,
    profile: ProfilesOption = None,
    kind: KindOption = "auto",
    keys_file: FileOption = None,
    bank: Annotated[
        Path | None,
        typer.Option(help="Keep every sample in this bank.", metavar="FILE", show_default=False),
    ] = None,
    redact_prompts: Annotated[
        bool, typer.Option("--redact-prompts", help="Keep no question in the bank.")
    ] = False,
    log: Annotated[
        str | None,
        typer.Option(
            help="Form of the log on stderr.  [default: plain]",
            metavar="plain|json",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Serve the pool behind an OpenAI-compatible API.

    Point any OpenAI client's base URL at it; the model `slmmux` (or a profile's name) is the
    vote, a member model's own name passes requests through. SIGHUP reads models and profiles
    again. Ctrl-C stops it, in good order.
    """
    _hold_reloads()
    _require_extra()
    import asyncio

    from slmmux.cli.serving import Plan, run
    from slmmux.config import load_config
    from slmmux.gateway.server import bind, loop_factory, raise_file_limit

    loaded = load_config(config)
    options = {
        "host": host,
        "port": port,
        "keys_file": keys_file,
        "bank": bank,
        "redact_prompts": redact_prompts or None,
        "log": None if log is None else _log_form(log),
    }
    settings = _settings(loaded, options)
    profiles, answer_kind = profile or [], kind_of(kind)
    served = _served(loaded, profiles, answer_kind)
    ledger = _ledger(settings)
    listener = bind(settings.host, settings.port)
    raise_file_limit()
    plan = Plan(
        settings, ledger, listener, partial(_load, config, options, profiles, answer_kind), _tell
    )
    with listener:
        fetch_missing([model for one in served for model in one.members])
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            signum = runner.run(run(plan))
    if signum is not None:
        raise Interrupted(signum)


def _hold_reloads() -> None:
    """Let a SIGHUP before there is anything to reload pass: by itself it would end the process."""
    import signal

    signal.signal(signal.SIGHUP, lambda _signum, _frame: None)  # children do not inherit it


def _require_extra() -> None:
    from importlib.util import find_spec

    from slmmux.errors import MissingExtraError

    for package in ("starlette", "uvicorn", "jsonschema_rs", "prometheus_client"):
        if find_spec(package) is None:
            raise MissingExtraError(f"serve needs {package}: pip install 'slmmux[gateway]'")


def _settings(config: "Config", options: "Mapping[str, object]") -> "GatewayConfig":
    """What the configuration says, and the command line over it."""
    from slmmux.errors import UsageError

    given = {name: value for name, value in options.items() if value is not None}
    if given.get("host") == "":
        raise UsageError(
            "--host is empty; name an address: 127.0.0.1 is this machine only, 0.0.0.0 is all of "
            "its addresses"
        )
    # The fields are checked where they are used; here they only replace one another.
    return dataclasses.replace(config.gateway, **given)  # type: ignore[arg-type]


def _log_form(word: str) -> str:
    from typing import get_args

    from slmmux.config_schema import LogForm
    from slmmux.errors import UsageError

    if word not in get_args(LogForm):
        raise UsageError(f"--log {word} is not known; it is plain or json")
    return word


def _ledger(settings: "GatewayConfig") -> "Ledger | None":
    """The keys that clients need; None where nobody else can connect and there are none.

    Raises:
        UsageError: others can connect, or keys are wanted, and there are none.
        KeysError: the file of keys cannot be used.
    """
    from slmmux.errors import UsageError
    from slmmux.gateway.operations.ledger import Ledger

    path = settings.keys_file or own_keys_path()
    ledger = Ledger(path) if path.exists() else None
    if ledger is not None and ledger.all():
        return ledger
    if ledger is not None:
        ledger.close()
    if settings.keys_file is not None:
        raise UsageError(f"{path} holds no API keys; `slmmux keys add NAME` makes one")
    if not _is_loopback(settings.host):
        raise UsageError(
            f"--host {settings.host}: whoever reaches this address could use the pool, since there "
            "are no API keys; make one with `slmmux keys add NAME`, or listen on 127.0.0.1"
        )
    return None


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address

    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _served(config: "Config", profiles: "Sequence[Path]", kind: "Kind") -> "list[Served]":
    """What is served: each profile, or the whole pool where there is none."""
    from slmmux.gateway.state import Served

    chosen = list(profiles) or ([config.profile] if config.profile is not None else [])
    if not chosen:
        return [
            Served(
                name=_NAME,
                models=config.models,
                settings=config.mux,
                kind=kind,
                bigger=config.bigger,
            )
        ]
    return [_profile(config, path, kind) for path in chosen]


def _profile(config: "Config", path: Path, kind: "Kind") -> "Served":
    from slmmux.gateway.state import Served
    from slmmux.profile_file import read_profile

    profile = read_profile(path)
    applied = profiled(config, profile)
    return Served(
        name=path.stem,
        models=applied.models,
        settings=applied.mux,
        kind=kind,
        calibration=profile.calibration,
        bigger=applied.bigger,
    )


def _load(
    path: Path | None,
    options: "Mapping[str, object]",
    profiles: "Sequence[Path]",
    kind: "Kind",
    guard: "Callable[[Pool], Pool]",
) -> "Loaded":
    """What the configuration serves, read now."""
    from slmmux.cli.serving import Loaded
    from slmmux.config import load_config
    from slmmux.gateway.state import serve_profiles

    config = load_config(path)
    serving = serve_profiles(_served(config, profiles, kind), config.sampling, guard=guard)
    return Loaded(serving, _settings(config, options))


def _tell(serving: "Serving", plan: "Plan") -> None:
    """Where it is, what it serves, and a line that works."""
    import json

    host, port = plan.listener.getsockname()[:2]
    here = _EVERYWHERE.get(host, host)
    address = f"http://{f'[{here}]' if ':' in here else here}:{port}"
    name = next(iter(serving.profiles))
    out = console()
    for profile in serving.profiles.values():
        out.print(f"{profile.name}: {', '.join(model.name for model in profile.models)}")
    out.print(f"\nThe page, to ask and to watch the vote: {address}/")
    out.print(f"The API, for any OpenAI client: {address}/v1")
    keys = 0 if plan.ledger is None else len(plan.ledger.all())
    if plan.ledger is not None:
        many = "one key" if keys == 1 else f"{keys} keys"
        out.print(f"Requests need an API key ({many} in {plan.ledger.path}).", soft_wrap=True)
    if host in _EVERYWHERE:
        out.print(
            f"It listens on all addresses of this machine, port {port}: others use its name or "
            "address."
        )
    out.print("Try it:\n")
    question = [{"role": "user", "content": "What is 6 × 7?"}]
    body = json.dumps({"model": name, "messages": question}, ensure_ascii=False)
    bearer = "-H 'Authorization: Bearer YOUR_KEY' " if keys else ""
    typer.echo(
        f"  curl {address}/v1/chat/completions {bearer}-H 'Content-Type: application/json' "
        f"-d '{body}'\n"
    )
    out.print("Ctrl-C stops it.")
    sys.stdout.flush()  # whoever started it may wait for the address
