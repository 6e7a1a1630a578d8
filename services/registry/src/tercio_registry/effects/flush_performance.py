"""Records what agents have counted, many agents a record, so that heartbeats themselves are never journaled.

What a record says of an agent's pace is an observation of its health.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_registry.api.link import Link
from tercio_registry.state.commands import RecordPerformance
from tercio_registry.state.machine import RegistryMachine
from tercio_registry.state.pace import pace_sign
from tercio_registry.state.performance import PerformanceRow
from tercio_registry.state.session import Session

MOST_BYTES = 64 * 1024
"""What some 500 agents of two types count, recorded in about 10 ms: nobody else waits for longer."""


def flush_performance(interval_ms: int, link: Link) -> Callable[[Host], Awaitable[None]]:
    """Return the effect, which records every `interval_ms`, and lets the link know when a verdict is due to change."""

    async def run(host: Host) -> None:
        machine: RegistryMachine = host.machine
        while True:
            await host.clock.sleep_ms(interval_ms)
            while counted := host.session.counting.take(MOST_BYTES):
                former = {each.agent_id: machine.performance.table.get(each.agent_id) for each in counted}
                try:
                    proposal = host.propose(RecordPerformance(counted), call=EFFECT)
                except Refusal:
                    break  # totals only rise: the agent's next ones make up for these
                judge_pace(machine, host.session, former)
                if host.session.has_pending:
                    link.news.set()
                await host.committed(proposal.seq)

    return run


def judge_pace(machine: RegistryMachine, session: Session, former: dict[str, PerformanceRow | None]) -> None:
    """Take note of the pace of agents of which something was just recorded; `former` has their rows before."""
    for agent_id, before in former.items():
        agent, row = machine.agents.get(agent_id), machine.performance.table.get(agent_id)
        if agent is not None and agent.active and row is not None and row.instance_id == agent.instance_id:
            session.judge(agent, pace_sign(machine.performance, before, row, machine.rules))
