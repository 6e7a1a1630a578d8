"""What a composition root is given and what it gives back.

A service is built by `app.build(ports)`. Nothing runs until the process starts it, so that `__main__`, `tercio dev` and
the fleets of the tests compose the same parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from tercio_common.clock import Clock
from tercio_common.election.port import Election
from tercio_common.ids import IdSource
from tercio_common.journal.port import Journal
from tercio_common.rpc.authorisation import Rule
from tercio_common.settings import HostSettings

if TYPE_CHECKING:
    from tercio_common.machine.host import Host
    from tercio_common.peers import Peers


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything that a service needs from outside.

    Attributes:
        clock: time and waiting.
        ids: where new identifiers come from.
        journal: the service's own.
        election: the service's own.
        address: `host:port` at which other replicas reach this one.
        host_settings: of the replica.
        settings: the service's own section, or None for its defaults.
        peers: the way to the other services of the fleet.
    """

    clock: Clock
    ids: IdSource
    journal: Journal
    election: Election
    address: str
    host_settings: HostSettings
    settings: Any
    peers: Peers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Service:
    """One replica of a service, ready to be started.

    Attributes:
        name: of the service, as in its settings and metrics.
        host: runs its machine.
        add_to_server: registers the servicers.
        full_names: proto names of the gRPC services that they serve; calls to these are forwarded to the leader.
        rules: who may call each method, by its path `/package.Service/Method`; a method without a rule is denied.
    """

    name: str
    host: Host
    add_to_server: Callable[[grpc.aio.Server], None]
    full_names: tuple[str, ...]
    rules: Mapping[str, Rule]
