"""The store in etcd goes on without a member, over TLS, and after it was full."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import trustme

from support.etcd_server import EtcdServer
from tercio_common.clock import SystemClock
from tercio_common.epochs import Epoch
from tercio_common.errors import OutcomeUnknownError, StoreError, StoreUnavailableError
from tercio_common.etcd_client.settings import EtcdSettings, TlsFiles
from tercio_common.journal.port import Journal, Segment, SnapshotId, SnapshotPointer
from tercio_common.journal.store import EtcdStore
from tercio_common.testing.eventually import eventually
from tools.etcd_binary import find_or_build

StartEtcd = Callable[..., EtcdServer]


@pytest.fixture
async def open_store() -> AsyncIterator[Callable[..., EtcdStore]]:
    stores: list[EtcdStore] = []

    def open_store(*endpoints: str, ttl_ms: int = 10_000, **settings: object) -> EtcdStore:
        reach = EtcdSettings(endpoints=endpoints, **{"rpc_timeout_ms": 1000, **settings})
        stores.append(EtcdStore(reach, clock=SystemClock(), ttl_ms=ttl_ms))
        return stores[-1]

    yield open_store
    for store in stores:
        await store.close()


async def append_surely(journal: Journal, number: int, value: bytes, *, epoch: Epoch) -> None:
    async def appended() -> bool:
        try:
            await journal.append(number, value, epoch=epoch)
        except OutcomeUnknownError:
            return False
        return True

    await eventually(appended, within_ms=20_000)


async def test_the_death_of_one_member_of_three_stops_nothing(
    start_etcd: StartEtcd, open_store: Callable[..., EtcdStore]
) -> None:
    server = start_etcd(members=3, fsync=False)
    store = open_store(*server.endpoints)
    journal, election = store.journal("alpha"), store.election("alpha")
    leadership = await election.campaign("a:1")
    await journal.append(1, b"one", epoch=leadership.epoch)
    tail = store.journal("alpha").tail(0)
    assert await anext(tail) == Segment(1, b"one")
    following = asyncio.ensure_future(anext(tail))
    server.kill(0)  # the member that every connection uses so far
    await append_surely(journal, 2, b"two", epoch=leadership.epoch)
    assert await following == Segment(2, b"two")
    await eventually(lambda: renewed(store, election, leadership))
    assert await journal.read(0, fence=leadership.epoch) == [Segment(1, b"one"), Segment(2, b"two")]
    server.pause(1)
    with pytest.raises(OutcomeUnknownError):
        await journal.append(3, b"three", epoch=leadership.epoch)
    server.resume(1)
    await append_surely(journal, 3, b"three", epoch=leadership.epoch)
    await tail.aclose()


async def renewed(store: EtcdStore, election: object, leadership: object) -> bool:
    try:
        await election.renew(leadership)
    except StoreUnavailableError:
        return False
    return True


async def test_a_member_that_stands_still_costs_one_deadline(
    start_etcd: StartEtcd, open_store: Callable[..., EtcdStore]
) -> None:
    server = start_etcd(members=3, fsync=False)
    store = open_store(*server.endpoints)
    journal = store.journal("alpha")
    leadership = await store.election("alpha").campaign("a:1")
    await append_surely(journal, 1, b"one", epoch=leadership.epoch)
    server.pause(0)
    with pytest.raises(StoreUnavailableError):
        await journal.read(0)
    await append_surely(journal, 2, b"two", epoch=leadership.epoch)
    server.resume(0)


async def test_a_silent_leader_is_succeeded_when_etcd_ends_its_lease(
    etcd_server: EtcdServer, open_store: Callable[..., EtcdStore]
) -> None:
    store = open_store(*etcd_server.endpoints, ttl_ms=1500)
    old = await store.election("silent").campaign("a:1")
    seen = store.election("silent").observe()
    assert (await anext(seen)).epoch == old.epoch
    new = await store.election("silent").campaign("b:1")
    assert new.epoch > old.epoch
    assert new.since_boot_ms >= old.since_boot_ms + 1500
    assert await anext(seen) is None
    assert (await anext(seen)).address == "b:1"
    await seen.aclose()


async def test_a_full_etcd_is_emptied_by_a_replica_and_the_same_append_succeeds(
    start_etcd: StartEtcd, open_store: Callable[..., EtcdStore]
) -> None:
    quota = 4 << 20
    server = start_etcd(fsync=False, options=[f"--quota-backend-bytes={quota}"])
    store = open_store(*server.endpoints)
    journal = store.journal("alpha")
    epoch = (await store.election("alpha").campaign("a:1")).epoch
    assert (await journal.space()).quota == quota
    written = 0

    def value(number: int) -> bytes:
        return b"%d" % number * 100_000

    async def fill() -> None:
        nonlocal written
        for number in range(1, 100):
            await journal.append(number, value(number), epoch=epoch)
            written = number
            snapshot = SnapshotPointer(SnapshotId(epoch, number), number, 1, 1, chunk_count=0, size_bytes=0)
            await journal.publish(snapshot, epoch=epoch)

    with pytest.raises(OutcomeUnknownError, match="space"):
        await fill()
    assert (await journal.space()).full
    replica = open_store(*server.endpoints).journal("alpha")
    covered = await replica.pointer()
    assert covered is not None
    while await replica.truncate(covered.segment):
        pass
    await replica.reclaim()
    space = await replica.space()
    assert not space.full
    assert space.file_size < quota // 2
    await journal.append(written + 1, value(written + 1), epoch=epoch)
    assert (await journal.read(written))[-1] == Segment(written + 1, value(written + 1))


async def test_without_any_member_each_call_says_so(open_store: Callable[..., EtcdStore]) -> None:
    store = open_store("127.0.0.1:1")
    journal, election = store.journal("alpha"), store.election("alpha")
    with pytest.raises(StoreUnavailableError):
        await journal.read(0)
    with pytest.raises(StoreUnavailableError):
        await election.campaign("a:1")
    with pytest.raises(StoreUnavailableError):
        await journal.space()
    with pytest.raises(OutcomeUnknownError):
        await journal.append(1, b"one", epoch=Epoch(1, 1))


@pytest.fixture
def tls_etcd(tmp_path: Path) -> Iterator[tuple[str, TlsFiles]]:
    """Yield an endpoint that demands certificates, and ours."""
    files = make_certificates(tmp_path)
    with socket.socket() as free, socket.socket() as free_too:
        for each in (free, free_too):
            each.bind(("127.0.0.1", 0))
        port, peer_port = free.getsockname()[1], free_too.getsockname()[1]
    client, peer = f"https://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    with (tmp_path / "etcd.log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(find_or_build()),
                f"--data-dir={tmp_path / 'data'}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                f"--cert-file={files.cert}",
                f"--key-file={files.key}",
                f"--trusted-ca-file={files.ca}",
                "--client-cert-auth",
                "--unsafe-no-fsync",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"127.0.0.1:{port}", files
    finally:
        process.kill()
        process.wait()


def make_certificates(folder: Path) -> TlsFiles:
    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1")
    files = TlsFiles(ca=folder / "ca.pem", cert=folder / "own.pem", key=folder / "own.key")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    own.cert_chain_pems[0].write_to_path(str(folder / "own.pem"))
    own.private_key_pem.write_to_path(str(folder / "own.key"))
    return files


async def test_etcd_is_reached_over_mutual_tls(
    tls_etcd: tuple[str, TlsFiles], open_store: Callable[..., EtcdStore]
) -> None:
    endpoint, files = tls_etcd
    store = open_store(endpoint, tls=files)

    async def won() -> object:
        try:
            return await store.election("alpha").campaign("a:1")
        except StoreUnavailableError:
            return None

    leadership = await eventually(won)
    await store.journal("alpha").append(1, b"one", epoch=leadership.epoch)
    assert await store.journal("alpha").read(0) == [Segment(1, b"one")]
    for stranger in (open_store(endpoint, tls=TlsFiles(ca=files.ca)), open_store(endpoint)):
        with pytest.raises(StoreError):
            await stranger.journal("alpha").read(0)
