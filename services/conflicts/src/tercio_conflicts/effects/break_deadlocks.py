"""Ends calls that wait for each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tercio_common.machine.host import Host
from tercio_conflicts.api.acquiring import Acquiring
from tercio_conflicts.state.deadlock import victims


def break_deadlocks(acquiring: Acquiring, *, every_ms: int) -> Callable[[Host], Awaitable[None]]:
    """Return the effect."""

    async def run(host: Host) -> None:
        while True:
            await host.clock.sleep_ms(every_ms)
            for victim in victims(host.machine.tables, host.session, host.moment().now):
                acquiring.refuse(victim)

    return run
