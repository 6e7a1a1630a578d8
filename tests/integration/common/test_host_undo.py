"""A command that fails late leaves no trace: neither in the tables nor in the journal, nor in what is derived."""

from __future__ import annotations

from typing import Any

import pytest

from support.counter_fleet import CounterFleet, add, call, contents, counters, render
from support.counter_machine import Add, Counter, CounterCodec, CounterMachine, Set
from tercio_common.errors import Refusal
from tercio_common.machine.host import Host
from tercio_common.testing.eventually import eventually


class BrittleCodec(CounterCodec):
    """Cannot encode the event of one counter."""

    def encode_event(self, event: Set) -> bytes:
        if event.name == "unspeakable":
            raise ValueError("no bytes for it")
        return super().encode_event(event)


class BrittleTimers(CounterMachine):
    """Cannot tell when its next timer is due once a counter of that name exists."""

    def next_due(self) -> int | None:
        if "timeless" in self.counters:
            raise ValueError("no time for it")
        return super().next_due()


class BrokenIndex:
    """Cannot follow a counter of that name, neither forth nor back."""

    def changed(self, key: str, old: Counter | None, new: Counter | None) -> None:
        del old, new
        if key == "lost":
            raise KeyError(key)


class BrokenMachine(CounterMachine):
    """Keeps an index that follows some counters only."""

    def __init__(self) -> None:
        super().__init__()
        self.counters.add_index(BrokenIndex())


def fail(_reply: Any) -> bytes:
    raise ValueError("no reply for it")


async def successor_of(host: Host, fleet: CounterFleet) -> Host:
    await host.committed(host.tip_seq)
    await fleet.stop(host)
    return await fleet.leader("b")


@pytest.mark.parametrize("request_id", ["", "r"])
async def test_a_reply_that_cannot_be_rendered_undoes_its_command(fleet: CounterFleet, request_id: str) -> None:
    host = await fleet.leader()
    with pytest.raises(Refusal, match="INTERNAL"):
        await host.execute(Add("x"), call=call(request_id), render=fail)
    assert counters(host) == {}
    assert await add(host, request_id=request_id) == b"1"
    assert counters(await successor_of(host, fleet)) == {"x": 1}


async def test_an_event_that_cannot_be_encoded_undoes_its_command(fleet: CounterFleet) -> None:
    fleet.codec = BrittleCodec()
    host = await fleet.leader()
    with pytest.raises(Refusal, match="INTERNAL"):
        await add(host, "unspeakable", request_id="r")
    assert await add(host, request_id="r") == b"1"
    assert counters(await successor_of(host, fleet)) == {"x": 1}


async def test_a_timer_that_cannot_be_told_undoes_its_command_before_it_is_recorded(fleet: CounterFleet) -> None:
    fleet.machine = BrittleTimers
    host = await fleet.leader()
    seq = host.tip_seq
    with pytest.raises(Refusal, match="INTERNAL"):
        await add(host, "timeless")
    assert host.tip_seq == seq
    assert await add(host) == b"1"
    assert counters(await successor_of(host, fleet)) == {"x": 1}


async def test_a_command_that_is_too_large_disturbs_no_memory_of_requests(fleet: CounterFleet) -> None:
    fleet.settings = fleet.settings.model_copy(update={"request_window_ms": 100, "retry_age_ms": 50})
    host = await fleet.leader()
    for number in range(3):
        await add(host, request_id=f"r{number}")
    began = host.moment().now
    await eventually(lambda: host.moment().now - began > 100)
    with pytest.raises(Refusal, match="REQUEST_TOO_LARGE"):
        await add(host, request_id="huge", blob="b" * 600_000)
    await add(host, request_id="last")
    kept = contents(host)
    assert contents(await successor_of(host, fleet)) == kept


async def test_a_leader_that_cannot_undo_a_command_drops_its_tip(fleet: CounterFleet) -> None:
    fleet.machine = BrokenMachine
    host = await fleet.leader()
    await add(host)
    epoch = host.epoch
    with pytest.raises(Refusal, match="OUTCOME_UNKNOWN"):
        await add(host, "lost")
    await eventually(lambda: host.leading and host.epoch > epoch)
    assert counters(host) == {"x": 1}
    assert await add(host) == b"2"


async def test_a_reply_is_rendered_once(fleet: CounterFleet) -> None:
    rendered: list[Any] = []

    def count(reply: Any) -> bytes:
        rendered.append(reply)
        return render(reply)

    host = await fleet.leader()
    assert await host.execute(Add("x"), call=call("r"), render=count) == b"1"
    assert rendered == [1]
