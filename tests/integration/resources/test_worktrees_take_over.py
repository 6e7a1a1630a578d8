"""The leader is killed in the middle of a git command, on real etcd: its successor waits for that, and goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from support.etcd_server import EtcdServer
from support.git_repository import git, new_repository, put_first
from support.processes import RESOURCES, fleet_on
from support.resources import spec
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.api.resources.v1 import worktree_pb2
from tercio.api.resources.v1 import worktree_service_pb2 as worktrees_pb
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.api.resources.v1.worktree_service_pb2_grpc import WorktreeServiceStub
from tercio.rpc.channels import Channels, Route
from tercio.rpc.remote import Remote
from tercio_common.testing.eventually import eventually

pytestmark = pytest.mark.timeout(120)
_WITHIN_MS = 60_000


async def test_what_a_killed_leader_was_cleaning_is_clean_before_anybody_gets_it(
    start_etcd: Callable[..., EtcdServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = new_repository(tmp_path / "repository")
    kept = {"repository": str(repository), "folder": str(tmp_path / "trees"), "ahead": 1}
    settings = {"TERCIO_RESOURCES__WORKTREES": json.dumps({"trees": kept})}
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    put_first(tmp_path / "bin", monkeypatch, verb="reset", deed=f"touch {begun}; sleep 8; touch {ended}")
    async with fleet_on(start_etcd(fsync=False).endpoints, folder=tmp_path, service="resources") as fleet:
        await fleet.add_all(2, module=RESOURCES, settings=settings)
        channels = Channels()
        route = Route(channels, fleet.address.split(","))
        worktrees, resources = Remote(route, WorktreeServiceStub), Remote(route, ResourceServiceStub)

        async def states() -> list[int]:
            listed = await worktrees.unary(lambda stub: stub.ListWorktrees, worktrees_pb.ListWorktreesRequest())
            return [row.state for row in listed.worktrees]

        async def ready() -> bool:
            return await states() == [worktree_pb2.Worktree.STATE_READY]

        async def take(owner: str) -> Path:
            asked = pb.AllocateRequest(
                request_id=owner, owners=[owner], specs=[spec({"git_worktrees": 1}, ttl=Duration(seconds=600))]
            )
            await resources.unary(lambda stub: stub.Allocate, asked)
            held = await worktrees.unary(
                lambda stub: stub.GetHeldWorktrees, worktrees_pb.GetHeldWorktreesRequest(owner=owner)
            )
            return Path(held.worktrees[0].path)

        try:
            await eventually(ready, within_ms=_WITHIN_MS)
            path = await take("a")
            (path / "left").write_text("x")
            await resources.unary(lambda stub: stub.Release, pb.ReleaseRequest(request_id="r", owners=["a"]))
            await eventually(begun.exists, within_ms=_WITHIN_MS)
            leader, former = await fleet.leader_after(None)
            leader.kill()
            await fleet.leader_after(former)
            assert not ended.exists(), "the successor leads while the last command of the one before still runs"
            assert await states() == [worktree_pb2.Worktree.STATE_CLEANING]
            await eventually(ready, within_ms=_WITHIN_MS)
            assert ended.exists()
            assert await take("b") == path
            assert git(path, "status", "--porcelain", "--ignored") == ""
        finally:
            await channels.close()
