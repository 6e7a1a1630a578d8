"""Lists and watches: pages, cursors, and every change in order."""

from __future__ import annotations

import grpc
import pytest

from support.conflicts import GLOB, Conflicts, thing
from support.registry import reason_of
from tercio.api.conflicts.v1 import claim_service_pb2 as pb
from tercio_common.cursors import encode_seq


async def test_a_watch_from_a_lists_cursor_shows_every_change_since(conflicts: Conflicts) -> None:
    (first,) = await conflicts.acquire("a", "x")
    cursor = (await conflicts.stub.ListClaims(pb.ListClaimsRequest())).cursor
    (second,) = await conflicts.acquire("b", "y")
    await conflicts.release(first)
    watch = conflicts.stub.WatchClaims(pb.WatchClaimsRequest(cursor=cursor))
    assert (await watch.read()).cursor == cursor
    granted, released = await watch.read(), await watch.read()
    assert [claim.claim_id for claim in granted.claims] == [second]
    assert list(released.released_claim_ids) == [first]
    watch.cancel()


async def test_a_list_goes_on_from_its_token_for_the_same_question_only(conflicts: Conflicts) -> None:
    numbers = await conflicts.acquire("a", *map(str, range(5)))
    found: list[int] = []
    request = pb.ListClaimsRequest(page_size=2, overlapping=thing("*", kind=GLOB))
    while True:
        page = await conflicts.stub.ListClaims(request)
        found += [claim.claim_id for claim in page.claims]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == numbers
    request.ClearField("overlapping")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await conflicts.stub.ListClaims(request)
    assert reason_of(caught.value) == "CURSOR_INVALID"


async def test_a_cursor_of_something_else_is_refused(conflicts: Conflicts) -> None:
    watch = conflicts.stub.WatchClaims(pb.WatchClaimsRequest(cursor=encode_seq("allocations", 1)))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watch.read()
    assert reason_of(caught.value) == "CURSOR_INVALID"


async def test_a_glob_that_is_none_and_an_expression_that_is_none_are_refused(conflicts: Conflicts) -> None:
    for call in (
        conflicts.stub.ListClaims(pb.ListClaimsRequest(overlapping=thing("a//b", kind=GLOB))),
        conflicts.stub.ListClaims(pb.ListClaimsRequest(expression="colour = 1")),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert reason_of(caught.value) == "INVALID_ARGUMENT"
