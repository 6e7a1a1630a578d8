"""Settings that make no sense are refused; every RPC has a rule; series count in batches."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor_pool import Default
from prometheus_client import generate_latest

from support.scheduler_service import Scheduler
from tercio_common.errors import SettingsError
from tercio_common.settings import load_settings
from tercio_scheduler.app import RULES
from tercio_scheduler.metrics import BatchHistogram
from tercio_scheduler.settings import SchedulerProcessSettings, SchedulerSettings


def test_the_defaults_are_those_of_the_state() -> None:
    limits = SchedulerSettings().limits()
    assert (limits.attempt_lease_ms, limits.retention_ms, limits.retention_count) == (15_000, 3_600_000, 200_000)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"attempt_lease_ms": 99}, "scheduler.attempt_lease_ms"),
        ({"ageing_step_ms": 0}, "scheduler.ageing_step_ms"),
        ({"retention_ms": 14_999}, "must be at least attempt_lease_ms"),
        ({"retention_count": 0}, "scheduler.retention_count"),
        ({"attempt_leese_ms": 1_000}, "scheduler.attempt_leese_ms"),
    ],
    ids=["short lease", "no ageing", "retention under lease", "nothing kept", "misspelt"],
)
def test_nonsense_is_refused(values: dict[str, int], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        load_settings(SchedulerProcessSettings, scheduler=values)


async def test_every_rpc_has_a_rule(scheduler: Scheduler) -> None:
    served = {f"/{name}/{method.name}" for name in scheduler.service.full_names for method in _methods(name)}
    assert served == RULES.keys()


def _methods(full_name: str) -> list[object]:
    return list(Default().FindServiceByName(full_name).methods)


def test_a_batch_counts_as_often_as_it_says() -> None:
    series = BatchHistogram("waits_seconds", "Waits.", bounds=(0.1, 1.0))
    series.observe(0.05, count=3)
    series.observe(1.0)
    series.observe(7, count=2)
    (metric,) = series.collect()
    values = {(sample.name, sample.labels.get("le", "")): sample.value for sample in metric.samples}
    assert [values["waits_seconds_bucket", bound] for bound in ("0.1", "1.0", "+Inf")] == [3, 4, 6]
    assert values["waits_seconds_count", ""] == 6
    assert values["waits_seconds_sum", ""] == pytest.approx(15.15)


async def test_what_happens_shows_in_the_series(scheduler: Scheduler) -> None:
    before = _series()
    await scheduler.submit("a", "b")
    async with scheduler.agent() as agent:
        first, second = await agent.has(2)
        await agent.succeed(first)
        await agent.succeed(first)
        await agent.fail(second, permanent=True)
        assert _series()["tercio_scheduler_agents"] == 1
    changed = {name: value - before.get(name, 0) for name, value in _series().items()}
    assert changed['tercio_scheduler_attempts_total{outcome="succeeded"}'] == 1
    assert changed['tercio_scheduler_attempts_total{outcome="failed"}'] == 1
    assert changed["tercio_scheduler_stale_attempts_total"] == 1
    assert changed['tercio_scheduler_submitted_tasks_total{outcome="accepted"}'] == 2
    assert changed["tercio_scheduler_assign_seconds_count"] == 2
    assert changed["tercio_scheduler_commits_total"] >= 3


def _series() -> dict[str, float]:
    lines = [line.rpartition(" ") for line in generate_latest().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines if name.startswith("tercio_scheduler_")}
