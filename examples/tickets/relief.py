"""Follows how the deaf agent is found, and who is given the ticket that it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from examples.tickets.fleet import Fleet, now_ms
from examples.tickets.ledger import Ledger
from tercio import Client
from tercio.api.registry.v1 import health_pb2
from tercio.api.scheduler.v1 import task_pb2

_AFTER = 4
"""Tickets solved before it comes: those for which everything else waits."""
_POLL_S = 0.1
_BEGUN = frozenset({task_pb2.Task.STATE_RUNNING, task_pb2.Task.STATE_SUCCEEDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief:
    """What became of the deaf agent's ticket.

    Attributes:
        agent: who is deaf.
        ticket: what it held.
        elsewhere: who took it over.
        found_after_ms: from its hanging until the registry found it.
        relieved_after_ms: from its hanging until another began the ticket: the attempt's lease had to end.
    """

    agent: str
    ticket: str
    elsewhere: str
    found_after_ms: int
    relieved_after_ms: int

    def __str__(self) -> str:
        """Tell it in one line."""
        found_s, relieved_s = self.found_after_ms / 1000, self.relieved_after_ms / 1000
        return (
            f"{self.agent} hung on {self.ticket} and was found after {found_s:.1f} s; "
            f"{self.elsewhere} began it anew after {relieved_s:.1f} s"
        )


async def relieve(fleet: Fleet, ledger: Ledger, *, say: Callable[[str], None]) -> Relief:
    """Bring the deaf agent, and wait until it is found and its ticket is in other hands."""
    name = fleet.deaf.member.name
    await _solved(_AFTER, ledger)
    await fleet.bring_deaf()
    ticket = await _held_by(name, ledger)
    hung = now_ms()
    async with Client(address=fleet.address) as client:
        while True:
            agent = await client.get_agent(name)
            if health_pb2.HEALTH_REASON_DEAF in agent.health_reasons:
                break
            await asyncio.sleep(_POLL_S)
    found = fleet.deaf.left_ms = now_ms()
    say(f"*** {name} beats, but does not answer: it is deaf, and gets no more tickets")
    elsewhere = await _successor(ticket, name, ledger)
    relief = Relief(
        agent=name,
        ticket=ticket,
        elsewhere=elsewhere,
        found_after_ms=found - hung,
        relieved_after_ms=now_ms() - hung,
    )
    say(f"*** deaf agent relieved: {relief}")
    return relief


async def _solved(tickets: int, ledger: Ledger) -> None:
    while True:
        if len(ledger.succeeded) >= tickets:
            return
        await asyncio.sleep(_POLL_S)


async def _held_by(name: str, ledger: Ledger) -> str:
    while True:
        for task in ledger.records.values():
            if task.attempt.agent_id == name:
                return task.task_id
        await asyncio.sleep(_POLL_S)


async def _successor(ticket: str, name: str, ledger: Ledger) -> str:
    while True:
        task = ledger.records[ticket]
        if task.state in _BEGUN and task.attempt.agent_id != name:
            return task.attempt.agent_id
        await asyncio.sleep(_POLL_S)
