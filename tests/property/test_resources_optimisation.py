"""Optimisation of any holdings with any usage: pools stay within their capacity, and what is used stays granted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from support.resources_machine import CPU, Driver
from tercio_resources.state.commands import Kind, Optimize, ReportUsage, UsageReport
from tercio_resources.state.rows import Amount, PoolRow
from tercio_resources.state.rules import Rules

POOLS = tuple(CPU._replace(pool_id=f"cpu-{index}", capacity=200 + 100 * index, reserve=50) for index in range(3))
RULES = Rules(default_pools=(*POOLS, PoolRow("memory", "memory", "MB", 500)), idle=2_000)
HELD = st.lists(st.tuples(st.integers(1, 200), st.integers(0, 60), st.integers(0, 120)), min_size=1, max_size=12)


def held(driver: Driver, asked: list[tuple[int, int, int]], reports: int) -> dict[int, int]:
    """Grant what is asked for and report a part of it, in percent; return what is used of cpu."""
    used = {}
    for index, (cpu, memory, percent) in enumerate(asked):
        amounts = {"cpu": cpu, **({"memory": memory} if memory else {})}
        if number := driver.grant(f"o{index}", amounts=amounts):
            used[number] = cpu * percent // 100
    for _ in range(reports):
        for number, cpu in used.items():
            driver.do(ReportUsage((UsageReport(number, (Amount("cpu", cpu), Amount("memory", 0))),)))
        driver.listen(1_000)
    return used


@given(asked=HELD, kinds=st.sets(st.sampled_from(Kind), min_size=1), reports=st.integers(0, 4))
def test_what_is_used_stays_granted_and_no_pool_has_more_than_it_may(
    asked: list[tuple[int, int, int]], kinds: set[Kind], reports: int
) -> None:
    driver = Driver(RULES)
    used = held(driver, asked, reports)
    before = {row.number: row for row in driver.rows()}
    freed = sum(driver.granted(pool.pool_id) for pool in POOLS)
    proposals = driver.do(Optimize(tuple(kinds)))
    freed -= sum(driver.granted(pool.pool_id) for pool in POOLS)
    for pool in POOLS:
        assert driver.granted(pool.pool_id) <= pool.capacity - pool.reserve
    for row in driver.rows():
        cpu, asked_cpu = row.lot.parts[0].amount, before[row.number].lot.parts[0].amount
        assert cpu >= min(asked_cpu, max(1, used[row.number])), "a holder has less than it uses"
        assert all(part.amount > 0 for part in row.lot.parts)
    shrunk = [each for each in proposals if each.kind is Kind.SHRINK and each.part.dimension == "cpu"]
    assert freed == sum(each.part.amount for each in shrunk), "what is freed is not what was proposed"
    emptied = {each.part.pool_id for each in proposals if each.kind is Kind.COMPACT}
    assert not any(driver.granted(pool) for pool in emptied), "a pool was left half empty"
    assert driver.do(Optimize(tuple(kinds - {Kind.COMPACT}))) == []
