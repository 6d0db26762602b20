"""`[gateway]`: how `slmmux serve` runs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from slmmux.config_schema import LogForm

_UNITS = {
    "max_wait": "max_wait_s",
    "drain_time": "drain_s",
    "max_deadline": "max_deadline_s",
    "breaker_wait": "breaker_wait_s",
    "slow_call": "slow_call_s",
}
_FILES = ("keys_file", "bank")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """What the table says.

    Attributes:
        host, port: to listen on.
        hosts: names that clients without keys may call it by, besides addresses and localhost.
        keys_file: of API keys and what they used; None is the user's own.
        max_requests: answered at once.
        max_waiting, max_wait_s: requests that wait for a place, and for how many seconds at most.
        drain_s: seconds that open requests have when the gateway stops.
        max_deadline_s, max_draws, max_body_mb: the most that one request may ask for.
        breaker_failures: in a row, after which an endpoint is left alone.
        breaker_wait_s: seconds until it is tried again, at first.
        slow_call_s: a call that was given up after so many seconds counts as failed.
        bank: where every sample is kept; None keeps none.
        redact_prompts: keep no question in it.
        log: form of the lines.
        log_prompts: whether they tell what was asked.
        traces: whether OpenTelemetry gets them.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    hosts: tuple[str, ...] = ()
    keys_file: Path | None = None
    max_requests: int = 1024
    max_waiting: int = 1024
    max_wait_s: float = 30.0
    drain_s: float = 30.0
    max_deadline_s: float = 600.0
    max_draws: int = 500
    max_body_mb: float = 8.0
    breaker_failures: int = 8
    breaker_wait_s: float = 10.0
    slow_call_s: float = 60.0
    bank: Path | None = None
    redact_prompts: bool = False
    log: LogForm = "plain"
    log_prompts: bool = False
    traces: bool = False


def changed(before: GatewayConfig, now: GatewayConfig) -> tuple[str, ...]:
    """The settings that are not the same, as the file calls them."""
    words = {field: key for key, field in _UNITS.items()}
    names = [field.name for field in fields(GatewayConfig)]
    return tuple(words.get(n, n) for n in names if getattr(before, n) != getattr(now, n))


def gateway_of(table: Mapping[str, Any], folder: Path) -> GatewayConfig:
    """The settings of a table whose keys have the right types.

    Args:
        table: keys of `GatewayTable`.
        folder: what relative paths are relative to.
    """
    settings = {_UNITS.get(key, key): value for key, value in table.items()}
    for key in _FILES:
        if key in settings:
            settings[key] = folder / Path(settings[key]).expanduser()
    if "hosts" in settings:
        settings["hosts"] = tuple(settings["hosts"])
    return GatewayConfig(**settings)
