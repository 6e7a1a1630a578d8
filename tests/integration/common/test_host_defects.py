"""What is defective in one part of a leader costs that part alone, and no replica seeks the role without a pause."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from support.counter_fleet import CounterFleet, JumpingClock, add, counters
from support.counter_machine import Counter, CounterCodec, CounterMachine
from tercio_common.epochs import Epoch
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Decision, ElectionWon, Moment
from tercio_common.testing.eventually import eventually
from tercio_common.testing.faulty_journal import FaultyJournal


class Patience(JumpingClock):
    """Notes for how long it is slept."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeps: list[int] = []

    async def sleep_ms(self, duration: int) -> None:
        self.sleeps.append(duration)
        await super().sleep_ms(min(duration, 5))


async def raising(_host: Host) -> None:
    raise ValueError("a defect")


async def returning(_host: Host) -> None:
    return


@pytest.mark.parametrize("defect", [raising, returning], ids=lambda defect: defect.__name__)
async def test_an_effect_that_ends_begins_anew_and_the_leadership_goes_on(
    fleet: CounterFleet, defect: Callable[[Host], Any]
) -> None:
    begun: list[Epoch] = []

    async def effect(host: Host) -> None:
        begun.append(host.epoch)
        await (defect(host) if len(begun) < 3 else asyncio.Event().wait())

    fleet.effects = [effect]
    host = await fleet.leader()
    await eventually(lambda: len(begun) == 3)
    assert begun == [host.epoch] * 3
    assert await add(host) == b"1"


async def test_a_listener_that_fails_keeps_no_commit_from_the_others(fleet: CounterFleet) -> None:
    host, heard = await fleet.start(), []

    def fail(_seq: int) -> None:
        raise ValueError("a defect")

    host.on_commit(fail)
    host.on_commit(heard.append)
    await eventually(lambda: host.leading)
    epoch = host.epoch
    assert [await add(host), await add(host)] == [b"1", b"2"]
    assert heard[-1] == host.committed_seq
    assert host.epoch == epoch


async def test_a_snapshot_that_fails_is_taken_later_by_the_same_leader(fleet: CounterFleet) -> None:
    failures: list[str] = []

    class Brittle(CounterCodec):
        def encode_row(self, table: str, row: Counter) -> bytes:
            if table == "counters" and len(failures) < 2:
                failures.append(row.name)
                raise ValueError("no bytes for it")
            return super().encode_row(table, row)

    fleet.codec = Brittle()
    host = await fleet.leader()
    epoch, journal = host.epoch, fleet.store.journal("counters")
    for number in range(300):
        await add(host, f"c{number % 7}", blob="b" * 5_000)

    async def is_taken() -> bool:
        return await journal.pointer() is not None

    await eventually(is_taken)
    assert len(failures) == 2
    assert host.epoch == epoch


async def test_of_timers_that_fire_together_only_the_one_that_fails_is_set_aside(fleet: CounterFleet) -> None:
    host = await fleet.leader()
    await asyncio.gather(*(add(host, name, lifetime=5) for name in ("first", "fragile", "second", "third")))
    await eventually(lambda: counters(host) == {"fragile": 1})


async def test_a_leadership_that_cannot_begin_is_sought_again_after_longer_and_longer_pauses(
    fleet: CounterFleet,
) -> None:
    begun: list[Epoch] = []

    class Stillborn(CounterMachine):
        def decide(self, command: Any, at: Moment, session: Any) -> Decision:
            if isinstance(command, ElectionWon):
                begun.append(at.epoch)
                if len(begun) < 4:
                    raise ValueError("a defect")
            return super().decide(command, at, session)

    fleet.clock = clock = Patience()
    fleet.machine = Stillborn
    await fleet.leader()
    assert len(begun) == 4
    pauses = [duration for duration in clock.sleeps if duration in (200, 400, 800)]
    assert pauses[-3:] == [200, 400, 800]


async def test_a_commit_that_fails_unexpectedly_ends_the_leadership_and_not_the_process(fleet: CounterFleet) -> None:
    class Brittle(FaultyJournal):
        broken = False

        async def append(self, number: int, value: bytes, *, epoch: Epoch) -> None:
            if self.broken:
                self.broken = False
                raise ValueError("a defect")
            await super().append(number, value, epoch=epoch)

    fleet.faulty = Brittle
    host = await fleet.leader()
    first = host.epoch
    await add(host)
    fleet.journals[0].broken = True
    with pytest.raises(Exception, match="OUTCOME_UNKNOWN"):
        await add(host)
    await eventually(lambda: host.leading and host.epoch > first)
    assert counters(host) == {"x": 1}


async def test_a_drained_standby_stops_waiting_for_the_role(fleet: CounterFleet) -> None:
    leader = await fleet.leader("a")
    standby = await fleet.start("b")
    await eventually(lambda: standby.leader is not None and standby.leader.address == "a")
    await standby.drain()
    await asyncio.wait_for(fleet.ended(standby), 10)
    assert await add(leader) == b"1"
