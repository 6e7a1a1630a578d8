"""Asks the resources service for what attempts need, many in one call, without ever waiting there.

The attempts are durable before they are asked for. What comes of a call whose answer is lost is not known, so those
attempts are given up: their release is owed, and others are tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sized
from typing import TYPE_CHECKING, Final

import structlog
from google.protobuf.duration_pb2 import Duration

from tercio.api.resources.v1 import allocation_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio.rpc.backoff import Backoff
from tercio.rpc.errors import CallError
from tercio.rpc.remote import Remote
from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_common.peers import Peers, note_refusal
from tercio_scheduler.state.admission import owner_of
from tercio_scheduler.state.commands import Admissions, SettleAdmissions, StartAdmissions
from tercio_scheduler.state.rows import Needs
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.state.shortages import Gap, Shortage

if TYPE_CHECKING:
    from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceAsyncStub

RESOURCES: Final = "resources"
_LOOK_MS: Final = 250
"""While tasks wait for resources: agents that come or get room cause no commit."""
_IDLE_MS: Final = 10_000
_log = structlog.get_logger(__name__)


class Admitter:
    """The effect, and the way to wake it."""

    def __init__(self, peers: Peers, *, owner_ttl_ms: int) -> None:
        """Ask the resources service of the fleet; grants outlive their last renewal by `owner_ttl_ms`."""
        self._peers = peers
        self._ttl = Duration(seconds=owner_ttl_ms // 1000, nanos=owner_ttl_ms % 1000 * 1_000_000)
        self._wanted = asyncio.Event()
        self._waiting: Sized = ()

    def poke(self) -> None:
        """Look for something to ask for in the next turn of the loop."""
        self._wanted.set()

    def committed(self, _seq: int) -> None:
        """A commit has passed: what it made wait may be asked for."""
        if self._waiting:
            self._wanted.set()

    async def run(self, host: Host) -> None:
        """Admit for as long as the leadership lasts."""
        if not self._peers.has(RESOURCES):
            await asyncio.Event().wait()
        backoff, self._waiting = Backoff(), host.machine.tables.index.admitting
        self._wanted.set()
        async with self._peers.remote(RESOURCES, ResourceServiceStub, host=host) as remote:
            while True:
                await self._wait(host)
                try:
                    while await self._admit(remote, host):
                        backoff.reset()
                except CallError as error:
                    _log.info("admission_failed", error=str(error), effect="tries other attempts")
                    note_refusal(error, host=host)
                    await host.clock.sleep_ms(backoff.next_ms(at_least_ms=error.retry_after_ms))
                except Refusal as refusal:
                    _log.warning("admission_refused", reason=refusal.reason, effect="tries again")
                    await host.clock.sleep_ms(backoff.next_ms(at_least_ms=refusal.retry_after_ms))

    async def _wait(self, host: Host) -> None:
        looking = asyncio.ensure_future(host.clock.sleep_ms(_LOOK_MS if self._waiting else _IDLE_MS))
        waking = asyncio.ensure_future(self._wanted.wait())
        try:
            await asyncio.wait((looking, waking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            looking.cancel()
            waking.cancel()
        self._wanted.clear()

    async def _admit(self, remote: Remote[ResourceServiceAsyncStub], host: Host) -> bool:
        """Carry one batch through; return whether there was anything to ask for.

        Raises:
            CallError: nobody knows what became of it; it is given up.
            Refusal: the leadership ended, or the store is full.
        """
        if not host.machine.tables.index.admitting or not host.may_release():
            return False
        proposal = host.propose(StartAdmissions(), call=EFFECT)
        asked: Admissions = proposal.reply
        if not asked.keys:
            return False
        await host.committed(proposal.seq)
        try:
            answer = await self._ask(remote, asked, request_id=f"admit-{host.epoch}-{proposal.seq}")
        except CallError:
            host.propose(SettleAdmissions(unknown=asked.keys), call=EFFECT)
            raise
        _settle(asked, answer, host)
        return True

    async def _ask(
        self, remote: Remote[ResourceServiceAsyncStub], asked: Admissions, *, request_id: str
    ) -> pb.AllocateResponse:
        needs = list(dict.fromkeys(asked.needs))
        places = {each: place for place, each in enumerate(needs)}
        request = pb.AllocateRequest(
            request_id=request_id,
            specs=[self._spec(each) for each in needs],
            owners=map(owner_of, asked.keys),
            spec_indexes=[places[each] for each in asked.needs] if len(needs) > 1 else (),
        )
        try:
            return await remote.unary(lambda stub: stub.Allocate, request)
        except CallError as error:
            if len(asked.keys) == 1 and "seq" in error.metadata:
                return _refused(error, asked.needs[0])
            raise

    def _spec(self, needs: Needs) -> allocation_pb2.AllocationSpec:
        return allocation_pb2.AllocationSpec(
            amounts=[ResourceAmount(dimension=name, amount=amount) for name, amount in needs.resources],
            priority=needs.lane.priority,
            ttl=self._ttl,
        )


def _refused(error: CallError, needs: Needs) -> pb.AllocateResponse:
    """Return the refusal of a single item, which comes as a status, like one of many."""
    gaps = []
    for dimension, required in needs.resources:
        if (available := error.metadata.get(f"{dimension}.available")) is not None:
            bound = error.metadata[f"{dimension}.bound"]
            gaps.append(
                allocation_pb2.Gap(dimension=dimension, required=required, available=int(available), bound=bound)
            )
    refused = pb.AllocateResponse.Refused(index=0, reason=error.reason, gaps=gaps)
    return pb.AllocateResponse(allocation_ids=[0], refused=[refused], seq=int(error.metadata["seq"]))


def _settle(asked: Admissions, answer: pb.AllocateResponse, host: Host) -> None:
    session: SchedulerSession = host.session
    granted = tuple([key for key, number in zip(asked.keys, answer.allocation_ids, strict=True) if number])
    refused = tuple([key for key, number in zip(asked.keys, answer.allocation_ids, strict=True) if not number])
    # What was refused beside a grant was decided as of the record of that grant.
    seq, now = answer.seq + bool(granted), host.moment().now
    for needs, number in zip(asked.needs, answer.allocation_ids, strict=True):
        if number:
            session.shortages.granted(needs)
    for needs, shortage in _shortages(asked, answer, seq=seq, now=now):
        session.shortages.note(needs, shortage)
    host.propose(SettleAdmissions(granted=granted, refused=refused), call=EFFECT)


def _shortages(
    asked: Admissions, answer: pb.AllocateResponse, *, seq: int, now: int
) -> Iterator[tuple[Needs, Shortage]]:
    for each in answer.refused:
        gaps = tuple([Gap(gap.dimension, gap.required, gap.available, gap.bound) for gap in each.gaps])
        yield asked.needs[each.index], Shortage(each.reason, gaps, now, seq)
