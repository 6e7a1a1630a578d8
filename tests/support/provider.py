"""A provider of language models and a fleet that calls it, on a clock of their own: one heap of what happens when."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from support.resources_machine import WALL
from tercio.blocks import NOTHING, Amount, Block
from tercio_common.epochs import Epoch
from tercio_common.machine.protocol import ElectionWon, Moment, Tick
from tercio_resources.state.budget_commands import Ask, CreateBudget, LeaseBlocks, ReportThrottled
from tercio_resources.state.budget_rows import BudgetRow, Spending
from tercio_resources.state.budgets import BLOCK_TTL, account_of
from tercio_resources.state.demands import Outcome
from tercio_resources.state.machine import ResourcesMachine
from tercio_resources.state.rules import Rules
from tercio_resources.state.session import Session

MINUTE = 60_000


class Simulation:
    """The service, as its host and edge run it, and what happens around it in ms."""

    def __init__(self, *budgets: BudgetRow, seed: int = 1) -> None:
        self.machine, self.session = ResourcesMachine(Rules()), Session(Rules())
        self.random = random.Random(seed)
        self.now = self.seq = self._number = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        for command in (ElectionWon(), *map(CreateBudget, budgets)):
            self.do(command)

    def after(self, delay: int, act: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._heap, (self.now + delay, self._number, act))

    def run(self, duration: int) -> None:
        end = self.now + duration
        while self._heap and self._heap[0][0] <= end:
            self.now, _, act = heapq.heappop(self._heap)
            while (due := self.machine.next_due()) is not None and due <= self.now:
                self.do(Tick())
            act()
        self.now = end

    def do(self, command: Any) -> Any:
        at = Moment(self.seq + 1, self.now, WALL + self.now, Epoch(1, 1), "local", self.seq)
        self.machine.tables.begin()
        decision = self.machine.decide(command, at, self.session)
        for event in decision.events:
            self.machine.apply(event, at)
        self.seq += bool(decision.events)
        return decision.reply

    def lease(self, holder: str, ask: Ask) -> Outcome:
        outcome: Outcome = self.do(LeaseBlocks(holder, (ask,)))[0]
        account = account_of(ask.budget_id, self.machine.tables).budget_id
        self.session.demands.follow(account, holder, ask, outcome, self.now)
        return outcome


@dataclass(slots=True)
class Provider:
    """Token buckets of one minute, as providers say that theirs are; refuses with 429 and Retry-After."""

    tokens: int
    requests: int
    used: Counter[str] = field(default_factory=Counter)
    served: Counter[str] = field(default_factory=Counter)
    by_minute: Counter[int] = field(default_factory=Counter)
    calls: int = 0
    refused: int = 0
    _filled: int = 0
    _level: list[int] = field(default_factory=list)

    def call(self, agent: str, tokens: int, now: int) -> int:
        """Return 0, or after how many ms to try again."""
        rates = (self.tokens, self.requests)
        level = self._level or [rate * MINUTE for rate in rates]
        filled = [min(rate * MINUTE, at + rate * (now - self._filled)) for at, rate in zip(level, rates, strict=True)]
        need = [tokens * MINUTE, MINUTE]
        self._filled, self._level, self.calls = now, filled, self.calls + 1
        missing = [max(0, want - at) for want, at in zip(need, filled, strict=True)]
        if any(missing):
            self.refused += 1
            return max(-(-each // rate) for each, rate in zip(missing, rates, strict=True))
        self._level = [at - want for at, want in zip(filled, need, strict=True)]
        self.used[agent] += tokens
        self.served[agent] += 1
        self.by_minute[now // MINUTE] += tokens
        return 0


class Caller:
    """An agent that calls again as soon as it may, with blocks as the SDK keeps them."""

    def __init__(self, name: str, world: Simulation, provider: Provider, *, budget: str, tokens: int) -> None:
        self.name, self._world, self._provider, self._budget = name, world, provider, budget
        self._tokens = tokens
        self._block = Block()
        self.begin()

    def begin(self) -> None:
        chance = self._world.random
        self._need = Amount(max(1, round(self._tokens * chance.uniform(0.5, 1.5))), 1)
        self._go_on()

    def _go_on(self) -> None:
        now = self._world.now
        if self._block.take(self._need, now):
            self._call()
        elif now < self._block.frozen_until:
            self._world.after(self._block.frozen_until - now, self._go_on)
        else:
            report = self._block.report(self._need, self._need, now)
            ask = Ask(self._budget, *(Spending(*each) for each in report))
            self._world.after(self._latency(), lambda: self._asked(ask, now))

    def _asked(self, ask: Ask, sent: int) -> None:
        outcome = self._world.lease(f"{self.name}/{self._block.number}", ask)
        self._world.after(self._latency(), lambda: self._answered(outcome, sent))

    def _answered(self, outcome: Outcome, sent: int) -> None:
        self._block.answered(Amount(*outcome.leased), sent=sent, ttl=BLOCK_TTL)
        if outcome.reason:
            self._world.after(outcome.retry_after, self._go_on)
            return
        self._block.met(self._need, self._world.now)
        self._call()

    def _call(self) -> None:
        chance = self._world.random
        used = max(1, round(self._need.tokens * chance.uniform(0.6, 1.05)))
        wait = self._provider.call(self.name, used, self._world.now)
        if wait:
            self._block.correct(self._need, NOTHING, self._world.now)
            self._block.freeze(self._world.now + wait)
            self._world.do(ReportThrottled(self._budget, wait))
            self._go_on()
        else:
            self._world.after(chance.randrange(1_000, 6_000), lambda: self._ended(Amount(used, 1)))

    def _ended(self, used: Amount) -> None:
        self._block.correct(self._need, used, self._world.now)
        self.begin()

    def _latency(self) -> int:
        return self._world.random.randrange(2, 30)


def jain(shares: list[int]) -> float:
    """Return Jain's index of fairness (Jain, Chiu and Hawe, 1984): 1 when all have the same."""
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))
