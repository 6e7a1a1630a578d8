"""The agent's link to the scheduler: the Work stream, kept open through changes of leader.

It promises: an attempt that is held is listed in every `Hello`; a result is kept and sent again until the scheduler
says that it is committed; a message of an epoch lower than the highest seen is not obeyed. It does not promise that a
handler runs once: after a lost lease the scheduler gives the task to somebody else, and tells the two apart by the
attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import grpc

from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio.api.scheduler.v1 import work_service_pb2_grpc as work_grpc
from tercio.attempts import Attempt, AttemptKey, Epoch, Stage, Stop, columns_of, keys_of, offers_of
from tercio.counts import TaskCounts
from tercio.equipment import Equipment
from tercio.handlers import Handlers
from tercio.identity import AgentIdentity
from tercio.prefetch import MOST_PREFETCH, Credit
from tercio.reports import FrameContent, Reports
from tercio.resource_leases import ResourceLeases
from tercio.rpc.backoff import Backoff
from tercio.rpc.channels import FOLLOW_LEADER, Reconnect
from tercio.rpc.errors import CallError
from tercio.rpc.remote import Remote
from tercio.rpc.status import error_of
from tercio.sessions import FrameSession
from tercio.system_tasks import AgentRunners
from tercio.usage import UsageReports
from tercio.vitals import Queue
from tercio.wakeup import Wakeup

if TYPE_CHECKING:
    from typing import TypeAlias

    WorkCall: TypeAlias = grpc.aio.StreamStreamCall[work_pb2.WorkRequest, work_pb2.WorkResponse]

_log = logging.getLogger(__name__)

_SESSION_LOST: Final = frozenset({"SESSION_EXPIRED", "FRAME_OUT_OF_ORDER"})
_HOPELESS: Final = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})

# After the first refusal the report is sent alone; then it is certain that it is the one.
_MOST_REFUSED: Final = 2
# A defect of the scheduler may be gone with its next leader.
_MOST_FAILED: Final = 5

# How long the scheduler may take to end the stream after the agent's last word.
_GOOD_BYE_S: Final = 1.0

# Assumed until the scheduler has said how long its leases are; the shortest that it gives.
_DEFAULT_LEASE_MS: Final = 15_000
# The rest of the lease is for the report that an attempt was abandoned.
_MOST_GRACE: Final = 0.8


class Drained(NamedTuple):
    """What an agent did since it was asked to drain: attempts that it finished and returned, and how long that took."""

    finished: int
    returned: int
    took_s: float


class WorkLink:
    """Takes attempts, runs them, reports their ends."""

    def __init__(
        self,
        remote: Remote[work_grpc.WorkServiceAsyncStub],
        identity: AgentIdentity,
        handlers: Handlers,
        *,
        connected: asyncio.Event,
        counts: TaskCounts,
        usage: UsageReports,
        equipment: Equipment,
        stop_grace: timedelta | None = None,
    ) -> None:
        """Serve the scheduler at `remote` with these handlers; `connected` is set while it answers.

        An attempt that goes on for `stop_grace` after it was asked to stop is abandoned; see `Agent`.
        """
        self._remote = remote
        self._identity = identity
        self._handlers = handlers
        self._wakeup = Wakeup()
        self._credit = Credit(concurrency=identity.concurrency)
        self._usage = usage
        self._reports = Reports(credit=self._credit, counts=counts, usage=usage, wake=self._wakeup.signal)
        self._stop_grace = stop_grace or timedelta.max
        self._runners = AgentRunners(
            handlers,
            self._reports,
            concurrency=identity.concurrency,
            grace_s=self._grace_s,
            equipment=equipment,
        )
        self._resource_leases = ResourceLeases(self._runners)
        self._session: FrameSession[work_pb2.WorkRequest, FrameContent] = FrameSession()
        self._held: dict[AttemptKey, Attempt] = {}
        self._epoch = Epoch(0, 0)
        self._lease_ms = _DEFAULT_LEASE_MS
        self._draining = False
        self._drain_began_s = 0.0
        self._finished = self._returned = 0
        self._drain_told = False
        self._renewal_due = False
        self._awaits_first = False
        self._is_outage_told = False
        self._renewal: asyncio.TimerHandle | None = None
        self._connected = connected
        self._reconnect = Reconnect(remote.route, Backoff())

    def drain(self) -> None:
        """Take no new attempts, return those that were not started, and let `run` return when the rest is committed."""
        if not self._draining:
            self._draining = True
            self._drain_began_s = time.monotonic()
            self._runners.give_all_back()
            self._wakeup.signal()

    def stop(self) -> None:
        """Drain, and ask what runs to stop as well."""
        self.drain()
        self._runners.stop_all()

    async def run(self) -> None:
        """Serve until drained.

        Raises:
            CallError: the scheduler refuses this agent for good.
        """
        self._renew_later()
        try:
            while not self._is_drained():
                tried = self._remote.route.address
                error = await self._serve_one_stream(tried)
                if not self._is_drained():
                    await self._reconnect.wait(error, tried=tried)
        finally:
            if self._renewal is not None:
                self._renewal.cancel()
            self._resource_leases.close()

    @property
    def drained(self) -> Drained | None:
        """What was done since the drain began; None before it."""
        if not self._draining:
            return None
        return Drained(self._finished, self._returned, time.monotonic() - self._drain_began_s)

    @property
    def active_attempts(self) -> int:
        """How many attempts are running, at most."""
        return min(len(self._held), self._identity.concurrency)

    @property
    def queue(self) -> Queue:
        """Attempts that wait here, and the most of them that it asks for."""
        waiting = sum(attempt.stage is Stage.QUEUED for attempt in self._held.values())
        return Queue(waiting, self._identity.concurrency + MOST_PREFETCH)

    async def close(self) -> None:
        """Stop every attempt; what is not committed by now is left to the attempts' leases."""
        await self._runners.close()
        for frame in self._session:
            frame.content.abandon()
        self._reports.abandon()

    def _is_drained(self) -> bool:
        return self._draining and self._runners.is_quiet and self._reports.is_empty and not len(self._session)

    async def _serve_one_stream(self, tried: str) -> CallError | None:
        """Return how the stream ended: None when either side said good-bye."""
        call = self._remote.stub().Work(metadata=FOLLOW_LEADER)
        reading = asyncio.create_task(self._read(call), name="tercio-read")
        writing = asyncio.create_task(self._write(call), name="tercio-write")
        try:
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                writing.result()
            # The writer ends first when the agent is drained or the call is broken; the reader knows how it went.
            await asyncio.wait({reading}, timeout=_GOOD_BYE_S)
            if reading.done():
                reading.result()
        except grpc.RpcError as failure:
            error = error_of(failure)
            self._note_failure(error, tried=tried)
            return error
        finally:
            self._connected.clear()
            # Nothing of this stream may be read or written once a new one says hello.
            call.cancel()
            reading.cancel()
            writing.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)
        return None

    def _note_failure(self, error: CallError, *, tried: str) -> None:
        is_of_a_frame = self._connected.is_set() and len(self._session) > 0  # else it is of the Hello
        if error.reason in _SESSION_LOST:
            self._session.restart()
        elif error.code in _HOPELESS or (error.code is grpc.StatusCode.INVALID_ARGUMENT and not is_of_a_frame):
            raise error
        elif error.code is grpc.StatusCode.INVALID_ARGUMENT:
            self._strike(error, most=_MOST_REFUSED)
        elif error.reason == "INTERNAL" and is_of_a_frame:
            self._strike(error, most=_MOST_FAILED)
        elif error.reason == "NOT_LEADER":
            _log.debug("%s does not lead; going on to the leader: %s", tried, error)
        else:
            # Told once an outage: agents of a fleet that is down must not fill the disk.
            level = logging.DEBUG if self._is_outage_told else logging.WARNING
            self._is_outage_told = True
            _log.log(level, "no scheduler at %s, so nothing new is run; trying again: %s", tried, error)

    def _strike(self, error: CallError, *, most: int) -> None:
        """Drop the report that the stream ended for so many times: sent again, it would keep back all others."""
        if self._session.strike() < most:
            _log.warning("the scheduler could not take a report; sending it again: %s", error)
            return
        _log.error("the scheduler refused a report %d times, so it is dropped: %s", most, error)
        content = self._session.replace_first()
        self._session.restart()
        for attempt in content.ended:
            self._held.pop(attempt.key, None)
        content.abandon(f"the scheduler refused the checkpoint: {error}")

    def _hello(self) -> work_pb2.WorkRequest:
        offered: list[Attempt] = []
        started: list[Attempt] = []
        for attempt in self._held.values():
            # What has ended runs on in the scheduler's eyes until the frame that says so is committed.
            was_started = attempt.stage is not Stage.QUEUED and attempt.outcome != work_pb2.OUTCOME_RETURNED
            (started if was_started else offered).append(attempt)
        self._drain_told = self._draining
        return work_pb2.WorkRequest(
            hello=work_pb2.Hello(
                agent_id=self._identity.agent_id,
                instance_id=self._identity.instance_id,
                capabilities=self._identity.capabilities,
                concurrency=self._identity.concurrency,
                task_types=self._handlers,
                offered=columns_of(offered),
                started=columns_of(started),
                session_id=self._session.session_id,
                draining=self._draining,
            ),
            credit=self._credit.announce(),
        )

    async def _write(self, call: WorkCall) -> None:
        # A write fails only with its call, and then the reader learns why.
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
            await call.write(self._hello())
            await self._send_again(call)
            while True:
                while (request := self._next_request()) is not None:
                    await call.write(request)
                if self._is_drained():
                    await call.done_writing()
                    return
                await self._wakeup.wait()

    async def _send_again(self, call: WorkCall) -> None:
        """Send every frame that is not known to be committed.

        The second one waits for the first, by which the scheduler tells whether it knows the session.
        """
        for place, frame in enumerate(self._session):
            self._awaits_first = place == 1
            while self._awaits_first and frame is not next(iter(self._session), frame):
                await self._wakeup.wait()
                if self._renewal_due:
                    self._renewal_due = False
                    await call.write(work_pb2.WorkRequest(renew=True))
            await call.write(frame.request)
        self._awaits_first = False

    def _next_request(self) -> work_pb2.WorkRequest | None:
        """Return all that there is to say, as far as it fits into one message; None when there is nothing."""
        request = work_pb2.WorkRequest(credit=self._credit.change(), renew=self._renewal_due)
        if request.renew:
            request.renewal_number = self._resource_leases.sent()
        self._renewal_due = False
        if self._draining and not self._drain_told:
            self._drain_told = request.draining = True
        if (progress := self._reports.take_progress()) is not None:
            request.progress.CopyFrom(progress)
        if (taken := self._reports.take_frame()) is not None:
            frame, content = taken
            request.frame.CopyFrom(frame)
            self._session.add(request, content)
        return request if request.ListFields() else None

    async def _read(self, call: WorkCall) -> None:
        while True:
            response = await call.read()
            if not isinstance(response, work_pb2.WorkResponse):
                return  # the end of the stream
            epoch = Epoch(response.epoch.generation, response.epoch.revision)
            if epoch < self._epoch:
                _log.warning("a scheduler of epoch %s answered after %s was seen; not obeyed", epoch, self._epoch)
                return
            if epoch > self._epoch:
                self._epoch = epoch
            self._reconnect.succeeded()
            self._note_connected()
            self._obey(response)
            if self._is_drained():
                self._wakeup.signal()
            if response.going_away:
                return

    def _note_connected(self) -> None:
        if not self._connected.is_set():
            self._connected.set()
            self._is_outage_told = False
            _log.info("connected to the scheduler at %s", self._remote.route.address)

    def _obey(self, response: work_pb2.WorkResponse) -> None:
        lease_ms = min(response.attempt_lease_ms, response.resource_lease_ms or response.attempt_lease_ms)
        if lease_ms and lease_ms != self._lease_ms:
            self._lease_ms = lease_ms
            self._renew_later()
        self._resource_leases.obey(response)
        if response.committed_frame_number:
            self._release(self._session.acknowledge(response.committed_frame_number))
            if self._awaits_first:
                self._wakeup.signal()
        if response.HasField("recalled"):
            for key in keys_of(response.recalled):
                if (attempt := self._held.get(key)) is not None:
                    self._runners.give_back(attempt)
        if response.HasField("cancelled"):
            for key in keys_of(response.cancelled):
                if (attempt := self._held.get(key)) is not None:
                    self._runners.stop(attempt, Stop.CANCELLED)
        if response.HasField("assignments"):
            self._accept(response.assignments)

    def _accept(self, assignments: work_pb2.Assignments) -> None:
        fresh = []
        for attempt in offers_of(assignments, self._epoch):
            key = attempt.key
            if key not in self._held:
                self._held[key] = attempt
                fresh.append(attempt)
        if self._resource_leases.hold(fresh):
            self._usage.hold(fresh)
            self._renewal_due = True
            self._wakeup.signal()
        self._runners.offer(fresh)
        if self._draining:
            self._runners.give_all_back()

    def _release(self, contents: list[FrameContent]) -> None:
        for content in contents:
            for attempt in content.ended:
                self._held.pop(attempt.key, None)
                if self._draining:
                    was_returned = attempt.outcome == work_pb2.OUTCOME_RETURNED
                    self._returned += was_returned
                    self._finished += not was_returned
            content.settle()

    def _grace_s(self) -> float:
        """Return how long an attempt may go on after it was asked to stop."""
        return min(self._stop_grace.total_seconds(), self._lease_ms / 1000 * _MOST_GRACE)

    def _renew_later(self) -> None:
        """Renew three times a lease, if there is anything to renew; begins anew when the lease changes."""
        if self._renewal is not None:
            self._renewal.cancel()
        self._renewal = asyncio.get_running_loop().call_later(self._lease_ms / 3000, self._renew)

    def _renew(self) -> None:
        if self._held:
            self._renewal_due = True
            self._wakeup.signal()
        self._renew_later()
