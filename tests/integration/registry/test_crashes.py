"""A registry that dies in the middle of anything: what callers send again, to the next process, ends as if nothing was.

Each test goes through the places of one undertaking in the order in which they come, and dies at each of them once, on
one store. The agents, and the scheduler between, live on. The short form dies at one place of each.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from support.crashing_process import registry
from support.long_form import places
from support.registry_client import INTERVAL_MS, Client, Surroundings
from support.registry_faults import OUTSIDE, POINTS
from support.registry_ports import Ledgers
from tercio.api.registry.v1 import agent_pb2, config_service_pb2, registration_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.registry.v1.rollout_pb2 import Rollout
from tercio_common.testing.eventually import eventually

SETTINGS = {"TERCIO_REGISTRY__HEARTBEAT_INTERVAL_MS": str(INTERVAL_MS)}
LONG_MS = 30_000
Undertaking = Callable[[Client], Awaitable[None]]


async def survive(folder: Path, around: Surroundings, crashes: Sequence[str], undertaking: Undertaking) -> None:
    """Undertake it again and again, with a process that dies at the next place, and at last with one that lives."""
    for place in crashes:
        assert place in POINTS or place in OUTSIDE
        async with registry(folder, crash_at=place, settings=SETTINGS) as (process, port):
            trying = asyncio.create_task(attempt(port, around, undertaking))
            try:
                async with asyncio.timeout(100):
                    await process.communicate()
            except TimeoutError:
                raise AssertionError(f"it did not come to the place where {place}") from None
            finally:
                trying.cancel()
                await asyncio.gather(trying, return_exceptions=True)
            assert process.returncode == -signal.SIGKILL
    async with registry(folder, settings=SETTINGS) as (_, port):
        await attempt(port, around, undertaking)
    assert not around.went_back


async def attempt(port: int, around: Surroundings, undertaking: Undertaking) -> None:
    async with Client(port, around) as client:
        await client.register_all()
        await undertaking(client)


async def update(client: Client, request_id: str, document: object) -> None:
    request = config_service_pb2.UpdateConfigRequest(request_id=request_id, agent_id="a", document=json.dumps(document))
    request.observe_duration.FromMilliseconds(300)
    await client.configs.UpdateConfig(request, timeout=20)


@pytest.mark.timeout(480)
async def test_a_configuration_that_is_taken(tmp_path: Path) -> None:
    around = Surroundings(["a"])

    async def configure(client: Client) -> None:
        await update(client, "good", {"port": 1})

        async def is_active() -> bool:
            return await client.revisions("a") == [(1, "ACTIVE", '{"port":1}')]

        await eventually(is_active, within_ms=LONG_MS)
        assert around.running == {"a": (1, '{"port":1}')}
        assert await client.open_tasks() == []
        assert await client.audited("good") == 1

    every = (
        "a configuration is accepted",
        "it is given to the agent",
        "the agent has it",
        "the agent is observed",
        "it is made active",
    )
    await survive(tmp_path, around, places(every, short="the agent has it"), configure)


@pytest.mark.timeout(480)
async def test_a_configuration_that_is_refused_by_the_agent(tmp_path: Path) -> None:
    around = Surroundings(["a"], refusing="a")

    async def configure(client: Client) -> None:
        await update(client, "bad", {"bad": True})

        async def is_restored() -> bool:
            return (
                await client.revisions("a") == [(2, "ACTIVE", "{}"), (1, "FAILED", '{"bad":true}')]
                and around.running == {"a": (2, "{}")}
                and await client.open_tasks() == []
            )

        await eventually(is_restored, within_ms=LONG_MS)
        assert await client.audited("bad") == 1

    every = ("it is given up", "the agent is sent its backup", "the agent has its backup")
    await survive(tmp_path, around, places(every, short="the agent is sent its backup"), configure)


@pytest.mark.timeout(480)
@pytest.mark.parametrize(
    ("graceful", "every", "short"),
    [
        pytest.param(False, ("the membership ends",), "what was reserved is released", id="forced"),
        pytest.param(True, ("it begins to drain", "it drains", "the membership ends"), "it drains", id="graceful"),
    ],
)
async def test_a_deregistration(tmp_path: Path, graceful: bool, every: tuple[str, ...], short: str) -> None:
    around, ledgers = Surroundings(["a"]), Ledgers(tmp_path)

    async def deregister(client: Client) -> None:
        request = pb.DeregisterAgentRequest(request_id="leave", agent_id="a", reason="done", incarnation=1)
        if graceful:
            request.mode = pb.DeregisterAgentRequest.MODE_GRACEFUL
            request.drain_timeout.FromSeconds(1)
        reply = await client.agents.DeregisterAgent(request, timeout=20)
        assert agent_pb2.Agent.State.Name(reply.agent.state) == "STATE_DEREGISTERED"
        report = registration_pb2.DeregistrationReport
        assert {part.outcome for part in reply.report.parts} <= {
            report.OUTCOME_COMPLETED,
            report.OUTCOME_KEPT,
            report.OUTCOME_PENDING,  # the scheduler's part
        }
        await eventually(lambda: ledgers.entries() == ([], []), within_ms=LONG_MS)
        assert await client.audited("leave") == 1

    undoing = (*OUTSIDE, "what was undone is noted")
    await survive(tmp_path, around, places([*every, *undoing], short=short), deregister)


@pytest.mark.timeout(480)
@pytest.mark.parametrize(
    ("refusing", "every", "short", "ended", "running"),
    [
        pytest.param(
            "",
            ("a roll-out is accepted", "agents join its step", "its step ends"),
            "its step ends",
            ("STATE_SUCCEEDED", 3, 0, 0),
            {"a": '{"bad":1}', "b": '{"bad":1}', "c": '{"bad":1}'},
            id="succeeds",
        ),
        pytest.param(
            "b",
            ("it takes back what it did",),
            "it takes back what it did",
            ("STATE_ROLLED_BACK", 1, 1, 1),
            {"a": "{}", "b": "{}"},
            id="is taken back",
        ),
    ],
)
async def test_a_roll_out(
    tmp_path: Path,
    refusing: str,
    every: tuple[str, ...],
    short: str,
    ended: tuple[str, int, int, int],
    running: dict[str, str],
) -> None:
    around = Surroundings(["a", "b", "c"], refusing=refusing)

    async def roll_out(client: Client) -> None:
        request = config_service_pb2.StartRolloutRequest(
            request_id="start", rollout_id="r", document='{"bad": 1}', step_size=1, rollback_on_failure=True
        )
        request.observe_duration.FromMilliseconds(200)
        await client.configs.StartRollout(request, timeout=20)

        async def is_over() -> bool:
            found = (await client.configs.GetRollout(config_service_pb2.GetRolloutRequest(rollout_id="r"))).rollout
            outcome = Rollout.State.Name(found.state), found.succeeded_count, found.failed_count, found.restored_count
            documents = {name: document for name, (_, document) in around.running.items()}
            return outcome == ended and documents == running and await client.open_tasks() == []

        await eventually(is_over, within_ms=LONG_MS)
        assert await client.audited("start") == 1

    await survive(tmp_path, around, places(every, short=short), roll_out)
