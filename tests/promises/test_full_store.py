"""A full etcd needs no operator: it is filled up to its quota, and Tercio leaves NOSPACE by itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.processes import ROOT, SCHEDULER
from tercio_common.testing.chaos.fleet import FleetPlan
from tercio_common.testing.chaos.report import Report
from tercio_common.testing.chaos.run import Plan, run_chaos
from tools.etcd_binary import find_or_build

_QUOTA_BYTES = 16 << 20


async def _fill_while_working(folder: Path, *, module: str, settle_s: float) -> Report:
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    fleet = FleetPlan(replicas=2, agents=2, module=module, quota_bytes=_QUOTA_BYTES, environment={"PYTHONPATH": path})
    plan = Plan(seconds=6, seed=2, tasks=300, faults=("full-store",), fleet=fleet, settle_s=settle_s)
    return await run_chaos(plan, etcd=find_or_build(), folder=folder)


@pytest.mark.timeout(60)
async def test_a_store_that_was_full_takes_writes_again_and_no_task_is_lost(tmp_path: Path) -> None:
    report = await _fill_while_working(tmp_path, module=SCHEDULER, settle_s=30)
    report.demand()
    assert report.faults["full-store"] > 0
    assert report.tried.acknowledged == sum(report.tried.ended.values())


@pytest.mark.timeout(60)
async def test_a_store_that_nobody_repairs_would_be_found_out(tmp_path: Path) -> None:
    report = await _fill_while_working(tmp_path, module="support.launchers.idle_space_guard", settle_s=3)
    assert "G1" in report.broken()
