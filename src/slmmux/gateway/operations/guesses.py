"""Wrong keys, counted by address: who sends many of them has to wait.

A key that was right a while ago stays welcome from its address, so a guesser behind the same
proxy locks nobody out.
"""

import ipaddress
from collections import OrderedDict, deque

_WRONG = 10  # keys in a window, after which an address waits
_WINDOW_S = 60.0
_ADDRESSES = 10_000  # that are remembered; the oldest go first
_WELCOME_S = 24 * 3600.0


class Guesses:
    """What addresses have tried. Times are seconds of one clock that never goes back."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._right: OrderedDict[tuple[str, bytes], float] = OrderedDict()

    def wait_s(self, address: str, digest: bytes, now: float) -> float | None:
        """Seconds that this address has to wait before this key is even looked at.

        Args:
            address: of the client.
            digest: of what it sent.
            now: the time.
        """
        place = neighbourhood(address)
        welcome = self._right.get((place, digest))
        if welcome is not None and now - welcome < _WELCOME_S:
            return None
        tries = self._wrong.get(place)
        if tries is None or len(tries) < _WRONG or now - tries[0] >= _WINDOW_S:
            return None
        return tries[0] + _WINDOW_S - now

    def wrong(self, address: str, now: float) -> None:
        """It sent a key that is none."""
        place = neighbourhood(address)
        tries = self._wrong.setdefault(place, deque(maxlen=_WRONG))
        tries.append(now)
        self._wrong.move_to_end(place)
        _shorten(self._wrong)

    def right(self, address: str, digest: bytes, now: float) -> None:
        """It sent a key that is one."""
        known = (neighbourhood(address), digest)
        self._right[known] = now
        self._right.move_to_end(known)
        _shorten(self._right)


def neighbourhood(address: str) -> str:
    """Addresses that one guesser can have at once: a host, or a network of IPv6 (/64)."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:  # noqa: PLR2004 - the version of IP
        return str(parsed)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))


def _shorten(
    table: "OrderedDict[str, deque[float]] | OrderedDict[tuple[str, bytes], float]",
) -> None:
    while len(table) > _ADDRESSES:
        table.popitem(last=False)
