"""`python -m benchmarks.resources_mix`: how well pools are used under a seeded mix of tasks that never lets up.

The pure state alone, on fleet time of its own: the same seed gives the same numbers on every machine. People ask for
one and a half to three times what a task takes. The baseline grants just that, from the first pool with room; the
resources service grants what it predicts from past tasks, from the pool where it fits best, with a buffer as large as
such tasks differ, shrinks what turns out to be too much, and lets a task that needs more ask for it again.

What counts, second by second after the warm-up: granted is what is granted; used is what tasks take of it, never more
than they were granted; capacity is what the pools have. All three are sums over the seconds, so no peak stands for a
mean. A task that once needed more than it was granted, and did not get it, has outgrown its grant: so much does tight
sizing cost. The scarcer dimension is shown; the queue never runs empty, so load is always offered.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count, islice
from random import Random
from typing import Any, Final, Protocol

from tercio_common.epochs import Epoch
from tercio_common.errors import Refusal
from tercio_common.machine.protocol import ElectionWon, Moment, Tick
from tercio_resources.state.commands import Allocate, Kind, Optimize, Release, ReportUsage, Resize, UsageReport
from tercio_resources.state.machine import ResourcesMachine
from tercio_resources.state.prediction import predict
from tercio_resources.state.rows import Amount, PoolRow, Spec
from tercio_resources.state.rules import Rules
from tercio_resources.state.session import Session

Amounts = dict[str, int]

_POOLS: Final = (
    *(PoolRow(f"cpu-{index}", "cpu", "millicores", 16_000) for index in range(4)),
    *(PoolRow(f"memory-{index}", "memory", "MB", 16_384) for index in range(4)),
)
_CAPACITY: Final = {"cpu": 64_000, "memory": 65_536}
_TYPES: Final = {"lint": (250, 300), "compile": (2_000, 1_500), "test": (1_000, 1_200), "review": (500, 800)}
"""Millicores and MB that a task of the type takes on average."""
_REPORT_S: Final = 10
_WARM_UP_S: Final = 300
_LOOK_AHEAD: Final = 50
"""Tasks of the queue that are tried each second, by both."""


@dataclass(frozen=True, slots=True)
class Task:
    """One task; amounts by dimension."""

    name: str
    task_type: str
    peak: Amounts
    declared: Amounts
    seconds: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one policy, for the dimension that is scarcer; parts from 0 to 1.

    Attributes:
        granted: of the capacity, that was granted.
        used: of the capacity, that was used.
        waste: of what was granted, that was not used.
        outgrown: of the tasks, that needed more than they were granted and did not get it.
        grown: of the tasks, that needed more and got it.
        finished: tasks.
    """

    granted: float
    used: float
    waste: float
    outgrown: float
    grown: float
    finished: int


class Policy(Protocol):
    """Who grants."""

    def grant(self, task: Task) -> int:
        """Return the number of a grant, 0 if there is no room."""

    def granted(self, number: int) -> Amounts:
        """Return what is granted at present."""

    def report(self, used: dict[int, tuple[Task, Amounts]]) -> None:
        """Hear what is used."""

    def grow(self, number: int, task: Task, used: Amounts) -> bool:
        """Give a task that needs more than it was granted more, if there is room."""

    def release(self, number: int) -> None:
        """Take a grant back."""

    def advance(self) -> None:
        """Let a second pass."""


class FirstFit:
    """The baseline: what was declared, from the first pool with room."""

    def __init__(self) -> None:
        self._free = {pool.pool_id: pool.capacity for pool in _POOLS}
        self._grants: dict[int, tuple[Amounts, dict[str, str]]] = {}
        self._count = 0

    def grant(self, task: Task) -> int:
        chosen = {
            name: next((p.pool_id for p in _POOLS if p.dimension == name and self._free[p.pool_id] >= amount), "")
            for name, amount in task.declared.items()
        }
        if not all(chosen.values()):
            return 0
        for name, pool_id in chosen.items():
            self._free[pool_id] -= task.declared[name]
        self._count += 1
        self._grants[self._count] = task.declared, chosen
        return self._count

    def granted(self, number: int) -> Amounts:
        return self._grants[number][0]

    def report(self, used: dict[int, tuple[Task, Amounts]]) -> None:
        pass

    def grow(self, number: int, task: Task, used: Amounts) -> bool:
        return False

    def release(self, number: int) -> None:
        amounts, chosen = self._grants.pop(number)
        for name, pool_id in chosen.items():
            self._free[pool_id] += amounts[name]

    def advance(self) -> None:
        pass


class Tercio:
    """The state of the resources service, as its host drives it."""

    def __init__(self, *, adaptive: bool = True, headroom: int = Rules().headroom) -> None:
        self._adaptive = adaptive
        rules = Rules(default_pools=_POOLS, idle=2 * _REPORT_S * 1_000, headroom=headroom)
        self._machine, self._session = ResourcesMachine(rules), Session(rules)
        self._now = self._seq = 0
        self._do(ElectionWon())

    def _do(self, command: object) -> Any:
        at = Moment(self._seq + 1, self._now, self._now, Epoch(1, 1), "local", self._seq)
        self._machine.tables.begin()
        decision = self._machine.decide(command, at, self._session)
        for event in decision.events:
            self._machine.apply(event, at)
        self._seq += bool(decision.events)
        return decision.reply

    def grant(self, task: Task) -> int:
        history = self._machine.tables.histories.get(task.task_type)
        expected = dict(predict(history, (), task.declared, adaptive=self._adaptive).amounts)
        amounts = tuple(Amount(name, min(amount, expected[name])) for name, amount in sorted(task.declared.items()))
        number: int = self._do(Allocate(specs=(Spec(amounts),), owners=(task.name,))).numbers[0]
        return number

    def granted(self, number: int) -> Amounts:
        return {part.dimension: part.amount for part in self._machine.tables.allocations[number].lot.parts}

    def report(self, used: dict[int, tuple[Task, Amounts]]) -> None:
        reports = [
            UsageReport(number, tuple(Amount(*each) for each in sorted(amounts.items())), task.task_type)
            for number, (task, amounts) in used.items()
        ]
        self._do(ReportUsage(tuple(reports)))
        self._session.renew([task.name for task, _ in used.values()], self._now)
        self._do(Optimize((Kind.SHRINK,)))

    def grow(self, number: int, task: Task, used: Amounts) -> bool:
        amounts = tuple(Amount(name, max(used[name], held)) for name, held in sorted(self.granted(number).items()))
        try:
            self._do(Resize(number=number, owner=task.name, amounts=amounts))
        except Refusal:
            return False
        return True

    def release(self, number: int) -> None:
        self._do(Release(numbers=(number,)))

    def advance(self) -> None:
        self._now += 1_000
        self._session.pulse(self._now)
        while (due := self._machine.next_due()) is not None and due <= self._now:
            self._do(Tick())


def tasks(seed: int) -> Iterator[Task]:
    """Give tasks without end, the same for each seed."""
    random = Random(seed)
    for number in count():
        task_type = random.choice(sorted(_TYPES))
        scale = max(0.5, random.gauss(1, 0.07))
        peak = {name: int(mean * scale) for name, mean in zip(("cpu", "memory"), _TYPES[task_type], strict=True)}
        ask = random.uniform(1.5, 3)
        declared = {name: int(amount * ask) for name, amount in peak.items()}
        yield Task(f"t{number}", task_type, peak, declared, random.randint(30, 180))


def run(policy: Policy, *, seed: int, seconds: int) -> Outcome:
    """Keep the policy busy for so long; the warm-up does not count."""
    random, coming = Random(seed + 1), tasks(seed)
    queue = list(islice(coming, _LOOK_AHEAD))
    running: dict[int, tuple[Task, int]] = {}
    used = dict[int, tuple[Task, Amounts]]()
    sums, finished = Counter[tuple[str, str]](), 0
    outgrown, grown = set[str](), set[str]()
    for now in range(seconds):
        policy.advance()
        for number in [number for number, (_, end) in running.items() if end <= now]:
            task, _ = running.pop(number)
            finished += 1
            del used[number]
            policy.release(number)
        for task in queue[:]:
            if number := policy.grant(task):
                running[number] = task, now + task.seconds
                used[number] = task, task.peak
                queue.remove(task)
        queue += islice(coming, _LOOK_AHEAD - len(queue))
        if now % _REPORT_S == 0:
            for number, (task, _) in running.items():
                part = random.uniform(0.9, 1)
                used[number] = task, {name: int(peak * part) for name, peak in task.peak.items()}
            policy.report(used)
        for number, (task, amounts) in used.items():
            if any(amounts[name] > amount for name, amount in policy.granted(number).items()):
                (grown if policy.grow(number, task, amounts) else outgrown).add(task.name)
        if now >= _WARM_UP_S:
            for number, (_, amounts) in used.items():
                for name, amount in policy.granted(number).items():
                    sums[name, "granted"] += amount
                    sums[name, "used"] += min(amount, amounts[name])
    name = max(_CAPACITY, key=lambda each: sums[each, "granted"] / _CAPACITY[each])
    whole, granted, in_use = _CAPACITY[name] * (seconds - _WARM_UP_S), sums[name, "granted"], sums[name, "used"]
    return Outcome(
        granted / whole, in_use / whole, 1 - in_use / granted, len(outgrown) / finished, len(grown) / finished, finished
    )


def main() -> None:
    """Run both policies and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=3_600)
    arguments = parser.parse_args()
    policies: dict[str, Policy] = {
        "first fit, as declared": FirstFit(),
        "tercio, a fifth more": Tercio(adaptive=False, headroom=200),
        "tercio": Tercio(),
    }
    for name, policy in policies.items():
        outcome = run(policy, seed=arguments.seed, seconds=arguments.seconds)
        print(json.dumps({"policy": name, **asdict(outcome)}))


if __name__ == "__main__":
    main()
