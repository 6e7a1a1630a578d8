"""The writing halves of streams: what fits into a message, and what happens when nobody reads."""

from __future__ import annotations

import asyncio

import pytest

from support.scheduler_service import FIRST, Scheduler
from tercio_common.errors import Refusal
from tercio_common.testing.eventually import eventually
from tercio_scheduler.api.agent_streams import AgentStream, AgentStreams, Report
from tercio_scheduler.api.streams import MAX_UNCOMMITTED
from tercio_scheduler.state.commands import AgentOffers, AttemptKey
from tercio_scheduler.state.rows import TaskRow


@pytest.fixture
def stream(scheduler: Scheduler) -> AgentStream:
    term = scheduler.service.host.term
    return AgentStream(term, agent_id="a", instance_id=FIRST, session_id="s", lease_ms=1000)


async def rows_of(scheduler: Scheduler, count: int, *, payload: bytes = b"") -> list[TaskRow]:
    rows = []
    for number in range(count):
        await scheduler.submit(f"t{number}", payload=payload)
        rows.append(scheduler.service.host.machine.tables.tasks[f"t{number}"])
    return rows


async def test_attempts_are_split_over_messages_of_256_kb(scheduler: Scheduler, stream: AgentStream) -> None:
    rows = await rows_of(scheduler, 10, payload=bytes(60_000))
    stream.offer(rows, [1] * 10)
    sizes = []
    while (response := stream.next_response()) is not None:
        sizes.append(len(response.assignments.task_ids))
        assert response.ByteSize() <= 256 * 1024
    assert sizes == [4, 4, 2]


async def test_at_most_500_attempts_come_in_a_message(scheduler: Scheduler, stream: AgentStream) -> None:
    (row,) = await rows_of(scheduler, 1)
    stream.offer([row] * 1200, range(1200))
    sizes = []
    while (response := stream.next_response()) is not None:
        sizes.append(len(response.assignments.task_ids))
    assert sizes == [500, 500, 200]


async def test_an_agent_that_does_not_read_what_to_stop_is_cut(stream: AgentStream) -> None:
    epoch = stream.term.epoch
    stream.cancel(AttemptKey(f"t{number}", epoch, 1) for number in range(10_001))
    with pytest.raises(Refusal, match="READER_TOO_SLOW"):
        async for _ in stream.responses():
            pass


async def test_no_more_is_read_while_too_much_is_unacknowledged(stream: AgentStream) -> None:
    uncommitted = stream.term.tip.seq + 1_000
    for number in range(MAX_UNCOMMITTED):
        await stream.add_outstanding(Report(uncommitted, number + 1, ()))
    blocked = asyncio.ensure_future(stream.add_outstanding(Report(uncommitted, MAX_UNCOMMITTED + 1, ())))
    await asyncio.sleep(0)
    assert not blocked.done()
    stream.outstanding.popleft()
    assert list(stream.take_outstanding()) == []
    await blocked


async def test_attempts_for_another_process_are_not_delivered(scheduler: Scheduler, stream: AgentStream) -> None:
    (row,) = await rows_of(scheduler, 1)
    agents = AgentStreams()
    agents.enter(stream)
    agents.deliver([AgentOffers("a", b"another process.", [row], [1]), AgentOffers("b", FIRST, [row], [1])])
    first = stream.next_response()
    assert first is not None
    assert not first.HasField("assignments")
    assert stream.next_response() is None


async def test_a_finished_stream_acknowledges_and_offers_nothing_more(
    scheduler: Scheduler, stream: AgentStream
) -> None:
    (row,) = await rows_of(scheduler, 1)
    await stream.add_outstanding(Report(stream.term.tip.seq, 7, ()))
    stream.offer([row], [1])
    stream.finish(None)
    await eventually(lambda: stream.term.committer.committed >= stream.term.tip.seq)
    (last,) = [response async for response in stream.responses()]
    assert last.committed_frame_number == 7
    assert not last.HasField("assignments")
