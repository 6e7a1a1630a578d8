"""Demand of pools out of what the scheduler counts."""

from __future__ import annotations

import pytest

from tercio_scaling.state.metering import DemandMeter, LoadSeen, QueueSeen, QueuesSeen, serves
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.rows import PoolRow

WINDOW = 60_000


def pool(pool_id: str = "p", *, most: int = 10, task_types: tuple[str, ...] = (), **capabilities: int) -> PoolRow:
    declared = AgentPool(pool_id, capabilities=tuple(sorted(capabilities.items())), most=most, window=WINDOW)
    return PoolRow(pool_id, declared, "local", task_types=task_types)


def seen(*queues: QueueSeen, counted_for: int = 1_000, loads: tuple[LoadSeen, ...] = ()) -> QueuesSeen:
    return QueuesSeen(counted_for, queues, loads)


@pytest.mark.parametrize(
    ("queue", "served"),
    [
        pytest.param(QueueSeen("t", (("python", 5),)), True, id="levels-suffice"),
        pytest.param(QueueSeen("t", (("python", 6),)), False, id="level-too-high"),
        pytest.param(QueueSeen("t", (("java", 1),)), False, id="capability-missing"),
        pytest.param(QueueSeen("t"), True, id="asks-for-nothing"),
        pytest.param(QueueSeen("other"), False, id="no-handler"),
        pytest.param(QueueSeen("t", target="a1"), False, id="one-agent-only"),
    ],
)
def test_a_pool_serves_what_each_of_its_agents_could_run(queue: QueueSeen, served: bool) -> None:
    assert serves(pool(task_types=("t",), python=5), queue) is served


def test_what_waits_and_for_how_long_is_that_of_the_queues_that_it_serves() -> None:
    meter, row = DemandMeter(), pool(python=5)
    meter.take(
        seen(
            QueueSeen("a", waiting=3, oldest_wait=70),
            QueueSeen("b", (("python", 5),), waiting=4, oldest_wait=90),
            QueueSeen("c", (("java", 1),), waiting=50, oldest_wait=999),
        ),
        [row],
        now=0,
    )
    demand = meter.demand(row, 0)
    assert (demand.waiting, demand.oldest_wait) == (7, 90)
    meter.take(seen(QueueSeen("a")), [row], now=10)
    assert (meter.demand(row, 10).waiting, meter.demand(row, 10).oldest_wait) == (0, 0)


def test_what_needs_resources_waits_for_an_agent_only_while_none_has_room() -> None:
    meter, row = DemandMeter(), pool()
    queue = QueueSeen("t", waiting=1, admitting=4, oldest_wait=70)
    busy, free = LoadSeen("busy", 1, takes_work=True), LoadSeen("free", 1, takes_work=True, slots=2)
    cordoned = LoadSeen("cordoned", 0, takes_work=False)
    meter.take(seen(queue, loads=(busy, free, cordoned)), [row], now=0)
    assert meter.demand(row, 0, agents=["busy", "cordoned", "unknown"]).waiting == 5
    assert meter.demand(row, 0, agents=["busy", "free"]).waiting == 1
    meter.take(seen(queue._replace(waiting=0), loads=(free,)), [row], now=1)
    assert (meter.demand(row, 1, agents=["free"]).oldest_wait, meter.demand(row, 1).oldest_wait) == (0, 70)


def test_what_several_pools_serve_is_shared_by_the_slots_that_they_may_have() -> None:
    small, large = pool("small", most=1), pool("large", most=3)
    meter = DemandMeter()
    meter.take(seen(QueueSeen("t", waiting=8, oldest_wait=5)), [small, large], now=0)
    assert meter.demand(small, 0).waiting == 2
    assert meter.demand(large, 0).waiting == 6
    assert meter.demand(small, 0).oldest_wait == 5


def test_what_arrived_counts_from_the_first_look_and_over_new_leaders_of_the_scheduler() -> None:
    meter, row = DemandMeter(), pool()
    arrived = []
    for counted_for, accepted in ((50_000, 100), (51_000, 107), (52_000, 107), (400, 3), (1_400, 5)):
        meter.take(seen(QueueSeen("t", accepted=accepted), counted_for=counted_for), [row], now=counted_for)
        arrived.append(meter.demand(row, counted_for).arrived)
    assert arrived == [0, 7, 7, 10, 12]


def test_the_mean_run_is_known_from_the_first_look_and_follows_what_ends() -> None:
    meter, row = DemandMeter(), pool()
    meter.take(seen(QueueSeen("t", succeeded=10, ran=10_000)), [row], now=0)
    assert meter.demand(row, 0).mean_run == 1_000
    meter.take(seen(QueueSeen("t", succeeded=110, ran=210_000), counted_for=2_000), [row], now=1_000)
    assert meter.demand(row, 1_000).mean_run == 2_000
    meter.take(seen(QueueSeen("t", succeeded=110, ran=210_000), counted_for=9 * WINDOW), [row], now=9 * WINDOW)
    assert meter.demand(row, 9 * WINDOW).mean_run == 2_000


def test_response_times_are_those_of_the_last_window_and_of_the_one_before() -> None:
    meter, row = DemandMeter(), pool()
    for now, succeeded, responded in ((0, 0, 0), (10_000, 2, 600), (WINDOW + 20_000, 3, 1_500)):
        queue = QueueSeen("t", succeeded=succeeded, ran=succeeded, responded=responded)
        meter.take(seen(queue, counted_for=1_000 + now), [row], now=now)
    demand = meter.demand(row, WINDOW + 20_000)
    assert (demand.response, demand.response_before) == (900, 300)
    later = meter.demand(row, 4 * WINDOW)
    assert (later.response, later.response_before) == (0, 0)


def test_what_would_be_lost_with_an_agent_is_how_long_it_has_held_something() -> None:
    meter = DemandMeter()
    for now, held in ((0, 0), (100, 1), (200, 2)):
        meter.take(seen(loads=(LoadSeen("a", held, takes_work=True),)), [], now=now)
    assert meter.work("a", 250) == 150
    meter.take(seen(loads=(LoadSeen("a", 0, takes_work=True),)), [], now=300)
    assert meter.work("a", 400) == 0
    assert meter.work("unknown", 400) == 0


def test_memory_is_bounded_however_much_ends() -> None:
    meter, row = DemandMeter(), pool()
    for second in range(20_000):
        queue = QueueSeen("t", succeeded=second, ran=second * 10, responded=second * 20)
        meter.take(seen(queue, counted_for=second * 1_000), [row], now=second * 1_000)
    assert len(meter._meters["p"].ends) <= 64
    assert meter.demand(row, 20_000_000).mean_run == 10
