"""Notes that the leader is listening, serves who waits as time passes, and shows what the leader knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from tercio_common.machine.host import Host
from tercio_resources import metrics
from tercio_resources.api.allocating import Allocating
from tercio_resources.state import costs
from tercio_resources.state.cost_rows import Payer
from tercio_resources.state.forecast import forecasts
from tercio_resources.state.machine import ResourcesMachine
from tercio_resources.state.session import Session

_PULSE_MS = 1_000
"""Well under the silence after which a leader begins to listen anew."""


def listen(allocating: Allocating) -> Callable[[Host], Awaitable[None]]:
    """Return the effect; when it ends, so do the calls that wait."""

    async def run(host: Host) -> None:
        try:
            while True:
                machine, session = host.machine, host.session
                session.pulse(host.moment().now)
                session.demands.prune(host.moment().now)
                session.forget_others(machine.tables.holdings.owners())
                allocating.serve_waiting(anyway=True)
                _show(machine, session, host.moment().now)
                await host.clock.sleep_ms(_PULSE_MS)
        finally:
            allocating.end()
            metrics.show_pools(())
            metrics.show_waiting(0, ())
            metrics.show_usage((), target=0)
            metrics.show_predictions(())
            metrics.show_costs(())
            metrics.show_forecasts(())

    return run


def _show(machine: ResourcesMachine, session: Session, now: int) -> None:
    tables = machine.tables
    metrics.show_pools([machine.pool_view(row) for row in tables.pools.values()])
    metrics.HELD.set(len(tables.allocations))
    metrics.LIVE_BYTES.set(machine.live_bytes)
    metrics.show_usage(tables.used.efficiencies(), target=machine.rules.efficiency_target)
    metrics.show_predictions(tables.histories.values())
    metrics.show_costs((each.name, each.micros) for each in costs.views(Payer.TENANT, now, tables))
    metrics.show_forecasts(forecasts(tables.pools.values(), tables.holdings.granted, tables.samples, now))
    needs = Counter[str]()
    for ticket in session.waiting:
        for item in range(len(ticket.command.owners)):
            spec = ticket.command.specs[ticket.command.indexes[item] if ticket.command.indexes else 0]
            needs.update({amount.dimension: amount.amount for amount in spec.amounts})
    metrics.show_waiting(len(session.waiting), needs.items())
