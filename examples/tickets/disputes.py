"""Lets agents collide, and follows how the conflicts service finds it and ends it.

Two agents decide for opposite architectures; the architect is asked, and says which decision prevails. An urgent ticket
needs the file that a less urgent one holds; the holder inherits its priority. Every conflict of the run is told, these
and any other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from examples.tickets.fleet import Fleet, now_ms
from tercio import Client, TaskClaim
from tercio.addresses import service_addresses
from tercio.api.conflicts.v1 import conflict_pb2, conflict_service_pb2, decision_pb2, decision_service_pb2
from tercio.api.conflicts.v1.conflict_service_pb2_grpc import ConflictServiceStub
from tercio.api.conflicts.v1.decision_service_pb2_grpc import DecisionServiceStub
from tercio.api.scheduler.v1 import task_pb2
from tercio.requests import new_request_id
from tercio.rpc.channels import Channels, Route
from tercio.rpc.remote import Remote

if TYPE_CHECKING:
    from tercio.api.conflicts.v1.conflict_service_pb2_grpc import ConflictServiceAsyncStub
    from tercio.api.conflicts.v1.decision_service_pb2_grpc import DecisionServiceAsyncStub

_WANTED = ("technical_disagreement", "priority_conflict")
_SCOPE = "services/gateway"
_DECISIONS = (
    ("keepers-1", "we go with microservices for the gateway", "each team deploys on its own", 0.7),
    ("yves", "the gateway stays a monolith", "one deployment is easier to operate", 0.9),
)
_NOTES = TaskClaim("CHANGELOG.md", "exclusive", "release")
_URGENT, _LESS_URGENT = 9, 6
_POLL_S = 0.2
_RESOLVED = conflict_pb2.Conflict.STATE_RESOLVED


@dataclass(slots=True)
class Disputes:
    """Every conflict that was seen: when it was found and how it ended, by id and occurrence.

    Attributes:
        found_ms: on the wall clock.
        ended: as they were when they were resolved.
    """

    found_ms: dict[tuple[str, int], int] = field(default_factory=dict)
    ended: dict[tuple[str, int], conflict_pb2.Conflict] = field(default_factory=dict)

    @property
    def is_settled(self) -> bool:
        """Whether a conflict of each kind that is made here was found and resolved."""
        return set(_WANTED) <= {conflict.conflict_analysis.type for conflict in self.ended.values()}

    def note(self, conflict: conflict_pb2.Conflict) -> str:
        """Take note of a conflict; return what is worth telling of it."""
        key, analysis = (conflict.conflict_id, conflict.occurrence), conflict.conflict_analysis
        if key not in self.found_ms:
            self.found_ms[key] = now_ms()
            parties = " and ".join(analysis.agent_ids if len(analysis.agent_ids) > 1 else analysis.task_ids)
            return f"conflict found: {analysis.type} between {parties}{_quoted(analysis)}"
        if conflict.state == _RESOLVED and key not in self.ended:
            self.ended[key] = conflict
            took_s = (now_ms() - self.found_ms[key]) / 1000
            return f"conflict resolved after {took_s:.1f} s by {conflict.resolution_strategy}: {conflict.resolution}"
        return ""

    def __str__(self) -> str:
        """Tell it in one line."""
        kinds = [f"{each.conflict_analysis.type} by {each.resolution_strategy}" for each in self.ended.values()]
        return f"{len(self.ended)} of {len(self.found_ms)}: {', '.join(kinds)}"


def _quoted(analysis: conflict_pb2.Conflict.Analysis) -> str:
    """Return the decisions that contradict each other, in their own words."""
    said = [f"{decision.agent_id}: “{decision.choice}”" for decision in analysis.decisions]
    return f" ({'; '.join(said)})" if said else ""


async def dispute(fleet: Fleet, folder: Path, *, say: Callable[[str], None]) -> Disputes:
    """Let agents disagree and tickets collide, and wait until both is over."""
    seen = Disputes()
    async with contextlib.AsyncExitStack() as stack:
        channels = Channels()
        stack.push_async_callback(channels.close)
        route = Route(channels, service_addresses("conflicts", address=fleet.address))
        following = asyncio.create_task(_follow(Remote(route, ConflictServiceStub), seen, say))
        stack.callback(following.cancel)
        await _disagree(Remote(route, DecisionServiceStub))
        async with _colliding(fleet, folder / "notes-are-done"):
            while True:
                await asyncio.sleep(_POLL_S)
                if seen.is_settled:
                    break
    return seen


async def _follow(conflicts: Remote[ConflictServiceAsyncStub], seen: Disputes, say: Callable[[str], None]) -> None:
    call = conflicts.stub().WatchConflicts(conflict_service_pb2.WatchConflictsRequest())
    async for message in call:
        for conflict in message.conflicts:
            if told := seen.note(conflict):
                say(f"*** {told}")


async def _disagree(decisions: Remote[DecisionServiceAsyncStub]) -> None:
    for agent_id, choice, rationale, confidence in _DECISIONS:
        decision = decision_pb2.Decision(
            agent_id=agent_id,
            subject="architecture of the gateway",
            choice=choice,
            scope=_SCOPE,
            rationale=rationale,
            confidence=confidence,
        )
        request = decision_service_pb2.PostDecisionsRequest(request_id=new_request_id(), decisions=[decision])
        await decisions.unary(lambda stub: stub.PostDecisions, request)


@contextlib.asynccontextmanager
async def _colliding(fleet: Fleet, told: Path) -> AsyncIterator[None]:
    """Let two tickets need one file while the block runs; both are solved afterwards."""
    draft = {"argv": ["python", "examples/tickets/draft.py", str(told)]}
    final = {"argv": ["git", "log", "-1", "--format=%s"]}
    needs = {"packaging": 1}
    async with Client(address=fleet.address) as client:
        holding = await client.submit(
            "command", draft, task_id="notes-draft", claims=[_NOTES], requires=needs, priority=_LESS_URGENT
        )
        while True:
            if (await client.get(holding.task_id)).state == task_pb2.Task.STATE_RUNNING:
                break
            await asyncio.sleep(_POLL_S)
        waiting = await client.submit(
            "command", final, task_id="notes-final", claims=[_NOTES], requires=needs, priority=_URGENT
        )
        yield
        await asyncio.to_thread(told.touch)
        await holding.result()
        await waiting.result()
