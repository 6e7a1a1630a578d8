"""Claims over real gRPC: granted, refused with who is in the way, released once, listed, checked and watched."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from support.conflicts import BATCH, EXCLUSIVE, INTENT, SHARED, Conflicts, thing
from support.registry import reason_of
from tercio.api.conflicts.v1 import claim_pb2
from tercio.api.conflicts.v1 import claim_service_pb2 as pb


async def refused(call: object) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return caught.value


async def test_who_edits_is_alone_and_who_reads_is_not(conflicts: Conflicts) -> None:
    assert await conflicts.acquire("a", "x", mode=SHARED)
    assert await conflicts.acquire("b", "x", mode=INTENT)
    assert reason_of(await refused(conflicts.acquire("c", "x"))) == "CLAIM_CONFLICT"
    assert await conflicts.acquire("c", "y")
    assert reason_of(await refused(conflicts.acquire("a", "y", mode=SHARED))) == "CLAIM_CONFLICT"


async def test_a_refusal_names_who_is_in_the_way(conflicts: Conflicts) -> None:
    (number,) = await conflicts.acquire("a", "x")
    status = rpc_status.from_call(await refused(conflicts.acquire("b", "x")))
    assert status is not None
    failure = error_details_pb2.PreconditionFailure()
    assert any(detail.Unpack(failure) for detail in status.details)
    assert [(each.subject, each.description) for each in failure.violations] == [
        (f"claims/{number}", "a holds x (EXCLUSIVE)")
    ]


async def test_an_owner_claims_again_and_in_a_stronger_mode(conflicts: Conflicts) -> None:
    (shared,) = await conflicts.acquire("a", "x", mode=SHARED)
    (exclusive,) = await conflicts.acquire("a", "x")
    assert exclusive > shared
    await conflicts.release(exclusive)
    assert await conflicts.acquire("b", "x", mode=SHARED)


async def test_an_atomic_batch_gets_everything_or_nothing(conflicts: Conflicts) -> None:
    await conflicts.acquire("a", "x")
    await refused(conflicts.acquire("b", "x", "y", atomicity=BATCH))
    assert [claim.owner for claim in await conflicts.listed()] == ["a"]
    assert await conflicts.acquire("b", "x", "y") == [0, (await conflicts.listed('owner = "b"'))[0].claim_id]


async def test_a_claim_is_released_exactly_once(conflicts: Conflicts) -> None:
    (number,) = await conflicts.acquire("a", "x")
    assert (await conflicts.release(number)).released_count == 1
    again = await conflicts.release(number)
    assert (again.released_count, list(again.unknown_claim_ids)) == (0, [number])


async def test_an_owner_that_was_released_is_granted_nothing_any_more(conflicts: Conflicts) -> None:
    await conflicts.acquire("a", "x")
    assert (await conflicts.release(owners=("a",))).released_count == 1
    assert reason_of(await refused(conflicts.acquire("a", "y"))) == "OWNER_RELEASED"


async def test_a_claim_is_shown_and_listed_by_expression(conflicts: Conflicts) -> None:
    (number,) = await conflicts.acquire("a", "x", priority=3, purpose="fix the parser")
    shown = await conflicts.claim(number)
    assert (shown.owner, shown.thing, shown.mode) == ("a", thing("x"), EXCLUSIVE)
    assert (shown.priority, shown.purpose, shown.token.number) == (3, "fix the parser", number)
    assert shown.state == claim_pb2.Claim.STATE_HELD
    assert await conflicts.listed('kind = FILE AND name = "x" AND mode = EXCLUSIVE') == [shown]
    assert await conflicts.listed("mode = SHARED") == []
    assert await conflicts.listed(overlapping=thing("x")) == [shown]
    assert await conflicts.listed(overlapping=thing("y")) == []
    assert reason_of(await refused(conflicts.claim(1))) == "CLAIM_NOT_FOUND"


async def test_a_token_is_current_until_its_claim_is_handed_over_or_released(conflicts: Conflicts) -> None:
    (number,) = await conflicts.acquire("a", "x")
    first = (await conflicts.claim(number)).token
    request = pb.TransferClaimsRequest(request_id="hand-over", from_owner="a", to_owner="b")
    second = (await conflicts.stub.TransferClaims(request)).claims[0].token
    assert second.number > first.number
    (shared,) = await conflicts.acquire("c", "y", mode=SHARED)
    reading = (await conflicts.claim(shared)).token
    checks = [
        pb.CheckTokensRequest.Check(claim_id=number, token=first, thing=thing("x")),
        pb.CheckTokensRequest.Check(claim_id=number, token=second, thing=thing("x")),
        pb.CheckTokensRequest.Check(claim_id=number, token=second, thing=thing("y")),
        pb.CheckTokensRequest.Check(claim_id=shared, token=reading),
    ]
    reply = await conflicts.stub.CheckTokens(pb.CheckTokensRequest(checks=checks))
    answer = pb.CheckTokensResponse
    assert list(reply.verdicts) == [
        answer.VERDICT_STALE,
        answer.VERDICT_CURRENT,
        answer.VERDICT_NOT_COVERED,
        answer.VERDICT_NOT_EXCLUSIVE,
    ]


async def test_a_check_tells_what_would_be_in_the_way_and_changes_nothing(conflicts: Conflicts) -> None:
    (number,) = await conflicts.acquire("a", "x")
    request = pb.CheckClaimsRequest(things=[thing("x"), thing("y")], modes=[SHARED], owner="b")
    (blocked,) = (await conflicts.stub.CheckClaims(request)).blocked
    assert (blocked.index, [blocker.claim_id for blocker in blocked.blockers]) == (0, [number])
    request.owner = "a"
    assert not (await conflicts.stub.CheckClaims(request)).blocked
    assert len(await conflicts.listed()) == 1


async def test_everything_that_is_wrong_with_a_request_is_said_at_once(conflicts: Conflicts) -> None:
    request = pb.AcquireClaimsRequest(
        things=[thing("../x"), thing("", kind=claim_pb2.Thing.KIND_UNSPECIFIED)], modes=[0], owners=["a b"], priority=10
    )
    error = await refused(conflicts.stub.AcquireClaims(request))
    status = rpc_status.from_call(error)
    assert status is not None
    wrong = error_details_pb2.BadRequest()
    assert any(detail.Unpack(wrong) for detail in status.details)
    assert {violation.field for violation in wrong.field_violations} == {
        "things[0].name",
        "things[1].kind",
        "things[1].name",
        "modes[0]",
        "owners[0]",
        "priority",
    }
