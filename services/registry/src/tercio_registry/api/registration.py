"""RegisterAgent: eight phases, each measured and reported, and the undoing of those that a later failure makes void.

The state changes by one record, in PERSIST; LIFECYCLE and MONITORING are decided with it, so that when one of the three
fails, the record does not come to be. What CLEARANCE and RESOURCES did outside is undone by the registration's id. Only
when ANNOUNCE fails is there a record already: the agent is then deregistered by another one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import grpc
import structlog

from tercio.api.registry.v1 import registration_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio_common.errors import Refusal
from tercio_common.ids import IdSource
from tercio_common.machine.calls import Call
from tercio_common.machine.host import Host
from tercio_common.rpc.calls import call_of
from tercio_common.rpc.shortages import quota_failures
from tercio_registry import metrics, translate
from tercio_registry.effects.undo import Undoing
from tercio_registry.ports import Applicant, Credential, Outside
from tercio_registry.state.agents import Profile
from tercio_registry.state.commands import BeginRegistration, DeregisterAgent, RegisterAgent
from tercio_registry.state.reservations import keepable
from tercio_registry.state.rules import Rules
from tercio_registry.state.views import AgentView

Context = grpc.aio.ServicerContext[Any, Any]
Report = registration_pb2.RegistrationReport
_MOST_DETAIL = 256
_KEEPS = "it keeps what the agent had reserved before, because it requires the same"
_log = structlog.get_logger(__name__)


class Phases:
    """The report of one registration, as it grows."""

    def __init__(self, registration_id: str, timer: Callable[[], int]) -> None:
        """Begin; `timer` gives nanoseconds."""
        self._timer = timer
        self._began = timer()
        self.report = Report(registration_id=registration_id)

    @contextmanager
    def phase(self, phase: Report.Phase.ValueType) -> Iterator[Report.PhaseReport]:
        """Measure one phase; what it did goes into the report's `detail`.

        Raises:
            Refusal: the phase's own, or REGISTRATION_EXCEPTION for whatever else it raises.
        """
        step = self.report.phases.add(phase=phase)
        name, began = _name(phase), self._timer()
        try:
            yield step
            step.outcome = Report.OUTCOME_COMPLETED
        except Refusal as refusal:
            if refusal.reason != "INTERNAL":
                self._fail(step, refusal)
                raise
            unexpected = _unexpected(name)
            self._fail(step, unexpected)
            raise unexpected from refusal
        except Exception as error:
            unexpected = _unexpected(name)
            self._fail(step, unexpected)
            _log.exception("registration_failed", phase=name, consequence="answered REGISTRATION_EXCEPTION")
            raise unexpected from error
        finally:
            step.detail = _cut(step.detail)
            elapsed = self._timer() - began
            step.duration.FromNanoseconds(elapsed)
            metrics.PHASE_SECONDS.labels(name).observe(elapsed / 1e9)

    def finished(self) -> Report:
        """Return the report, with the time that all of it took."""
        self.report.duration.FromNanoseconds(self._timer() - self._began)
        return self.report

    def undone(self, phase: Report.Phase.ValueType, *, entirely: bool) -> None:
        """Note that a completed phase was undone, or is still to be."""
        for step in self.report.phases:
            if step.phase == phase and step.outcome == Report.OUTCOME_COMPLETED:
                step.outcome = Report.OUTCOME_UNDONE if entirely else Report.OUTCOME_UNDOING

    def _fail(self, step: Report.PhaseReport, refusal: Refusal) -> None:
        inner = any(each.outcome == Report.OUTCOME_FAILED for each in self.report.phases)
        # A phase fails alone; the one around it is undone with it, and only the first counts.
        step.outcome = Report.OUTCOME_UNDONE if inner else Report.OUTCOME_FAILED
        step.detail = step.detail or str(refusal)
        if not inner:
            metrics.PHASE_FAILURES.labels(_name(step.phase), refusal.reason).inc()


class Registering:
    """Serves RegisterAgent."""

    def __init__(
        self,
        host: Host,
        *,
        rules: Rules,
        ids: IdSource,
        outside: Outside,
        undoing: Undoing,
        timer: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        """Prepare; `timer` gives nanoseconds, for the report."""
        self._host, self._rules, self._ids = host, rules, ids
        self._outside, self._undoing, self._timer = outside, undoing, timer

    async def serve(self, request: pb.RegisterAgentRequest, context: Context) -> bytes:
        """Register the agent, and return the reply.

        Raises:
            Refusal: see the contract; with the report among its details.
        """
        registration = _Registration(self, request)
        with ExitStack() as stack:
            try:
                profile, call = registration.validate(), call_of(request, context)
                known = self._host.term.requests.find(call, now=self._host.moment().now)
                if known is not None:  # nothing is to be asked for again
                    await self._host.committed(self._host.tip_seq)
                    return known.reply
                reply = await registration.run(profile, call, stack)
                if not registration.is_recorded:  # the same request was, in another call; its answer has what is good
                    await registration.undo()
                    return reply
            except Refusal as refusal:
                await registration.undo()
                details = (registration.phases.finished(), *quota_failures(refusal.metadata))
                raise replace(refusal, details=details) from refusal
        report = registration.phases.finished()
        with suppress(Refusal):  # the leadership may have ended, but the registration is durable
            self._host.session.keep_report(registration.agent_id, report.SerializeToString())
        # Protobuf merges what is put together; the kept reply, which answers retries, has no report and no secret.
        told = pb.RegisterAgentResponse(
            report=report, credentials=map(translate.credential_message, registration.issued)
        )
        return reply + told.SerializeToString()


class _Registration:
    """One registration on its way through the phases."""

    def __init__(self, serving: Registering, request: pb.RegisterAgentRequest) -> None:
        self._host, self._rules, self._ids = serving._host, serving._rules, serving._ids
        self._outside, self._undoing = serving._outside, serving._undoing
        self._request = request
        self._plain_call = Call("", "")
        self._id = self._ids.new()
        self._begun = False
        self._incarnation = 0
        self.agent_id = request.agent_id
        self.issued: tuple[Credential, ...] = ()
        self.phases = Phases(self._id, serving._timer)

    @property
    def is_recorded(self) -> bool:
        """True once the agent's record is this registration's."""
        return bool(self._incarnation)

    def validate(self) -> Profile:
        """Go through the first phase."""
        with self.phases.phase(Report.PHASE_VALIDATE) as step:
            profile = translate.profile_of(self._request)
            step.detail = f"{len(profile.capabilities)} capabilities, {len(profile.resource_requirements)} requirements"
        return profile

    async def run(self, profile: Profile, call: Call, stack: ExitStack) -> bytes:
        """Go through the others; return the reply that answers retries as well."""
        phase = self.phases.phase
        # Only the agent's own record answers retries.
        self._plain_call = call._replace(request_id="", digest=b"")
        if self._outside.leaves_anything(profile):
            stack.enter_context(self._undoing.held(self._id))
            await self._execute(BeginRegistration(self._id))
            self._begun = True
        applicant = Applicant(
            registration_id=self._id, agent_id=self.agent_id, principal=call.principal, profile=profile
        )
        with phase(Report.PHASE_CLEARANCE) as step:
            step.detail, self.issued = await self._outside.clearance.clear(applicant)
        with phase(Report.PHASE_RESOURCES) as step:
            keeps = self._reserved_before(profile)
            step.detail = _KEEPS if keeps else await self._outside.reservations.reserve(applicant)
        with phase(Report.PHASE_IDENTITY) as step:
            self.agent_id = self.agent_id or self._ids.new()
            fingerprint = translate.fingerprint_of(self._request)
            step.detail = f"agent {self.agent_id}, fingerprint {fingerprint[:16]}…"
        command = RegisterAgent(
            agent_id=self.agent_id,
            profile=profile,
            fingerprint=fingerprint,
            instance_id=self._request.instance_id,
            registration_id=self._id if self._begun else "",
            reservation_id=keeps,
        )
        with phase(Report.PHASE_PERSIST) as step:
            reply = await self._host.execute(command, call=call, render=self._render)
            step.detail = f"incarnation {self._incarnation} is durable"
        with phase(Report.PHASE_ANNOUNCE) as step:
            step.detail = f"watchers have record {self._announced()}"
        return reply

    def _reserved_before(self, profile: Profile) -> str:
        """Return the registration whose reservation is kept; whether it is still there is decided with the record."""
        row = self._host.machine.agents.get(self.agent_id)
        if row is None or not self._outside.reserves(profile):
            return ""
        return keepable(row, translate.fingerprint_of(self._request), profile)

    async def undo(self) -> None:
        """Undo what completed phases did, the last first; what cannot be undone now is undone later."""
        if self._incarnation and self._was_persisted():
            self.phases.undone(Report.PHASE_PERSIST, entirely=await self._deregister())
        if self._begun:
            undone = await self._undoing.settle(self._host, self._id)
            self.phases.undone(Report.PHASE_RESOURCES, entirely=undone.reservation)
            self.phases.undone(Report.PHASE_CLEARANCE, entirely=undone.clearance)

    def _render(self, shown: AgentView) -> bytes:
        phase = self.phases.phase
        self._incarnation = shown.row.incarnation
        with phase(Report.PHASE_LIFECYCLE) as step:
            reserves = self._outside.reserves(shown.row.profile)
            reply = translate.registered_message(shown, rules=self._rules, reserves=reserves)
            step.detail = f"it begins {shown.state.name}"
        with phase(Report.PHASE_MONITORING) as step:
            reply.monitoring.CopyFrom(translate.monitoring_message(shown.row.agent_id, self._rules))
            step.detail = f"gone after {self._rules.ttl} ms without a heartbeat"
        return reply.SerializeToString()

    def _announced(self) -> int:
        return self._host.feed.committed

    def _was_persisted(self) -> bool:
        return any(
            step.phase == Report.PHASE_PERSIST and step.outcome == Report.OUTCOME_COMPLETED
            for step in self.phases.report.phases
        )

    async def _deregister(self) -> bool:
        command = DeregisterAgent(
            agent_id=self.agent_id, incarnation=self._incarnation, reason="its registration could not be announced"
        )
        try:
            await self._execute(command)
        except Refusal as refusal:
            _log.warning("not_deregistered", agent=self.agent_id, error=str(refusal), effect="its lease ends by itself")
            return False
        return True

    async def _execute(self, command: BeginRegistration | DeregisterAgent) -> None:
        await self._host.execute(command, call=self._plain_call, render=lambda _reply: b"")


def _name(phase: Report.Phase.ValueType) -> str:
    return Report.Phase.Name(phase).removeprefix("PHASE_").lower()


def _unexpected(name: str) -> Refusal:
    message = f"phase {name} of the registration failed unexpectedly; what earlier phases did is undone"
    return Refusal("REGISTRATION_EXCEPTION", message, {"phase": name})


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_DETAIL else text[: _MOST_DETAIL - 1] + "…"
