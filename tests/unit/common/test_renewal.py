"""A leader keeps its lease, and stops before it can end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tercio_common.election.port import Leadership
from tercio_common.election.renewal import LeaseSettings, Renewal
from tercio_common.epochs import Epoch
from tercio_common.errors import LeadershipLostError, SettingsError, StoreUnavailableError
from tercio_common.testing.manual_clock import ManualClock

SETTINGS = LeaseSettings()
USABLE_MS = SETTINGS.ttl_ms - SETTINGS.margin_ms


class ScriptedElection:
    """Answers renewals as told, and remembers when they were sent."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.sent: list[int] = []
        self.answer: Callable[[], Awaitable[None]] = self.extend

    async def renew(self, leadership: Leadership) -> None:
        self.sent.append(self._clock.boot_ms())
        await self.answer()

    async def extend(self) -> None:
        pass

    async def no_answer(self) -> None:
        raise StoreUnavailableError("no answer")

    async def gone(self) -> None:
        raise LeadershipLostError("gone")

    async def hang(self) -> None:
        await asyncio.Event().wait()

    async def extend_slowly(self) -> None:
        await self._clock.sleep_ms(1000)

    async def extend_late(self) -> None:
        await self._clock.sleep_ms(USABLE_MS)


class Leading:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.start = self.clock.boot_ms()
        self.election = ScriptedElection(self.clock)
        leadership = Leadership(Epoch(1, 7), self.start, lease=1)
        self.renewal = Renewal(self.election, leadership, self.clock, SETTINGS)

    async def advance(self, duration: int) -> int:
        await self.clock.advance(duration)
        return self.renewal.deadline_boot_ms - self.start


@pytest.fixture
def leading() -> Leading:
    return Leading()


@pytest.fixture
async def run(leading: Leading) -> asyncio.Task[None]:
    return asyncio.ensure_future(leading.renewal.run())


async def ended(run: asyncio.Task[None]) -> None:
    with pytest.raises(LeadershipLostError):
        await run


async def stopped(run: asyncio.Task[None]) -> None:
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


def test_the_lease_is_counted_from_before_it_was_granted(leading: Leading) -> None:
    assert leading.renewal.deadline_boot_ms == leading.start + USABLE_MS
    assert leading.renewal.may_release()
    leading.clock.jump(USABLE_MS - 1)
    assert leading.renewal.may_release()
    leading.clock.jump(1)
    assert not leading.renewal.may_release()


async def test_each_renewal_extends_it_from_before_it_was_sent(leading: Leading, run: asyncio.Task[None]) -> None:
    assert await leading.advance(3000) == 3000 + USABLE_MS
    assert await leading.advance(60_000) == 63_000 + USABLE_MS
    assert leading.renewal.may_release()
    assert leading.election.sent == [leading.start + 3000 * turn for turn in range(1, 22)]
    leading.election.answer = leading.election.extend_slowly
    assert await leading.advance(4000) == 66_000 + USABLE_MS
    await stopped(run)


async def test_a_failed_renewal_is_repeated_at_once(leading: Leading, run: asyncio.Task[None]) -> None:
    leading.election.answer = leading.election.no_answer
    await leading.advance(3000)
    leading.election.answer = leading.election.extend
    assert await leading.advance(100) == 3050 + USABLE_MS
    await stopped(run)


async def test_without_any_answer_it_is_given_up_before_it_can_end(leading: Leading, run: asyncio.Task[None]) -> None:
    leading.election.answer = leading.election.no_answer
    await leading.advance(USABLE_MS - 1)
    assert not run.done()
    assert leading.renewal.may_release()
    await leading.advance(1)
    assert not leading.renewal.may_release()
    await ended(run)


async def test_a_renewal_that_hangs_does_not_keep_it(leading: Leading, run: asyncio.Task[None]) -> None:
    leading.election.answer = leading.election.hang
    await leading.advance(USABLE_MS)
    assert not leading.renewal.may_release()
    await ended(run)


async def test_it_ends_at_once_when_the_store_says_so(leading: Leading, run: asyncio.Task[None]) -> None:
    leading.election.answer = leading.election.gone
    await leading.advance(3000)
    assert not leading.renewal.may_release()
    await ended(run)


async def test_an_answer_after_the_deadline_revives_nothing(leading: Leading, run: asyncio.Task[None]) -> None:
    leading.election.answer = leading.election.extend_late
    await leading.advance(3000)
    leading.clock.jump(USABLE_MS)
    await leading.clock.settle()
    assert not leading.renewal.may_release()
    await ended(run)
    assert not leading.renewal.may_release()


async def test_a_process_that_was_stopped_past_the_lease_releases_nothing_when_it_wakes(
    leading: Leading, run: asyncio.Task[None]
) -> None:
    await leading.advance(1000)
    leading.clock.jump(SETTINGS.ttl_ms)
    assert not leading.renewal.may_release()
    await ended(run)


async def test_a_cancelled_renewal_leaves_what_remains_of_the_lease(leading: Leading, run: asyncio.Task[None]) -> None:
    await leading.advance(1000)
    await stopped(run)
    assert leading.renewal.may_release()
    assert leading.clock.sleepers == 0


def test_the_shipped_settings_leave_room_for_two_lost_renewals() -> None:
    SETTINGS.check()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        pytest.param(LeaseSettings(rpc_timeout_ms=2501), "over ttl_ms - margin_ms", id="no-room"),
        pytest.param(LeaseSettings(margin_ms=0), "margin_ms is 0", id="no-margin"),
        pytest.param(LeaseSettings(renew_interval_ms=-1), "renew_interval_ms is -1", id="negative"),
    ],
)
def test_settings_that_could_lose_the_lease_are_refused(settings: LeaseSettings, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        settings.check()
