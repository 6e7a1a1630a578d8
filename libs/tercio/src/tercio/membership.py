"""The agent's membership: registered with the registry, and alive as long as its heartbeats are answered.

Membership and work are apart on purpose. While the registry is away the agent goes on working, and registers again by
itself when it must; the scheduler only learns later what the registry has to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from tercio.api.registry.v1 import registry_service_pb2 as registry_pb2
from tercio.api.registry.v1 import registry_service_pb2_grpc as registry_grpc
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio.counts import TaskCounts
from tercio.credentials import Credential, credential_of
from tercio.errors import AgentReplacedError
from tercio.identity import AgentIdentity
from tercio.link import Drained
from tercio.requests import new_request_id
from tercio.rpc.backoff import Backoff
from tercio.rpc.channels import FOLLOW_LEADER, Reconnect
from tercio.rpc.errors import AccessError, CallError, InvalidRequestError
from tercio.rpc.remote import Remote
from tercio.rpc.status import error_of
from tercio.vitals import Vitals

if TYPE_CHECKING:
    from typing import TypeAlias

    HeartbeatCall: TypeAlias = grpc.aio.StreamStreamCall[registry_pb2.HeartbeatRequest, registry_pb2.HeartbeatResponse]

_log = logging.getLogger(__name__)

# Used until the registry has given an interval.
_DEFAULT_INTERVAL_MS: Final = 5_000

_LEAVING_TIMEOUT_S: Final = 2.0

# The registry takes no longer drain.
_MOST_DRAIN_MS: Final = 24 * 3_600_000

# An unanswered beat is given up after this many intervals; the lease is three.
_PATIENCE_INTERVALS: Final = 1.5


class _RegisterAgainError(Exception):
    """The registry does not know the present incarnation."""


class Membership:
    """Registers, beats, and tells what the registry asks of the agent."""

    def __init__(
        self,
        remote: Remote[registry_grpc.RegistryServiceAsyncStub],
        identity: AgentIdentity,
        *,
        identity_secret: bytes,
        on_drain: Callable[[], None],
        active_attempts: Callable[[], int],
        counts: TaskCounts,
        vitals: Vitals,
        register_when_replaced: bool = False,
        source: random.Random | None = None,
    ) -> None:
        """Be a member of the registry at `remote`.

        Args:
            remote: the registry.
            identity: who to register.
            identity_secret: 16 to 128 bytes that only this agent and its restarts know.
            on_drain: called when the registry asks the agent to finish its work and leave.
            active_attempts: how many attempts the agent is running.
            counts: what this process has done.
            vitals: makes the health reports.
            register_when_replaced: take the id back from a newer incarnation instead of stopping.
            source: of the jitter between heartbeats.
        """
        self._remote = remote
        self._identity = identity
        self._secret = identity_secret
        self._on_drain = on_drain
        self._active_attempts = active_attempts
        self._counts = counts
        self._vitals = vitals
        self._register_when_replaced = register_when_replaced
        self._random = source or random.Random()
        self._incarnation = 0
        self._started = Timestamp()
        self._started.GetCurrentTime()
        self._interval_ms = _DEFAULT_INTERVAL_MS
        # The lease may be short, and an agent beats within a second of being able to.
        self._reconnect = Reconnect(remote.route, Backoff(maximum_ms=1_000))
        self._answered = asyncio.Event()
        self.registered = asyncio.Event()
        """Set once the registry knows the agent."""
        self.cordoned = False
        """The registry's last word: the agent is given no new work."""
        self.credentials: tuple[Credential, ...] = ()
        """What was issued with the present registration."""

    async def run(self) -> None:
        """Stay a member; ends only by an exception or by being cancelled.

        Raises:
            AgentReplacedError: another process has registered with this id.
            CallError: the registry refuses the agent for good.
        """
        while True:
            await self._register()
            with contextlib.suppress(_RegisterAgainError):
                await self._beat_endlessly()

    async def tell_drain(self, began: asyncio.Event) -> None:
        """Have the registry show that the agent drains, once it does by itself; never returns.

        The scheduler is told by the agent's link: this is for whoever looks at the fleet, and no more than tried.
        """
        await began.wait()
        await self.registered.wait()
        request = registry_pb2.DrainAgentRequest(
            request_id=new_request_id(), agent_id=self._identity.agent_id, reason="its process was told to end"
        )
        try:
            await self._remote.unary(lambda stub: stub.DrainAgent, request, timeout_s=_LEAVING_TIMEOUT_S)
        except CallError as error:
            _log.info("the registry does not show that the agent drains: %s", error)
        await asyncio.Event().wait()

    async def leave(self, reason: str, *, drained: Drained | None = None) -> None:
        """Deregister, if the registry can be reached soon, and tell what was `drained`; else the lease just ends."""
        if not self._incarnation:
            return
        request = registry_pb2.DeregisterAgentRequest(
            request_id=new_request_id(),
            agent_id=self._identity.agent_id,
            incarnation=self._incarnation,
            reason=reason,
        )
        if drained is not None:
            request.mode = registry_pb2.DeregisterAgentRequest.MODE_GRACEFUL
            request.drain.finished_attempts = drained.finished
            request.drain.returned_attempts = drained.returned
            request.drain.duration.FromMilliseconds(min(int(drained.took_s * 1000), _MOST_DRAIN_MS))
        try:
            await self._remote.unary(lambda stub: stub.DeregisterAgent, request, timeout_s=_LEAVING_TIMEOUT_S)
        except CallError as error:
            _log.warning("not deregistered, so the agent is shown until its lease ends: %s", error)

    async def _register(self) -> None:
        backoff = Backoff(maximum_ms=5_000)
        while True:
            try:
                response = await self._remote.unary(lambda stub: stub.RegisterAgent, self._registration())
            except CallError as error:
                if isinstance(error, (InvalidRequestError, AccessError)) or error.reason == "AGENT_IMPOSTOR":
                    raise
                _log.warning("not registered, so the agent is not shown in the fleet; work goes on: %s", error)
                await asyncio.sleep(backoff.next_ms(at_least_ms=error.retry_after_ms) / 1000)
                continue
            self._incarnation = response.agent.incarnation
            self.credentials = tuple(map(credential_of, response.credentials))
            self._take_interval(response.heartbeat_interval.ToMilliseconds())
            self._obey(cordoned=response.agent.cordoned, draining=response.agent.draining)
            self.registered.set()
            return

    def _registration(self) -> registry_pb2.RegisterAgentRequest:
        identity = self._identity
        return registry_pb2.RegisterAgentRequest(
            request_id=new_request_id(),
            agent_id=identity.agent_id,
            agent_type=identity.agent_type,
            version=identity.version,
            capabilities=identity.capabilities,
            labels=identity.labels,
            concurrency=identity.concurrency,
            identity_secret=self._secret,
            instance_id=identity.instance_id,
            resource_requirements=_amounts(identity.resource_requirements),
            max_resources=_amounts(identity.max_resources),
            start_time=self._started,
        )

    async def _beat_endlessly(self) -> None:
        while True:
            tried = self._remote.route.address
            error: CallError | None = None
            call = self._remote.stub().Heartbeat(metadata=FOLLOW_LEADER)
            try:
                await self._beat(call)
            except grpc.RpcError as failure:
                error = error_of(failure)
                if isinstance(error, AccessError):
                    raise error from None
            except (TimeoutError, asyncio.InvalidStateError):
                pass  # a silent or broken stream: open another one
            finally:
                call.cancel()
            await self._reconnect.wait(error, tried=tried)

    async def _beat(self, call: HeartbeatCall) -> None:
        """Beat over one stream, the first time at once, until it ends."""
        beat = registry_pb2.HeartbeatRequest.Beat(agent_id=self._identity.agent_id, incarnation=self._incarnation)
        self._counts.tell_all_again()
        reading = asyncio.create_task(self._read(call), name="tercio-heartbeat-read")
        late_s = 0.0
        try:
            while not reading.done():
                self._answered.clear()
                beat.active_attempts = self._active_attempts()
                beat.ClearField("totals")
                if (totals := self._counts.take_untold()) is not None:
                    beat.totals.CopyFrom(totals)
                beat.health.CopyFrom(self._vitals.report(late_s=late_s))
                await call.write(registry_pb2.HeartbeatRequest(beats=[beat]))
                # Jitter keeps a fleet that was started at once from beating at once for ever.
                interval_s = self._interval_ms * self._random.uniform(0.9, 1.0) / 1000
                began_s = time.monotonic()
                await asyncio.wait({reading}, timeout=interval_s)
                late_s = time.monotonic() - began_s - interval_s
                if not self._answered.is_set() and not reading.done():
                    async with asyncio.timeout(interval_s * (_PATIENCE_INTERVALS - 1)):
                        await self._answered.wait()
            await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, call: HeartbeatCall) -> None:
        while True:
            response = await call.read()
            if not isinstance(response, registry_pb2.HeartbeatResponse):
                return
            self._reconnect.succeeded()
            self._answered.set()
            self._take_interval(response.heartbeat_interval.ToMilliseconds())
            for answer in response.answers:
                if answer.agent_id == self._identity.agent_id and answer.incarnation == self._incarnation:
                    self._take_answer(answer)

    def _take_answer(self, answer: registry_pb2.HeartbeatResponse.Answer) -> None:
        if answer.reason == "AGENT_REPLACED" and not self._register_when_replaced:
            raise AgentReplacedError(
                f"another process has registered as agent {self._identity.agent_id}; give each process its own id"
            )
        if answer.reason:
            _log.warning("the registry answered %s to a heartbeat, so the agent registers again", answer.reason)
            raise _RegisterAgainError
        self._obey(cordoned=answer.cordoned, draining=answer.draining)

    def _obey(self, *, cordoned: bool, draining: bool) -> None:
        # The scheduler hears of a cordon from the registry and gives the agent nothing new; what it holds is finished.
        self.cordoned = cordoned
        if draining:
            self._on_drain()

    def _take_interval(self, interval_ms: int) -> None:
        if interval_ms:
            self._interval_ms = interval_ms


def _amounts(by_dimension: Mapping[str, int]) -> list[ResourceAmount]:
    return [ResourceAmount(dimension=dimension, amount=amount) for dimension, amount in by_dimension.items()]
