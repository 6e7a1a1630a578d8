"""Escalations reach a webhook over real HTTP: signed, at least once, and again when the receiver fails."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from support.conflicts import running_conflicts
from support.disputes import ESCALATED, Disputes, disputes_of
from tercio.api.conflicts.v1 import conflict_service_pb2 as pb
from tercio_common.clock import SystemClock
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.eventually import eventually
from tercio_conflicts.dispute_settings import DisputeSettings
from tercio_conflicts.settings import ConflictsSettings


class Receiver(ThreadingHTTPServer):
    """Takes notices, once it has answered with each of `answers`."""

    daemon_threads = True

    def __init__(self, *answers: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.received: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((dict(self.headers), body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    server = Receiver(*getattr(request, "param", ()))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def settings_of(receiver: Receiver, **fields: Any) -> ConflictsSettings:
    return ConflictsSettings(disputes=DisputeSettings(webhook_url=receiver.url, **fields))  # type: ignore[arg-type]


async def escalate(disputes: Disputes) -> str:
    """Raise a conflict that nobody knows how to end; return its id."""
    request = pb.ReportConflictRequest(request_id="r", type="bad_mood", agent_ids=["ada"])
    conflict_id: str = (await disputes.conflicts.ReportConflict(request)).conflict.conflict_id
    await disputes.until(ESCALATED)
    return conflict_id


async def test_an_escalation_is_posted_and_signed(receiver: Receiver) -> None:
    clock = SystemClock()
    settings = settings_of(receiver, webhook_secret="s3cret")
    async with (
        running_conflicts(MemoryStore(clock=clock), clock=clock, settings=settings) as claims,
        disputes_of(claims) as disputes,
    ):
        conflict_id = await escalate(disputes)
        await eventually(lambda: bool(receiver.received))
        headers, body = receiver.received[0]
        expected = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
        assert headers["Tercio-Signature"] == f"sha256={expected}"
        assert headers["Tercio-Notice"] == f"{conflict_id}-1-0"
        told = json.loads(body)
        assert (told["conflict_id"], told["agents"], told["reminder"]) == (conflict_id, ["ada"], 0)
        await eventually(lambda: not len(claims.service.host.machine.outbox.table))
        assert len(receiver.received) == 1


@pytest.mark.parametrize("receiver", [(500, 503)], indirect=True, ids=["two failures"])
async def test_a_receiver_that_fails_is_told_again(receiver: Receiver) -> None:
    clock = SystemClock()
    async with (
        running_conflicts(MemoryStore(clock=clock), clock=clock, settings=settings_of(receiver)) as claims,
        disputes_of(claims) as disputes,
    ):
        await escalate(disputes)
        await eventually(lambda: len(receiver.received) == 3)
        assert len({headers["Tercio-Notice"] for headers, _ in receiver.received}) == 1
        assert "Tercio-Signature" not in receiver.received[0][0]
        await eventually(lambda: not len(claims.service.host.machine.outbox.table))


@pytest.mark.parametrize("receiver", [(404,)], indirect=True, ids=["no such page"])
async def test_a_receiver_that_will_never_take_it_is_told_once(receiver: Receiver) -> None:
    clock = SystemClock()
    async with (
        running_conflicts(MemoryStore(clock=clock), clock=clock, settings=settings_of(receiver)) as claims,
        disputes_of(claims) as disputes,
    ):
        await escalate(disputes)
        await eventually(lambda: bool(receiver.received) and not len(claims.service.host.machine.outbox.table))
        assert len(receiver.received) == 1


async def test_what_is_owed_to_a_receiver_that_is_away_survives_a_take_over(receiver: Receiver) -> None:
    clock = SystemClock()
    store = MemoryStore(clock=clock)
    away = DisputeSettings(webhook_url="http://127.0.0.1:9/hook")  # type: ignore[arg-type]
    async with (
        running_conflicts(store, clock=clock, settings=ConflictsSettings(disputes=away)) as claims,
        disputes_of(claims) as disputes,
    ):
        conflict_id = await escalate(disputes)
    async with running_conflicts(store, clock=clock, settings=settings_of(receiver)):
        await eventually(lambda: bool(receiver.received))
        assert json.loads(receiver.received[0][1])["conflict_id"] == conflict_id
