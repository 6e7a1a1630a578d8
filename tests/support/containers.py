"""etcd and schedulers in containers, so that a partition is one of networks and not of a proxy.

Three networks: members of etcd reach each other over one, replicas of the scheduler reach etcd over another, agents and
clients, which run on this machine, reach the replicas over a third. Taking a container off a network cuts exactly that
way, and it comes back with the address that it had. Nobody uses the default network's addresses.

The containers run this machine's etcd and this environment's Python, mounted at the same paths; the image is only what
is around them. It needs Docker (`make docker-up`) and a glibc that is not older than this machine's.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import grpc
from docker.errors import APIError
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from support.processes import ROOT
from tercio.api.scheduler.v1 import task_service_pb2
from tercio.api.scheduler.v1.task_service_pb2_grpc import TaskServiceStub
from tercio_common.clock import SystemClock
from tercio_common.election.port import Leader
from tercio_common.etcd_client.settings import EtcdSettings
from tercio_common.journal.etcd import EtcdJournal
from tercio_common.journal.store import EtcdStore
from tercio_common.testing.eventually import eventually
from tools.etcd_binary import find_or_build

BASE_IMAGE: Final = os.environ.get("TERCIO_BASE_IMAGE", "python:3.12-slim-bookworm")
"""What is around our programs; set it where the public one cannot be pulled."""

_MEMBERS, _REPLICAS = 3, 2
_CLIENT_PORT, _PEER_PORT, _PORT = 2379, 2380, 7402
_FIRST_HOST = 10
_TRIES = 20
_READY_WITHIN_MS = 60_000
_ATTEMPT_LEASE_MS = 8_000
_LEASE: Final = {"TTL_MS": 6_000, "RENEW_INTERVAL_MS": 1_500, "RPC_TIMEOUT_MS": 1_500, "MARGIN_MS": 1_000}
"""Shorter than the default, and long enough for members of etcd that share a busy machine."""
_TOKEN = "containers of one test fleet"


class Lan:
    """One network, whose members keep their addresses."""

    def __init__(self, network: Network, prefix: str) -> None:
        """Use `lan`."""
        self.network = network
        self._prefix = prefix

    def address(self, number: int) -> str:
        """Return the address of the container with that number."""
        return f"{self._prefix}.{_FIRST_HOST + number}"

    def connect(self, container: DockerContainer, number: int) -> None:
        """Put the container on the network, or back on it."""
        wrapped: Any = self.network._unwrap_network
        wrapped.connect(container.get_wrapped_container().id, ipv4_address=self.address(number))

    def disconnect(self, container: DockerContainer) -> None:
        """Take the container off the network, at once and without a word to anybody."""
        wrapped: Any = self.network._unwrap_network
        wrapped.disconnect(container.get_wrapped_container().id)


@contextlib.contextmanager
def lan() -> Iterator[Lan]:
    """Yield a network of its own, on addresses that nobody uses."""
    for attempt in range(_TRIES):
        prefix = f"10.{random.randrange(200, 250)}.{random.randrange(256)}"
        addresses = {"Driver": "default", "Config": [{"Subnet": f"{prefix}.0/24"}]}
        network = Network(docker_network_kw={"ipam": addresses})
        try:
            network.create()
        except APIError:
            if attempt == _TRIES - 1:
                raise
            continue
        try:
            yield Lan(network, prefix)
        finally:
            network.remove()
        return


class ContainerFleet:
    """Three members of etcd, two schedulers, and the test's own view of journal and election."""

    def __init__(self, *, peers: Lan, store: Lan, front: Lan) -> None:
        """Use `container_fleet`."""
        self.peers, self.store, self.front = peers, store, front
        self.members: list[DockerContainer] = []
        self.replicas: list[DockerContainer] = []
        self._endpoints = tuple(f"{store.address(number)}:{_CLIENT_PORT}" for number in range(_MEMBERS))
        self._client = EtcdStore(EtcdSettings(endpoints=self._endpoints), clock=SystemClock(), ttl_ms=2000)

    @property
    def addresses(self) -> list[str]:
        """Of every replica."""
        return [f"{self.front.address(number)}:{_PORT}" for number in range(_REPLICAS)]

    @property
    def journal(self) -> EtcdJournal:
        """The scheduler's journal."""
        return self._client.journal("scheduler")

    async def leader_after(self, former: Leader | None) -> tuple[int, Leader]:
        """Wait until a replica leads with a higher epoch than `former`; return its number and the leader."""
        async with contextlib.aclosing(self._client.election("scheduler").observe()) as leaders:  # type: ignore[type-var]
            async for leader in leaders:
                if leader is not None and (former is None or leader.epoch > former.epoch):
                    return self.addresses.index(leader.address), leader
        raise AssertionError("the observation of an election never ends")

    def member(self, number: int) -> DockerContainer:
        """Prepare a member of etcd."""
        ways = [f"http://{self.peers.address(each)}:{_PEER_PORT}" for each in range(_MEMBERS)]
        cluster = ",".join(f"m{each}={way}" for each, way in enumerate(ways))
        command = [
            "/usr/local/bin/etcd",
            f"--name=m{number}",
            "--data-dir=/var/lib/etcd",
            f"--listen-client-urls=http://0.0.0.0:{_CLIENT_PORT}",
            f"--advertise-client-urls=http://{self._endpoints[number]}",
            f"--listen-peer-urls=http://0.0.0.0:{_PEER_PORT}",
            f"--initial-advertise-peer-urls={ways[number]}",
            f"--initial-cluster={cluster}",
            # A member that waits for the processor is not dead.
            "--heartbeat-interval=300",
            "--election-timeout=3000",
            "--log-level=warn",
        ]
        container = DockerContainer(BASE_IMAGE).with_command(command)
        return container.with_volume_mapping(str(find_or_build()), command[0], "ro")

    def replica(self, number: int) -> DockerContainer:
        """Prepare a replica of the scheduler."""
        environment = {
            "PYTHONDONTWRITEBYTECODE": "1",
            "TERCIO_SERVER__BIND": "0.0.0.0",  # noqa: S104 - inside the container
            "TERCIO_SERVER__PORT": str(_PORT),
            "TERCIO_SERVER__ADVERTISE": self.addresses[number],
            "TERCIO_SERVER__TRUST_NETWORK": "true",
            "TERCIO_SERVER__REPLICA_TOKEN": _TOKEN,
            "TERCIO_STORE__ENDPOINTS": json.dumps(self._endpoints),
            "TERCIO_SCHEDULER__ATTEMPT_LEASE_MS": str(_ATTEMPT_LEASE_MS),
            **{f"TERCIO_HOST__LEASE__{name}": str(value) for name, value in _LEASE.items()},
        }
        container = DockerContainer(BASE_IMAGE).with_envs(**environment)
        for path in {str(ROOT), sys.prefix, sys.base_prefix}:
            container = container.with_volume_mapping(path, path, "ro")
        return container.with_command([f"{sys.prefix}/bin/python", "-m", "tercio_scheduler"])

    async def ready(self) -> None:
        """Wait until every replica answers.

        Raises:
            AssertionError: one does not, in a minute; the message ends with what it logged.
        """
        for number, address in enumerate(self.addresses):
            async with grpc.aio.insecure_channel(address) as channel:
                stub = TaskServiceStub(channel)
                try:
                    await eventually(lambda: _answers(stub), within_ms=_READY_WITHIN_MS)  # noqa: B023 - awaited here
                except AssertionError:
                    out, err = self.replicas[number].get_logs()
                    raise AssertionError(f"replica {number} does not answer: {(out + err)[-4000:].decode()}") from None

    async def close(self) -> None:
        """Let go of etcd."""
        await self._client.close()


@contextlib.asynccontextmanager
async def container_fleet() -> AsyncIterator[ContainerFleet]:
    """Yield a fleet that answers; at its end no container and no network of it is left."""
    with contextlib.ExitStack() as stack:
        peers, store, front = (stack.enter_context(lan()) for _ in range(3))
        fleet = ContainerFleet(peers=peers, store=store, front=front)
        for number in range(_MEMBERS):
            member = fleet.member(number)
            fleet.members.append(stack.enter_context(_running(member)))
            peers.connect(member, number)
            store.connect(member, number)
        for number in range(_REPLICAS):
            replica = fleet.replica(number)
            fleet.replicas.append(stack.enter_context(_running(replica)))
            store.connect(replica, _MEMBERS + number)
            front.connect(replica, number)
        try:
            await fleet.ready()
            yield fleet
        finally:
            await fleet.close()


@contextlib.contextmanager
def _running(container: DockerContainer) -> Iterator[DockerContainer]:
    container.start()
    try:
        yield container
    finally:
        container.stop()


async def _answers(stub: Any) -> bool:
    try:
        await stub.ListTasks(task_service_pb2.ListTasksRequest(page_size=1), timeout=2)
    except grpc.aio.AioRpcError:
        return False
    return True
