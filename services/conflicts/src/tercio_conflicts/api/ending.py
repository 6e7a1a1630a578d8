"""Waits until a conflict has ended, or went to people."""

from __future__ import annotations

import asyncio
from typing import Final

from tercio_common.errors import Refusal
from tercio_common.machine.host import Host
from tercio_conflicts.state.conflicts import present
from tercio_conflicts.state.dispute_rows import ConflictRow, ConflictState

_ENDED: Final = frozenset({ConflictState.RESOLVED, ConflictState.ESCALATED})
_EXCEPTION: Final = "CONFLICT_RESOLUTION_EXCEPTION"
_SPARE_MS: Final = 200
"""Before the caller's deadline, so that it gets an answer."""


class Endings:
    """The calls of one replica that wait for the end of a conflict."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._committed = asyncio.Event()

    def committed(self, _seq: int) -> None:
        """A commit has passed: some conflict may have ended."""
        self._committed.set()
        self._committed = asyncio.Event()

    async def of(self, conflict_id: str, *, wait: int, time_left: float | None) -> ConflictRow:
        """Return the conflict once it ended, or as it is after `wait` ms.

        Raises:
            Refusal: CONFLICT_RESOLUTION_EXCEPTION when every strategy failed unexpectedly; CONFLICT_NOT_FOUND.
        """
        if time_left is not None:
            wait = min(wait, max(0, int(time_left * 1_000) - _SPARE_MS))
        expired = asyncio.ensure_future(self._host.clock.sleep_ms(wait))
        try:
            while True:
                changed = asyncio.ensure_future(self._committed.wait())
                try:
                    row = await self._host.read(
                        lambda machine, _session, _at: present(conflict_id, machine.tables.disputes.conflicts)
                    )
                    if row.state in _ENDED or expired.done():
                        return _checked(row)
                    await asyncio.wait({changed, expired}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changed.cancel()
        finally:
            expired.cancel()


def _checked(row: ConflictRow) -> ConflictRow:
    escalation = row.escalation
    if row.state is ConflictState.ESCALATED and escalation is not None and escalation.reason.startswith(_EXCEPTION):
        errors = "; ".join(f"{each.strategy}: {each.message}" for each in row.attempts)
        message = f"conflict {row.conflict_id} waits for people: {errors}"
        raise Refusal(_EXCEPTION, message, {"conflictId": row.conflict_id})
    return row
