"""Notes that the leader is listening, and shows what it knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tercio_common.machine.host import Host
from tercio_registry import metrics
from tercio_registry.state.rules import Rules

_PULSES = 4
"""An interval: a leader that hears nothing for a whole one was stopped, and charges nobody for it."""
_SLACK = 1_024


def listen(rules: Rules) -> Callable[[Host], Awaitable[None]]:
    """Return the effect."""

    async def run(host: Host) -> None:
        try:
            while True:
                machine, session, moment = host.machine, host.session, host.moment()
                session.pulse(moment.now)
                if len(session) > 2 * len(machine.agents) + _SLACK:
                    session.forget_others(row.agent_id for row in machine.agents.values())
                metrics.show_agents(machine.census.by_state(moment.epoch), live_bytes=machine.live_bytes)
                metrics.show_ailing(machine.census.ailing)
                configuring = machine.configuring
                metrics.show_configurations(
                    configuring.revisions.by_state,
                    configuring.rollouts.count_by_state(),
                    size_bytes=configuring.size_bytes,
                )
                await host.clock.sleep_ms(max(1, rules.interval // _PULSES))
        finally:
            metrics.show_agents({}, live_bytes=0)
            metrics.show_ailing({})
            metrics.show_configurations({}, {}, size_bytes=0)

    return run
