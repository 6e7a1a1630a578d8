"""`tercio conflicts` against a fleet as `tercio dev` runs it: the inbox, and the end of what waits there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator

import grpc
import pytest
from typer.testing import CliRunner, Result

from support.cli_processes import Processes
from tercio.api.conflicts.v1 import decision_pb2
from tercio.api.conflicts.v1 import decision_service_pb2 as pb
from tercio.api.conflicts.v1.decision_service_pb2_grpc import DecisionServiceStub
from tercio.cli.main import app

Tercio = Callable[..., Result]
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    running = Processes(tmp_path_factory.mktemp("fleet"))
    _, address = running.dev("--port", "0", "--memory")
    yield address
    running.end()


@pytest.fixture
def tercio(fleet: str, monkeypatch: pytest.MonkeyPatch) -> Tercio:
    monkeypatch.setenv("TERCIO_ADDRESS", fleet)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


async def disagree(address: str) -> list[int]:
    """Let two agents contradict each other; return their decisions."""
    async with grpc.aio.insecure_channel(address) as channel:
        choices = {"ada": "Use PostgreSQL", "bert": "Use MongoDB"}
        decisions = [
            decision_pb2.Decision(agent_id=agent, subject="database", choice=choice, confidence=1)
            for agent, choice in choices.items()
        ]
        request = pb.PostDecisionsRequest(request_id="r", decisions=decisions)
        return list((await DecisionServiceStub(channel).PostDecisions(request)).decision_ids)


def escalated(tercio: Tercio) -> list[dict[str, object]]:
    """Return what waits for people, once something does."""
    for _ in range(100):
        result = tercio("conflicts", "list", "--escalated", "-o", "json")
        if result.exit_code == 0 and (found := json.loads(result.stdout or "[]")):
            rows: list[dict[str, object]] = found
            return rows
    raise AssertionError(f"nothing was escalated: {result.output}")


def test_what_waits_for_people_is_listed_shown_and_resolved(tercio: Tercio, fleet: str) -> None:
    one, _ = asyncio.run(disagree(fleet))
    (conflict,) = escalated(tercio)
    name = str(conflict["conflict_id"])
    shown = tercio("conflicts", "show", name).stdout
    assert "ada: database: Use PostgreSQL" in shown
    assert "tried established_pattern: NOT_APPLICABLE: No applicable framework patterns found" in shown
    assert "waits for people: no strategy ended it" in shown
    resolved = tercio("conflicts", "resolve", name, "--because", "we run it", "--prevails", str(one))
    assert resolved.stdout == f"{name} is resolved: we run it\n"
    assert "there are no such conflicts" in tercio("conflicts", "list", "--escalated").stderr
    again = tercio("conflicts", "escalate", name, "--reason", "once more")
    assert again.exit_code != 0
