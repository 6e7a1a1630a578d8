"""What is derived from the tables: agents and events by pool, and when something is due."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from tercio_common.leasing.timers import Timers
from tercio_scaling.state.rows import AgentRow, EventRow, PoolRow, StateRow

_NO_AGENTS: Final[Mapping[str, AgentRow]] = MappingProxyType({})
_NO_EVENTS: Final[Mapping[int, EventRow]] = MappingProxyType({})


class AgentsByPool:
    """Index of the agents: those of each pool, by id."""

    def __init__(self) -> None:
        self._agents: dict[str, dict[str, AgentRow]] = {}

    def changed(self, key: tuple[str, str], old: AgentRow | None, new: AgentRow | None) -> None:
        """See `Index`."""
        if new is not None:
            self._agents.setdefault(new.pool_id, {})[new.agent_id] = new
        elif old is not None:
            of_pool = self._agents[old.pool_id]
            del of_pool[old.agent_id]
            if not of_pool:
                del self._agents[old.pool_id]

    def of(self, pool_id: str) -> Mapping[str, AgentRow]:
        """Return the agents of a pool."""
        return self._agents.get(pool_id, _NO_AGENTS)


class History(Timers[str]):
    """Index of the events: those of each pool, by number, and when each is forgotten."""

    def __init__(self, *, period: int) -> None:
        """Keep each for `period` ms."""
        super().__init__("event")
        self._period = period
        self._events: dict[str, dict[int, EventRow]] = {}

    def changed(self, key: tuple[str, int], old: EventRow | None, new: EventRow | None) -> None:
        """See `Index`."""
        timer = f"{key[0]} {key[1]}"
        if new is not None:
            self._events.setdefault(key[0], {})[key[1]] = new
            if old is None:
                self.set(timer, new.now + self._period)
            return
        of_pool = self._events[key[0]]
        del of_pool[key[1]]
        if not of_pool:
            del self._events[key[0]]
        self.drop(timer)

    def of(self, pool_id: str) -> Mapping[int, EventRow]:
        """Return the events of a pool."""
        return self._events.get(pool_id, _NO_EVENTS)

    def surplus(self, pool_id: str, more: Iterable[int], *, most: int) -> tuple[int, ...]:
        """Return the numbers of the oldest that make room for these, so that at most `most` are kept."""
        numbers = sorted({*self.of(pool_id), *more})
        return tuple([number for number in numbers[: max(0, len(numbers) - most)] if number in self.of(pool_id)])


class Surges(Timers[str]):
    """Index of the states: when surges end."""

    def __init__(self) -> None:
        super().__init__("surge of")

    def changed(self, key: str, old: StateRow | None, new: StateRow | None) -> None:
        """See `Index`."""
        if new is None or new.surge is None:
            self.drop(key)
        elif old is None or old.surge != new.surge:
            self.set(key, new.surge.until_now)


class PoolsByBudget:
    """Index of the pools: the ids of those under each budget."""

    def __init__(self) -> None:
        self._pools: dict[str, set[str]] = {}

    def changed(self, key: str, old: PoolRow | None, new: PoolRow | None) -> None:
        """See `Index`."""
        if old is not None and old.budget_id:
            self._pools[old.budget_id].discard(key)
        if new is not None and new.budget_id:
            self._pools.setdefault(new.budget_id, set()).add(key)

    def of(self, budget_id: str) -> list[str]:
        """Return the pools under a budget, sorted."""
        return sorted(self._pools.get(budget_id, ()))
