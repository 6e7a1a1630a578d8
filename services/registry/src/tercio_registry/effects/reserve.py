"""Reserves with the resources service what agents require, and renews it for as long as their incarnations live.

Each registration is an owner there. It is asked for without waiting, and what comes of a call whose answer is lost is
not known: the registration fails then, and its release bars the owner, so that a grant that is still on its way comes
to nothing. A reservation that the service no longer knows is recorded as lost, and asked for again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog

from tercio.api.resources.v1 import allocation_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.requests import new_request_id
from tercio.rpc.errors import CallError
from tercio.rpc.remote import Remote
from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_common.peers import Peers, note_refusal
from tercio_registry.ports import Applicant
from tercio_registry.requirements import in_pools
from tercio_registry.settings import ReservationSettings
from tercio_registry.state.agents import Profile
from tercio_registry.state.commands import JudgeReservations
from tercio_registry.state.reservations import Reservations

if TYPE_CHECKING:
    from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceAsyncStub

    Resources = Remote[ResourceServiceAsyncStub]

RESOURCES: Final = "resources"
_OWNER: Final = "registration/"
_MOST_OWNERS: Final = 10_000
_AT_ONCE: Final = 500
"""Reservations of which one record tells: with long ids a tenth of a commit."""
_RETRY_MS: Final = 5_000
"""When a refused agent may try again: what is short becomes free when a task or an agent ends."""
_GAP: Final = frozenset({"required", "available", "gap", "bound"})
_log = structlog.get_logger(__name__)


class ResourceReservations:
    """The port, and the effect that renews."""

    outside = True

    def __init__(self, peers: Peers, *, settings: ReservationSettings) -> None:
        """Reserve with the resources service of the fleet."""
        self._peers, self._settings = peers, settings
        self._present: tuple[Host, Resources] | None = None
        self._linked = asyncio.Event()

    async def reserve(self, applicant: Applicant) -> str:
        """See `ReservationPort`."""
        spec = self._spec(applicant.profile)
        if not spec.amounts:
            return "it requires nothing, so nothing is reserved"
        request = pb.AllocateRequest(
            request_id=applicant.registration_id, specs=[spec], owners=[_OWNER + applicant.registration_id]
        )
        try:
            async with asyncio.timeout(self._timeout_s), self._link() as remote:
                response = await remote.unary(lambda stub: stub.Allocate, request, timeout_s=self._timeout_s)
        except TimeoutError:
            raise _unreachable(f"nothing was heard for {self._settings.call_timeout_ms} ms") from None
        except CallError as error:
            raise _refusal(error) from error
        reserved = ", ".join(f"{each.amount} of {each.dimension}" for each in spec.amounts)
        return f"reserved {reserved}, as allocation {response.allocation_ids[0]}"

    async def release(self, registration_id: str) -> None:
        """See `ReservationPort`."""
        request = pb.ReleaseRequest(request_id=new_request_id(), owners=[_OWNER + registration_id])
        async with asyncio.timeout(self._timeout_s), self._link() as remote:
            await remote.unary(lambda stub: stub.Release, request, timeout_s=self._timeout_s)

    async def run(self, host: Host) -> None:
        """Renew for as long as the leadership lasts."""
        if not self._peers.has(RESOURCES):
            await asyncio.Event().wait()
        async with self._peers.remote(RESOURCES, ResourceServiceStub, host=host) as remote:
            self._present = host, remote
            self._linked.set()
            try:
                while True:
                    await self._look_after(host, remote)
                    await host.clock.sleep_ms(self._settings.renew_ms)
            finally:
                self._present = None
                self._linked.clear()

    @contextlib.asynccontextmanager
    async def _link(self) -> AsyncIterator[Resources]:
        """Give the way to the service, once this replica leads."""
        while self._present is None:
            await self._linked.wait()
        host, remote = self._present
        try:
            yield remote
        except CallError as error:
            note_refusal(error, host=host)
            raise

    async def _look_after(self, host: Host, remote: Resources) -> None:
        try:
            await self._renew(host, remote)
            await self._reserve_again(host, remote)
        except CallError as error:
            consequence = f"they end {self._settings.ttl_ms} ms after they were renewed last"
            _log.warning("reservations_not_renewed", error=str(error), consequence=consequence)
            note_refusal(error, host=host)
        except Refusal as refusal:
            _log.info("reservations_not_judged", reason=refusal.reason, effect="tries again")

    async def _renew(self, host: Host, remote: Resources) -> None:
        held = host.machine.reservations.held()
        for first in range(0, len(held), _MOST_OWNERS):
            owners = [_OWNER + each for each in held[first : first + _MOST_OWNERS]]
            response = await remote.unary(
                lambda stub: stub.Renew, pb.RenewRequest(owners=owners), timeout_s=self._timeout_s
            )
            unknown = set(response.unknown_owners)
            await _judge(host, lost=_ids(unknown), restored=_ids(set(owners) - unknown))

    async def _reserve_again(self, host: Host, remote: Resources) -> None:
        """Ask for all that is lost: what does not fit keeps nobody from it that comes after."""
        lost = iter(list(self._specs_of(host.machine.reservations)))
        while step := dict(islice(lost, _AT_ONCE)):
            await self._ask_for(step, host, remote)

    async def _ask_for(self, lost: dict[str, allocation_pb2.AllocationSpec], host: Host, remote: Resources) -> None:
        """Ask for these. Owners are known again by the next renewal if the answer to this is lost."""
        request = pb.AllocateRequest(
            request_id=new_request_id(),
            specs=lost.values(),
            owners=[_OWNER + each for each in lost],
            spec_indexes=range(len(lost)) if len(lost) > 1 else (),
        )
        try:
            response = await remote.unary(lambda stub: stub.Allocate, request, timeout_s=self._timeout_s)
        except CallError as error:
            if "seq" not in error.metadata:
                raise
            return  # a single one that is refused, which comes as a status
        granted = [each for each, number in zip(lost, response.allocation_ids, strict=True) if number]
        await _judge(host, restored=granted)

    def _specs_of(self, reservations: Reservations) -> Iterator[tuple[str, allocation_pb2.AllocationSpec]]:
        for agent in reservations.losers():
            with contextlib.suppress(Refusal):  # its units have another meaning since the settings were changed
                yield agent.reserved_under, self._spec(agent.profile)

    def _spec(self, profile: Profile) -> allocation_pb2.AllocationSpec:
        spec = allocation_pb2.AllocationSpec(
            amounts=in_pools(profile.resource_requirements, self._settings.dimensions),
            priority=self._settings.priority,
        )
        spec.ttl.FromMilliseconds(self._settings.ttl_ms)
        return spec

    @property
    def _timeout_s(self) -> float:
        return self._settings.call_timeout_ms / 1000


async def _judge(host: Host, *, lost: Sequence[str] = (), restored: Sequence[str] = ()) -> None:
    """Record what changed, in steps; nothing when nothing did."""
    reservations: Reservations = host.machine.reservations
    known = set(reservations.lost())
    steps = [JudgeReservations(lost=each) for each in _steps(each for each in lost if each not in known)]
    steps += [JudgeReservations(restored=each) for each in _steps(each for each in restored if each in known)]
    for step in steps:
        await host.committed(host.propose(step, call=EFFECT).seq)


def _steps(registration_ids: Iterable[str]) -> Iterator[tuple[str, ...]]:
    left = iter(registration_ids)
    while step := tuple(islice(left, _AT_ONCE)):
        yield step


def _ids(owners: Iterable[str]) -> list[str]:
    return [each.removeprefix(_OWNER) for each in owners]


def _unreachable(why: str) -> Refusal:
    issue = f"the resources service does not answer: {why}"
    message = f"{issue}; what the agent requires cannot be reserved, try again"
    return Refusal("RESOURCE_ALLOCATION_FAILED", message, {"issues": issue}, retry_after_ms=_RETRY_MS)


def _refusal(error: CallError) -> Refusal:
    """Return why nothing was reserved, with the gap of each dimension."""
    gaps = {key: value for key, value in error.metadata.items() if key.rpartition(".")[2] in _GAP}
    if not error.reason:
        return _unreachable(error.message)
    short = sorted(key.removesuffix(".gap") for key in gaps if key.endswith(".gap"))
    issues = [
        f"{each} is short by {gaps[f'{each}.gap']}: {gaps.get(f'{each}.available')} of "
        f"{gaps.get(f'{each}.required')} are free ({gaps.get(f'{each}.bound')})"
        for each in short
    ] or [error.message]
    message = f"what the agent requires is not reserved: {'; '.join(issues)}"
    metadata = {**gaps, "issues": "; ".join(issues), "cause": error.reason}
    return Refusal("RESOURCE_ALLOCATION_FAILED", message, metadata, retry_after_ms=_RETRY_MS)
