"""Faults of the network, done by the proxies on every way between the processes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tercio_common.testing.chaos.fleet import Fleet
from tercio_common.testing.chaos.proxy import Proxy

Choice = Callable[[Fleet, random.Random], Sequence[Proxy]]

_DELAY_S = (0.01, 0.15)
"""Each way: a slow network, and at the end more than half of the time that a call to the store has."""


def ways_of_leader_to_store(fleet: Fleet, rng: random.Random) -> Sequence[Proxy]:
    """Choose the leader's ways to every member of etcd; any replica's while there is none."""
    return (fleet.leader or rng.choice(fleet.replicas)).ways_to_store


def ways_of_registry_to_store(fleet: Fleet, rng: random.Random) -> Sequence[Proxy]:
    """Choose those of the registry that leads; any replica's while none does."""
    return (fleet.registry_leader or rng.choice(fleet.registries)).ways_to_store


def ways_of_pools_to_store(fleet: Fleet, rng: random.Random) -> Sequence[Proxy]:
    """Choose those of the resources service that leads; any replica's while none does."""
    return (fleet.pools_leader or rng.choice(fleet.pools)).ways_to_store


def way_to_pools(fleet: Fleet, rng: random.Random) -> Sequence[Proxy]:
    """Choose the way to the resources service that leads; to any replica while none does."""
    return ((fleet.pools_leader or rng.choice(fleet.pools)).front,)


def ways_of_claims_to_store(fleet: Fleet, rng: random.Random) -> Sequence[Proxy]:
    """Choose those of the conflicts service that leads; any replica's while none does."""
    return (fleet.claims_leader or rng.choice(fleet.claims)).ways_to_store


def way_to_claims(fleet: Fleet, rng: random.Random) -> Sequence[Proxy]:
    """Choose the way to the conflicts service that leads; to any replica while none does."""
    return ((fleet.claims_leader or rng.choice(fleet.claims)).front,)


def ways_of_scaling_to_store(fleet: Fleet, rng: random.Random) -> Sequence[Proxy]:
    """Choose those of the scaling service that leads; any replica's while none does."""
    return (fleet.scaling_leader or rng.choice(fleet.scaling)).ways_to_store


def way_to_leader(fleet: Fleet, rng: random.Random) -> Sequence[Proxy]:
    """Choose the way to the leader, of agents, clients and other replicas; to any replica while there is none."""
    return ((fleet.leader or rng.choice(fleet.replicas)).front,)


class Disturb:
    """Does one thing to some proxies; healing lets everything through again."""

    def __init__(self, choose: Choice, disturb: Callable[[Proxy], None]) -> None:
        self._choose = choose
        self._disturb = disturb
        self._proxies: Sequence[Proxy] = ()

    async def inject(self, fleet: Fleet, rng: random.Random) -> None:
        self._proxies = self._choose(fleet, rng)
        for proxy in self._proxies:
            self._disturb(proxy)

    async def heal(self) -> None:
        for proxy in self._proxies:
            proxy.heal()


class Delay:
    """Holds back whatever arrives; healing lets it through again."""

    def __init__(self, choose: Choice) -> None:
        self._choose = choose
        self._proxies: Sequence[Proxy] = ()

    async def inject(self, fleet: Fleet, rng: random.Random) -> None:
        self._proxies = self._choose(fleet, rng)
        for proxy in self._proxies:
            proxy.delay(rng.uniform(*_DELAY_S))

    async def heal(self) -> None:
        for proxy in self._proxies:
            proxy.heal()
