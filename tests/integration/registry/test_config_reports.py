"""What a change of a configuration answers, and that watchers of agents see which revision is active."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
import pytest

from support.registry import detail_of, info_of, reason_of
from tercio import Agent, Context
from tercio.api.registry.v1 import agent_config_pb2
from tercio.api.registry.v1 import config_service_pb2 as pb
from tercio.api.registry.v1.config_service_pb2_grpc import ConfigServiceStub
from tercio.testing import Fleet, running_fleet

Revision = agent_config_pb2.ConfigRevision


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with running_fleet() as fleet:
        yield fleet


@pytest.fixture
async def stub(fleet: Fleet) -> AsyncIterator[Any]:
    """Configurations of the fleet, with one agent `a` that refuses what is bad."""
    agent = Agent(address=fleet.address, agent_id="a", identity_secret=b"s" * 16)

    @agent.task("t")
    async def work(_task: Context) -> None:
        return None

    @agent.on_configure
    async def configure(document: Mapping[str, Any]) -> None:
        if document.get("bad"):
            raise ValueError("this does not work")

    async with fleet.running(agent), grpc.aio.insecure_channel(fleet.address) as channel:
        yield ConfigServiceStub(channel)


def request(document: object, **fields: Any) -> pb.UpdateConfigRequest:
    made = pb.UpdateConfigRequest(agent_id="a", document=json.dumps(document), **{"wait": True, **fields})
    made.observe_duration.FromMilliseconds(50)
    return made


async def test_the_answer_tells_how_each_step_went_and_how_long_all_took(stub: Any) -> None:
    await stub.UpdateConfig(request({"port": 80, "host": "h"}))
    answer = await stub.UpdateConfig(request({"port": 81, "host": "h"}))
    report, steps = answer.report, answer.revision.steps
    assert [(step.phase, step.passed) for step in steps] == [(phase, True) for phase in range(1, 6)]
    took = {step.phase: step.duration.ToNanoseconds() for step in steps if step.HasField("duration")}
    assert set(took) == set(range(1, 6))
    assert all(took[phase] > 0 for phase in (Revision.PHASE_VALIDATE, Revision.PHASE_BACKUP, Revision.PHASE_REVALIDATE))
    assert took[Revision.PHASE_OBSERVE] >= 50_000_000
    assert report.duration.ToNanoseconds() >= took[Revision.PHASE_OBSERVE]
    assert (report.validation, report.backup_revision, report.rollback_performed) == (steps[0], 1, False)
    assert [(each.path, each.before, each.after) for each in report.changes] == [("/port", "80", "81")]
    found = await stub.GetConfig(pb.GetConfigRequest(agent_id="a"))
    assert found.revision == answer.revision


async def test_what_is_given_up_has_the_report_in_its_status(stub: Any) -> None:
    await stub.UpdateConfig(request({"port": 80}))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.UpdateConfig(request({"bad": True}))
    assert reason_of(caught.value) == "CONFIGURATION_APPLY_FAILED"
    facts = info_of(caught.value).metadata
    assert (facts["revision"], facts["backupRevision"], facts["rollbackPerformed"]) == ("2", "1", "true")
    report = detail_of(caught.value, pb.ConfigUpdateReport)
    assert (report.validation.passed, report.backup_revision, report.rollback_performed) == (True, 1, True)
    assert report.duration.ToNanoseconds() > 0
    given_up = (await stub.GetConfig(pb.GetConfigRequest(agent_id="a", revision=2))).revision
    assert [(step.phase, step.passed) for step in given_up.steps][-1] == (Revision.PHASE_APPLY, False)
    assert given_up.steps[-1].HasField("duration")


async def test_a_dry_run_reports_its_check_and_changes_nothing(stub: Any) -> None:
    answer = await stub.UpdateConfig(request({"port": 80}, validate_only=True))
    assert answer.revision.revision == 0
    assert answer.report.validation.duration.ToNanoseconds() > 0
    assert not answer.report.rollback_performed


async def test_a_retry_is_answered_with_the_same_revision_and_what_is_known_of_it(stub: Any) -> None:
    asked = request({"port": 80}, request_id="r")
    first, again = await stub.UpdateConfig(asked), await stub.UpdateConfig(asked)
    assert first.revision == again.revision
    assert first.report.changes == again.report.changes


async def test_watchers_of_agents_see_what_is_activated_and_what_is_restored(stub: Any, fleet: Fleet) -> None:
    async with fleet.client() as client:
        first = await client.get_agent("a")
        assert first.config_revision == 0
        seen = [0]

        async def until(revision: int) -> None:
            async for agent in watch:
                if agent.config_revision != seen[-1]:
                    seen.append(agent.config_revision)
                if seen[-1] == revision:
                    return

        watch = client.watch_agents(existing=True)
        await stub.UpdateConfig(request({"port": 80}))
        await until(1)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.UpdateConfig(request({"bad": True}))
        await until(3)
        assert (await client.get_agent("a")).etag != first.etag
    assert seen == [0, 1, 3]
