"""The registry's pure state with few and with many agents: CPU a heartbeat, timers of the leases included.

Fleet time is simulated: every agent beats once an interval, in an even stream, and the timers are worked off as the
host does it, a tick whenever one is due.
"""

from __future__ import annotations

import time
from statistics import median

from benchmarks.bars import Bar
from tercio_common.epochs import Epoch
from tercio_common.machine.protocol import ElectionWon, Moment, Tick
from tercio_registry.state import heartbeats
from tercio_registry.state.agents import Profile
from tercio_registry.state.commands import RegisterAgent
from tercio_registry.state.machine import RegistryMachine
from tercio_registry.state.rules import Rules
from tercio_registry.state.session import Session

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

    def _advance(self, now: int) -> int:
        self.now = max(self.now, now)
        self.session.pulse(self.now)
        ticks = 0
        while (due := self.machine.next_due()) is not None and due <= self.now:
            self._propose(Tick())
            ticks += 1
        return ticks

    def _propose(self, command: object) -> None:
        self.seq += 1
        at = Moment(self.seq, self.now, self.now, _EPOCH, "bench", self.seq - 1)
        self.machine.tables.begin()
        for event in self.machine.decide(command, at, self.session).events:
            self.machine.apply(event, at)


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
        )
    ]


def _micros(registry: SimulatedRegistry) -> float:
    began = time.process_time()
    for _ in range(_INTERVALS):
        registry.interval()
    return (time.process_time() - began) / (_INTERVALS * len(registry.ids)) * 1e6


def _registration(agent_id: str) -> RegisterAgent:
    return RegisterAgent(agent_id=agent_id, profile=Profile(), fingerprint="0" * 64, instance_id=b"0123456789abcdef")
