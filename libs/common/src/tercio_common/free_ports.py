"""Ports for servers that must know each other's addresses before they listen.

They lie below the range from which Linux takes the near ends of connections (32768 and up, see `ip_local_port_range`):
what is free there is not taken by the next call that anybody makes, not even while a server that was killed is away. A
process goes through them in order from a place of its own, so two that ask at once hardly meet.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
from typing import Final

_FIRST: Final = 10_000
_COUNT: Final = 22_768
_STRIDE: Final = 97
"""Prime to the number of ports: processes that start one after the other begin far apart."""
_START: Final = os.getpid() * _STRIDE % _COUNT
_PORTS: Final = itertools.cycle([_FIRST + (_START + offset) % _COUNT for offset in range(_COUNT)])
_LOCK: Final = threading.Lock()


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on, each once.

    Raises:
        OSError: there are not as many.
    """
    found: list[int] = []
    with _LOCK, contextlib.ExitStack() as held:
        for port in itertools.islice(_PORTS, _COUNT):
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"fewer than {count} ports are free from {_FIRST} to {_FIRST + _COUNT - 1}")
