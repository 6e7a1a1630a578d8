"""Faults of processes: killed and started again, or stopped in their tracks for a while."""

from __future__ import annotations

import contextlib
import random
from abc import ABC, abstractmethod
from collections.abc import Callable

from tercio_common.testing.chaos.fleet import Fleet
from tercio_common.testing.chaos.processes import ChildProcess

Choice = Callable[[Fleet, random.Random], ChildProcess]


def leader(fleet: Fleet, rng: random.Random) -> ChildProcess:
    """Choose the leader; any replica while there is none."""
    return (fleet.leader or rng.choice(fleet.replicas)).process


def any_replica(fleet: Fleet, rng: random.Random) -> ChildProcess:
    """Choose any replica."""
    return rng.choice(fleet.replicas).process


def registry_leader(fleet: Fleet, rng: random.Random) -> ChildProcess:
    """Choose the registry that leads; any replica while none does."""
    return (fleet.registry_leader or rng.choice(fleet.registries)).process


def pools_leader(fleet: Fleet, rng: random.Random) -> ChildProcess:
    """Choose the resources service that leads; any replica while none does."""
    return (fleet.pools_leader or rng.choice(fleet.pools)).process


def claims_leader(fleet: Fleet, rng: random.Random) -> ChildProcess:
    """Choose the conflicts service that leads; any replica while none does."""
    return (fleet.claims_leader or rng.choice(fleet.claims)).process


def scaling_leader(fleet: Fleet, rng: random.Random) -> ChildProcess:
    """Choose the scaling service that leads; any replica while none does."""
    return (fleet.scaling_leader or rng.choice(fleet.scaling)).process


def any_agent(fleet: Fleet, rng: random.Random) -> ChildProcess:
    """Choose any agent."""
    return rng.choice(fleet.agents)


class _Strike(ABC):
    """Does something to a process that runs, and undoes it."""

    def __init__(self, choose: Choice) -> None:
        self._choose = choose
        self._victim: ChildProcess | None = None

    async def inject(self, fleet: Fleet, rng: random.Random) -> None:
        victim = self._choose(fleet, rng)
        # One that ended by itself stays as it is, to be told at the end.
        if victim.running:
            self._victim = victim
            self._strike(victim)

    async def heal(self) -> None:
        if self._victim is not None:
            self._restore(self._victim)

    @abstractmethod
    def _strike(self, victim: ChildProcess) -> None: ...

    @abstractmethod
    def _restore(self, victim: ChildProcess) -> None: ...


class Kill(_Strike):
    """`kill -9`; healing starts the process again."""

    def _strike(self, victim: ChildProcess) -> None:
        victim.kill()

    def _restore(self, victim: ChildProcess) -> None:
        victim.start()


class Pause(_Strike):
    """SIGSTOP; healing is SIGCONT."""

    def _strike(self, victim: ChildProcess) -> None:
        victim.pause()

    def _restore(self, victim: ChildProcess) -> None:
        with contextlib.suppress(ProcessLookupError):
            victim.resume()
