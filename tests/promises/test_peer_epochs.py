"""Who was replaced writes nothing through another service: fencing does not end at etcd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

from support.etcd_server import EtcdServer
from support.processes import REGISTRY, fleet_on
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio.rpc.errors import CallError
from tercio_common.epochs import Epoch
from tercio_common.machine.host import Host
from tercio_common.machine.records import call_of_record, split_segment
from tercio_common.peers import Peers
from tercio_common.testing.history import Recording, load, recorded

_FORMER, _PRESENT = Epoch(1, 5), Epoch(1, 9)


class _Leader(NamedTuple):
    """What a call to another service knows of its own host."""

    epoch: Epoch
    name: str = "scheduler"


async def _register(address: str, agent_id: str, *, as_leader: Epoch) -> str:
    """Register an agent for that leader of the scheduler; return why it was refused, if it was."""
    request = pb.RegisterAgentRequest(
        request_id=agent_id, agent_id=agent_id, identity_secret=b"s" * 16, instance_id=b"i" * 16, concurrency=1
    )
    peers = Peers(addresses={"registry": address})
    async with peers.remote("registry", RegistryServiceStub, host=cast(Host, _Leader(as_leader))) as remote:
        try:
            await remote.unary(lambda stub: stub.RegisterAgent, request)
        except CallError as error:
            return error.reason
    return ""


def _written_by_replaced_leaders(recording: Recording) -> list[Epoch]:
    """Return the epochs of callers for which something was recorded after a later one had called."""
    highest, found = Epoch(0, 0), []
    for segment in recording.segments:
        for record in split_segment(segment.value):
            peer = call_of_record(record).peer
            if peer is not None:
                found += [peer.epoch] if peer.epoch < highest else []
                highest = max(highest, peer.epoch)
    return found


async def _replace(etcd: EtcdServer, folder: Path, *, module: str) -> tuple[str, list[Epoch]]:
    """Let the former leader call once more after the present one, and after a take-over of the registry."""
    async with fleet_on(etcd.endpoints, folder=folder, service="registry") as registry:
        await registry.add_all(2, module=module)
        leader, term = await registry.leader_after(None)
        async with recorded(registry.journal, folder / "recording"):
            assert not await _register(leader.address, "a", as_leader=_FORMER)
            assert not await _register(leader.address, "b", as_leader=_PRESENT)
            leader.kill()
            leader, _ = await registry.leader_after(term)
            refusal = await _register(leader.address, "c", as_leader=_FORMER)
    return refusal, _written_by_replaced_leaders(load(folder / "recording"))


async def test_a_replaced_leader_writes_nothing_through_another_service_whoever_leads_that_one(
    start_etcd: Callable[..., EtcdServer], tmp_path: Path
) -> None:
    assert await _replace(start_etcd(fsync=False), tmp_path, module=REGISTRY) == ("STALE_EPOCH", [])


async def test_a_service_that_takes_every_call_would_be_found_out(
    start_etcd: Callable[..., EtcdServer], tmp_path: Path
) -> None:
    _, violations = await _replace(start_etcd(fsync=False), tmp_path, module="support.launchers.trusting_peers")
    assert violations == [_FORMER]
