"""Tells the conflicts service who works on what, and what waits for what: from that it finds conflicts.

It is not recorded anywhere: each report replaces the one before, and a lost one is made good by the next.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Final

import structlog

from tercio.api.conflicts.v1 import conflict_pb2
from tercio.api.conflicts.v1 import conflict_service_pb2 as pb
from tercio.api.conflicts.v1.conflict_service_pb2_grpc import ConflictServiceStub
from tercio.rpc.errors import CallError
from tercio_common.machine.host import Host
from tercio_common.peers import Peers, note_refusal
from tercio_scheduler.frames import timestamp
from tercio_scheduler.state.contention import Contender, contenders
from tercio_scheduler.state.participants import CONFLICTS

REPORTER: Final = "scheduler"
ROLE: Final = "role"
UNIQUE_ROLE: Final = "unique-role"
BUSINESS_VALUE: Final = "business-value"
"""Labels of tasks that say more of their work than the scheduler knows."""
_MOST: Final = 5_000
_MOST_WAITED_FOR: Final = 100
_MOST_VALUE: Final = 10**9
_log = structlog.get_logger(__name__)


class WorkReporter:
    """The effect."""

    def __init__(self, peers: Peers, *, interval_ms: int) -> None:
        """Tell the conflicts service of the fleet, if there is one."""
        self._peers, self._interval_ms = peers, interval_ms

    async def run(self, host: Host) -> None:
        """Tell it now and then; nothing at all while there is nothing to tell."""
        if not self._peers.has(CONFLICTS):
            await asyncio.Event().wait()
        told = False
        async with self._peers.remote(CONFLICTS, ConflictServiceStub, host=host) as remote:
            while True:
                await host.clock.sleep_ms(self._interval_ms)
                tables, session = host.machine.tables, host.session
                work = [work_message(each) for each in islice(contenders(tables, session), _MOST)]
                await host.committed(host.tip_seq)
                if not work and not told:
                    continue
                request = pb.ReportWorkRequest(reporter=REPORTER, work=work)
                try:
                    await remote.unary(lambda stub: stub.ReportWork, request)
                    told = bool(work)
                except CallError as error:
                    _log.info("work_not_reported", error=str(error), effect="is reported next time")
                    note_refusal(error, host=host)


def work_message(contender: Contender) -> conflict_pb2.Work:
    """Return what a task does, or waits for, as a message."""
    row = contender.row
    template, labels = row.spec.template, dict(row.spec.template.labels)
    value = labels.get(BUSINESS_VALUE, "")
    message = conflict_pb2.Work(
        task_id=row.task_id,
        agent_id=row.offer.agent_id if contender.owner and row.offer is not None else "",
        owner=contender.owner,
        role=labels.get(ROLE, ""),
        unique_role=labels.get(UNIQUE_ROLE, "") == "true",
        waiting=not contender.owner,
        priority=template.priority,
        business_value=min(int(value), _MOST_VALUE) if value.isdecimal() else 0,
        waits_for=contender.waits_for[:_MOST_WAITED_FOR],
        amounts=dict(template.resources),
    )
    if row.spec.deadline:
        message.deadline.CopyFrom(timestamp(row.spec.deadline))
    return message
