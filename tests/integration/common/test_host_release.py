"""What leaves a leader, and when: after its commit, and never after the lease or the leadership."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from support.counter_fleet import CounterFleet, add, call, counters, render
from support.counter_machine import Add, Remove
from tercio_common.epochs import Epoch
from tercio_common.errors import FencedError, Refusal
from tercio_common.journal.port import Journal
from tercio_common.machine.calls import Call
from tercio_common.machine.host import Host
from tercio_common.testing.eventually import eventually
from tercio_common.testing.faulty_journal import FaultyJournal

FRAME = Call("ann", "/frames", session_id="s", frame_number=1)


async def read(host: Host) -> object:
    return await host.read(lambda machine, _session, _moment: len(machine.counters))


async def refuse(host: Host) -> object:
    return await host.execute(Remove("unknown"), call=call(), render=render)


async def repeat(host: Host) -> object:
    return await host.execute(Add("x"), call=call("r"), render=render)


async def acknowledge_again(host: Host) -> object:
    proposal = host.propose(Add("x"), call=FRAME)
    assert proposal.duplicate
    await host.term.committed(proposal.seq)
    return proposal


@pytest.mark.parametrize("answer", [read, refuse, repeat, acknowledge_again])
async def test_nothing_leaves_after_the_lease_though_all_of_it_is_committed(
    fleet: CounterFleet, answer: Callable[[Host], Awaitable[object]]
) -> None:
    host = await fleet.leader()
    await repeat(host)
    host.propose(Add("x"), call=FRAME)
    await host.committed(host.tip_seq)
    # As after SIGCONT: the answer is asked for before any task has seen that the time is over.
    fleet.clock.ahead_ms = fleet.settings.lease.ttl_ms
    assert host.leading
    assert not host.may_release()
    with pytest.raises(Refusal, match="OUTCOME_UNKNOWN"):
        await answer(host)


async def test_who_waits_when_the_lease_ends_is_told_that_the_outcome_is_unknown(fleet: CounterFleet) -> None:
    host = await fleet.leader()
    epoch = host.epoch
    fleet.journals[0].hold()
    waiting = [asyncio.ensure_future(each) for each in (add(host), refuse(host), read(host))]
    await eventually(lambda: fleet.journals[0].holding)
    fleet.clock.ahead_ms = fleet.settings.lease.ttl_ms
    fleet.journals[0].release()
    for each in waiting:
        with pytest.raises(Refusal, match="OUTCOME_UNKNOWN"):
            await each
    await eventually(lambda: host.leading and host.epoch > epoch)
    assert counters(host) == {"x": 1}, "it was durable, though nobody could be told"


async def test_an_append_without_an_answer_is_repeated_until_the_lease_ends(fleet: CounterFleet) -> None:
    host = await fleet.leader()
    epoch, journal = host.epoch, fleet.journals[0]
    for _ in range(1000):
        journal.fail_unknown_before()
    reply = asyncio.ensure_future(add(host))
    await eventually(lambda: len(journal.appended) > 3)
    fleet.clock.ahead_ms = fleet.settings.lease.ttl_ms
    with pytest.raises(Refusal, match="OUTCOME_UNKNOWN"):
        await reply
    assert len({value for _, value in journal.appended}) == 1, "only the identical bytes are sent again"
    await eventually(lambda: host.leading and host.epoch > epoch)


async def test_a_number_of_an_earlier_term_means_nothing_in_the_next(fleet: CounterFleet) -> None:
    host = await fleet.leader()
    fleet.journals[0].hold()
    term = host.term
    lost = host.propose(Add("lost"), call=call())
    fleet.clock.ahead_ms = fleet.settings.lease.ttl_ms
    await eventually(lambda: host.leading and host.term is not term)
    fleet.journals[0].release()
    await add(host, "kept")
    assert host.committed_seq >= lost.seq
    assert counters(host) == {"kept": 1}
    with pytest.raises(Refusal, match="OUTCOME_UNKNOWN"):
        await term.committed(lost.seq)
    with pytest.raises(Refusal, match="NO_LEADER"):
        term.propose(Add("late"), call=call())


class FenceSeen(FaultyJournal):
    """Looks, as soon as an append was refused, whether its leader would still let something out."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.released: list[bool] = []
        self.check: Callable[[], None] = lambda: None

    async def append(self, number: int, value: bytes, *, epoch: Epoch) -> None:
        try:
            await super().append(number, value, epoch=epoch)
        except FencedError:
            asyncio.get_running_loop().call_soon(self._look)
            raise

    def _look(self) -> None:
        try:
            self.check()
        except Refusal:
            self.released.append(False)
        else:
            self.released.append(True)


async def test_a_fenced_leader_says_nothing_more_from_that_moment(fleet: CounterFleet) -> None:
    fleet.faulty = FenceSeen
    host = await fleet.leader()
    fleet.journals[0].check = host.term.check_may_release
    # Its term ends at the store, while its own lease runs on.
    await fleet.store.election("counters").raise_generation()
    with pytest.raises(Refusal, match="OUTCOME_UNKNOWN"):
        await add(host)
    assert fleet.journals[0].released == [False]


async def test_each_waiter_is_released_by_its_own_commit_in_whatever_order_they_came(fleet: CounterFleet) -> None:
    host = await fleet.leader()
    journal = fleet.journals[0]
    journal.hold()
    first = host.propose(Add("x"), call=call()).seq
    await eventually(lambda: journal.holding)
    seqs = [first, *(host.propose(Add("x"), call=call()).seq for _ in range(3))]
    waiting = {seq: asyncio.ensure_future(host.committed(seq)) for seq in (seqs[3], seqs[0], seqs[2], seqs[1])}
    journal.release()
    await asyncio.sleep(0)
    journal.hold()
    await eventually(waiting[first].done)
    assert [seq for seq, each in waiting.items() if each.done()] == [first]
    journal.release()
    await asyncio.gather(*waiting.values())


async def test_a_replica_that_is_stopped_while_it_steps_down_does_not_campaign_again(fleet: CounterFleet) -> None:
    host = await fleet.leader()
    await fleet.store.election("counters").raise_generation()
    with pytest.raises(Refusal, match="OUTCOME_UNKNOWN"):
        await add(host)
    # Its tasks are being cancelled just now.
    await asyncio.wait_for(fleet.stop(host), 5)


async def test_a_lazy_record_that_comes_during_a_commit_starts_none_of_its_own(fleet: CounterFleet) -> None:
    fleet.settings = fleet.settings.model_copy(update={"lazy_ms": 1000})
    host = await fleet.leader()
    committer, journal = host.term.committer, fleet.journals[0]
    before = committer.commits
    journal.hold()
    first = asyncio.ensure_future(add(host))
    await eventually(lambda: journal.holding)
    host.propose(Add("x"), call=call(), lazy=True)
    journal.release()
    await first
    await asyncio.sleep(0.02)
    assert committer.commits == before + 1
    assert not committer.idle
    assert await read(host) == 1, "who waits for it does not wait for the lazy time"
    assert committer.commits == before + 2


async def test_a_commit_of_many_small_records_stays_below_the_cap(fleet: CounterFleet) -> None:
    cap = 4096
    fleet.settings = fleet.settings.model_copy(update={"commit_bytes": cap})
    host = await fleet.leader()
    await asyncio.gather(*(add(host, f"c{number}") for number in range(200)))
    assert max(len(value) for _, value in fleet.journals[0].appended) <= cap
