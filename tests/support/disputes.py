"""Clients of the conflicts service for decisions and conflicts, and somebody who carries out what it asks for."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

import grpc

from support.conflicts import Conflicts
from tercio.api.conflicts.v1 import conflict_pb2, decision_pb2
from tercio.api.conflicts.v1 import conflict_service_pb2 as pb
from tercio.api.conflicts.v1 import decision_service_pb2 as decisions_pb
from tercio.api.conflicts.v1.conflict_service_pb2_grpc import ConflictServiceStub
from tercio.api.conflicts.v1.decision_service_pb2_grpc import DecisionServiceStub
from tercio.api.type.v1 import system_task_pb2
from tercio_common.testing.eventually import eventually

OPEN, RESOLVING, ESCALATED, RESOLVED = (
    conflict_pb2.Conflict.STATE_OPEN,
    conflict_pb2.Conflict.STATE_RESOLVING,
    conflict_pb2.Conflict.STATE_ESCALATED,
    conflict_pb2.Conflict.STATE_RESOLVED,
)


@dataclass(slots=True, eq=False)
class Disputes:
    """Decisions and conflicts of one running service."""

    claims: Conflicts
    decisions: Any
    conflicts: Any

    def request_id(self) -> str:
        return f"{self.claims.port}-{self.claims.request_id()}"

    async def decide(self, agent_id: str, subject: str, choice: str, scope: str = "", **fields: Any) -> Any:
        """Record one decision; return the response."""
        decision = decision_pb2.Decision(
            agent_id=agent_id,
            subject=subject,
            choice=choice,
            scope=scope,
            confidence=fields.pop("confidence", 1),
            **fields,
        )
        request = decisions_pb.PostDecisionsRequest(request_id=self.request_id(), decisions=[decision])
        return await self.decisions.PostDecisions(request)

    async def work(self, *work: conflict_pb2.Work, reporter: str = "scheduler", **capacities: int) -> None:
        request = pb.ReportWorkRequest(reporter=reporter, work=work, capacities=capacities)
        await self.conflicts.ReportWork(request)

    async def listed(self, expression: str = "") -> list[conflict_pb2.Conflict]:
        reply = await self.conflicts.ListConflicts(pb.ListConflictsRequest(expression=expression))
        return list(reply.conflicts)

    async def get(self, conflict_id: str) -> conflict_pb2.Conflict:
        reply = await self.conflicts.GetConflict(pb.GetConflictRequest(conflict_id=conflict_id))
        conflict: conflict_pb2.Conflict = reply.conflict
        return conflict

    async def until(self, *states: int, count: int = 1) -> list[conflict_pb2.Conflict]:
        """Return all conflicts once there are so many and each is in one of these states."""
        found: list[conflict_pb2.Conflict] = []

        async def settled() -> bool:
            found[:] = await self.listed()
            return len(found) == count and all(each.state in states for each in found)

        await eventually(settled)
        return found

    async def asked(self) -> list[system_task_pb2.SystemTask]:
        """Return what agents are asked at present."""
        found: list[system_task_pb2.SystemTask] = []
        watch = self.conflicts.WatchSystemTasks(pb.WatchSystemTasksRequest())
        async for event in watch:
            if not event.HasField("system_task"):
                break
            found.append(event.system_task)
        watch.cancel()
        return found

    async def answer(self, decision_id: int, tasks: Iterable[system_task_pb2.SystemTask]) -> list[str]:
        """Let every agent that is asked choose a decision; return what was not open."""
        outcomes = [
            system_task_pb2.SystemTaskOutcome(
                system_task_id=task.system_task_id,
                result=system_task_pb2.SystemTaskOutcome.RESULT_SUCCEEDED,
                output=b'{"decision_id": %d, "reason": "simpler"}' % decision_id,
            )
            for task in tasks
        ]
        reply = await self.conflicts.ReportSystemTasks(
            pb.ReportSystemTasksRequest(request_id=self.request_id(), outcomes=outcomes)
        )
        return list(reply.unknown_system_task_ids)

    async def actions(self) -> list[conflict_pb2.Action]:
        """Return what the scheduler is to do at present."""
        watch = self.conflicts.WatchActions(pb.WatchActionsRequest())
        found = list((await anext(aiter(watch))).actions)
        watch.cancel()
        return found

    async def report(self, *actions: conflict_pb2.Action, done: bool = True, message: str = "") -> list[str]:
        """Tell what became of actions; return what was not open."""
        outcomes = [
            pb.ReportActionsRequest.Outcome(action_id=each.action_id, done=done, message=message) for each in actions
        ]
        request = pb.ReportActionsRequest(request_id=self.request_id(), outcomes=outcomes)
        return list((await self.conflicts.ReportActions(request)).unknown_action_ids)


@contextlib.asynccontextmanager
async def disputes_of(claims: Conflicts) -> AsyncIterator[Disputes]:
    """Connect to a service that runs."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{claims.port}") as channel:
        yield Disputes(claims, DecisionServiceStub(channel), ConflictServiceStub(channel))
