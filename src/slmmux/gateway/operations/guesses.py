"""Wrong keys, counted by address: who sends many of them has to wait.

Only wrong keys wait. A right one is let in whatever else came from its address: nobody finds one
of 2²⁵⁶ by trying, so turning right ones away would keep out nobody but their owners, who may share
a proxy's address with whoever guesses. The wait keeps guessers from being a load, and tells them.
"""

import ipaddress
from collections import OrderedDict, deque

_WRONG = 10  # keys in a window, after which an address waits
_WINDOW_S = 60.0
_ADDRESSES = 10_000  # that are remembered; the oldest go first


class Guesses:
    """What addresses have tried. Times are seconds of one clock that never goes back."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    def wrong(self, address: str, now: float) -> float | None:
        """It sent a key that is none.

        Args:
            address: of the client.
            now: the time.

        Returns:
            Seconds that it has to wait; None where it may try again.
        """
        place = neighbourhood(address)
        tries = self._wrong.setdefault(place, deque(maxlen=_WRONG))
        self._wrong.move_to_end(place)
        while len(self._wrong) > _ADDRESSES:
            self._wrong.popitem(last=False)
        if len(tries) == _WRONG and now - tries[0] < _WINDOW_S:
            return tries[0] + _WINDOW_S - now
        tries.append(now)
        return None


def neighbourhood(address: str) -> str:
    """Addresses that one guesser can have at once: a host, or a network of IPv6 (/64)."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:  # noqa: PLR2004 - the version of IP
        return str(parsed)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))
