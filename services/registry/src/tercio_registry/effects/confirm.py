"""Records transitions that heartbeats bring: one record for all that arrived during the last commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_registry.api.link import Link
from tercio_registry.state.commands import ConfirmAgents

_AT_ONCE = 1_000
"""Ids of 128 characters then make a record of 128 kB, a quarter of a commit."""


def confirm(link: Link) -> Callable[[Host], Awaitable[None]]:
    """Return the effect."""

    async def run(host: Host) -> None:
        while True:
            await link.news.wait()
            link.news.clear()
            while agent_ids := host.session.take_pending(_AT_ONCE):
                try:
                    proposal = host.propose(ConfirmAgents(agent_ids), call=EFFECT)
                except Refusal:
                    break  # the replica is stopping; the next leader hears the agents itself
                await host.committed(proposal.seq)

    return run
