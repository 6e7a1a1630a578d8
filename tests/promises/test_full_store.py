"""A full etcd needs no operator: it is filled up to its quota, and Tercio leaves NOSPACE by itself."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from support.processes import ROOT, SCHEDULER
from tercio_common.testing.chaos.faults.store import FullStore
from tercio_common.testing.chaos.fleet import FleetPlan, running_fleet
from tercio_common.testing.chaos.run import Plan, run_chaos
from tercio_common.testing.history import Violation
from tools.etcd_binary import find_or_build

_QUOTA_BYTES = 16 << 20


async def _fill_and_empty(folder: Path, *, module: str) -> list[Violation]:
    """Fill the store of one replica and make room again; return what there is to complain about."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    # The scheduler alone: every other service would look after the same store.
    plan = FleetPlan(
        replicas=1,
        registries=0,
        pools=0,
        claims=0,
        scaling=0,
        agents=0,
        module=module,
        quota_bytes=_QUOTA_BYTES,
        environment={"PYTHONPATH": path},
    )
    async with running_fleet(plan, binary=find_or_build(), folder=folder) as fleet:
        fault = FullStore()
        await fault.inject(fleet, random.Random(1))
        await fault.heal()
        return fleet.complaints


@pytest.mark.timeout(60)
async def test_no_task_is_lost_while_the_store_is_full_and_repaired_under_load(tmp_path: Path) -> None:
    fleet = FleetPlan(replicas=2, agents=2, quota_bytes=_QUOTA_BYTES)
    plan = Plan(seconds=6, seed=2, tasks=300, faults=("full-store",), fleet=fleet, settle_s=30)
    report = await run_chaos(plan, etcd=find_or_build(), folder=tmp_path)
    report.demand()
    assert report.faults["full-store"] > 0
    assert report.tried.acknowledged == sum(report.tried.ended.values())


@pytest.mark.timeout(60)
async def test_a_replica_leads_a_full_store_out_of_its_alarm(tmp_path: Path) -> None:
    assert await _fill_and_empty(tmp_path, module=SCHEDULER) == []


@pytest.mark.timeout(60)
async def test_a_store_that_nobody_repairs_would_be_found_out(tmp_path: Path) -> None:
    violations = await _fill_and_empty(tmp_path, module="support.launchers.idle_space_guard")
    assert {one.promise for one in violations} == {"G1"}
