"""Pools: created, cut, fenced and deleted."""

from __future__ import annotations

import pytest

from support.resources_machine import CPU, Driver
from tercio_common.errors import Refusal
from tercio_resources.state.commands import CreatePool, DeletePool
from tercio_resources.state.pools import PoolState
from tercio_resources.state.rows import PoolRow


def test_a_cut_revokes_nothing_and_nothing_is_granted_until_it_fits() -> None:
    driver = Driver()
    first, second = driver.grant("a", amounts={"cpu": 600}), driver.grant("b", amounts={"cpu": 300})
    assert driver.update(capacity=500).state is PoolState.OVER_COMMITTED
    assert driver.granted() == 900
    assert driver.grant("c", amounts={"cpu": 1}) == 0
    driver.release(second)
    assert driver.grant("c", amounts={"cpu": 1}) == 0
    driver.release(first)
    assert driver.grant("c", amounts={"cpu": 500})


def test_a_fenced_pool_grants_nothing_and_keeps_what_is_granted() -> None:
    driver = Driver()
    driver.grant()
    assert driver.update(fenced=True).state is PoolState.FENCED
    assert driver.grant("b") == 0
    assert driver.granted() == 100
    driver.update(fenced=False)
    assert driver.grant("b")


def test_a_pool_is_deleted_once_nothing_of_it_is_granted() -> None:
    driver = Driver()
    number = driver.grant()
    with pytest.raises(Refusal, match="POOL_IN_USE"):
        driver.do(DeletePool("cpu"))
    driver.release(number)
    driver.do(DeletePool("cpu"))
    with pytest.raises(Refusal, match="POOL_NOT_FOUND"):
        driver.do(DeletePool("cpu"))


def test_default_pools_do_not_come_back() -> None:
    driver = Driver()
    driver.do(DeletePool("cpu"))
    driver.take_over()
    assert not len(driver.machine.tables.pools)


def test_every_pool_of_a_dimension_counts_in_one_unit() -> None:
    driver = Driver()
    driver.do(CreatePool(PoolRow("gpu-1", "gpu", "count", 4)))
    driver.do(CreatePool(PoolRow("gpu-2", "gpu", "", 4)))
    assert driver.machine.tables.pools["gpu-2"].unit == "count"
    for dimension, unit in (("gpu", "boards"), ("cpu", "cores")):
        with pytest.raises(Refusal, match="UNIT_MISMATCH"):
            driver.do(CreatePool(PoolRow("other", dimension, unit, 4)))
    with pytest.raises(Refusal, match="POOL_EXISTS"):
        driver.do(CreatePool(CPU))


def test_a_cut_below_the_reserve_cuts_the_reserve() -> None:
    driver = Driver()
    driver.update(reserve=500)
    assert driver.update(capacity=200).row.reserve == 200
    with pytest.raises(Refusal, match="INVALID_ARGUMENT"):
        driver.update(reserve=201)
