"""An endless task that ends is an error; one that was asked to end is none."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from tercio_common.background import Background, Pauses
from tercio_common.testing.manual_clock import ManualClock


async def endless() -> None:
    await asyncio.Event().wait()


async def returning() -> None:
    return


async def raising() -> None:
    raise ValueError("why")


@pytest.mark.parametrize("work", [returning, raising], ids=lambda work: work.__name__)
async def test_an_unexpected_end_is_logged_and_fails_the_process(work: object) -> None:
    background = Background()
    with capture_logs() as lines:
        background.start("work", work())  # type: ignore[operator]
        await background.failed.wait()
    assert [(one["event"], one["task"], one["log_level"]) for one in lines] == [
        ("background_task_ended", "work", "error")
    ]


async def test_a_task_that_somebody_else_cancels_is_unexpected_too() -> None:
    background = Background()
    background.start("work", endless()).cancel()
    await background.failed.wait()


async def test_stopping_fails_nothing() -> None:
    background = Background()
    tasks = [background.start("one", endless()), background.start("two", endless())]
    await background.end(tasks[0])
    await background.stop()
    assert all(task.done() for task in tasks)
    assert not background.failed.is_set()


async def test_a_task_that_may_end_is_no_failure_unless_it_raises() -> None:
    background = Background()
    background.may_end(background.start("one", returning()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not background.failed.is_set()
    background.may_end(background.start("two", raising()))
    await background.failed.wait()


def test_pauses_grow_up_to_half_a_minute_and_begin_anew_after_a_time_without_failure() -> None:
    clock = ManualClock()
    pauses = Pauses(clock=clock)
    assert [pauses.next_ms() for _ in range(10)] == [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30_000, 30_000]
    clock.jump(61_000)
    assert pauses.next_ms() == 200
