"""The SDK's side: a block holds what it claimed, hears what becomes of it, and gives it back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from support.conflicts import SCOPE, Conflicts, thing
from tercio import Client, ConflictError
from tercio.api.conflicts.v1 import claim_pb2
from tercio.claims import HeldClaim
from tercio.errors import ClaimLostError
from tercio.things import MODES, text_of
from tercio.things import thing as named
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock


@pytest.fixture
async def client(conflicts: Conflicts) -> AsyncIterator[Client]:
    async with Client(address=f"127.0.0.1:{conflicts.port}") as client:
        yield client


async def test_a_block_holds_what_it_claimed_and_gives_it_back(conflicts: Conflicts, client: Client) -> None:
    async with client.claims.hold("src/**/*.py", "README", scope=SCOPE, purpose="to tidy up", priority=3) as held:
        listed = await conflicts.listed()
        assert [claim.thing for claim in listed] == [claim.thing for claim in held.claims]
        assert [claim.thing.kind for claim in listed] == [claim_pb2.Thing.KIND_GLOB, claim_pb2.Thing.KIND_FILE]
        assert {claim.owner for claim in listed} == {held.owner}
        assert {(claim.purpose, claim.priority) for claim in listed} == {("to tidy up", 3)}
        token = listed[-1].token
        assert held.token == (token.epoch.generation, token.epoch.revision, token.number)
        assert held.environment["TERCIO_CLAIM_TOKEN"] == str(held.token)
    assert await conflicts.listed() == []


async def test_a_block_that_fails_gives_back_too(conflicts: Conflicts, client: Client) -> None:
    with pytest.raises(LookupError):
        async with client.claims.hold("a", scope=SCOPE):
            raise LookupError
    assert await conflicts.listed() == []


async def test_what_others_hold_is_refused_or_waited_for(conflicts: Conflicts, client: Client) -> None:
    (number,) = await conflicts.acquire("a", "src/a.py")
    with pytest.raises(ConflictError) as caught:
        async with client.claims.hold("src/**", scope=SCOPE):
            pass
    assert caught.value.reason == "CLAIM_CONFLICT"

    async def hold() -> HeldClaim:
        async with client.claims.hold("src/**", scope=SCOPE, wait_s=60) as held:
            return held

    waiting = asyncio.create_task(hold())
    await eventually(lambda: len(conflicts.service.host.session.waiting) == 1)
    await conflicts.release(number)
    assert min((await waiting).tokens) > number


async def test_who_gives_up_waiting_is_granted_nothing_later(conflicts: Conflicts, client: Client) -> None:
    (number,) = await conflicts.acquire("a", "a")

    async def hold() -> None:
        async with client.claims.hold("a", scope=SCOPE, wait_s=60):
            pass

    waiting = asyncio.create_task(hold())
    await eventually(lambda: len(conflicts.service.host.session.waiting) == 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await conflicts.release(number)
    assert await conflicts.listed() == []


async def test_a_block_ends_when_its_claims_are_released_by_somebody_else(conflicts: Conflicts, client: Client) -> None:
    numbers: list[int] = []

    async def work() -> None:
        async with client.claims.hold("a", "b", scope=SCOPE, ttl_s=3600) as held, asyncio.timeout(10):
            numbers.extend(held.tokens)
            await conflicts.release(min(held.tokens))
            await asyncio.sleep(3600)

    with pytest.raises(ClaimLostError) as caught:
        await work()
    assert caught.value.claim_ids == numbers
    assert await conflicts.listed() == []


async def test_a_block_that_wants_to_end_itself_sees_its_loss(conflicts: Conflicts, client: Client) -> None:
    async with client.claims.hold("a", scope=SCOPE, ttl_s=3600, cancel_when_lost=False) as held:
        await conflicts.release(*held.tokens)
        async with asyncio.timeout(10):
            await held.lost.wait()


async def test_a_holder_hears_who_asks_for_what_it_holds_and_why(conflicts: Conflicts, client: Client) -> None:
    async with client.claims.hold("a", scope=SCOPE, ttl_s=3600) as held, asyncio.timeout(10):
        await client.claims.request_release(list(held.tokens), asked_by="z", priority=5, because="the build is red")
        await held.asked.wait()
        assert held.request is not None
        assert (held.request.asked_by, held.request.because) == ("z", "the build is red")


async def test_one_watch_tells_all_blocks_whatever_their_owners_are_called(
    conflicts: Conflicts, client: Client
) -> None:
    async with client.claims.hold("a", scope=SCOPE) as one, client.claims.hold("b", scope=SCOPE, owner="me") as other:
        async with asyncio.timeout(10):
            await conflicts.ask(*one.tokens, priority=5)
            await conflicts.ask(*other.tokens, priority=5)
            await one.asked.wait()
            await other.asked.wait()
        watches = [task for task in asyncio.all_tasks() if "_follow" in repr(task)]
        assert len(watches) == 1
    assert not [task for task in asyncio.all_tasks() if "_follow" in repr(task)]


async def test_what_is_renewed_outlives_its_ttl(conflicts: Conflicts, clock: ManualClock, client: Client) -> None:
    async with client.claims.hold("a", scope=SCOPE, ttl_s=1) as held:
        (number,) = held.tokens

        async def ends_ms() -> int:
            return (await conflicts.claim(number)).expire_time.ToMilliseconds()

        before = await ends_ms()
        await clock.advance(900)

        async def is_renewed() -> bool:
            return await ends_ms() >= before + 900

        await eventually(is_renewed)
        assert not held.lost.is_set()


async def test_claims_are_listed_by_what_they_have_in_common_with_a_thing(conflicts: Conflicts, client: Client) -> None:
    await conflicts.acquire("a", "src/a.py", "docs/a.md")
    found = [claim async for claim in client.claims.list(overlapping=named("src/*.py", scope=SCOPE))]
    assert [text_of(claim.thing) for claim in found] == ["src/a.py"]
    assert [claim.owner async for claim in client.claims.list(expression='name = "docs/a.md"')] == ["a"]


async def test_a_check_tells_who_is_in_the_way(conflicts: Conflicts, client: Client) -> None:
    (number,) = await conflicts.acquire("a", "src/a.py", mode=MODES["shared"])
    things = [thing("src/a.py"), thing("src/b.py")]
    ((blocked, blocker),) = await client.claims.blockers(things)
    assert (blocked.name, blocker.claim_id, blocker.owner) == ("src/a.py", number, "a")
    assert await client.claims.blockers(things, mode="shared") == []
    assert await client.claims.blockers(things, owner="a") == []


async def test_blocks_within_each_other_are_one_owner_and_tasks_beside_each_other_are_not(
    conflicts: Conflicts, client: Client
) -> None:
    async def beside() -> None:
        async with client.claims.hold("src/a.py", scope=SCOPE):
            pass

    async with client.claims.hold("src/**", scope=SCOPE) as outer:
        async with client.claims.hold("src/a.py", "docs/a", scope=SCOPE) as inner:
            assert inner.owner == outer.owner
        assert [claim.claim_id for claim in await conflicts.listed()] == list(outer.tokens)
        with pytest.raises(ConflictError):
            await asyncio.create_task(beside())
    async with client.claims.hold("src/**", scope=SCOPE) as later:
        assert later.owner != outer.owner


async def test_of_two_that_wait_for_what_the_other_holds_one_is_told(
    conflicts: Conflicts, clock: ManualClock, client: Client
) -> None:
    async def take(first: str, second: str, both: asyncio.Barrier) -> str:
        async with client.claims.hold(first, scope=SCOPE):
            await both.wait()
            async with client.claims.hold(second, scope=SCOPE, wait_s=60):
                return second

    both = asyncio.Barrier(2)
    running = asyncio.gather(take("a", "b", both), take("b", "a", both), return_exceptions=True)
    await eventually(lambda: len(conflicts.service.host.session.waiting) == 2)
    await clock.advance(1_500)
    async with asyncio.timeout(10):
        ended = await running
    (victim,) = [each for each in ended if isinstance(each, ConflictError)]
    assert victim.reason == "DEADLOCK_VICTIM"
