"""Tells agents over their heartbeat streams what has changed for them, as soon as it is durable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tercio_common.errors import Refusal
from tercio_common.machine.host import Host
from tercio_registry.api.link import Link
from tercio_registry.state.machine import AGENTS


def push(link: Link) -> Callable[[Host], Awaitable[None]]:
    """Return the effect; when it ends, so do the streams."""

    async def run(host: Host) -> None:
        try:
            while True:
                try:
                    await _tell_all(host, link)
                except Refusal as refusal:
                    if refusal.reason != "READER_TOO_SLOW":
                        raise
                    # What was passed over is in the answer to each agent's next heartbeat.
        finally:
            link.end(Refusal("NO_LEADER", "the leadership of this replica ended; reconnect", retry_after_ms=200))

    return run


async def _tell_all(host: Host, link: Link) -> None:
    async for entries in host.feed.subscribe(None):
        for entry in entries:
            for change in entry.changes:
                if change.table == AGENTS:
                    link.tell(change.key, change.row)
