"""Async commands: Ctrl-C and SIGTERM end them in good order."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import TypeVar

from slmmux.cli import Interrupted
from slmmux.errors import SlmmuxError

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# `timeout`, shells and process managers send a signal to the process and to its group: what comes
# twice within this time was meant once.
_REPEAT_S = 0.5


def run_async(main: Coroutine[object, object, T]) -> T:
    """Run a command's coroutine; a signal cancels it and waits for its clean-up.

    A second signal, half a second later or more, ends the process at once.

    Raises:
        Interrupted: a signal came, and everything is closed.
    """
    stopper = Stopper()
    previous = {signum: signal.getsignal(signum) for signum in _SIGNALS}
    try:
        result = asyncio.run(stopper.watch(main))
    except (asyncio.CancelledError, SlmmuxError):
        # Clean-up may fail because of the interruption; the interruption is what is told.
        if stopper.signum is None:
            raise
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
    if stopper.signum is not None:
        raise Interrupted(stopper.signum)
    return result


class Stopper:
    """Stops on the first signal, in good order; a second one ends the process at once.

    Attributes:
        signum: the first signal, None while there is none.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._since = 0.0

    async def watch(self, main: Coroutine[object, object, T]) -> T:
        """Cancel this when a signal comes."""
        task = asyncio.ensure_future(main)
        self.listen(task.cancel)
        return await task

    def listen(self, stop: Callable[[], object]) -> None:
        """Call this when a signal comes, from now until the event loop ends."""
        loop = asyncio.get_running_loop()
        for signum in _SIGNALS:
            loop.add_signal_handler(signum, self._stop, signum, stop)

    def _stop(self, signum: int, stop: Callable[[], object]) -> None:
        now = asyncio.get_running_loop().time()
        if self.signum is None:
            self.signum, self._since = signum, now
            stop()
        elif now - self._since >= _REPEAT_S:
            _leave_at_once(signum)


def _leave_at_once(signum: int) -> None:
    """End without clean-up; children notice that their pipe to us has closed."""
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), b"\x1b[?25h")  # a progress display hides the cursor
    os.write(sys.stderr.fileno(), f"{Interrupted(signum).word}\n".encode())
    os._exit(128 + signum)
