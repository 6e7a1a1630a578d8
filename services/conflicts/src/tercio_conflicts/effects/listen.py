"""Notes that the leader is listening, serves who waits as time passes, and shows what the leader knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tercio_common.machine.host import Host
from tercio_conflicts import metrics
from tercio_conflicts.api.acquiring import Acquiring
from tercio_conflicts.state.machine import ConflictsMachine
from tercio_conflicts.state.session import Session

_PULSE_MS = 1_000
"""Well under the silence after which a leader begins to listen anew."""


def listen(acquiring: Acquiring) -> Callable[[Host], Awaitable[None]]:
    """Return the effect; when it ends, so do the calls that wait."""

    async def run(host: Host) -> None:
        try:
            while True:
                machine, session = host.machine, host.session
                session.pulse(host.moment().now)
                session.forget_others(machine.tables.holdings.owners())
                acquiring.serve_waiting(anyway=True)
                _show(machine, session)
                await host.clock.sleep_ms(_PULSE_MS)
        finally:
            acquiring.end()
            metrics.show(held={}, waiting=0, live_bytes=0)

    return run


def _show(machine: ConflictsMachine, session: Session) -> None:
    held = machine.tables.holdings.by_mode
    metrics.show(held=held, waiting=len(session.waiting), live_bytes=machine.live_bytes)
