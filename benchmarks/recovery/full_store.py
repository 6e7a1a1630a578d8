"""etcd is filled up to its quota under load: how long Tercio takes to lead it out again once there is room.

This is a chaos run with that fault alone, judged by the history checker.
"""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.bars import Bar
from tercio_common.testing.chaos.fleet import FleetPlan
from tercio_common.testing.chaos.run import Plan, run_chaos
from tools.etcd_binary import find_or_build

_QUOTA_BYTES = 64 << 20


async def bars(folder: Path, *, seconds: float) -> list[Bar]:
    """Do it again and again for that long; count what was lost."""
    plan = Plan(seconds=seconds, seed=1, faults=("full-store",), fleet=FleetPlan(quota_bytes=_QUOTA_BYTES))
    began = time.perf_counter()
    report = (await run_chaos(plan, etcd=find_or_build(), folder=folder)).demand()
    lost = report.tried.acknowledged - sum(report.tried.ended.values())
    return [
        Bar(
            name="tasks lost while etcd was full and repaired",
            value=lost,
            limit=0,
            details={
                "times full": report.faults["full-store"],
                "tasks": report.tried.acknowledged,
                "s in all": time.perf_counter() - began,
            },
        )
    ]
