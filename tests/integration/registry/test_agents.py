"""Unary calls through real gRPC."""

from __future__ import annotations

import hashlib
from typing import Any

import grpc
import pytest

from support.registry import FIRST, SECOND, SECRET, Registry, fields_of, reason_of
from tercio.api.registry.v1 import agent_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb

LONG = "x" * 129
BAD_TEXT = "x" * 1_025


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_a_registered_agent_is_shown_as_it_described_itself(registry: Registry) -> None:
    reply = await registry.register(
        agent_type="worker", version="1.2", capabilities={"python": 80}, labels={"zone": "b"}, concurrency=4
    )
    agent = reply.agent
    assert agent == await registry.get()
    assert (agent.agent_id, agent.agent_type, agent.version, agent.concurrency) == ("a", "worker", "1.2", 4)
    assert (dict(agent.capabilities), dict(agent.labels)) == ({"python": 80}, {"zone": "b"})
    assert agent.fingerprint == hashlib.sha256(SECRET).hexdigest()
    assert (agent.incarnation, agent.state) == (1, agent_pb2.Agent.STATE_HEALTHY)
    assert agent.register_time.ToMilliseconds() == agent.renew_time.ToMilliseconds() == registry.clock.wall_ms()
    assert agent.confirmed_epoch == reply.epoch
    assert reply.epoch.generation >= 1
    assert 900 <= reply.heartbeat_interval.ToMilliseconds() <= 1_100
    assert reply.lease_ttl.ToMilliseconds() == 3_000


async def test_an_agent_without_an_id_gets_one_and_a_retry_gets_the_same(registry: Registry) -> None:
    first = await registry.register("", request_id="r")
    again = await registry.register("", request_id="r")
    other = await registry.register("")
    assert len(first.agent.agent_id) == 26
    assert not again.HasField("report")
    first.ClearField("report")
    assert again == first
    assert other.agent.agent_id != first.agent.agent_id
    assert first.agent.concurrency == 1


async def test_the_etag_changes_with_the_durable_fields_only(registry: Registry) -> None:
    etag = (await registry.register()).agent.etag
    await registry.clock.advance(1_000)
    assert (await registry.get()).etag == etag
    await registry.stub.CordonAgent(pb.CordonAgentRequest(agent_id="a", cordoned=True))
    assert (await registry.get()).etag != etag


async def test_a_restart_is_the_next_incarnation_and_an_impostor_is_refused(registry: Registry) -> None:
    await registry.register()
    assert (await registry.register(instance_id=FIRST)).agent.incarnation == 1
    assert (await registry.register(instance_id=SECOND)).agent.incarnation == 2
    error = await refused(registry.register(identity_secret=b"another secret of sixteen bytes"))
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.PERMISSION_DENIED, "AGENT_IMPOSTOR")


async def test_cordon_drain_and_deregister_answer_with_the_agent(registry: Registry) -> None:
    await registry.register()
    cordoned = await registry.stub.CordonAgent(pb.CordonAgentRequest(agent_id="a", cordoned=True, reason="disk"))
    assert (cordoned.agent.cordoned, cordoned.agent.state_reason) == (True, "cordoned: disk")
    drained = await registry.stub.DrainAgent(pb.DrainAgentRequest(agent_id="a", reason="image"))
    assert (drained.agent.draining, drained.agent.state_reason) == (True, "draining: image")
    gone = await registry.stub.DeregisterAgent(pb.DeregisterAgentRequest(agent_id="a", incarnation=1, reason="bye"))
    assert (gone.agent.state, gone.agent.state_reason) == (agent_pb2.Agent.STATE_DEREGISTERED, "bye")
    error = await refused(registry.stub.CordonAgent(pb.CordonAgentRequest(agent_id="a")))
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.FAILED_PRECONDITION, "AGENT_NOT_ACTIVE")


@pytest.mark.parametrize(
    ("method", "request_message"),
    [
        ("GetAgent", pb.GetAgentRequest(agent_id="nobody")),
        ("CordonAgent", pb.CordonAgentRequest(agent_id="nobody")),
        ("DrainAgent", pb.DrainAgentRequest(agent_id="nobody")),
        ("DeregisterAgent", pb.DeregisterAgentRequest(agent_id="nobody")),
    ],
)
async def test_an_unknown_agent_is_not_found(registry: Registry, method: str, request_message: Any) -> None:
    error = await refused(getattr(registry.stub, method)(request_message))
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND")


async def test_every_bad_field_of_a_registration_is_named_at_once(registry: Registry) -> None:
    error = await refused(
        registry.register(
            "no spaces",
            request_id=LONG,
            agent_type=LONG,
            version=LONG,
            capabilities={"rust": 101, "go": 0},
            labels={"key": LONG},
            concurrency=10_001,
            identity_secret=b"short",
            instance_id=b"short",
        )
    )
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert sorted(fields_of(error)) == [
        "agent_id",
        "agent_type",
        "capabilities[go]",
        "capabilities[rust]",
        "concurrency",
        "identity_secret",
        "instance_id",
        "labels[key]",
        "request_id",
        "version",
    ]


@pytest.mark.parametrize(
    ("method", "request_message", "fields"),
    [
        pytest.param(
            "RegisterAgent",
            pb.RegisterAgentRequest(
                identity_secret=b"x" * 129,
                instance_id=b"",
                capabilities={f"c{number}": 1 for number in range(129)},
                labels={f"l{number}": "" for number in range(65)},
            ),
            ["capabilities", "identity_secret", "instance_id", "labels"],
            id="too many",
        ),
        pytest.param(
            "DeregisterAgent",
            pb.DeregisterAgentRequest(request_id=LONG, agent_id="", reason=BAD_TEXT),
            ["agent_id", "reason", "request_id"],
            id="deregister",
        ),
        pytest.param(
            "CordonAgent",
            pb.CordonAgentRequest(request_id=LONG, agent_id=LONG, reason=BAD_TEXT),
            ["agent_id", "reason", "request_id"],
            id="cordon",
        ),
        pytest.param(
            "DrainAgent",
            pb.DrainAgentRequest(request_id=LONG, agent_id="ä", reason=BAD_TEXT),
            ["agent_id", "reason", "request_id"],
            id="drain",
        ),
        pytest.param("GetAgent", pb.GetAgentRequest(agent_id="a b"), ["agent_id"], id="get"),
        pytest.param(
            "ListAgents",
            pb.ListAgentsRequest(
                page_size=1_001,
                filter=pb.AgentFilter(states=[1, 0, 99], capabilities={"c": 0}, labels={"": ""}, agent_type=LONG),
            ),
            [
                "filter.agent_type",
                "filter.capabilities[c]",
                "filter.labels[]",
                "filter.states[1]",
                "filter.states[2]",
                "page_size",
            ],
            id="list",
        ),
    ],
)
async def test_every_bad_field_is_named(
    registry: Registry, method: str, request_message: Any, fields: list[str]
) -> None:
    error = await refused(getattr(registry.stub, method)(request_message))
    assert reason_of(error) == ("INVALID_SPECIFICATION" if method == "RegisterAgent" else "INVALID_ARGUMENT")
    assert sorted(fields_of(error)) == fields


async def test_pages_follow_the_order_of_ids_and_the_filter(registry: Registry) -> None:
    for number in (3, 1, 4, 2, 5):
        await registry.register(f"a{number}", agent_type="odd" if number % 2 else "even")
    assert await registry.pages(page_size=2) == [["a1", "a2"], ["a3", "a4"], ["a5"]]
    assert await registry.pages(filter=pb.AgentFilter(agent_type="odd")) == [["a1", "a3", "a5"]]
    await registry.stub.DeregisterAgent(pb.DeregisterAgentRequest(agent_id="a1"))
    assert await registry.pages() == [["a2", "a3", "a4", "a5"]]
    left = pb.AgentFilter(states=[agent_pb2.Agent.STATE_DEREGISTERED])
    assert await registry.pages(filter=left) == [["a1"]]


async def test_a_page_token_is_good_for_its_own_list_only(registry: Registry) -> None:
    for number in range(3):
        await registry.register(f"a{number}")
    first = await registry.stub.ListAgents(pb.ListAgentsRequest(page_size=1))
    other = pb.AgentFilter(agent_type="other")
    for request in (
        pb.ListAgentsRequest(page_token=first.next_page_token, filter=other),
        pb.ListAgentsRequest(page_token=first.cursor),
        pb.ListAgentsRequest(page_token="never made"),
    ):
        error = await refused(registry.stub.ListAgents(request))
        assert reason_of(error) == "CURSOR_INVALID"


async def test_a_full_store_turns_away_new_agents_and_lets_known_ones_come_back(registry: Registry) -> None:
    await registry.register("known", request_id="r")
    registry.service.host.space.nearly_full = True
    await registry.register("known", request_id="r")
    assert (await registry.register("known", instance_id=SECOND)).agent.incarnation == 2
    assert reason_of(await refused(registry.register("new"))) == "STORE_NEARLY_FULL"
    await registry.stub.DrainAgent(pb.DrainAgentRequest(agent_id="known"))
