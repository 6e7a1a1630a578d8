"""Shows each agent in the metrics, while the fleet is small enough for a series an agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_registry import agent_metrics
from tercio_registry.state.machine import RegistryMachine
from tercio_registry.state.rules import Rules
from tercio_registry.state.session import Session
from tercio_registry.state.views import view


def show_agents(rules: Rules, *, most: int) -> Callable[[Host], Awaitable[None]]:
    """Return the effect, which shows nobody once more than `most` agents are known."""

    async def run(host: Host) -> None:
        try:
            while True:
                agent_metrics.clear()
                if len(host.machine.agents) <= most:
                    _show_all(host.machine, host.session, host.moment())
                await host.clock.sleep_ms(rules.interval)
        finally:
            agent_metrics.clear()

    return run


def _show_all(machine: RegistryMachine, session: Session, at: Moment) -> None:
    for row in machine.agents.values():
        if row.active:
            vitals = session.vitals(row.agent_id)
            history = machine.performance.table.get(row.agent_id)
            agent_metrics.show(
                row.agent_id,
                concurrency=row.profile.concurrency,
                active_attempts=session.active_attempts(row.agent_id),
                health=view(row, at, session).status.health,
                queued=vitals.queue_length if vitals is not None else 0,
                types=history.types if history is not None else (),
                performance=machine.performance,
            )
