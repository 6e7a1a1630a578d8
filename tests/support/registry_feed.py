"""Runs a registry behind real gRPC through any order of events, and holds each watch against the journal itself.

What a watch has to show is taken from the records that were written: a machine of the test's own replays them, and
compares the agents before and after each. The watch is what a client sees, over pauses and take-overs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import grpc

from support.configuring import sent_in
from support.registry import FIRST, SECOND, Heartbeats, Registry, State, Watch, reason_of, running_registry
from tercio.api.registry.v1 import agent_pb2, config_service_pb2, health_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.registry.v1.config_service_pb2_grpc import ConfigServiceStub
from tercio.api.type.v1 import system_task_pb2
from tercio_common.epochs import Epoch
from tercio_common.journal.memory import MemoryStore
from tercio_common.machine.records import moment_of, split_segment
from tercio_common.settings import HostSettings
from tercio_common.testing.manual_clock import ManualClock
from tercio_registry import app
from tercio_registry.codec import RegistryCodec
from tercio_registry.settings import RegistrySettings
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.documents import digest
from tercio_registry.state.machine import RegistryMachine

Agent = agent_pb2.Agent
Outcome = system_task_pb2.SystemTaskOutcome
SETTINGS = RegistrySettings(
    heartbeat_interval_ms=1_000, retention_ms=6_000, canary_interval_ms=1_000, canary_timeout_ms=500
)
SMALL = HostSettings().model_copy(update={"snapshot_bytes": 1_500, "feed_bytes": 8_000, "lag_bytes": 8_000})
"""So that a run of some steps is snapshotted, and now and then outlasts the ring; no operator may set this."""
MARKER = "z-marker"
"""An agent that every filter selects: once a watch has shown its change, it has shown all before it."""
ILL = health_pb2.HealthReport(memory_used_bytes=99, memory_limit_bytes=100)
WELL = health_pb2.HealthReport(memory_used_bytes=1, memory_limit_bytes=100)


class Selection(NamedTuple):
    """A filter as the server is told it, and as the client applies it to what it is shown and to a row."""

    request: pb.AgentFilter
    shown: Callable[[Agent, Epoch], bool]
    row: Callable[[AgentRow], bool] | None


def _is_present(agent: Agent) -> bool:
    return agent.state not in {State.STATE_GONE, State.STATE_DEREGISTERED}


SELECTIONS = {
    "everybody": Selection(pb.AgentFilter(states=State.values()[1:]), lambda *_: True, lambda _: True),
    "zone b": Selection(
        pb.AgentFilter(expression='labels.zone = "b"'),
        lambda agent, _: _is_present(agent) and agent.labels["zone"] == "b",
        lambda row: row.active and dict(row.profile.labels)["zone"] == "b",
    ),
    "off duty": Selection(
        pb.AgentFilter(expression="cordoned = true OR draining = true"),
        lambda agent, _: _is_present(agent) and (agent.cordoned or agent.draining),
        lambda row: row.active and (row.cordoned or row.draining),
    ),
    "healthy": Selection(
        pb.AgentFilter(states=[State.STATE_HEALTHY]),
        # A take-over is not announced agent by agent: the reader compares the epoch, as the contract says.
        lambda agent, epoch: agent.state == State.STATE_HEALTHY and _confirmed(agent) == epoch,
        None,
    ),
}


class Change(NamedTuple):
    """A record changed an agent; None when it was, or is, not there."""

    agent_id: str
    seq: int
    before: AgentRow | None
    after: AgentRow | None


class Ledger:
    """What the journal says that changed."""

    def __init__(self, store: MemoryStore) -> None:
        self._journal, self._codec = store.journal(app.NAME), RegistryCodec()
        self._machine = RegistryMachine(SETTINGS.rules())
        self._segment = 0
        self.requests: list[str] = []
        """The request id of each record that has one."""

    async def catch_up(self) -> list[Change]:
        """Replay what was written since the last call."""
        found: list[Change] = []
        while segments := await self._journal.read(self._segment):
            for segment in segments:
                self._segment = segment.number
                for record in split_segment(segment.value):
                    found += self._replay(record)
        return found

    def _replay(self, record: Any) -> list[Change]:
        if record.request_id:
            self.requests.append(record.request_id)
        former = self._rows()
        self._machine.tables.begin()
        for event in record.events:
            self._machine.apply(self._codec.decode_event(event), moment_of(record))
        present = self._rows()
        names = [each for each in former.keys() | present.keys() if former.get(each) != present.get(each)]
        return [Change(each, record.seq, former.get(each), present.get(each)) for each in names]

    def _rows(self) -> dict[str, AgentRow]:
        return {row.agent_id: row for row in self._machine.agents.values()}


@dataclass
class Follower:
    """A client that lists, watches from there, and folds what it is shown."""

    selection: Selection
    folded: dict[str, Agent] = field(default_factory=dict)
    owed: list[Change] = field(default_factory=list)
    shown: list[tuple[int, str]] = field(default_factory=list)
    cursor: str = ""
    watch: Watch | None = None
    lists: int = 0

    async def begin(self, registry: Registry) -> None:
        """List, as at the start and after a cursor that is too old; what came before is not owed any more."""
        reply = await registry.stub.ListAgents(pb.ListAgentsRequest(filter=self.selection.request))
        self.folded = {agent.agent_id: agent for agent in reply.agents}
        self.cursor, self.owed, self.shown, self.lists = reply.cursor, [], [], self.lists + 1

    def pause(self) -> None:
        """Go away; the cursor stays."""
        if self.watch is not None:
            self.watch.call.cancel()
            self.watch = None

    async def read(self, registry: Registry, marker: str) -> None:
        """Read on, from the cursor if the watch is not up, until that version of the marker is shown."""
        while True:
            if self.watch is None:
                self.watch = registry.watch(self.cursor, filter=self.selection.request)
            try:
                message = await self.watch.message()
            except grpc.aio.AioRpcError as error:
                if reason_of(error) != "CURSOR_COMPACTED":
                    raise
                self.watch = None
                await self.begin(registry)
                if marker in {agent.version for agent in self.folded.values()}:
                    return
                continue
            self.cursor = message.cursor
            if message.HasField("agent"):
                self._take(message.agent)
                if message.agent.agent_id == MARKER and message.agent.version == marker:
                    return

    def _take(self, agent: Agent) -> None:
        self.shown.append((int(agent.etag), agent.agent_id))
        self.folded[agent.agent_id] = agent

    def check(self) -> None:
        """Hold what was shown since the last call against what was owed."""
        assert [seq for seq, _ in self.shown] == sorted(seq for seq, _ in self.shown), "out of order"
        assert len(set(self.shown)) == len(self.shown), f"shown twice: {self.shown}"
        changes = {(change.seq, change.agent_id): change for change in self.owed if change.after is not None}
        assert set(self.shown) <= changes.keys(), "shown what did not happen, or again"
        selects = self.selection.row
        if selects is not None:
            wanted = {key for key, change in changes.items() if any(map(selects, _rows(change)))}
            assert wanted <= set(self.shown), f"left out: {wanted - set(self.shown)}"
        self.owed, self.shown = [], []

    async def compare(self, registry: Registry) -> None:
        """Hold the folded state against a list."""
        reply = await registry.stub.ListAgents(pb.ListAgentsRequest(filter=self.selection.request))
        epoch = registry.service.host.epoch
        listed = {agent.agent_id: _essence(agent, epoch) for agent in reply.agents}
        matching = [agent for agent in self.folded.values() if self.selection.shown(agent, epoch)]
        # That an agent was forgotten is not shown: it was shown as gone, or as one that left.
        known = [agent for agent in matching if _is_present(agent) or agent.agent_id in listed]
        folded = {agent.agent_id: _essence(agent, epoch) for agent in known}
        assert folded == listed, f"not what a list shows: {folded} and {listed}"


def _rows(change: Change) -> list[AgentRow]:
    return [row for row in (change.before, change.after) if row is not None]


def _confirmed(agent: Agent) -> Epoch:
    return Epoch(agent.confirmed_epoch.generation, agent.confirmed_epoch.revision)


def _essence(agent: Agent, epoch: Epoch) -> Agent:
    """Return the agent without what heartbeats change, as the present leader shows it."""
    found = Agent()
    found.CopyFrom(agent)
    for each in ("renew_time", "active_attempts", "health_report", "state_reason", "status"):
        found.ClearField(each)
    if _is_present(agent) and _confirmed(agent) != epoch:
        found.state = State.STATE_UNCONFIRMED
    return found


class Fleet:
    """One registry over several leaders, its agents, and who watches them."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(clock=self.clock)
        self.ledger = Ledger(self.store)
        self.followers = {name: Follower(selection) for name, selection in SELECTIONS.items()}
        self.paused: set[str] = set()
        self.incarnations: dict[str, int] = {}
        self.changed: list[str] = []
        """Ids of requests that were answered well and changed something; each is one audit event."""
        self.sent = 0
        self._stack = contextlib.AsyncExitStack()
        self._leaving: list[asyncio.Task[Any]] = []
        self._beats: Heartbeats | None = None

    async def __aenter__(self) -> Fleet:
        await self._lead()
        for follower in self.followers.values():
            await follower.begin(self.registry)
        return self

    async def __aexit__(self, *_: object) -> None:
        for leaving in self._leaving:
            leaving.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await self._stack.aclose()

    async def _lead(self) -> None:
        self.registry: Registry = await self._stack.enter_async_context(
            running_registry(self.store, clock=self.clock, settings=SETTINGS, host_settings=SMALL)
        )

    async def step(self, name: str, *arguments: Any) -> None:
        """Do one thing, and then check every watch that is not paused."""
        await getattr(self, name)(*arguments)
        marker = str(self.sent)
        await self._register(MARKER, version=marker, labels={"zone": "b"})
        await self._change(self.registry.stub.CordonAgent, pb.CordonAgentRequest, MARKER, cordoned=True, reason=marker)
        await self.registry.register(MARKER, version=f"{marker}'", labels={"zone": "b"})
        changes = await self.ledger.catch_up()
        for each, follower in self.followers.items():
            follower.owed += changes
            if each not in self.paused:
                await follower.read(self.registry, f"{marker}'")
                follower.check()
                await follower.compare(self.registry)

    async def register(self, agent_id: str, is_first: bool, zone: str) -> None:
        """Register as one of two processes, in one of two zones."""
        await self._register(agent_id, instance_id=FIRST if is_first else SECOND, labels={"zone": zone})

    async def beat(self, agent_id: str, is_ill: bool) -> None:
        """Send three heartbeats that report the same."""
        self._beats = self._beats or Heartbeats(self.registry)
        beat = pb.HeartbeatRequest.Beat(
            agent_id=agent_id, incarnation=self.incarnations.get(agent_id, 1), health=ILL if is_ill else WELL
        )
        for _ in range(3):
            await self._beats.call.write(pb.HeartbeatRequest(beats=[beat]))
            await self._beats.receive()

    async def wait(self, duration: int) -> None:
        """Let time pass."""
        await self.clock.advance(duration)

    async def answer(self, result: Outcome.Result.ValueType) -> None:
        """End every canary and every delivery that is open."""
        tasks = list(self.registry.service.host.machine.system_tasks.table.values())
        outcomes = [Outcome(system_task_id=row.system_task_id, result=result, output=_output(row)) for row in tasks]
        if outcomes:
            await self._change(self.registry.stub.ReportSystemTasks, pb.ReportSystemTasksRequest, outcomes=outcomes)
            await self.clock.settle()

    async def configure(self, agent_id: str) -> None:
        """Give the agent another configuration."""
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.registry.port}") as channel:
            request = config_service_pb2.UpdateConfigRequest
            document = json.dumps({"number": self.sent})
            await self._change(ConfigServiceStub(channel).UpdateConfig, request, agent_id, document=document)

    async def cordon(self, agent_id: str, cordoned: bool) -> None:
        """Stop new work, or allow it again."""
        await self._change(self.registry.stub.CordonAgent, pb.CordonAgentRequest, agent_id, cordoned=cordoned)

    async def drain(self, agent_id: str) -> None:
        """Ask the agent to leave."""
        await self._change(self.registry.stub.DrainAgent, pb.DrainAgentRequest, agent_id, reason=str(self.sent))

    async def deregister(self, agent_id: str) -> None:
        """End the membership at once."""
        await self._change(self.registry.stub.DeregisterAgent, pb.DeregisterAgentRequest, agent_id)

    async def leave(self, agent_id: str) -> None:
        """End the membership within two seconds, which a call waits for that goes on beside the others."""
        request = pb.DeregisterAgentRequest(agent_id=agent_id, mode=pb.DeregisterAgentRequest.MODE_GRACEFUL)
        request.drain_timeout.FromSeconds(2)
        self._leaving.append(asyncio.ensure_future(self.registry.stub.DeregisterAgent(request)))

    async def take_over(self) -> None:
        """Let another process lead, on what the store holds."""
        for follower in self.followers.values():
            follower.pause()
        self._beats = None
        await self._stack.aclose()
        await self._lead()

    async def pause(self, name: str) -> None:
        """Let one reader go away."""
        self.paused.add(name)
        self.followers[name].pause()

    async def resume(self, name: str) -> None:
        """Let it come back, and resume from its cursor."""
        self.paused.discard(name)

    async def _register(self, agent_id: str, **fields: Any) -> None:
        request_id = self._next_id()
        reply = await self._twice(lambda: self.registry.register(agent_id, request_id=request_id, **fields))
        self.incarnations[agent_id] = reply.agent.incarnation
        self.changed.append(request_id)

    async def _change(self, method: Any, kind: Any, agent_id: str = "", **fields: Any) -> None:
        """Send a request twice, as a retry does; a refusal changes nothing."""
        names = {"agent_id": agent_id} if agent_id else {}
        request = kind(request_id=self._next_id(), **names, **fields)
        before = self.registry.service.host.tip_seq
        with contextlib.suppress(grpc.aio.AioRpcError):
            await self._twice(lambda: method(request))
        if self.registry.service.host.tip_seq > before:
            self.changed.append(request.request_id)

    async def _twice(self, call: Callable[[], Awaitable[Any]]) -> Any:
        reply = await call()
        await call()
        return reply

    def _next_id(self) -> str:
        self.sent += 1
        return f"request-{self.sent}"


def _output(row: Any) -> bytes:
    """Return what an agent answers that runs what it was sent."""
    if row.kind != "tercio.configure":
        return b""
    return json.dumps({"digest": digest(sent_in(row)[1])}).encode()
