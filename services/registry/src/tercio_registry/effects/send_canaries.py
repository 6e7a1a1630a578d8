"""Asks agents for signs of life over their Work streams: one record for all that are due within a moment.

The scheduler carries canaries out and reports them to `ReportSystemTasks`; the session counts what came of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_registry import metrics
from tercio_registry.state.commands import OpenSystemTasks
from tercio_registry.state.rules import Rules

_STEPS = 30
"""An interval: at most that many records, however many agents there are, and canaries that are a thirtieth late."""
_AT_ONCE = 1_000
"""One takes about 200 bytes with the longest ids, so a record stays under half of a commit."""
_log = structlog.get_logger(__name__)


def send_canaries(rules: Rules) -> Callable[[Host], Awaitable[None]]:
    """Return the effect."""

    async def run(host: Host) -> None:
        if not rules.canary_interval:
            await asyncio.Event().wait()
        while True:
            await host.clock.sleep_ms(max(1, rules.canary_interval // _STEPS))
            while await _send(host):
                pass

    return run


async def _send(host: Host) -> bool:
    """Send what is due; return whether there may be more."""
    now, canaries = host.moment().now, host.session.canaries
    wanted = canaries.take_due(host.machine.agents, now, limit=_AT_ONCE)
    if not wanted:
        return False
    try:
        proposal = host.propose(OpenSystemTasks(wanted), call=EFFECT)
    except Refusal as refusal:
        _log.warning("canaries_not_sent", reason=str(refusal), effect="deaf agents are found later")
        for each in wanted:
            canaries.put_off(each, now)
        return False
    for each, system_task_id in zip(wanted, proposal.reply, strict=True):
        canaries.asked(each, system_task_id, now)
    metrics.CANARIES.inc(len(wanted))
    await host.committed(proposal.seq)
    return len(wanted) == _AT_ONCE
