"""Which services grant what attempts need, in the order in which they are asked.

What an earlier one refuses is not asked of a later one, so the one whose grants others wait for comes last. Another
participant needs its name here, what it is asked for in `Needs`, and its way in `effects/participants`.
"""

from __future__ import annotations

from typing import Final

from tercio_scheduler.state.rows import Needs

CONFLICTS: Final = "conflicts"
RESOURCES: Final = "resources"
PARTICIPANTS: Final = (CONFLICTS, RESOURCES)


def asked_for(needs: Needs) -> tuple[str, ...]:
    """Return who is to grant something, in order; nobody when the task needs nothing."""
    asked = ((CONFLICTS, needs.claims), (RESOURCES, needs.resources))
    return tuple([name for name, wanted in asked if wanted])


def release_kind(participant: str) -> str:
    """Return the kind of the outbox entries that release owners there."""
    return f"{participant}.release"


def release_entry(participant: str, owner: str) -> str:
    """Return the id of the outbox entry that releases the owner there."""
    return f"{participant} {owner}"


def released_owner(entry_id: str) -> str:
    """Return the owner that an outbox entry releases; entries of old records are named by the owner alone."""
    return entry_id.rpartition(" ")[2]
