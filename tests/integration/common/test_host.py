"""The host, on the journal in memory: what is acknowledged is durable, and nothing leaves before it is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support.counter_fleet import CounterFleet, add, call, counters, render
from support.counter_machine import Add, Poison, Remove
from tercio_common.epochs import NO_EPOCH
from tercio_common.errors import Refusal, SettingsError
from tercio_common.journal.port import Space
from tercio_common.machine.calls import Call
from tercio_common.testing.eventually import eventually
from tercio_common.testing.faulty_journal import FaultyJournal


async def test_commands_of_one_batch_see_each_other_and_commit_together(fleet: CounterFleet) -> None:
    host = await fleet.leader()
    before = host.term.committer.commits
    replies = await asyncio.gather(*(add(host) for _ in range(100)))
    assert replies == [str(n).encode() for n in range(1, 101)]
    assert host.term.committer.commits - before <= 2


async def test_nothing_leaves_before_its_commit(fleet: CounterFleet) -> None:
    host = await fleet.leader()
    fleet.journals[0].hold()
    reply = asyncio.ensure_future(add(host))
    refusal = asyncio.ensure_future(host.execute(Remove("unknown"), call=call(), render=render))
    read = asyncio.ensure_future(host.read(lambda machine, session, moment: len(machine.counters)))
    changes = asyncio.ensure_future(anext(host.feed.subscribe(None)))
    await eventually(lambda: fleet.journals[0].holding)
    await asyncio.sleep(0.02)
    assert not any(task.done() for task in (reply, refusal, read, changes))
    fleet.journals[0].release()
    assert await reply == b"1"
    assert await read == 1
    assert [change.key for entry in await changes for change in entry.changes] == ["x"]
    with pytest.raises(Refusal, match="TASK_NOT_FOUND"):
        await refusal


@pytest.mark.parametrize("fault", ["not_proposed", "unknown_before", "unknown_after"])
async def test_an_append_without_an_answer_is_repeated_until_it_is_recorded_once(
    fleet: CounterFleet, fault: str
) -> None:
    host = await fleet.leader()
    getattr(fleet.journals[0], f"fail_{fault}")()
    assert await add(host) == b"1"
    assert await add(host) == b"2"


async def test_a_poison_command_is_undone_and_the_leader_stays(fleet: CounterFleet) -> None:
    host = await fleet.leader()
    await add(host)
    epoch = host.epoch
    with pytest.raises(Refusal, match="INTERNAL"):
        await host.execute(Poison("y"), call=call(), render=render)
    assert counters(host) == {"x": 1}
    assert await add(host) == b"2"
    assert host.epoch == epoch


async def test_a_retry_has_no_second_effect_also_while_the_first_is_running(fleet: CounterFleet) -> None:
    host = await fleet.leader()
    fleet.journals[0].hold()
    calls = [asyncio.ensure_future(host.execute(Add("x"), call=call("r", b"1"), render=render)) for _ in range(32)]
    await eventually(lambda: fleet.journals[0].holding)
    fleet.journals[0].release()
    assert set(await asyncio.gather(*calls)) == {b"1"}
    assert counters(host) == {"x": 1}
    with pytest.raises(Refusal, match="REQUEST_ID_REUSED"):
        await host.execute(Add("x", 2), call=call("r", b"2"), render=render)


async def test_the_next_leader_has_everything_that_was_acknowledged(fleet: CounterFleet) -> None:
    first = await fleet.leader("a")
    second = await fleet.start("b")
    await add(first, request_id="r")
    await eventually(lambda: second.leader is not None and second.leader.address == "a")
    await fleet.stop(first)
    await eventually(lambda: second.leading)
    assert second.epoch > first.epoch
    assert counters(second) == {"x": 1}
    assert await add(second, request_id="r") == b"1", "the retry gets the reply that the former leader gave"
    assert counters(second) == {"x": 1}


async def test_frames_are_carried_out_once_and_in_order(fleet: CounterFleet) -> None:
    host = await fleet.leader()

    def frame(number: int) -> Call:
        return Call("ann", "/frames", session_id="s", frame_number=number)

    assert not host.propose(Add("x"), call=frame(1)).duplicate
    assert host.propose(Add("x"), call=frame(1)).duplicate
    with pytest.raises(Refusal, match="FRAME_OUT_OF_ORDER"):
        host.propose(Add("x"), call=frame(3))
    await host.committed(host.tip_seq)
    assert counters(host) == {"x": 1}


async def test_a_watcher_sees_every_change_once_over_a_take_over(fleet: CounterFleet) -> None:
    first = await fleet.leader("a")
    subscription = first.feed.subscribe(0)
    for _ in range(5):
        await add(first)
    seen = [change.row.value for entry in await anext(subscription) for change in entry.changes]
    second = await fleet.start("b")
    await fleet.stop(first)
    with pytest.raises(Refusal, match="NO_LEADER"):
        await anext(subscription)
    await eventually(lambda: second.leading)
    resumed = second.feed.subscribe(subscription.position)
    await add(second)
    seen += [change.row.value for entry in await anext(resumed) for change in entry.changes]
    assert seen == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("name", ["fragile", "huge"])
async def test_timers_fire_and_one_that_cannot_is_set_aside(fleet: CounterFleet, name: str) -> None:
    host = await fleet.leader()
    await add(host, name, lifetime=10)
    await add(host, "brief", lifetime=20)
    await eventually(lambda: counters(host) == {name: 1})
    assert await add(host, name) == b"2"


async def test_snapshot_and_truncation_bound_the_journal(fleet: CounterFleet) -> None:
    host = await fleet.leader()
    journal = fleet.store.journal("counters")
    for number in range(300):
        await add(host, f"c{number % 7}", blob="b" * 5_000)
    await eventually(lambda: _pointer_set(journal))
    pointer = await journal.pointer()
    assert pointer is not None
    expected = counters(host)
    await fleet.stop(host)
    successor = await fleet.leader("b")
    assert counters(successor) == expected
    with pytest.raises(Refusal, match="CURSOR_COMPACTED"):
        successor.feed.subscribe(0)


async def _pointer_set(journal: Any) -> bool:
    return await journal.pointer() is not None


async def test_a_command_over_the_commit_size_is_refused_and_changes_nothing(fleet: CounterFleet) -> None:
    host = await fleet.leader()
    with pytest.raises(Refusal, match="REQUEST_TOO_LARGE"):
        await add(host, blob="b" * 600_000)
    assert counters(host) == {}


async def test_a_drained_leader_finishes_and_hands_over_at_once(fleet: CounterFleet) -> None:
    first = await fleet.leader("a")
    second = await fleet.start("b")
    fleet.journals[0].hold()
    reply = asyncio.ensure_future(add(first))
    await eventually(lambda: fleet.journals[0].holding)
    draining = asyncio.ensure_future(first.drain())
    await asyncio.sleep(0)
    with pytest.raises(Refusal, match="DRAINING"):
        await add(first)
    fleet.journals[0].release()
    await draining
    assert await reply == b"1"
    await eventually(lambda: second.leading)
    assert counters(second) == {"x": 1}


async def test_work_is_refused_while_the_store_is_nearly_full_but_ends_are_not(fleet: CounterFleet) -> None:
    host = await fleet.leader()
    await add(host)
    host.space.nearly_full = True
    with pytest.raises(Refusal, match="STORE_NEARLY_FULL"):
        await add(host)
    assert await host.execute(Remove("x"), call=call(), render=render) == b"0"


async def test_what_was_done_before_the_store_was_nearly_full_is_answered_again(fleet: CounterFleet) -> None:
    host = await fleet.leader()
    first = await add(host, request_id="r")
    host.space.nearly_full = True
    assert await add(host, request_id="r") == first


class SmallStore(FaultyJournal):
    """Has a quota into which less fits than the settings ask for."""

    async def space(self) -> Space:
        return Space(in_use=0, file_size=0, quota=1 << 30, full=False)


async def test_a_replica_whose_services_do_not_fit_into_the_store_does_not_campaign(fleet: CounterFleet) -> None:
    fleet.faulty = SmallStore
    fleet.settings = fleet.settings.model_copy(update={"live_bytes": {"scheduler": 512 << 20}})
    host = await fleet.start()
    with pytest.raises(SettingsError, match=r"scheduler 512, .* lower host.live_bytes"):
        await fleet.ended(host)
    assert host.epoch == NO_EPOCH


async def test_a_host_learns_its_part_of_the_store(fleet: CounterFleet) -> None:
    fleet.faulty = SmallStore
    host = await fleet.leader()
    assert host.budget.live_bytes == (1 << 30) // 128


async def test_a_lazy_record_waits_for_company_but_not_for_ever(fleet: CounterFleet) -> None:
    host = await fleet.leader()
    before = host.term.committer.commits
    host.propose(Add("x"), call=call(), lazy=True)
    assert host.term.committer.commits == before
    await eventually(lambda: host.committed_seq == host.tip_seq)
