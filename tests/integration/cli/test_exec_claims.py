"""Attempts that claim files, and agents that are asked which decision prevails: real processes, one `tercio dev`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest

from support.cli_processes import Processes
from tercio import Agent, Client, Context, TaskClaim
from tercio.api.conflicts.v1 import conflict_pb2, conflict_service_pb2, decision_pb2, decision_service_pb2
from tercio.api.conflicts.v1.conflict_service_pb2_grpc import ConflictServiceStub
from tercio.api.conflicts.v1.decision_service_pb2_grpc import DecisionServiceStub
from tercio_common.testing.eventually import eventually

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    (tmp_path / "processes").mkdir()
    running = Processes(tmp_path / "processes")
    yield running
    running.end()


@pytest.fixture
def address(processes: Processes) -> str:
    disputes = json.dumps({"architects": ["boss"], "consultation_ms": 30_000})
    _, address = processes.dev("--port", "0", "--memory", TERCIO_CONFLICTS__DISPUTES=disputes)
    return address


@pytest.fixture
async def client(address: str) -> AsyncIterator[Client]:
    async with Client(address=address) as connected:
        yield connected


async def test_a_command_finds_the_tokens_of_what_its_attempt_claims(
    processes: Processes, address: str, client: Client
) -> None:
    script = "echo $TERCIO_CLAIM_OWNER; echo $TERCIO_CLAIM_TOKEN; echo $TERCIO_CLAIM_TOKENS; echo ${TERCIO_SLOT}"
    options = ("--agent-id", "a", "--address", address, "--task-type", "work")
    processes.tercio("agent", "exec", *options, "--", "sh", "-c", script, log="agent.log")
    handle = await client.submit("work", claims=["src/**", TaskClaim("README.md", "shared")])
    owner, highest, tokens, _ = (await handle.result()).decode().splitlines()
    assert owner.startswith(f"{handle.task_id}@")
    assert len(tokens.split()) == 2
    assert highest in tokens
    plain = await client.submit("work")
    assert (await plain.result()).decode().splitlines()[:3] == ["", "", ""]


async def test_a_handler_sees_what_its_attempt_claims(address: str, client: Client) -> None:
    agent = Agent(agent_id="b", address=address)

    @agent.task("look")
    async def look(task: Context) -> list[str]:
        return sorted(claim.name for claim in await task.claims())

    running = asyncio.create_task(agent.run())
    handle = await client.submit("look", claims=["a.py", "docs/**"])
    assert json.loads(await handle.result()) == ["a.py", "docs/**"]
    agent.stop()
    await running


async def test_a_command_that_is_asked_ends_a_disagreement(processes: Processes, address: str, tmp_path: Path) -> None:
    answer = tmp_path / "answer.py"
    answer.write_text(
        "import json, sys\n"
        "asked = json.load(sys.stdin)\n"
        "chosen = next(each for each in asked['decisions'] if each['agent_id'] == 'engineer')\n"
        "print(json.dumps({'decision_id': chosen['decision_id'], 'reason': 'one team'}))\n"
    )
    options = ("--agent-id", "boss", "--address", address, "--on-decide", f"{sys.executable} {answer}")
    processes.tercio("agent", "exec", *options, "--", "cat", log="boss.log")
    async with grpc.aio.insecure_channel(address) as channel:
        decisions, conflicts = DecisionServiceStub(channel), ConflictServiceStub(channel)
        for place, (agent_id, choice) in enumerate((("lead", "use microservices"), ("engineer", "use a monolith"))):
            decision = decision_pb2.Decision(
                agent_id=agent_id, subject="architecture of the shop", choice=choice, scope="shop", confidence=0.9
            )
            request = decision_service_pb2.PostDecisionsRequest(request_id=f"d{place}", decisions=[decision])
            await decisions.PostDecisions(request)

        async def is_over() -> conflict_pb2.Conflict | None:
            reply = await conflicts.ListConflicts(conflict_service_pb2.ListConflictsRequest())
            return next((each for each in reply.conflicts if each.state == conflict_pb2.Conflict.STATE_RESOLVED), None)

        ended = await eventually(is_over, within_ms=60_000)
        assert ended.conflict_analysis.type == "technical_disagreement"
        assert ended.resolution_strategy == "architect_authority"
        chosen = next(each for each in ended.conflict_analysis.decisions if each.agent_id == "engineer")
        assert f"boss chose decision {chosen.decision_id}" in ended.resolution
