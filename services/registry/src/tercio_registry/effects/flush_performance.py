"""Records what agents have counted, many agents a record, so that heartbeats themselves are never journaled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_registry.state.commands import RecordPerformance

MOST_BYTES = 64 * 1024
"""What some 500 agents of two types count, recorded in about 10 ms: nobody else waits for longer."""


def flush_performance(interval_ms: int) -> Callable[[Host], Awaitable[None]]:
    """Return the effect, which records every `interval_ms`."""

    async def run(host: Host) -> None:
        while True:
            await host.clock.sleep_ms(interval_ms)
            while counted := host.session.counting.take(MOST_BYTES):
                try:
                    proposal = host.propose(RecordPerformance(counted), call=EFFECT)
                except Refusal:
                    break  # totals only rise: the agent's next ones make up for these
                await host.committed(proposal.seq)

    return run
