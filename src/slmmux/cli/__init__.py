"""The command line.

Exit codes:

=====  ==========================================================================
0      answered; for `check`: every model can be used
1      no answer: no sample had a readable one; for `check`: some models cannot be used
2      wrong usage or configuration; nothing was drawn
3      all upstreams failed, or fewer models answered than the quorum asks for
4      model weights, banks or files could not be fetched, read or written
70     a bug in slmmux
130    interrupted (Ctrl-C)
141    whoever read the output went away (`| head`)
143    terminated (SIGTERM)
=====  ==========================================================================
"""

import io
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

# Nothing heavy is imported here: a Ctrl-C while Python still imports would print a traceback.
from slmmux.errors import (
    BankError,
    EngineError,
    KeysError,
    QuorumError,
    SlmmuxError,
    UsageError,
    WeightsError,
)

if TYPE_CHECKING:
    import typer

OK = 0
NO_ANSWER = 1
USAGE = 2
UPSTREAMS_FAILED = 3
FILES = 4
BUG = 70
BROKEN_PIPE = 128 + signal.SIGPIPE

_CTRL_C = 128 + signal.SIGINT


class Interrupted(SystemExit):
    """A signal asked us to stop, and what was open is closed.

    Attributes:
        exit_code: 128 + the signal, as shells have it.
        word: `interrupted` or `terminated`.
    """

    def __init__(self, signum: int) -> None:
        self.exit_code = 128 + signum
        super().__init__(self.exit_code)
        self.word = "interrupted" if signum == signal.SIGINT else "terminated"


def main() -> None:
    """Run the command line and exit with its code; never a traceback."""
    signal.signal(signal.SIGTERM, _terminated)
    # Scripts start background jobs with Ctrl-C ignored; ours keep what they have when it comes.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal cannot show ends no command
            stream.reconfigure(errors="replace")
    code = _run(sys.argv[1:])
    # From here on a second Ctrl-C ends the process without Python's own words about it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(_flush(code))


def exit_code(error: SlmmuxError) -> int:
    """The exit code that an error ends the command with."""
    codes = {
        UsageError: USAGE,
        EngineError: UPSTREAMS_FAILED,
        QuorumError: UPSTREAMS_FAILED,
        WeightsError: FILES,
        BankError: FILES,
        KeysError: FILES,
    }
    return next((code for kind, code in codes.items() if isinstance(error, kind)), NO_ANSWER)


def complain(message: str) -> None:
    """One error for a person on stderr; red on a terminal unless NO_COLOR is set."""
    label = "error:"
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb":
        label = "\x1b[1;31merror:\x1b[0m"
    print(label, message, file=sys.stderr)  # noqa: T201 - this is the one place that prints errors


def _run(arguments: list[str]) -> int:
    try:
        return _invoke(arguments)
    except (KeyboardInterrupt, Interrupted) as stop:
        return _stopped(stop if isinstance(stop, Interrupted) else Interrupted(signal.SIGINT))
    except SystemExit as stop:
        # typer ends a broken pipe with exit code 1, which means something else here.
        broken = isinstance(stop.__context__, BrokenPipeError)
        return BROKEN_PIPE if broken else int(stop.code or OK)
    except SlmmuxError as error:
        complain(str(error))
        return exit_code(error)
    except OSError as error:
        what = error.strerror or str(error)
        complain(f"{error.filename}: {what}" if error.filename else what)
        return FILES
    except Exception as error:  # noqa: BLE001 - the last resort: a bug is told in a line
        return _bug(error)


def _invoke(arguments: list[str]) -> int:
    import typer

    from slmmux.cli.app import app

    command = typer.main.get_command(app)
    try:
        code = command.main(arguments, prog_name="slmmux", standalone_mode=False)
    except typer.TyperException as error:
        return _misused(error)
    except typer.Abort as error:  # Ctrl-D at a question
        raise Interrupted(signal.SIGINT) from error
    if code == _CTRL_C:  # typer's own translation of KeyboardInterrupt
        raise Interrupted(signal.SIGINT)
    return code if isinstance(code, int) else OK


def _misused(error: "typer.TyperException") -> int:
    message = error.format_message()
    if message.startswith("Usage:"):  # a command group without a command shows its help
        print(message, file=sys.stderr)  # noqa: T201
        return USAGE
    context = getattr(error, "ctx", None)
    hint = f"\nTry `{context.command_path} --help`" if context is not None else ""
    complain(f"{message}{hint}")
    return error.exit_code if error.exit_code != NO_ANSWER else USAGE


def _stopped(stop: Interrupted) -> int:
    print(stop.word, file=sys.stderr)  # noqa: T201
    return stop.exit_code


def _bug(error: Exception) -> int:
    if os.environ.get("SLMMUX_TRACEBACK"):
        raise error
    complain(
        f"{type(error).__name__}: {error}\nThis is a bug in slmmux; please report it with what the "
        "same command prints under SLMMUX_TRACEBACK=1"
    )
    return BUG


def _flush(code: int) -> int:
    """The exit code, after the output has reached whoever reads it."""
    if sys.stdout is None:  # closed by whoever started us
        return code
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python flushes again when it ends, and would report the same once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return BROKEN_PIPE
        complain(f"the output could not be written: {error.strerror}")
        return FILES
    return code


def _terminated(signum: int, _frame: FrameType | None) -> None:
    raise Interrupted(signum)
