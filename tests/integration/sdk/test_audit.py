"""Who changed what, as a client asks for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tercio import Client
from tercio.testing import running_fleet


async def _methods(client: Client, **chosen: Any) -> list[str]:
    return [event.method.rpartition("/")[2] async for event in client.audit_events("scheduler", **chosen)]


async def test_a_client_reads_the_mutations_of_a_service_the_newest_first() -> None:
    async with running_fleet() as fleet, fleet.client() as client:
        task = await client.submit("work", task_id="t")
        await task.accepted()
        await client.cancel("t")
        methods = await _methods(client)
        assert methods.index("CancelTask") < methods.index("SubmitStream")
        (cancelled,) = [event async for event in client.audit_events("scheduler", method="CancelTask")]
        assert list(cancelled.resources) == ["tasks/t"]
        assert await _methods(client, request_id=cancelled.request_id) == ["CancelTask"]
        assert await _methods(client, principal="nobody") == []
        later = datetime.now(UTC) + timedelta(hours=1)
        assert await _methods(client, since=later) == []
        assert await _methods(client, until=later) == methods
