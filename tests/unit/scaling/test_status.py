"""How a pool is shown: to readers, and to Prometheus."""

from __future__ import annotations

from prometheus_client import REGISTRY

from support.scaling_machine import QUICK, Played, row
from tercio_scaling import metrics
from tercio_scaling.state.commands import ReportScaling, ScalePool, SurgePool
from tercio_scaling.state.status import PoolStatus, status


def shown(played: Played) -> PoolStatus:
    return status(played.tables.pools["p"], played.at(), played.tables, played.session, played.rules)


def conditions(played: Played) -> dict[str, str]:
    """Return what holds, or does not and should, with the message."""
    return {each.name: each.message for each in shown(played).conditions if each.message}


def working(**fields: object) -> Played:
    played = Played()
    played.apply(row(QUICK._replace(agent_cost=7), target=2, **fields))
    played.drive()
    played.start()
    return played


def test_what_is_known_and_what_is_not_is_said() -> None:
    played = working()
    assert conditions(played) == {"Observed": "nothing is seen yet: nothing is changed"}
    played.look()
    assert conditions(played) == {}
    played.later(31_000)
    late = "no fresh word of the scheduler and the registry and the driver: nothing is changed"
    assert conditions(played) == {"Observed": late}


def test_what_stands_in_the_way_is_said() -> None:
    played = working()
    played.do(ReportScaling(pool_id="p", seq=1, failure="forbidden"))
    played.do(SurgePool(pool_id="p", reason="incident", duration=60_000))
    played.do(ScalePool(pool_id="p", agents=3, reason="by hand", hold=60_000))
    played.look()
    held = "a manual change holds: triggers change nothing"
    assert conditions(played) == {"Driven": "forbidden", "Surging": "incident", "Held": held}
    played.apply(row(QUICK, paused=True))
    assert conditions(played)["Paused"] == "nothing is decided, and nothing changed"


def test_how_pools_are_is_shown_to_prometheus_until_they_are_no_more() -> None:
    def value(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(f"tercio_scaling_{name}", {"pool": "p", **labels})

    played = working()
    played.waiting = 1
    played.agents["p"][0].cordoned = True
    played.look()
    metrics.show_pools([shown(played)])
    assert value("desired_agents") == 2
    assert (value("agents", state="ready"), value("agents", state="leaving")) == (1, 1)
    assert (value("waiting_tasks"), value("observed"), value("cost_micros_per_hour")) == (1, 1, 14)
    metrics.show_pools([])
    assert value("desired_agents") is None
