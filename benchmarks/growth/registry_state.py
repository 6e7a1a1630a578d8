"""The registry's pure state with few and with many agents: CPU a heartbeat, timers of the leases included.

Fleet time is simulated: every agent beats once an interval, in an even stream, and the timers are worked off as the
host does it, a tick whenever one is due.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

from benchmarks.bars import Bar
from tercio_common.epochs import Epoch
from tercio_common.garbage import tune_for_many_rows
from tercio_common.machine.protocol import ElectionWon, Moment, Tick
from tercio_registry.codec import encode_event
from tercio_registry.effects.flush_performance import MOST_BYTES
from tercio_registry.settings import RegistrySettings
from tercio_registry.state import heartbeats
from tercio_registry.state.agents import Profile
from tercio_registry.state.commands import RecordPerformance, RegisterAgent
from tercio_registry.state.events import Event
from tercio_registry.state.machine import RegistryMachine
from tercio_registry.state.rules import Rules
from tercio_registry.state.session import Session
from tercio_registry.state.totals import Totals

_INTERVALS = 2
_ROUNDS = 3
_STEPS_AN_INTERVAL = 1_000
_EPOCH = Epoch(1, 1)


class SimulatedRegistry:
    """One leader's machine and session, with agents that beat when told."""

    def __init__(self, agents: int) -> None:
        """Register that many agents, spread evenly over the first interval."""
        self.rules = Rules(max_live_bytes=1 << 40)
        self.machine = RegistryMachine(self.rules)
        self.session = Session(self.rules)
        self.now = self.seq = 0
        self.ids = [f"agent-{number:06d}" for number in range(agents)]
        self._propose(ElectionWon())
        for number, agent_id in enumerate(self.ids):
            self._advance(self.rules.interval * number // agents)
            self._propose(_registration(agent_id))

    def interval(self) -> int:
        """Let every agent beat once, in the order in which they registered; return how many timers' ticks it took."""
        began, ticks = self.now, 0
        agents, session, count = self.machine.agents, self.session, len(self.ids)
        for step in range(_STEPS_AN_INTERVAL):
            ticks += self._advance(began + self.rules.interval * step // _STEPS_AN_INTERVAL)
            for agent_id in self.ids[count * step // _STEPS_AN_INTERVAL : count * (step + 1) // _STEPS_AN_INTERVAL]:
                heartbeats.receive(agents, agent_id, 1, session=session, now=self.now, epoch=_EPOCH)
        return ticks + self._advance(began + self.rules.interval)

    def flush(self) -> tuple[int, int, float]:
        """Record what was counted; return how many records and bytes it took, and the longest one's processor time."""
        records = size = 0
        longest = 0.0
        while counted := self.session.counting.take(MOST_BYTES):
            began = time.process_time()
            size += sum(len(encode_event(event)) for event in self._propose(RecordPerformance(counted)))
            longest = max(longest, time.process_time() - began)
            records += 1
        return records, size, longest

    def count(self, tasks: int) -> None:
        """Let every agent tell that it has done so many tasks of each of two types."""
        totals = Totals(tasks, tasks // 20, 250_000 * tasks)
        for row in self.machine.agents.values():
            self.session.counting.count(row, {"build": totals, "test": totals})

    def _advance(self, now: int) -> int:
        self.now = max(self.now, now)
        self.session.pulse(self.now)
        ticks = 0
        while (due := self.machine.next_due()) is not None and due <= self.now:
            self._propose(Tick())
            ticks += 1
        return ticks

    def _propose(self, command: object) -> Sequence[Event]:
        self.seq += 1
        at = Moment(self.seq, self.now, self.now, _EPOCH, "bench", self.seq - 1)
        self.machine.tables.begin()
        events: Sequence[Event] = self.machine.decide(command, at, self.session).events
        for event in events:
            self.machine.apply(event, at)
        return events


def bars(*, few: int, many: int) -> list[Bar]:
    """Return how the cost of a heartbeat grows."""
    small, large = SimulatedRegistry(few), SimulatedRegistry(many)
    costs = [(_micros(small), _micros(large)) for _ in range(_ROUNDS)]
    with_few, with_many = (median(each) for each in zip(*costs, strict=True))
    return [
        Bar(
            name=f"registry's pure state: CPU a heartbeat, {many:,} agents ÷ {few:,} agents",
            value=with_many / with_few,
            limit=1.5,
            details={"µs with few": with_few, "µs with many": with_many},
        ),
        _flushed(small),
    ]


def _flushed(registry: SimulatedRegistry) -> Bar:
    """Record twice what every agent did of two types of task: the second time the types are known, as most often."""
    flush_s = RegistrySettings().performance_flush_ms / 1000
    tune_for_many_rows()  # as every server does
    for tasks in (1_000, 1_100):
        registry.count(tasks)
        records, size, longest = registry.flush()
    return Bar(
        name=f"registry: journal for the performance of {len(registry.ids):,} busy agents",
        value=size / flush_s / 1000,
        limit=64,
        unit="kB/s",
        details={"records a flush": records, "bytes an agent": size / len(registry.ids), "longest ms": longest * 1e3},
    )


def _micros(registry: SimulatedRegistry) -> float:
    began = time.process_time()
    for _ in range(_INTERVALS):
        registry.interval()
    return (time.process_time() - began) / (_INTERVALS * len(registry.ids)) * 1e6


def _registration(agent_id: str) -> RegisterAgent:
    return RegisterAgent(agent_id=agent_id, profile=Profile(), fingerprint="0" * 64, instance_id=b"0123456789abcdef")
