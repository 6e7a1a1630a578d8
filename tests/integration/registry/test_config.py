"""Configurations through real gRPC, to real agents: every way in which one is given up, and every refusal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY

from support.registry import fields_of, info_of, reason_of
from tercio import Agent, Context
from tercio.api.registry.v1 import agent_config_pb2, rollout_pb2
from tercio.api.registry.v1 import config_service_pb2 as pb
from tercio.api.registry.v1.config_service_pb2_grpc import ConfigServiceStub
from tercio.testing import Fleet, running_fleet
from tercio_common.testing.eventually import eventually

Revision = agent_config_pb2.ConfigRevision
SCHEMA = json.dumps({"properties": {"port": {"type": "integer", "minimum": 1}}})


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with running_fleet() as fleet:
        yield fleet


@pytest.fixture
async def stub(fleet: Fleet) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(fleet.address) as channel:
        yield ConfigServiceStub(channel)


def make(fleet: Fleet, agent_id: str = "a", *, agent_type: str = "web") -> Agent:
    """Return an agent that refuses, hangs, or uses something else, as its configuration says."""
    agent = Agent(address=fleet.address, agent_id=agent_id, agent_type=agent_type, identity_secret=b"s" * 16)

    @agent.task("port")
    async def port(task: Context) -> object:
        return task.config.get("port")

    @agent.on_configure
    async def configure(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if document.get("bad"):
            raise ValueError("this does not work")
        if document.get("slow"):
            await asyncio.sleep(60)
        return {"port": 9} if document.get("other") else None

    return agent


async def update(stub: Any, document: object, agent_id: str = "a", **fields: Any) -> Any:
    request = pb.UpdateConfigRequest(
        agent_id=agent_id, document=json.dumps(document, separators=(",", ":")), wait=True, **fields
    )
    if not request.HasField("observe_duration"):
        request.observe_duration.FromMilliseconds(0)
    return (await stub.UpdateConfig(request, timeout=30)).revision


async def get(stub: Any, agent_id: str = "a", revision: int = 0) -> Any:
    return (await stub.GetConfig(pb.GetConfigRequest(agent_id=agent_id, revision=revision))).revision


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_an_agent_takes_a_configuration_and_its_tasks_see_it(fleet: Fleet, stub: Any) -> None:
    agent = make(fleet)
    async with fleet.running(agent), fleet.client() as client:
        revision = await update(stub, {"port": 80})
        assert (revision.revision, revision.state) == (1, Revision.STATE_ACTIVE)
        assert [(step.phase, step.passed) for step in revision.steps] == [(phase, True) for phase in range(1, 6)]
        assert "no schema" in revision.steps[0].detail
        assert agent.config == {"port": 80}
        assert await (await client.submit("port")).result() == b"80"


async def test_what_the_agent_refuses_is_given_up_and_the_former_one_restored(fleet: Fleet, stub: Any) -> None:
    agent = make(fleet)
    async with fleet.running(agent):
        await update(stub, {"port": 80})
        error = await refused(update(stub, {"bad": True}))
        assert reason_of(error) == "CONFIGURATION_APPLY_FAILED"
        assert dict(info_of(error).metadata)["rollbackPerformed"] == "true"
        assert "this does not work" in str(error.details())
        assert json.loads((await get(stub)).document) == {"port": 80}
        assert agent.config == {"port": 80}
        states = [each.state for each in (await _history(stub))]
        assert states == [Revision.STATE_ACTIVE, Revision.STATE_FAILED, Revision.STATE_SUPERSEDED]


async def test_an_agent_that_runs_something_else_gets_the_former_one_back(fleet: Fleet, stub: Any) -> None:
    agent = make(fleet)
    async with fleet.running(agent):
        await update(stub, {"port": 80})
        assert reason_of(await refused(update(stub, {"other": True}))) == "POST_UPDATE_VALIDATION_FAILED"
        await eventually(lambda: agent.config == {"port": 80})


async def test_an_agent_that_gets_worse_gets_the_former_one_back(fleet: Fleet, stub: Any) -> None:
    agent = make(fleet)
    async with fleet.running(agent):
        await update(stub, {"port": 80})
        request = pb.UpdateConfigRequest(agent_id="a", document='{"port":81}')
        number = (await stub.UpdateConfig(request)).revision.revision
        await eventually(lambda: agent.config == {"port": 81})
    # It has left; another process of it comes: what it was observed for did not survive the change.
    again = make(fleet)
    async with fleet.running(again):

        async def given_up() -> bool:
            found = await get(stub, revision=number)
            return bool(found.state == Revision.STATE_ROLLED_BACK and found.reason == "CONFIG_REGRESSION")

        await eventually(given_up)
        await eventually(lambda: again.config == {"port": 80})


async def test_the_largest_document_reaches_the_agent_however_many_quotes_it_has(fleet: Fleet, stub: Any) -> None:
    agent = make(fleet)
    document = {"texts": ["x"] * 14_990}
    async with fleet.running(agent):
        assert (await update(stub, document)).state == Revision.STATE_ACTIVE
        assert len(agent.config["texts"]) == 14_990
        assert fields_of(await refused(update(stub, {"texts": ["x"] * 15_100}))) == ["document"]


async def test_how_long_agents_take_to_apply_what_they_take_is_measured(fleet: Fleet, stub: Any) -> None:
    def measured() -> float:
        return REGISTRY.get_sample_value("tercio_registry_config_apply_seconds_count") or 0

    before = measured()
    async with fleet.running(make(fleet)):
        await update(stub, {"port": 80})
        await refused(update(stub, {"bad": True}))
        await update(stub, {"port": 81})
        await eventually(lambda: measured() == before + 2)


async def test_a_restarted_agent_is_sent_what_is_active(fleet: Fleet, stub: Any) -> None:
    async with fleet.running(make(fleet)):
        await update(stub, {"port": 80})
    again = make(fleet)
    async with fleet.running(again):
        await eventually(lambda: again.config == {"port": 80})


async def test_an_agent_that_does_not_answer_in_time_has_not_taken_it(fleet: Fleet, stub: Any) -> None:
    async with fleet.running(make(fleet)):
        request = pb.UpdateConfigRequest(agent_id="a", document='{"slow":true}', wait=True)
        request.apply_timeout.FromMilliseconds(200)
        error = await refused(stub.UpdateConfig(request, timeout=30))
        assert reason_of(error) == "CONFIGURATION_APPLY_FAILED"


async def test_what_does_not_conform_is_refused_by_path_and_a_dry_run_changes_nothing(fleet: Fleet, stub: Any) -> None:
    async with fleet.running(make(fleet)):
        await stub.SetConfigSchema(pb.SetConfigSchemaRequest(agent_type="web", document=SCHEMA))
        shown = (await stub.GetConfigSchema(pb.GetConfigSchemaRequest(agent_type="web"))).schema
        assert json.loads(shown.document) == json.loads(SCHEMA)
        error = await refused(update(stub, {"port": 0}))
        assert (reason_of(error), fields_of(error)) == ("INVALID_CONFIGURATION", ["$.port"])
        assert (await update(stub, {"port": 1}, validate_only=True)).revision == 0
        assert reason_of(await refused(get(stub))) == "CONFIGURATION_NOT_FOUND"


async def test_revisions_are_listed_compared_and_brought_back(fleet: Fleet, stub: Any) -> None:
    async with fleet.running(make(fleet)):
        await update(stub, {"port": 80, "host": "h"})
        await update(stub, {"port": 81})
        diff = await stub.GetConfigDiff(pb.GetConfigDiffRequest(agent_id="a"))
        assert [(each.path, each.before, each.after) for each in diff.changes] == [
            ("/host", '"h"', ""),
            ("/port", "80", "81"),
        ]
        request = pb.RollbackConfigRequest(agent_id="a", revision=1, wait=True)
        request.observe_duration.FromMilliseconds(0)
        back = (await stub.RollbackConfig(request, timeout=30)).revision
        assert (back.revision, back.restored_revision, back.state) == (3, 1, Revision.STATE_ACTIVE)
        assert len(await _history(stub)) == 3


async def test_every_other_refusal_has_its_reason(fleet: Fleet, stub: Any) -> None:
    assert reason_of(await refused(update(stub, {}, "nobody"))) == "AGENT_NOT_FOUND"
    assert reason_of(await refused(_history(stub, "nobody"))) == "CONFIGURATION_NOT_FOUND"
    assert reason_of(await refused(stub.GetRollout(pb.GetRolloutRequest(rollout_id="no")))) == "ROLLOUT_NOT_FOUND"
    assert fields_of(await refused(stub.UpdateConfig(pb.UpdateConfigRequest(agent_id="?")))) == ["agent_id", "document"]
    async with fleet.running(make(fleet)):
        await update(stub, {"port": 80})
        error = await refused(update(stub, {"port": 81}, expected_revision=7))
        assert reason_of(error) == "CONFIGURATION_CONFLICT"
    assert reason_of(await refused(update(stub, {}))) == "AGENT_NOT_ACTIVE"


async def test_a_retried_update_has_no_second_effect(fleet: Fleet, stub: Any) -> None:
    async with fleet.running(make(fleet)):
        for _ in range(2):
            assert (await update(stub, {"port": 80}, request_id="once")).revision == 1


async def test_what_fails_unexpectedly_is_told_so(fleet: Fleet, stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tercio_registry.state.configurations import Configurations

    async with fleet.running(make(fleet)):
        monkeypatch.setattr(Configurations, "after", lambda *_: 1 / 0)
        assert reason_of(await refused(update(stub, {}))) == "CONFIGURATION_UPDATE_EXCEPTION"


async def test_a_roll_out_reaches_every_agent_that_matches_and_stops_at_a_bad_one(fleet: Fleet, stub: Any) -> None:
    agents = [make(fleet, name) for name in ("a", "b", "c")] + [make(fleet, "d", agent_type="db")]
    async with fleet.running(*agents):
        good = await _rollout(stub, {"port": 80}, rollout_id="good")
        assert (good.state, good.succeeded_count) == (rollout_pb2.Rollout.STATE_SUCCEEDED, 3)
        assert [agent.config.get("port") for agent in agents] == [80, 80, 80, None]
        bad = await _rollout(stub, {"bad": True}, rollout_id="bad", rollback_on_failure=True)
        assert (bad.state, bad.failed_count) == (rollout_pb2.Rollout.STATE_ROLLED_BACK, 1)
        await eventually(lambda: all(agent.config.get("port") == 80 for agent in agents[:3]))
        error = await refused(stub.CancelRollout(pb.CancelRolloutRequest(rollout_id="bad")))
        assert reason_of(error) == "ROLLOUT_STATE_CONFLICT"
        listed = (await stub.ListRollouts(pb.ListRolloutsRequest())).rollouts
        assert [each.rollout_id for each in listed] == ["bad", "good"]


async def _history(stub: Any, agent_id: str = "a") -> list[Any]:
    return list((await stub.ListConfigRevisions(pb.ListConfigRevisionsRequest(agent_id=agent_id))).revisions)


async def test_a_list_of_large_roll_outs_fits_into_an_answer(stub: Any) -> None:
    document = json.dumps({"text": "x" * 59_000})
    for number in range(80):
        await stub.StartRollout(pb.StartRolloutRequest(rollout_id=f"r{number}", document=document, step_size=1))
    listed = (await stub.ListRollouts(pb.ListRolloutsRequest())).rollouts
    assert len(listed) == 80
    shown = (await stub.GetRollout(pb.GetRolloutRequest(rollout_id=listed[0].rollout_id))).rollout
    assert shown.document == document


async def _rollout(stub: Any, document: object, **fields: Any) -> Any:
    request = pb.StartRolloutRequest(document=json.dumps(document), filter='type = "web"', step_size=1, **fields)
    request.observe_duration.FromMilliseconds(0)
    rollout_id = (await stub.StartRollout(request)).rollout.rollout_id

    async def over() -> Any:
        found = (await stub.GetRollout(pb.GetRolloutRequest(rollout_id=rollout_id))).rollout
        return found.state >= rollout_pb2.Rollout.STATE_SUCCEEDED and found

    await eventually(over)
    return await over()
