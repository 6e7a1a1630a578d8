"""Events make room for each other, by number and by size."""

from __future__ import annotations

from support.scaling_machine import QUICK, Played, row
from tercio_scaling.state.commands import ScalePool
from tercio_scaling.state.retention import EVENT_BYTES
from tercio_scaling.state.rules import Rules


def test_events_of_all_pools_take_half_of_the_room_at_most() -> None:
    played = Played(Rules(max_live_bytes=80 * EVENT_BYTES + 40_000, max_events=1_000))
    for name in ("p", "q"):
        played.apply(row(QUICK._replace(pool_id=name)))
    room = (80 * EVENT_BYTES + 40_000) // 2 // EVENT_BYTES // 2
    for number in range(3 * room):
        for name in ("p", "q"):
            played.do(ScalePool(pool_id=name, agents=2 + number % 2, reason="again"))
    assert [len(played.told(pool_id=name)) for name in ("p", "q")] == [room, room]
    assert played.told()[-1].number == played.state().last_event
