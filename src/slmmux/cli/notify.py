"""What `slmmux serve` tells the service manager that started it: systemd's `sd_notify`."""

import os
import socket
from contextlib import suppress


def notify(state: str) -> None:
    """Tell it, where there is one: `READY=1` or `STOPPING=1`.

    A manager that cannot be told is no reason to end what works: it has a time limit of its own.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # a name outside of the file system
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.connect(address)
        manager.sendall(state.encode())
