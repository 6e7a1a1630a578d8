"""Posts escalations and reminders to the webhook, signed if there is a secret, until it takes them.

A receiver sees each notice at least once; `Tercio-Notice` names it, so that it can tell repetitions.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog
import urllib3

from tercio_common.machine.delivery import Delivery, Send
from tercio_common.machine.host import Host
from tercio_common.machine.outbox import OutboxRow
from tercio_conflicts import dispute_metrics
from tercio_conflicts.state.disputes import KIND_WEBHOOK

_SUCCESS: Final = range(200, 300)
_HOPELESS: Final = frozenset({400, 401, 403, 404, 405, 410, 413, 415, 422})
"""The receiver will answer the same again, so the notice is dropped; the conflict stays in the inbox."""
_BATCH: Final = 10
_log = structlog.get_logger(__name__)


def notify_webhook(url: str, *, secret: str, timeout_ms: int) -> Delivery:
    """Return the delivery that posts to `url`."""

    @asynccontextmanager
    async def connect(_host: Host) -> AsyncIterator[Send]:
        timeout = urllib3.Timeout(total=timeout_ms / 1_000)
        with urllib3.PoolManager(num_pools=1, retries=False, timeout=timeout) as pool:

            async def send(rows: Sequence[OutboxRow]) -> Collection[str]:
                return [row.entry_id for row in rows if await asyncio.to_thread(_post, pool, url, secret, row)]

            yield send

    return Delivery(KIND_WEBHOOK, connect, batch=_BATCH)


def signature(secret: str, body: bytes) -> str:
    """Return the header by which a receiver knows that it was this service."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def _post(pool: urllib3.PoolManager, url: str, secret: str, row: OutboxRow) -> bool:
    """Post one notice; tell whether it need not be posted again."""
    headers = {"Content-Type": "application/json", "Tercio-Notice": row.entry_id}
    if secret:
        headers["Tercio-Signature"] = signature(secret, row.payload)
    try:
        answer = pool.request("POST", url, body=row.payload, headers=headers, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        dispute_metrics.WEBHOOKS.labels("unreachable").inc()
        _log.warning("webhook_unreachable", notice=row.entry_id, error=str(error), effect="tries again")
        return False
    if answer.status in _SUCCESS:
        dispute_metrics.WEBHOOKS.labels("taken").inc()
        return True
    dispute_metrics.WEBHOOKS.labels("refused").inc()
    hopeless = answer.status in _HOPELESS
    effect = "it is not told; look at the inbox" if hopeless else "tries again"
    _log.warning("webhook_refused", notice=row.entry_id, status=answer.status, effect=effect)
    return hopeless
