"""What every election must do, as tests: subclass `ElectionSuite` and give it a fixture `store`.

Each test uses a service of its own, so that one store may serve them all.
"""
# ruff: noqa: S101 - these are tests: an assertion is what they are for

from __future__ import annotations

import asyncio
import itertools

import pytest

from tercio_common.clock import SystemClock
from tercio_common.election.port import Leader
from tercio_common.errors import FencedError, LeadershipLostError
from tercio_common.journal.store import Store

_services = (f"election-{number}" for number in itertools.count())


class ElectionSuite:
    """The behaviour of `tercio_common.election.port.Election`."""

    @pytest.fixture
    def service(self) -> str:
        """Return a service that no other test uses."""
        return next(_services)

    async def test_the_only_candidate_wins_and_counts_its_lease_from_before(self, store: Store, service: str) -> None:
        before = SystemClock().boot_ms()
        leadership = await store.election(service).campaign("a:1")
        assert before <= leadership.since_boot_ms <= SystemClock().boot_ms()
        assert leadership.epoch.generation == await store.election(service).generation()
        assert leadership.epoch.revision > 0

    async def test_the_second_candidate_waits_until_the_first_resigns(self, store: Store, service: str) -> None:
        first, second = store.election(service), store.election(service)
        leadership = await first.campaign("a:1")
        waiting = asyncio.ensure_future(second.campaign("b:1"))
        await first.renew(leadership)
        assert not waiting.done()
        await first.resign(leadership)
        assert (await waiting).epoch > leadership.epoch

    async def test_each_term_is_higher_than_all_before(self, store: Store, service: str) -> None:
        election = store.election(service)
        epochs = []
        for _ in range(3):
            leadership = await election.campaign("a:1")
            epochs.append(leadership.epoch)
            await election.resign(leadership)
        assert epochs == sorted(set(epochs))

    async def test_of_many_candidates_one_wins_at_a_time(self, store: Store, service: str) -> None:
        leading = 0

        async def candidate() -> None:
            nonlocal leading
            election = store.election(service)
            leadership = await election.campaign("a:1")
            leading += 1
            assert leading == 1
            await asyncio.sleep(0)
            leading -= 1
            await election.resign(leadership)

        await asyncio.gather(*(candidate() for _ in range(5)))

    async def test_a_cancelled_campaign_leaves_no_claim(self, store: Store, service: str) -> None:
        first, second = store.election(service), store.election(service)
        leadership = await first.campaign("a:1")
        waiting = asyncio.ensure_future(second.campaign("b:1"))
        await first.renew(leadership)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await first.resign(leadership)
        third = await first.campaign("a:1")
        await first.renew(third)

    async def test_a_campaign_cancelled_at_any_moment_does_not_keep_the_role(self, store: Store, service: str) -> None:
        for turns in range(0, 60, 3):
            campaign = asyncio.ensure_future(store.election(service).campaign("a:1"))
            for _ in range(turns):
                await asyncio.sleep(0.0002)
            campaign.cancel()
            (result,) = await asyncio.gather(campaign, return_exceptions=True)
            if not isinstance(result, BaseException):
                await store.election(service).resign(result)
        async with asyncio.timeout(5):
            await store.election(service).campaign("b:1")

    async def test_renewing_after_resigning_tells_that_it_is_lost(self, store: Store, service: str) -> None:
        election = store.election(service)
        leadership = await election.campaign("a:1")
        await election.resign(leadership)
        with pytest.raises(LeadershipLostError):
            await election.renew(leadership)
        await election.resign(leadership)

    async def test_resigning_late_does_not_depose_the_successor(self, store: Store, service: str) -> None:
        first, second = store.election(service), store.election(service)
        old = await first.campaign("a:1")
        await first.resign(old)
        present = await second.campaign("b:1")
        await first.resign(old)
        await second.renew(present)

    async def test_observers_see_each_leader_and_none_between(self, store: Store, service: str) -> None:
        election = store.election(service)
        seen = store.election(service).observe()
        assert await anext(seen) is None
        leadership = await election.campaign("a:1")
        assert await anext(seen) == Leader(leadership.epoch, "a:1")
        await election.resign(leadership)
        assert await anext(seen) is None
        again = await election.campaign("b:1")
        assert await anext(seen) == Leader(again.epoch, "b:1")
        late = store.election(service).observe()
        assert await anext(late) == Leader(again.epoch, "b:1")
        for observer in (seen, late):
            await observer.aclose()  # type: ignore[attr-defined]

    async def test_a_new_generation_ends_every_term_and_orders_before_revisions(
        self, store: Store, service: str
    ) -> None:
        election = store.election(service)
        old = await election.campaign("a:1")
        generation = await election.generation()
        assert await election.raise_generation() == generation + 1
        assert await election.generation() == generation + 1
        with pytest.raises(FencedError):
            await store.journal(service).append(1, b"one", epoch=old.epoch)
        with pytest.raises(LeadershipLostError):
            await election.renew(old)
        await election.resign(old)
        new = await election.campaign("a:1")
        assert new.epoch.generation == generation + 1
        assert new.epoch > old.epoch
        await store.journal(service).append(1, b"one", epoch=new.epoch)
