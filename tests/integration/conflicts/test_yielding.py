"""Holders learn on their watch that somebody asks for what they hold, and when they must let go."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from support.conflicts import Conflicts
from support.registry import info_of, reason_of
from tercio.api.conflicts.v1 import claim_pb2
from tercio.api.conflicts.v1 import claim_service_pb2 as pb
from tercio_common.testing.manual_clock import ManualClock


async def test_a_holder_sees_the_request_on_its_watch_and_what_becomes_of_it(
    conflicts: Conflicts, clock: ManualClock
) -> None:
    (number,) = await conflicts.acquire("a", "x", ttl=Duration(seconds=3600))
    watch = conflicts.stub.WatchClaims(pb.WatchClaimsRequest(expression='owner = "a"'))
    assert (await watch.read()).claims == []
    await conflicts.ask(number, by="b", priority=1, because="release day")
    (asked,) = (await watch.read()).claims
    assert (asked.state, asked.asked_by, asked.asked_because) == (
        claim_pb2.Claim.STATE_YIELDING,
        "b",
        "release day",
    )
    assert asked.yield_time.ToMilliseconds() < asked.expire_time.ToMilliseconds()
    for _ in range(6):
        await clock.advance(1_000)
    assert list((await watch.read()).released_claim_ids) == [number]
    watch.cancel()


async def test_who_pre_empts_has_lower_priorities_yield(conflicts: Conflicts) -> None:
    await conflicts.acquire("a", "x")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await conflicts.acquire("b", "x", priority=1, preempt=True)
    assert info_of(caught.value).metadata["yielding"] == "1"
    assert [claim.asked_by for claim in await conflicts.listed("state = YIELDING")] == ["b"]


async def test_a_claim_that_is_not_held_cannot_be_asked_for(conflicts: Conflicts) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await conflicts.ask(5)
    assert reason_of(caught.value) == "CLAIM_NOT_FOUND"
