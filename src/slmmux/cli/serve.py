"""`slmmux serve`: the pool behind an OpenAI-compatible API."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slmmux.cli.asking import KindOption, kind_of, profiled
from slmmux.cli.models import fetch_missing
from slmmux.cli.show import ConfigOption, console, working

if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket

    from slmmux.config import Config
    from slmmux.gateway.state import Served, Serving
    from slmmux.types import Kind

_NAME = "slmmux"  # of the pool when no profile gives it another


def serve(
    *,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="The port; 0 is any free one.", min=0, max=65535)
    ] = 8000,
    profile: Annotated[
        list[Path] | None,
        typer.Option(
            help="A file of `slmmux search --write`; repeat it for several. Clients ask for it by "
            "the file's name without its ending.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    kind: KindOption = "auto",
    config: ConfigOption = None,
) -> None:
    """Serve the pool behind an OpenAI-compatible API.

    Point any OpenAI client's base URL at it; the model `slmmux` (or a profile's name) is the
    vote, a member model's own name passes requests through. Ctrl-C stops it.
    """
    _require_extra()
    _loopback_only(host)
    from slmmux.config import load_config
    from slmmux.gateway.server import bind, loop_factory, raise_file_limit

    loaded = load_config(config)
    served = _served(loaded, profile or [], kind_of(kind))
    listener = bind(host, port)
    raise_file_limit()
    with listener:
        fetch_missing([model for one in served for model in one.members])
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve(loaded, served, listener))


def _require_extra() -> None:
    from importlib.util import find_spec

    from slmmux.errors import MissingExtraError

    for package in ("starlette", "uvicorn", "jsonschema_rs"):
        if find_spec(package) is None:
            raise MissingExtraError(f"serve needs {package}: pip install 'slmmux[gateway]'")


def _loopback_only(host: str) -> None:
    """Refuse to be reached by others: there is nothing yet that tells who may ask."""
    from ipaddress import ip_address

    from slmmux.errors import UsageError

    try:
        private = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        private = False
    if not private:
        raise UsageError(
            f"--host {host}: whoever reaches this address could use the pool, since there are no "
            "API keys; listen on 127.0.0.1, behind a proxy that checks who asks"
        )


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


async def _serve(config: "Config", served: "Sequence[Served]", listener: "socket") -> None:
    from slmmux.gateway.app import build_app
    from slmmux.gateway.server import server_of, settle
    from slmmux.gateway.state import Gateway, serve_profiles

    serving = serve_profiles(served, config.sampling)
    async with serving.pool:
        gateway = Gateway(serving, ready=False)
        server = server_of(build_app(gateway), gateway.caps)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await _start_embedded(serving)
            settle()
            gateway.ready = True
            _tell(serving, *listener.getsockname()[:2])
        except BaseException:
            server.should_exit = True
            raise
        finally:
            await running


async def _start_embedded(serving: "Serving") -> None:
    """Load the weights now, so that the first question need not wait for them."""
    from slmmux.pool import EMBEDDED

    names = [name for name, model in serving.members.items() if model.base_url == EMBEDDED]
    if not names:
        return
    from slmmux.engines.embedded import EmbeddedEngine

    engines = {serving.pool.engines[name] for name in names}
    with working("loading the embedded models"):
        await asyncio.gather(*(e.start() for e in engines if isinstance(e, EmbeddedEngine)))


def _tell(serving: "Serving", host: str, port: int) -> None:
    """Where it is, what it serves, and a line that works."""
    import json

    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    name = next(iter(serving.profiles))
    out = console()
    for profile in serving.profiles.values():
        out.print(f"{profile.name}: {', '.join(model.name for model in profile.models)}")
    out.print(f"\nThe page, to ask and to watch the vote: {address}/")
    out.print(f"The API, for any OpenAI client: {address}/v1")
    out.print("Try it:\n")
    question = [{"role": "user", "content": "What is 6 × 7?"}]
    body = json.dumps({"model": name, "messages": question}, ensure_ascii=False)
    typer.echo(
        f"  curl {address}/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'\n"
    )
    out.print("Ctrl-C stops it.")
