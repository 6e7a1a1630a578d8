"""Notes from time to time how much is granted of each pool, from which forecasts are drawn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_resources.state.commands import SampleUse


def sample_use(*, every_ms: int) -> Callable[[Host], Awaitable[None]]:
    """Return the effect."""

    async def run(host: Host) -> None:
        while True:
            await host.clock.sleep_ms(every_ms)
            try:
                proposal = host.propose(SampleUse(), call=EFFECT)
            except Refusal:
                continue  # the replica is stopping, or the store is nearly full: one sample less does no harm
            await host.committed(proposal.seq)

    return run
