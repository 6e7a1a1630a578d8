"""Every kind of fault by its name: what it is done to, how long it lasts, and what does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from tercio_common.errors import SettingsError
from tercio_common.testing.chaos.faults import network, processes, store
from tercio_common.testing.chaos.faults.clients import SameRequest, SilentAgent, StalledReaders
from tercio_common.testing.chaos.faults.clocks import WallJump
from tercio_common.testing.chaos.faults.port import Fault
from tercio_common.testing.chaos.fleet import BEAT_INTERVAL_MS, LEASE_TTL_S
from tercio_common.testing.chaos.proxy import Proxy
from tercio_common.testing.chaos.schedule import Kind

_PAUSE_MS: Final = round(2 * LEASE_TTL_S * 1000)
"""Twice the lease: the role is somebody else's by then."""
_REPLICAS, _AGENTS, _ETCD, _NETWORK, _CLOCKS = "replicas", "agents", "etcd", "network", "clocks"
_REGISTRIES, _BEATING, _POOLS, _CLAIMS, _CREW = "registries", "beating agents", "pools", "claims", "crew"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind(Kind):
    """A kind of fault.

    Attributes:
        make: gives one, to be used once.
    """

    make: Callable[[], Fault]


def _of_leader(service: str, subject: str, leader: processes.Choice, ways: network.Choice) -> tuple[FaultKind, ...]:
    """Return what befalls the leader of every service: it dies, stops for too long, or no longer reaches the store."""
    return (
        FaultKind(name=f"kill-{service}", subject=subject, hold_ms=(300, 2000), make=lambda: processes.Kill(leader)),
        FaultKind(
            name=f"pause-{service}",
            subject=subject,
            hold_ms=(_PAUSE_MS, _PAUSE_MS),
            make=lambda: processes.Pause(leader),
        ),
        FaultKind(
            name=f"cut-{service}",
            subject=subject,
            hold_ms=(500, 5000),
            make=lambda: network.Disturb(ways, Proxy.partition),
        ),
    )


_ALL: Final = (
    FaultKind(
        name="kill-leader", subject=_REPLICAS, hold_ms=(300, 2000), make=lambda: processes.Kill(processes.leader)
    ),
    FaultKind(
        name="kill-replica", subject=_REPLICAS, hold_ms=(300, 2000), make=lambda: processes.Kill(processes.any_replica)
    ),
    FaultKind(
        name="kill-agent", subject=_AGENTS, hold_ms=(300, 2000), make=lambda: processes.Kill(processes.any_agent)
    ),
    FaultKind(
        name="pause-leader",
        subject=_REPLICAS,
        hold_ms=(_PAUSE_MS, _PAUSE_MS),
        make=lambda: processes.Pause(processes.leader),
    ),
    # Longer than an attempt's lease, so that what it reports afterwards is of attempts that were given to others.
    FaultKind(
        name="pause-agent", subject=_AGENTS, hold_ms=(1000, 6000), make=lambda: processes.Pause(processes.any_agent)
    ),
    *_of_leader("registry", _REGISTRIES, processes.registry_leader, network.ways_of_registry_to_store),
    *_of_leader("resources", _POOLS, processes.pools_leader, network.ways_of_pools_to_store),
    # What was granted or released, and nobody was told: it is asked for again.
    FaultKind(
        name="lose-grants",
        subject=_POOLS,
        hold_ms=(200, 2000),
        make=lambda: network.Disturb(network.way_to_pools, Proxy.drop_replies),
    ),
    *_of_leader("conflicts", _CLAIMS, processes.claims_leader, network.ways_of_claims_to_store),
    FaultKind(
        name="lose-claims",
        subject=_CLAIMS,
        hold_ms=(200, 2000),
        make=lambda: network.Disturb(network.way_to_claims, Proxy.drop_replies),
    ),
    *_of_leader("scaling", _CREW, processes.scaling_leader, network.ways_of_scaling_to_store),
    # Longer than its lease at times.
    FaultKind(name="silent-agent", subject=_BEATING, hold_ms=(1000, 4 * BEAT_INTERVAL_MS), make=SilentAgent),
    FaultKind(
        name="member-gone", subject=_ETCD, hold_ms=(500, 3000), make=lambda: store.MembersGone(all_members=False)
    ),
    FaultKind(name="store-gone", subject=_ETCD, hold_ms=(300, 2500), make=lambda: store.MembersGone(all_members=True)),
    FaultKind(name="slow-disk", subject=_ETCD, hold_ms=(1500, 4000), make=store.SlowDisk),
    FaultKind(name="full-store", subject=_ETCD, hold_ms=(500, 3000), make=store.FullStore),
    FaultKind(name="wall-jump", subject=_CLOCKS, hold_ms=(500, 3000), make=WallJump),
    FaultKind(name="compact", subject="", hold_ms=(0, 0), make=store.Compact),
    FaultKind(
        name="drop-replies",
        subject=_NETWORK,
        hold_ms=(200, 1000),
        make=lambda: network.Disturb(network.ways_of_leader_to_store, Proxy.drop_replies),
    ),
    FaultKind(
        name="delay-store",
        subject=_NETWORK,
        hold_ms=(500, 3000),
        make=lambda: network.Delay(network.ways_of_leader_to_store),
    ),
    FaultKind(
        name="reset-store",
        subject=_NETWORK,
        hold_ms=(0, 0),
        make=lambda: network.Disturb(network.ways_of_leader_to_store, Proxy.reset),
    ),
    FaultKind(
        name="cut-store",
        subject=_NETWORK,
        hold_ms=(500, 5000),
        make=lambda: network.Disturb(network.ways_of_leader_to_store, Proxy.partition),
    ),
    FaultKind(
        name="cut-agents",
        subject=_NETWORK,
        hold_ms=(500, 5000),
        make=lambda: network.Disturb(network.way_to_leader, Proxy.partition),
    ),
    # Work and requests are done, and done again: their senders never heard of it.
    FaultKind(
        name="lose-acknowledgements",
        subject=_NETWORK,
        hold_ms=(200, 2000),
        make=lambda: network.Disturb(network.way_to_leader, Proxy.drop_replies),
    ),
    FaultKind(name="same-request", subject="", hold_ms=(0, 0), make=SameRequest),
    FaultKind(name="stalled-reader", subject="", hold_ms=(1000, 5000), make=StalledReaders),
)

KINDS: Final = {kind.name: kind for kind in _ALL}
"""Every kind, in the order in which they are told."""


def chosen(names: Iterable[str]) -> tuple[FaultKind, ...]:
    """Return the kinds with these names; `kill` names every `kill-…`, and none at all names every kind.

    Raises:
        SettingsError: no kind has the name; the message lists them.
    """
    wanted = list(names)
    for name in wanted:
        if not any(_is_named(kind, name) for kind in KINDS):
            raise SettingsError(f"no fault is called {name!r}; there are: {', '.join(KINDS)}")
    return tuple(kind for full, kind in KINDS.items() if not wanted or any(_is_named(full, name) for name in wanted))


def _is_named(kind: str, name: str) -> bool:
    return name in (kind, kind.partition("-")[0])
