"""Logs: one line an event, as JSON for programs or plain for people.

Keys are in none of them, and questions only where the configuration asks for them.
"""

import json
import logging
import time
from datetime import UTC, datetime
from typing import Literal, TextIO

from slmmux.gateway.operations.record import Record
from slmmux.gateway.watching import WATCH
from slmmux.results import Json

LogForm = Literal["plain", "json"]

log = logging.getLogger("slmmux.gateway")

_SERVER_ERROR = 500
_QUIET = ("/healthz", "/readyz", "/metrics")


class JsonForm(logging.Formatter):
    """Records of the standard library as JSON objects; `extra={"fields": …}` adds to them."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Json] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class PlainForm(logging.Formatter):
    """The same for people."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback where there is one."""
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = " ".join(f"{key}={_plain(value)}" for key, value in _fields(record).items())
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        line = f"{moment} {level}{record.getMessage()} {fields}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def log_to(stream: TextIO, form: LogForm) -> logging.Handler:
    """Send the gateway's and the server's logs there."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonForm() if form == "json" else PlainForm())
    for name, level in (("slmmux", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False
    return handler


class Journalist:
    """Writes a line for every request.

    Args:
        prompts: whether the lines tell what was asked.
    """

    def __init__(self, *, prompts: bool) -> None:
        self._prompts = prompts

    def request(self, record: Record) -> None:
        """A request is over."""
        fine = record.outcome not in ("failed", "cut_by_shutdown")
        if record.path in _QUIET and record.status not in (0, _SERVER_ERROR):
            return
        level = logging.INFO if fine else logging.WARNING
        log.log(level, "request", extra={"fields": self._about(record)})

    def _about(self, record: Record) -> dict[str, Json]:
        about: dict[str, Json] = {
            "request": record.id,
            "method": record.method,
            "path": record.path,
            "status": record.status,
            "ms": round(record.elapsed_s() * 1000, 1),
            "key": record.key.name if record.key else None,
            "model": record.served,
            "queued_ms": None if record.queued_s is None else round(record.queued_s * 1000, 1),
            "tokens": record.usage.prompt_tokens + record.usage.completion_tokens or None,
            "money": record.money or None,
            "outcome": record.outcome,
            "refused": record.refused,
            "error": record.failed,
        }
        if (result := record.result) is not None:
            about |= {
                "decided_by": result.selection.decided_by,
                "confidence": round(result.selection.confidence.low, 4),
                "draws": result.draws,
                "draws_saved": result.draws_saved,
                "degraded": list(result.degraded) or None,
                "abstained": result.abstained or None,
            }
        if self._prompts and record.question is not None:
            about["question"] = record.question.text
        return {key: value for key, value in about.items() if value is not None}


def _fields(record: logging.LogRecord) -> dict[str, Json]:
    fields: dict[str, Json] = dict(getattr(record, "fields", {}))
    watch = WATCH.get()
    if "request" not in fields and isinstance(watch, Record):
        fields["request"] = watch.id
    return fields


def _plain(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    plain = text.isprintable() and " " not in text
    return text if plain else json.dumps(text, ensure_ascii=False)
