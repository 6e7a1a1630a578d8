"""Follows the pools while tickets run: how much is held, what a killed agent held, and that all of it comes back."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from examples.tickets.fleet import Fleet, now_ms
from examples.tickets.worktrees import CPU, POOL
from tercio.addresses import service_addresses
from tercio.api.resources.v1 import (
    budget_pb2,
    budget_service_pb2,
    pool_pb2,
    resource_service_pb2,
    worktree_pb2,
    worktree_service_pb2,
)
from tercio.api.resources.v1.budget_service_pb2_grpc import BudgetServiceStub
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.api.resources.v1.worktree_service_pb2_grpc import WorktreeServiceStub
from tercio.requests import new_request_id
from tercio.rpc.channels import Channels, Route
from tercio.rpc.remote import Remote

BUDGET = "reviewer"
TOKENS_A_MINUTE = 60_000
_BURST_S = 10
_POLL_S = 0.2
_READY = worktree_pb2.Worktree.STATE_READY
_HELD = worktree_pb2.Worktree.STATE_HELD


@dataclass(frozen=True, slots=True)
class Return:
    """What a killed agent held, and when it was free again.

    Attributes:
        agent: who was killed.
        path: its worktree.
        after_ms: from the kill until nobody held it, nor its cpu.
    """

    agent: str
    path: str
    after_ms: int

    def __str__(self) -> str:
        """Tell it in one line."""
        name = self.path.rpartition("/")[2]
        return f"what {self.agent} held, {name} and its cpu, after {self.after_ms / 1000:.1f} s"


@dataclass(slots=True)
class Pools:
    """What was seen of the pools last, and the most that was held of each."""

    cpu: pool_pb2.Pool = field(default_factory=pool_pb2.Pool)
    worktrees: list[worktree_pb2.Worktree] = field(default_factory=list)
    budget: budget_pb2.Budget = field(default_factory=budget_pb2.Budget)
    most: Counter[str] = field(default_factory=Counter)
    paths: set[str] = field(default_factory=set)
    returned: Return | None = None

    @property
    def held(self) -> list[worktree_pb2.Worktree]:
        """The worktrees that attempts hold now."""
        return [row for row in self.worktrees if row.state == _HELD]

    @property
    def is_whole(self) -> bool:
        """True when nothing is held, and every worktree is clean and ready."""
        return bool(self.worktrees) and self.cpu.granted == 0 and all(row.state == _READY for row in self.worktrees)

    @property
    def lines(self) -> list[tuple[str, str]]:
        """What there is, a name and a text for each pool."""
        count = Counter(
            worktree_pb2.Worktree.State.Name(row.state).removeprefix("STATE_").lower() for row in self.worktrees
        )
        states = ", ".join(f"{number} {state}" for state, number in sorted(count.items()))
        return [
            ("cpu", f"{self.cpu.granted / 1000:.1f} of {self.cpu.capacity / 1000:.0f} cores held"),
            ("worktrees", states),
            ("tokens", f"{self.budget.spent_tokens} spent of {self.budget.tokens_per_minute} a minute"),
        ]

    @property
    def summary(self) -> str:
        """What was held at most, and what was spent."""
        return (
            f"at most {self.most[CPU] / 1000:.1f} of {self.cpu.capacity / 1000:.0f} cores and {self.most[POOL]} of "
            f"{len(self.worktrees)} worktrees held at once; {self.budget.spent_tokens} tokens spent"
        )


class PoolFollower:
    """Looks at the pools of a fleet."""

    def __init__(self, fleet: Fleet, pools: Pools) -> None:
        """Keep what is seen in `pools`."""
        self._fleet, self._pools = fleet, pools
        self._channels = Channels()
        route = Route(self._channels, service_addresses("resources", address=fleet.address))
        self._resources = Remote(route, ResourceServiceStub)
        self._worktrees = Remote(route, WorktreeServiceStub)
        self._budgets = Remote(route, BudgetServiceStub)

    async def close(self) -> None:
        """Close the connection."""
        await self._channels.close()

    async def prepare(self) -> None:
        """Create the budget, and wait until every worktree is ready."""
        budget = budget_pb2.Budget(budget_id=BUDGET, tokens_per_minute=TOKENS_A_MINUTE)
        budget.burst.FromSeconds(_BURST_S)
        request = budget_service_pb2.CreateBudgetRequest(request_id=new_request_id(), budget=budget)
        await self._budgets.unary(lambda stub: stub.CreateBudget, request)
        await self.until_whole()

    async def until_whole(self) -> None:
        """Look until nothing is held and every worktree is ready."""
        while not self._pools.is_whole:
            await self._look()
            await asyncio.sleep(_POLL_S)

    async def follow(self) -> None:
        """Look for ever."""
        while True:
            await self._look()
            self._note_return()
            await asyncio.sleep(_POLL_S)

    async def _look(self) -> None:
        pools, get = self._pools, resource_service_pb2.GetPoolRequest(pool_id=CPU)
        listing = worktree_service_pb2.ListWorktreesRequest(page_size=1000)
        budget = budget_service_pb2.GetBudgetRequest(budget_id=BUDGET)
        pools.cpu = (await self._resources.unary(lambda stub: stub.GetPool, get)).pool
        pools.worktrees = list((await self._worktrees.unary(lambda stub: stub.ListWorktrees, listing)).worktrees)
        pools.budget = (await self._budgets.unary(lambda stub: stub.GetBudget, budget)).budget
        pools.most |= Counter({CPU: pools.cpu.granted, POOL: len(pools.held)})

    def _note_return(self) -> None:
        """Note that what the killed agent held is free: its worktree and cpu are parts of one allocation."""
        killed = next((each for each in self._fleet.workers if each.killed), None)
        if killed is None or self._pools.returned is not None or not (lost := killed.interrupted):
            return
        owners = {row.owner for row in self._pools.held}
        if not any(owner.startswith(f"{lost.ticket}@") and owner.endswith(f".{lost.attempt}") for owner in owners):
            self._pools.returned = Return(killed.member.name, lost.worktree, now_ms() - killed.left_ms)
