"""The etcd that other tests stand on does what it says."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from support.etcd_server import EtcdServer


def version_of(endpoint: str) -> str:
    with urllib.request.urlopen(f"http://{endpoint}/version", timeout=0.5) as reply:
        return reply.read().decode()


def test_the_shared_member_answers_on_its_endpoint(etcd_server: EtcdServer) -> None:
    (endpoint,) = etcd_server.endpoints
    assert "etcdserver" in version_of(endpoint)


def test_a_member_can_be_paused_resumed_killed_and_restarted(start_etcd: Callable[..., EtcdServer]) -> None:
    server = start_etcd(fsync=False)
    (endpoint,) = server.endpoints
    server.pause()
    with pytest.raises(TimeoutError):
        version_of(endpoint)
    server.resume()
    assert version_of(endpoint)
    server.kill()
    with pytest.raises(urllib.error.URLError):
        version_of(endpoint)
    server.restart()
    assert version_of(endpoint)


def test_three_members_survive_the_loss_of_one(start_etcd: Callable[..., EtcdServer]) -> None:
    server = start_etcd(members=3, fsync=False)
    server.kill(0)
    server.restart(0)
    assert all(version_of(endpoint) for endpoint in server.endpoints)
