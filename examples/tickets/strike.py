"""Kills a busy agent in the middle of the run, and makes sure that its ticket is solved all the same.

Its pool starts another process at once, which may well be the one that is given the ticket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from examples.tickets.crew import ARCHITECT
from examples.tickets.fleet import Command, Fleet, Worker, now_ms
from examples.tickets.ledger import Ledger, ended

_AFTER = 4
"""Tickets solved before the strike: the fleet is in full swing."""
_YOUNG_MS = (100, 3_000)
"""How long the ticket has run: it has begun for certain, and is far from done."""
_LONG = "types-"
"""Tickets that run for many seconds, and that go first again because many others wait for them."""
_TRIES = 3
"""A ticket may end just before the agent does; then another agent is struck."""
_POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What became of the killed agent's ticket.

    Attributes:
        agent: who was killed.
        ticket: what it worked on.
        elsewhere: who began it anew: another agent, or the one that was started in its place.
        ready_after_ms: from the kill until the ticket was ready for another agent: the attempt's lease had to end.
        started_after_ms: from the kill until it ran again; the difference is waiting for a capable agent.
    """

    agent: str
    ticket: str
    elsewhere: str
    ready_after_ms: int
    started_after_ms: int


async def strike(fleet: Fleet, ledger: Ledger, *, say: Callable[[str], None]) -> Recovery | None:
    """Kill a busy agent and return who solved its ticket; None when every ticket was faster than the strike."""
    for _ in range(_TRIES):
        worker, command = await _victim(fleet, ledger)
        worker.kill()
        killed = now_ms()
        say(f"*** kill -9 {worker.pid}: {worker.member.name} dies while it works on {command.ticket}")
        successor = await _successor(fleet, ledger, command)
        if successor is not None:
            name, again = successor
            ready, _ = ledger.attempts[again.ticket, again.attempt]
            return Recovery(
                agent=worker.member.name,
                ticket=command.ticket,
                elsewhere=name,
                ready_after_ms=ready - killed,
                started_after_ms=again.started - killed,
            )
    return None


async def _victim(fleet: Fleet, ledger: Ledger) -> tuple[Worker, Command]:
    while True:
        now = now_ms()
        if len(ledger.succeeded) >= _AFTER:
            for worker in fleet.present.values():
                for command in worker.running:
                    if worker.member.name == ARCHITECT:
                        continue
                    if command.ticket.startswith(_LONG) and _YOUNG_MS[0] <= now - command.started <= _YOUNG_MS[1]:
                        return worker, command
        await asyncio.sleep(_POLL_S)


async def _successor(fleet: Fleet, ledger: Ledger, lost: Command) -> tuple[str, Command] | None:
    """Return who started the ticket next, once the scheduler's record says so, too; None if it had ended before."""
    while True:
        for worker in fleet.workers:
            for command in worker.commands:
                again = command.ticket == lost.ticket and command.attempt > lost.attempt
                if again and (command.ticket, command.attempt) in ledger.attempts:
                    return worker.member.name, command
        record = ledger.records.get(lost.ticket)
        if record is not None and ended(record) and record.attempt.number == lost.attempt:
            return None
        await asyncio.sleep(_POLL_S)
