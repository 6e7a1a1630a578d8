"""Optimisation: what is not used is taken back, each with its reason."""

from __future__ import annotations

from support.resources_machine import CPU, Driver
from tercio_resources.state import optimisation
from tercio_resources.state.commands import Kind, Optimize, ReportUsage, UsageReport
from tercio_resources.state.optimisation import Proposal
from tercio_resources.state.rows import Amount, PoolRow
from tercio_resources.state.rules import Rules

TWO_POOLS = Rules(default_pools=(CPU, CPU._replace(pool_id="cpu-2", capacity=500)))


def use(driver: Driver, number: int, *amounts: int, every: int = 20_000) -> None:
    """Report these, one after the other; the owners are renewed."""
    for amount in amounts:
        driver.do(ReportUsage((UsageReport(number, (Amount("cpu", amount),)),)))
        driver.session.renew(list(driver.machine.tables.holdings.owners()), driver.now)
        driver.listen(every)


def proposed(driver: Driver, *kinds: Kind) -> list[Proposal]:
    command = Optimize(kinds) if kinds else Optimize()
    return optimisation.proposals(command, driver.moment(), driver.machine.tables, driver.rules)


def test_an_idle_holder_is_asked_to_release_and_is_released_a_grace_later() -> None:
    driver = Driver()
    number = driver.grant()
    use(driver, number, 5, 5, 5, 5)
    (proposal,) = driver.do(Optimize())
    assert (proposal.kind, proposal.number, proposal.part.amount) == (Kind.RECLAIM, number, 100)
    assert "next to nothing" in proposal.reason
    assert driver.machine.tables.allocations[number].revoke_at == driver.now + driver.rules.grace
    assert driver.do(Optimize()) == []
    driver.listen(driver.rules.grace)
    assert driver.granted() == 0


def test_the_over_allocated_keep_their_peak_and_the_head_room() -> None:
    driver = Driver()
    number = driver.grant()
    use(driver, number, 40, 50, 30, 30)
    (proposal,) = driver.do(Optimize())
    assert (proposal.kind, proposal.part.amount) == (Kind.SHRINK, 47)
    assert proposal.reason == "at most 50 of 100 was used in 80 s"
    row = driver.machine.tables.allocations[number]
    assert (driver.granted(), row.revoke_at, row.token) == (53, 0, number)
    assert driver.do(Optimize()) == []


def test_the_head_room_is_a_setting() -> None:
    driver = Driver(Rules(default_pools=(CPU,), headroom=200))
    use(driver, driver.grant(), 50, 50, 50, 50)
    driver.do(Optimize())
    assert driver.granted() == 60


def test_what_is_used_is_left_alone() -> None:
    driver = Driver()
    number = driver.grant()
    use(driver, number, 95, 95, 95, 95)
    assert proposed(driver) == []


def test_nothing_is_taken_from_who_does_not_report_or_stopped_to() -> None:
    driver = Driver()
    number = driver.grant()
    driver.grant("silent")
    use(driver, number, 5, 5, 5, 5)
    assert proposed(driver)
    for _ in range(3):
        driver.session.renew(["a", "silent"], driver.now)
        driver.listen(25_000)
    assert proposed(driver) == []


def test_a_dry_run_changes_nothing() -> None:
    driver = Driver()
    number = driver.grant()
    use(driver, number, 5, 5, 5, 5)
    before = driver.seq
    assert proposed(driver) == proposed(driver)
    assert (driver.seq, driver.granted()) == (before, 100)


def test_a_pool_is_emptied_into_another_one_that_is_in_use() -> None:
    driver = Driver(TWO_POOLS)
    small, large = driver.grant("a", amounts={"cpu": 300}), driver.grant("b", amounts={"cpu": 400})
    assert (driver.granted("cpu"), driver.granted("cpu-2")) == (400, 300)
    (proposal,) = driver.do(Optimize((Kind.COMPACT,)))
    assert (proposal.number, proposal.part.pool_id, proposal.to_pool_id) == (small, "cpu-2", "cpu")
    assert (driver.granted("cpu"), driver.granted("cpu-2")) == (700, 0)
    assert driver.do(Optimize((Kind.COMPACT,))) == []
    assert driver.machine.tables.allocations[large].lot.parts[0].pool_id == "cpu"


def test_a_pool_is_not_emptied_when_not_all_of_it_fits_elsewhere() -> None:
    driver = Driver(TWO_POOLS)
    driver.grant("a", amounts={"cpu": 300})
    driver.grant("b", amounts={"cpu": 800})
    assert proposed(driver, Kind.COMPACT) == []


def test_nothing_moves_to_a_pool_with_other_labels() -> None:
    other = PoolRow("cpu-2", "cpu", "millicores", 500, labels=(("zone", "b"),))
    driver = Driver(Rules(default_pools=(CPU, other)))
    driver.grant("a", amounts={"cpu": 300})
    driver.grant("b", amounts={"cpu": 400})
    assert proposed(driver, Kind.COMPACT) == []


def test_compaction_is_not_done_unasked() -> None:
    driver = Driver(TWO_POOLS)
    driver.grant("a", amounts={"cpu": 300})
    driver.grant("b", amounts={"cpu": 400})
    assert driver.do(Optimize()) == []
