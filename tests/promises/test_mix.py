"""Every promise at once, while everything goes wrong at random: a short mix here, the long one with TERCIO_TEST_LONG=1.

The faults and the work follow from a seed. The short mix always has the same one, so that a red build is red for its
change; the long one takes the run's seed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.processes import ROOT
from tercio_common.testing.chaos.faults.catalogue import KINDS
from tercio_common.testing.chaos.fleet import FleetPlan
from tercio_common.testing.chaos.run import Plan, run_chaos
from tools.etcd_binary import find_or_build

IS_LONG = bool(os.environ.get("TERCIO_TEST_LONG"))

_SHORT = Plan(seconds=12, seed=11, tasks=600)


@pytest.mark.timeout(180)
async def test_every_promise_holds_through_a_mix_of_faults(tmp_path: Path) -> None:
    report = await run_chaos(_SHORT, etcd=find_or_build(), folder=tmp_path)
    report.demand()
    assert report.tried.ended["SUCCEEDED"] > _SHORT.tasks / 2
    assert len(report.faults) > len(KINDS) / 2


@pytest.mark.timeout(60)
async def test_a_scheduler_that_forgets_requests_does_not_get_through_the_mix(tmp_path: Path) -> None:
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    fleet = FleetPlan(
        replicas=1, agents=1, scaling=0, module="support.launchers.forgetful_requests", environment={"PYTHONPATH": path}
    )
    plan = Plan(seconds=2, seed=1, tasks=50, faults=("same-request",), fleet=fleet)
    report = await run_chaos(plan, etcd=find_or_build(), folder=tmp_path)
    assert report.broken() == {"G8"}


@pytest.mark.timeout(60)
async def test_a_ledger_that_is_blind_does_not_get_through_the_mix(tmp_path: Path) -> None:
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    fleet = FleetPlan(
        replicas=1,
        agents=1,
        registries=0,
        pools=1,
        claims=0,
        scaling=0,
        pools_module="support.launchers.blind_ledger",
        environment={"PYTHONPATH": path},
    )
    plan = Plan(seconds=4, seed=1, tasks=50, faults=("kill-resources",), fleet=fleet)
    report = await run_chaos(plan, etcd=find_or_build(), folder=tmp_path)
    assert report.broken() == {"G4"}


@pytest.mark.timeout(60)
async def test_claims_that_are_granted_blindly_do_not_get_through_the_mix(tmp_path: Path) -> None:
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    fleet = FleetPlan(
        replicas=1,
        agents=1,
        registries=0,
        pools=0,
        claims=1,
        scaling=0,
        claims_module="support.launchers.blind_claims",
        environment={"PYTHONPATH": path},
    )
    plan = Plan(seconds=4, seed=1, tasks=50, faults=("kill-conflicts",), fleet=fleet)
    report = await run_chaos(plan, etcd=find_or_build(), folder=tmp_path)
    assert report.broken() == {"G5"}


@pytest.mark.timeout(120)
async def test_pools_without_bounds_do_not_get_through_the_mix(tmp_path: Path) -> None:
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    fleet = FleetPlan(
        replicas=1,
        agents=1,
        registries=1,
        pools=0,
        claims=0,
        scaling=1,
        scaling_module="support.launchers.any_number",
        environment={"PYTHONPATH": path},
    )
    plan = Plan(seconds=4, seed=1, tasks=50, faults=("kill-scaling",), fleet=fleet)
    report = await run_chaos(plan, etcd=find_or_build(), folder=tmp_path)
    assert report.broken() == {"G11"}


@pytest.mark.skipif(not IS_LONG, reason="minutes long: make test-promises runs it, and TERCIO_TEST_LONG=1 does")
@pytest.mark.timeout(600)
async def test_every_promise_holds_for_20_000_tasks_on_three_members_through_all_faults(
    tmp_path: Path, seed: int
) -> None:
    # Snapshots so often that faults come in between.
    snapshots = {"TERCIO_HOST__SNAPSHOT_BYTES": str(1 << 20)}
    fleet = FleetPlan(members=3, quota_bytes=256 << 20, environment=snapshots)
    plan = Plan(seconds=240, seed=seed, tasks=20_000, fleet=fleet, settle_s=90)
    report = await run_chaos(plan, etcd=find_or_build(), folder=tmp_path)
    report.demand()
    # A store that is nearly full turns new work away.
    assert report.tried.acknowledged > plan.tasks / 2
    assert set(report.faults) == set(KINDS)
