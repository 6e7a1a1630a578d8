"""A leader past its lease opens no watch: its cursors and its refusals of cursors may be those of a former state."""

from __future__ import annotations

import pytest

from support.counter_fleet import CounterFleet, add
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio_common.errors import Refusal
from tercio_registry.api.watching import Watching
from tercio_registry.cursors import Position, encode_position


@pytest.mark.parametrize("after", [0, 1, 99])
async def test_a_leader_past_its_lease_opens_no_watch(after: int) -> None:
    fleet = CounterFleet()
    try:
        host = await fleet.leader()
        await add(host)
        fleet.clock.ahead_ms = fleet.settings.lease.ttl_ms
        watch = Watching(host).serve(pb.WatchAgentsRequest(cursor=encode_position(Position(after))))
        with pytest.raises(Refusal, match="OUTCOME_UNKNOWN"):
            await anext(watch)
    finally:
        await fleet.close()
