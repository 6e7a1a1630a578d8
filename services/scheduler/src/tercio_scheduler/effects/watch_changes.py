"""Follows what the participants have, so that tasks that were refused are tried again when it changes.

Each message says as of which record it shows their state, the first one as well; so whatever changed after a refusal is
noticed, also when the watch began later than that.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

import structlog

from tercio.rpc.backoff import Backoff
from tercio.rpc.channels import Reconnect
from tercio.rpc.errors import CallError
from tercio_common.machine.host import Host
from tercio_common.peers import note_refusal
from tercio_scheduler.effects.participants.port import Participant
from tercio_scheduler.state.session import SchedulerSession

_LOOK_MS = 1_000
_log = structlog.get_logger(__name__)


class ChangeWatch:
    """The effect, for one participant."""

    def __init__(self, participant: Participant, *, changed: Callable[[], None]) -> None:
        """Watch `participant`; `changed` is called after each change."""
        self._participant = participant
        self._changed = changed

    async def run(self, host: Host) -> None:
        """Follow for ever, from the first refusal, or the first time without an answer, on."""
        session: SchedulerSession = host.session
        while not (session.shortages or self._participant.name in session.away):
            await host.clock.sleep_ms(_LOOK_MS)
        async with self._participant.connect(host) as link:
            reconnect = Reconnect(link.route, Backoff())
            while True:
                tried, error = link.route.address, None
                try:
                    async with aclosing(link.changes()) as changes:
                        async for change in changes:
                            reconnect.succeeded()
                            session.away.pop(self._participant.name, None)
                            session.shortages.changed(self._participant.name, change.seq, limits=change.limits)
                            self._changed()
                except CallError as failure:
                    error = failure
                _log.info(
                    "participant_away",
                    participant=self._participant.name,
                    address=tried,
                    error=str(error),
                    effect="refused tasks are tried now and then",
                )
                note_refusal(error, host=host)
                await reconnect.wait(error, tried=tried)
