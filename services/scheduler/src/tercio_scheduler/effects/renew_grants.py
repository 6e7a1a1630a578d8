"""Renews what all attempts hold, in bulk, and takes away those that hold nothing any more; gives back what is over.

Agents renew with the scheduler, and the scheduler renews with those who granted. While it cannot, agents are not
renewed either, so that an attempt ends before what it holds is given to somebody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog

from tercio.rpc.errors import CallError
from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.delivery import Delivery, Send
from tercio_common.machine.host import Host
from tercio_common.machine.outbox import OutboxRow
from tercio_common.peers import note_refusal
from tercio_scheduler.effects.participants.port import Link, Participant
from tercio_scheduler.state.admission import key_of, owner_of, unoffered
from tercio_scheduler.state.commands import AttemptKey, RevokeUngranted
from tercio_scheduler.state.participants import release_kind, released_owner
from tercio_scheduler.state.session import NEVER, SchedulerSession
from tercio_scheduler.state.tables import SchedulerTables

_MOST_OWNERS: Final = 10_000
_MOST_IDLE_MS: Final = 10_000
"""What was granted and is offered to nobody for so long, because its agents left, is given back."""
_log = structlog.get_logger(__name__)


class GrantRenewal:
    """The effect, which renews with every participant at once: one that is away holds up no other."""

    def __init__(self, participants: Sequence[Participant], *, interval_ms: int) -> None:
        """Renew with these."""
        self._participants = participants
        self._interval_ms = interval_ms

    async def run(self, host: Host) -> None:
        """Renew for as long as the leadership lasts."""
        session: SchedulerSession = host.session
        session.renewals = {each.name: NEVER for each in self._participants}
        async with asyncio.TaskGroup() as group:
            group.create_task(self._give_back_idle(host))
            for participant in self._participants:
                group.create_task(self._renew_with(participant, host))

    async def _give_back_idle(self, host: Host) -> None:
        while True:
            idle = tuple(unoffered(host.machine.tables, granted_before=host.moment().now - _MOST_IDLE_MS))
            if idle:
                _revoke(idle, host)
            await host.clock.sleep_ms(self._interval_ms)

    async def _renew_with(self, participant: Participant, host: Host) -> None:
        session: SchedulerSession = host.session
        async with participant.connect(host) as link:
            while True:
                sent = host.moment().now
                try:
                    await self._renew(participant.name, link, host)
                except CallError as error:
                    _log.warning(
                        "grants_not_renewed",
                        participant=participant.name,
                        error=str(error),
                        consequence="attempts that hold any will end",
                    )
                    note_refusal(error, host=host)
                else:
                    session.renewals[participant.name] = sent
                await host.clock.sleep_ms(self._interval_ms)

    async def _renew(self, name: str, link: Link, host: Host) -> None:
        tables: SchedulerTables = host.machine.tables
        granted = [row for row in tables.admissions.values() if row.granted and name in row.participants]
        for first in range(0, len(granted), _MOST_OWNERS):
            rows = granted[first : first + _MOST_OWNERS]
            held = {owner_of(row): task.spec.template.needs for row in rows if (task := tables.tasks.get(row.task_id))}
            if unknown := await link.renew(held, timeout_s=self._interval_ms / 1000):
                _revoke(tuple([key_of(owner) for owner in unknown]), host)


def _revoke(keys: tuple[AttemptKey, ...], host: Host) -> None:
    try:
        host.propose(RevokeUngranted(keys), call=EFFECT)
    except Refusal as refusal:
        _log.warning("grants_not_revoked", reason=refusal.reason, effect="tries again")


def releases_at(participant: Participant) -> Delivery:
    """Return the delivery of what is owed to a participant: the release of owners that are over."""

    @asynccontextmanager
    async def connect(host: Host) -> AsyncIterator[Send]:
        async with participant.connect(host) as link:

            async def send(rows: Sequence[OutboxRow]) -> Collection[str]:
                await link.release({released_owner(row.entry_id): row.payload.decode() for row in rows})
                return [row.entry_id for row in rows]

            yield send

    return Delivery(release_kind(participant.name), connect)
