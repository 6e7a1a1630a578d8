"""A snapshot at any point of any commands, while commits are held up, gives a successor the same state."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from support.counter_fleet import QUICK, CounterFleet, call, contents, render
from support.counter_machine import Add, CounterCodec, CounterMachine, Poison, Remove
from tercio_common.errors import Refusal
from tercio_common.journal.feed import Feed, FeedEntry
from tercio_common.journal.replay import Position, Replay
from tercio_common.journal.requests import Requests
from tercio_common.journal.snapshots import Snapshotter
from tercio_common.machine.calls import Call
from tercio_common.machine.host import Host
from tercio_common.testing.eventually import eventually

SETTINGS = QUICK.model_copy(
    update={"request_window_ms": 40, "retry_age_ms": 20, "session_window_ms": 60, "commit_bytes": 8192, "lazy_ms": 1}
)
names = st.sampled_from(["a", "b", "c", "d", "e", "fragile"])
commands = st.one_of(
    st.builds(Add, names, st.integers(1, 9), st.sampled_from([0, 0, 15]), st.sampled_from(["", "b" * 3000])),
    st.builds(Remove, names),
    st.builds(Poison, names),
    st.builds(Add, names, blob=st.just("b" * 9000)),  # over the commit's size
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("call"), commands, st.sampled_from(["", "", "r", "s", "t"])),
        st.tuples(st.just("lazy"), commands),
        st.tuples(st.just("frame"), commands, st.sampled_from(["s1", "s2", "s3"])),
        st.tuples(st.just("pass"), st.integers(1, 25)),
        st.tuples(st.just("yield"), st.integers(1, 6)),
    ),
    max_size=25,
)


class Drive:
    """Takes steps on one leader."""

    def __init__(self, fleet: CounterFleet, host: Host) -> None:
        self._fleet, self._host = fleet, host
        self._frames: dict[str, int] = {}

    async def take(self, steps: list[tuple[Any, ...]]) -> None:
        for kind, *rest in steps:
            match kind, *rest:
                case "call", command, request_id:
                    self._propose(command, call(request_id, str(command).encode()))
                case "lazy", command:
                    self._propose(command, call(), lazy=True)
                case "frame", command, session:
                    number = self._frames.get(session, 0) + 1
                    if self._propose(command, Call("ann", "/f", session_id=session, frame_number=number)):
                        self._frames[session] = number
                case "pass", duration:
                    self._fleet.clock.ahead_ms += duration
                case "yield", turns:
                    for _ in range(turns):
                        await asyncio.sleep(0)

    def _propose(self, command: Any, each: Call, *, lazy: bool = False) -> bool:
        try:
            self._host.term.propose(command, call=each, lazy=lazy, render=render)
        except Refusal as refusal:
            if refusal.reason in {"SESSION_EXPIRED", "FRAME_OUT_OF_ORDER"}:
                self._frames.pop(each.session_id)
            return False
        return True


async def replayed(fleet: CounterFleet, host: Host) -> tuple[dict[str, Any], Position, list[FeedEntry]]:
    machine = CounterMachine()
    kept = fleet.settings
    requests = Requests(
        machine.tables,
        window_ms=kept.request_window_ms,
        retry_age_ms=kept.retry_age_ms,
        limit=kept.request_limit,
        session_window_ms=kept.session_window_ms,
    )
    feed = Feed(ring_bytes=kept.feed_bytes, lag_bytes=kept.feed_bytes)
    replay = Replay(machine=machine, codec=CounterCodec(), requests=requests, feed=feed)
    position = await replay.run(fleet.store.journal("counters"), fence=host.epoch)
    rows = {name: {table.key(row): row for row in table.values()} for name, table in machine.tables.tables.items()}
    return rows, position, feed.subscribe(feed._before).pending()


async def play(before: list[Any], held: list[Any], after: list[Any], last: list[Any]) -> None:
    fleet = CounterFleet(SETTINGS)
    try:
        host = await fleet.leader()
        journal, drive, term = fleet.journals[0], Drive(fleet, host), host.term
        everything = host.feed.subscribe(host.feed.committed)
        await drive.take(before)
        journal.hold()
        await drive.take(held)
        snapshotter = Snapshotter(
            term, threshold_bytes=1 << 40, last_bytes=0, uncovered_bytes=0, tail_ms=0, tail_bytes=1 << 20
        )
        taking = asyncio.ensure_future(snapshotter.take())
        await drive.take([("yield", 1), *after])
        journal.release()
        pointer = await taking
        await drive.take(last)
        # Timers may go on; what is compared is what is durable when the gate closes for good.
        await host.committed(host.tip_seq)
        while not term.committer.idle:
            await eventually(lambda: term.committer.idle)
        journal.hold()
        expected, tip = contents(host), term.tip
        fed = [entry for entry in everything.pending() if entry.seq > pointer.id.seq]
        rows, position, entries = await replayed(fleet, host)
        assert rows == expected
        assert (position.seq, position.now, position.wall) == (tip.seq, tip.now, tip.wall)
        assert entries == fed
        assert position.segment == term.committer.last_segment
    finally:
        await fleet.close()


@settings(max_examples=60)
@given(steps, steps, steps, steps)
def test_a_snapshot_taken_while_commits_are_held_equals_the_state(
    before: list[Any], held: list[Any], after: list[Any], last: list[Any]
) -> None:
    asyncio.run(play(before, held, after, last))
